"""Campaigns of known effect are found and used; what is useless stays out and says why; the future is never looked at."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from cloud.forecasts.forecast import Batch, Driver, Forecast, Forecasts, Request
from cloud.forecasts.predict import forecast

WEEKS = 130
START = 700_000 - 700_000 % 7
ORIGIN = START + WEEKS * 7
SERIES = 40


def campaigns(uplift: float, seed: int = 4) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(demand, campaign weeks), each item with its own weeks, reaching eight weeks after the origin."""
    drawn = np.random.default_rng(seed)
    level = drawn.uniform(15, 120, (SERIES, 1))
    weeks = (drawn.random((SERIES, WEEKS + 8)) < 0.12).astype(float)
    return drawn.poisson(level * (1 + uplift * weeks)).astype(float), weeks


def batch(demand: NDArray[np.float64], drivers: tuple[Driver, ...], weeks: int = WEEKS) -> Batch:
    requests = tuple(
        Request("north", f"item-{row}", START, tuple(int(one) for one in values[:weeks]), 3.0, 0.0, 1.0)
        for row, values in enumerate(demand)
    )
    return Batch(START + WEEKS * 7, requests, 7, drivers=drivers)


def plan(name: str, weeks: NDArray[np.float64], *, planned: bool = True) -> tuple[Driver, ...]:
    made: list[Driver] = []
    for row, values in enumerate(weeks):
        at = np.flatnonzero(values)
        dates = tuple(int(START + 7 * one) for one in at)
        told = tuple(float(values[one]) for one in at)
        made.append(Driver(name, dates, told, (planned,) * len(at), "", f"item-{row}"))
    return tuple(made)


def numbers(answer: Forecasts) -> list[Forecast]:
    """The forecasts without what names their inputs."""
    return [msgspec.structs.replace(one, version="", inputs="", drivers=()) for one in answer.forecasts]


def test_a_campaign_of_known_effect_is_accepted_and_its_uplift_found() -> None:
    demand, weeks = campaigns(0.8)
    answer = forecast(batch(demand, plan("leaflet", weeks)))
    (verdict,) = answer.verdicts
    assert verdict.accepted
    assert verdict.gain > 2 * verdict.standard_error > 0
    assert verdict.uplift == pytest.approx(0.8, abs=0.08)
    assert verdict.reason.startswith("enters: ")
    assert "+8" in verdict.reason
    assert answer.forecasts[0].drivers == (verdict,)
    plain = forecast(batch(demand, ()))
    came = demand[:, WEEKS : WEEKS + 4].sum(axis=1)
    errors = [
        sum(abs(one.mean - real) for one, real in zip(made.forecasts, came, strict=True)) for made in (answer, plain)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_moving_a_campaign_moves_the_fan() -> None:
    demand, weeks = campaigns(0.8)
    later = weeks.copy()
    later[0, WEEKS:] = 0
    later[0, WEEKS + 2] = 1
    answer = forecast(batch(demand, plan("leaflet", later)))
    fan = np.asarray(answer.forecasts[0].fan)[:, 2]
    assert fan[2] == pytest.approx(1.8 * fan[1], rel=0.12)


def test_a_useless_indicator_is_refused_with_its_reason() -> None:
    demand, _ = campaigns(0.0)
    drawn = np.random.default_rng(8)
    dates = tuple(START + 7 * week for week in range(WEEKS))
    walk = tuple(float(one) for one in 100 + np.cumsum(drawn.normal(size=WEEKS)))
    answer = forecast(batch(demand, (Driver("copper price", dates, walk, (False,) * WEEKS),)))
    (verdict,) = answer.verdicts
    assert not verdict.accepted
    assert verdict.reason.startswith("stays out: ")
    assert "two standard errors" in verdict.reason
    assert numbers(answer) == numbers(forecast(batch(demand, ())))


def test_only_the_useful_one_of_two_enters() -> None:
    demand, weeks = campaigns(0.6)
    other = (np.random.default_rng(9).random(weeks.shape) < 0.12).astype(float)
    told = {one.name: one for one in forecast(batch(demand, (*plan("leaflet", weeks), *plan("noise", other)))).verdicts}
    assert told["leaflet"].accepted
    assert not told["noise"].accepted


@pytest.mark.parametrize("planned", [True, False])
def test_what_was_not_planned_is_not_looked_at(planned: bool) -> None:
    demand, weeks = campaigns(0.8)
    shuffled = weeks.copy()
    shuffled[:, WEEKS:] = np.random.default_rng(1).permuted(1 - weeks[:, WEEKS:], axis=1)

    def made(ahead: NDArray[np.float64]) -> list[Forecast]:
        known, later = ahead.copy(), ahead.copy()
        known[:, WEEKS:] = 0
        later[:, :WEEKS] = 0
        return numbers(forecast(batch(demand, (*plan("leaflet", known), *plan("leaflet", later, planned=planned)))))

    assert (made(weeks) == made(shuffled)) is (not planned)


def test_the_demand_after_the_origin_changes_nothing() -> None:
    demand, weeks = campaigns(0.8)
    other = demand.copy()
    other[:, WEEKS:] = other[:, WEEKS:][:, ::-1] * 5
    drivers = plan("leaflet", weeks)

    def made(values: NDArray[np.float64]) -> list[object]:
        answer = forecast(batch(values, drivers, WEEKS + 8))
        return [msgspec.structs.replace(one, version="", inputs="") for one in answer.forecasts]

    assert made(demand) == made(other)
