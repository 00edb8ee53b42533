"""Forecasts: ordered quantiles that keep their promise, from the past alone, the same wherever they are made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.forecasts.calibration import ANCHORS, UNCALIBRATED, asked, calibrate
from cloud.forecasts.classes import CLASSES
from cloud.forecasts.distribution import moments, quantiles, stood
from cloud.forecasts.forecast import FAN_PERIODS, LEVELS, Batch, Forecast, Forecasts, Request
from cloud.forecasts.outlook import LEVEL_MODELS
from cloud.forecasts.panel import Panel
from cloud.forecasts.predict import forecast

ORIGIN = date(2026, 1, 5).toordinal()


def request(quantities: Sequence[int], item: str = "screw", **times: float) -> Request:
    given_times = {"lead_time": 6.0, "lead_time_sd": 0.0, "review": 1.0} | times
    return Request("north", item, ORIGIN - len(quantities), tuple(quantities), **given_times)


def poisson(mean: float, count: int, days: int = 365, seed: int = 3) -> list[list[int]]:
    return np.random.default_rng(seed).poisson(mean, (count, days)).tolist()


def made(*requests: Request, backtests: int = 26) -> tuple[Forecast, ...]:
    return forecast(Batch(ORIGIN, requests, backtests=backtests)).forecasts


def test_a_steady_demand_is_foreseen() -> None:
    (one,) = made(request([4] * 365))
    assert one.demand_class == "smooth"
    assert one.models == (*LEVEL_MODELS["smooth"], "SeasonalNaive")
    assert one.rate == pytest.approx(4.0)
    assert one.mean == pytest.approx(28.0)
    assert one.quantile(0.5) == pytest.approx(28.0, rel=0.05)
    assert len(one.fan) == FAN_PERIODS
    assert all(row == tuple(sorted(row)) for row in one.fan)


def test_shuffling_the_future_changes_nothing_before_it() -> None:
    past = poisson(3.0, 1)[0]
    futures = ([500] * 40, [0] * 40, list(range(40)))
    answers = [
        forecast(Batch(ORIGIN, (Request("north", "a", ORIGIN - 365, (*past, *future), 6.0, 1.0, 1.0),)))
        for future in futures
    ]
    plain = [msgspec.structs.replace(one.forecasts[0], version="", inputs="") for one in answers]
    assert plain[0] == plain[1] == plain[2]
    assert answers[0].calibration == answers[1].calibration


def test_the_same_batch_gives_the_same_bytes_in_any_order_and_company() -> None:
    requests = [request(series, f"item-{number}") for number, series in enumerate(poisson(0.7, 9))]
    forwards = made(*requests, backtests=0)
    assert made(*requests, backtests=0) == forwards
    assert made(*requests[::-1], backtests=0) == forwards[::-1]
    assert made(requests[4], backtests=0) == forwards[4:5]


def test_a_version_names_its_inputs() -> None:
    series = poisson(2.0, 1)[0]
    (first,) = made(request(series))
    (other,) = made(request([*series[:-1], series[-1] + 1]))
    (slower,) = made(request(series, lead_time=7.0))
    assert len({first.version, other.version, slower.version}) == 3


@pytest.mark.parametrize("mean", [0.15, 1.0, 8.0])
def test_quantiles_cover_what_they_promise(mean: float) -> None:
    series = poisson(mean, 300)
    known = tuple(
        Request("north", f"{n}", ORIGIN - 358, tuple(one[:-7]), 6.0, 0.0, 1.0) for n, one in enumerate(series)
    )
    answers = made(*known)
    came = [sum(one[-7:]) for one in series]
    for level, low, high in ((0.9, 0.86, 0.98), (0.95, 0.92, 0.995), (0.99, 0.97, 1.0)):
        share = np.mean([total <= one.quantile(level) for total, one in zip(came, answers, strict=True)])
        assert low <= share <= high, (level, share)


def test_an_uncertain_lead_time_widens_and_a_longer_one_raises() -> None:
    series = poisson(5.0, 1)[0]
    sure, unsure, longer = made(
        request(series), request(series, lead_time_sd=3.0), request(series, lead_time=13.0), backtests=0
    )
    assert unsure.quantile(0.95) > 1.2 * sure.quantile(0.95)
    assert unsure.quantile(0.5) == pytest.approx(sure.quantile(0.5), rel=0.15)
    assert longer.mean == pytest.approx(2 * sure.mean, rel=0.1)


def test_items_that_died_or_never_lived_are_foreseen_as_next_to_nothing() -> None:
    died, never = made(request([5] * 200 + [0] * 165), request([0] * 365, "never"), backtests=0)
    assert died.mean < 0.05 * 35
    assert died.quantile(0.9) == 0.0
    assert never.demand_class == "dead"
    assert never.exceeded(0) < 0.01


def test_a_new_item_leans_on_the_others_and_is_wide() -> None:
    old = [request(series, f"item-{number}") for number, series in enumerate(poisson(10.0, 5))]
    *_, new = made(*old, request([2, 1, 3], "new"), backtests=0)
    assert new.demand_class == "new"
    assert 14.0 < new.mean < 70.0
    assert new.quantile(0.95) > 1.5 * new.mean


def test_the_fan_remembers_a_year_of_order_sizes() -> None:
    (one,) = made(request([0] * 165 + [30] * 147 + [0] * 53), backtests=0)  # nothing in the last 52 days
    assert one.mean > 0
    assert max(row[-1] for row in one.fan) > 0


def test_a_short_batch_keeps_the_calibration_that_was_learnt() -> None:
    many = forecast(Batch(ORIGIN, tuple(request(one, f"{n}") for n, one in enumerate(poisson(5.0, 60)))))
    few = forecast(Batch(ORIGIN, (request(poisson(5.0, 1)[0]),), known=many.calibration))
    assert many.calibration["smooth"].scores == 60 * 26
    assert few.calibration == many.calibration
    assert few.forecasts[0].error == round(many.calibration["smooth"].error, 4)


def test_calibration_moves_quantiles_that_were_too_low() -> None:
    drawn = np.random.default_rng(5)
    size = drawn.uniform(1, 50, 2_000)  # items of any size learn together
    realised = drawn.gamma(4.0, 10.0, 2_000) * size
    believed = 40.0 * size, (14.0 * size) ** 2, np.zeros(2_000)  # the spread is 20, not 14
    learnt = calibrate(stood(*believed, realised), believed[0], realised)
    levels = np.asarray([asked(ANCHORS, learnt, float(mean)) for mean in believed[0]])
    better = quantiles(*believed, levels)
    for column, level in enumerate(ANCHORS):
        assert np.mean(realised <= better[:, column]) == pytest.approx(level, abs=0.01)


def test_calibration_leaves_low_levels_and_what_nothing_was_learnt_about() -> None:
    assert asked(LEVELS, UNCALIBRATED, 1.0) == pytest.approx(LEVELS)
    nothing = np.zeros(0)
    assert calibrate(nothing, nothing, nothing) == UNCALIBRATED
    hit = calibrate(np.ones(500), np.ones(500), np.full(500, 9.0))  # always above: the tail is as long as it may be
    moved = asked(LEVELS, hit, 1.0)
    assert np.all(np.diff(moved) >= 0)
    assert moved[LEVELS.index(0.3)] == pytest.approx(0.3)
    assert 0.99 < moved[LEVELS.index(0.9)] < 1.0


def test_rests_of_a_dead_item_are_nothing() -> None:
    panel = Panel.of([np.asarray([3.0, 0.0, 2.0])])
    variance, none = moments(panel, np.asarray([3]), np.asarray([[5e-324]]), np.asarray([[CLASSES.index("lumpy")]]))
    assert (variance.tolist(), none.tolist()) == ([[0.0]], [[1.0]])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(mean=st.floats(0.01, 1e5), spread=st.floats(0.1, 100), none=st.floats(0, 0.95), level=st.floats(0.01, 0.99))
def test_a_demand_stands_at_the_level_of_its_quantile(mean: float, spread: float, none: float, level: float) -> None:
    over = np.asarray([mean]), np.asarray([spread * mean]), np.asarray([none])
    demand = quantiles(*over, (level,))[:, 0]
    assert stood(*over, demand)[0] == pytest.approx(level if demand[0] > 0 else 0.0, abs=1e-6)
    assert stood(*over, np.zeros(1))[0] == 0.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    mean=st.floats(0, 1e6),
    spread=st.floats(0, 100),
    none=st.floats(0, 1),
)
def test_quantiles_never_fall_and_are_numbers(mean: float, spread: float, none: float) -> None:
    values = quantiles(np.asarray([mean]), np.asarray([spread * mean]), np.asarray([none]), LEVELS)[0]
    assert np.all(np.isfinite(values))
    assert np.all(np.diff(values) >= 0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 200), min_size=0, max_size=120), st.floats(0.2, 60), st.floats(0, 20))
def test_any_series_has_a_forecast(quantities: list[int], lead_time: float, spread: float) -> None:
    (one,) = made(request(quantities, lead_time=lead_time, lead_time_sd=spread))
    assert list(one.quantiles) == sorted(one.quantiles)
    assert all(value >= 0 for value in one.quantiles)
    for quantity in (0, 1, 10, 1_000):
        assert 0.0 <= one.exceeded(quantity) <= 1.0
    for level in (0.5, 0.9, 0.95):
        if one.quantile(level) > 0 and len(set(one.quantiles)) == len(one.quantiles):
            assert one.exceeded(one.quantile(level)) == pytest.approx(1 - level, abs=1e-6)


def test_answers_survive_the_way_to_another_process() -> None:
    answer = forecast(Batch(ORIGIN, (request([3, 0, 2] * 40),)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Forecasts) == answer
