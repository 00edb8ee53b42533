"""What somebody planned counts as planned until the past can tell; afterwards as the past says, or not at all."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from cloud.forecasts.forecast import Batch, Driver, Forecast, Forecasts, Request, Touching, inputs_hash
from cloud.forecasts.predict import forecast

WEEKS = 100
START = 700_000 - 700_000 % 7
ORIGIN = START + WEEKS * 7
SERIES = 30
Table = NDArray[np.float64]


def demand(weeks: Table, uplift: float, seed: int = 5) -> Table:
    """Each item at its own level, `uplift` more in its campaign weeks."""
    drawn = np.random.default_rng(seed)
    level = drawn.uniform(20, 90, (len(weeks), 1))
    return drawn.poisson(level * (1 + uplift * weeks)).astype(float)


def drawn_weeks(share: float, seed: int = 6, series: int = SERIES) -> Table:
    return (np.random.default_rng(seed).random((series, WEEKS + 8)) < share).astype(float)


def campaigns(weeks: Table, planned: float, since: int = 0) -> tuple[Driver, ...]:
    """Plans of `planned` uplift, known since the ordinal date `since` where that is not 0."""
    made: list[Driver] = []
    for row, values in enumerate(weeks):
        dates = tuple(int(START + 7 * at) for at in np.flatnonzero(values))
        told = (float(np.log1p(planned)),) * len(dates)
        known = (since,) * len(dates) if since else ()
        made.append(
            Driver("campaigns", dates, told, (True,) * len(dates), "", f"item-{row}", since=known, expected=True)
        )
    return tuple(made)


def batch(table: Table, drivers: tuple[Driver, ...], rows: slice = slice(None)) -> Batch:
    requests = tuple(
        Request("north", f"item-{row}", START, tuple(int(one) for one in values[:WEEKS]), 3.0, 0.0, 1.0)
        for row, values in enumerate(table)
    )
    return Batch(ORIGIN, requests[rows], 7, drivers=drivers)


def numbers(answer: Forecasts) -> list[Forecast]:
    return [msgspec.structs.replace(one, version="", inputs="", drivers=()) for one in answer.forecasts]


def ahead(*weeks: int) -> Table:
    """Only item 0 has campaigns, so many weeks ahead."""
    table = np.zeros((SERIES, WEEKS + 8))
    table[0, [WEEKS + week for week in weeks]] = 1
    return table


def test_the_first_campaign_counts_as_planned_and_says_so() -> None:
    plan = ahead(1)
    table = demand(np.zeros_like(plan), 0.0)
    with_it, without = forecast(batch(table, campaigns(plan, 0.3))), forecast(batch(table, ()))
    (verdict,) = with_it.forecasts[0].drivers
    assert verdict.accepted
    assert verdict.share == 1
    assert verdict.reason == "enters: no past campaign to judge by: the planned +30 % is taken"
    fan, plain = np.asarray(with_it.forecasts[0].fan), np.asarray(without.forecasts[0].fan)
    assert fan[1, 2] == pytest.approx(1.3 * plain[1, 2], rel=0.03)
    assert fan[[0, 2, 3]] == pytest.approx(plain[[0, 2, 3]], rel=0.05)
    assert with_it.forecasts[0].mean == pytest.approx(without.forecasts[0].mean * (1 + 0.3 / 4), rel=0.01)
    assert with_it.forecasts[0].quantile(0.95) > 1.05 * without.forecasts[0].quantile(0.95)
    assert numbers(with_it)[1:] == numbers(without)[1:]  # nobody else is touched
    assert with_it.forecasts[1].drivers == ()


def test_moving_a_planned_campaign_moves_the_fan_and_out_of_the_lead_time_the_quantiles() -> None:
    table = demand(np.zeros((SERIES, WEEKS + 8)), 0.0)
    soon, later = (forecast(batch(table, campaigns(ahead(week), 0.5))).forecasts[0] for week in (2, 6))
    assert np.asarray(soon.fan)[:, 2].argmax() == 2
    assert np.asarray(later.fan)[:, 2].argmax() == 6
    assert soon.quantile(0.95) > 1.05 * later.quantile(0.95)


def test_two_past_campaigns_teach_how_much_of_a_plan_comes() -> None:
    plan = ahead(1)
    plan[:10, [60, 80]] = 1
    table = demand(plan, 0.3)
    (verdict,) = forecast(batch(table, campaigns(plan, 0.6))).verdicts
    assert verdict.accepted
    assert verdict.reason.startswith("enters: 20 past campaigns are too little to judge by: of the planned +60 % ")
    assert verdict.uplift == pytest.approx(0.3, abs=0.07)


def test_campaigns_that_came_as_planned_win_their_backtest_and_improve_it() -> None:
    weeks = drawn_weeks(0.1)
    table = demand(weeks, 0.8)
    answer = forecast(batch(table, campaigns(weeks, 0.8)))
    (verdict,) = answer.verdicts
    assert verdict.accepted
    assert verdict.gain > 2 * verdict.standard_error > 0
    assert verdict.share == pytest.approx(1, abs=0.05)
    came = table[:, WEEKS : WEEKS + 4].sum(axis=1)
    losses = [loss(one, came) for one in (answer, forecast(batch(table, ())))]
    assert losses[0] < 0.85 * losses[1]


def loss(answer: Forecasts, came: Table) -> float:
    """Pinball loss of demand over the lead time at three levels."""
    total = 0.0
    for one, real in zip(answer.forecasts, came, strict=True):
        for level in (0.5, 0.9, 0.95):
            short = real - one.quantile(level)
            total += max(level * short, (level - 1) * short)
    return total


def test_campaigns_that_never_bring_anything_are_refused_whatever_is_planned() -> None:
    weeks = drawn_weeks(0.1)
    table = demand(weeks, 0.0)
    answer = forecast(batch(table, campaigns(weeks, 0.8)))
    (verdict,) = answer.verdicts
    assert not verdict.accepted
    assert verdict.reason.startswith("stays out: ")
    assert numbers(answer) == numbers(forecast(batch(table, ())))


def test_what_surely_came_counts_though_wild_demand_hides_it_from_the_loss() -> None:
    weeks = drawn_weeks(0.08, series=100)
    drawn = np.random.default_rng(7)
    table = drawn.uniform(20, 90, (100, 1)) * drawn.gamma(0.3, 1 / 0.3, weeks.shape) * (1 + 0.6 * weeks)
    (verdict,) = forecast(batch(np.rint(table), campaigns(weeks, 0.6))).verdicts
    assert verdict.gain < 2 * verdict.standard_error
    assert verdict.accepted
    assert "too rare to show surely" in verdict.reason
    assert verdict.share == pytest.approx(1, abs=0.15)


def test_a_campaign_planned_later_is_not_seen_from_before() -> None:
    """All campaigns that were planned a day before they began: no past origin could have used them ahead."""
    weeks = drawn_weeks(0.1)
    table = demand(weeks, 0.8)
    known = campaigns(weeks, 0.8)
    late = tuple(
        msgspec.structs.replace(one, since=tuple(date if date < ORIGIN else 0 for date in one.dates)) for one in known
    )
    early_gain, late_gain = (forecast(batch(table, one)).verdicts[0].gain for one in (known, late))
    assert late_gain < 0.7 * early_gain


def test_what_is_known_of_a_driver_from_many_series_serves_a_few() -> None:
    weeks = drawn_weeks(0.1)
    table = demand(weeks, 0.4)
    drivers = campaigns(weeks, 0.8)
    whole = forecast(batch(table, drivers))
    few = msgspec.structs.replace(batch(table, drivers, slice(0, 2)), effects=whole.effects)
    (verdict,) = forecast(few).verdicts
    assert verdict.share == whole.verdicts[0].share == pytest.approx(np.log(1.4) / np.log(1.8), abs=0.08)
    assert verdict.standard_error == whole.verdicts[0].standard_error > 0


def test_a_price_holds_until_the_next_and_its_plan_counts_ahead() -> None:
    drawn = np.random.default_rng(3)
    low = np.repeat(drawn.random((SERIES, (WEEKS + 8) // 6)) < 0.3, 6, axis=1)
    price = np.where(low, -0.3, 0.1)
    table = drawn.poisson(40 * np.exp(-2 * price)).astype(float)
    price[0, WEEKS:], price[1, WEEKS:] = -0.3, 0.1

    def told(row: int) -> Driver:
        values = price[row]
        at = [0, *[week for week in range(1, len(values)) if values[week] != values[week - 1]]]
        dates = tuple(START + 7 * week for week in at)
        return Driver(
            "price", dates, tuple(float(values[week]) for week in at), (True,) * len(at), "", f"item-{row}", True
        )

    answer = forecast(batch(table, tuple(told(row) for row in range(SERIES))))
    (verdict,) = answer.verdicts
    assert verdict.accepted
    cheap, dear = (np.asarray(answer.forecasts[row].fan)[1:5, 2].mean() for row in (0, 1))
    assert cheap == pytest.approx(40 * np.exp(0.6), rel=0.12)
    assert dear == pytest.approx(40 * np.exp(-0.2), rel=0.12)


def test_only_drivers_that_touch_a_series_change_its_inputs() -> None:
    request = Request("north", "tea", START, (1, 2, 3), 3.0, 0.0, 1.0)
    mine = Driver("campaigns", (ORIGIN,), (0.2,), (True,), "north", "tea", expected=True)
    of_others = [msgspec.structs.replace(mine, site=site, item=item) for site, item in (("south", ""), ("", "cup"))]
    everywhere = [
        msgspec.structs.replace(mine, site=site, item=item) for site, item in (("", ""), ("north", ""), ("", "tea"))
    ]

    def hashed(*drivers: Driver, country: str = "") -> str:
        return inputs_hash(ORIGIN, 7, request, Touching(drivers, country))

    plain = hashed()
    assert inputs_hash(ORIGIN, 7, request) == plain
    assert hashed(*of_others) == plain
    assert len({plain, hashed(mine), *(hashed(one) for one in everywhere), hashed(country="DE")}) == 6
