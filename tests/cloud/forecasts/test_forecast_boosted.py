"""What is learnt from all series: the same each time, only from the past, a season where one was seen."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from cloud.forecasts.boosted import Windows, learn
from cloud.forecasts.forecast import Batch, Request
from cloud.forecasts.holiday import holidays_before
from cloud.forecasts.mixture import weigh
from cloud.forecasts.panel import Panel
from cloud.forecasts.predict import forecast

WEEKS = 3 * 52


def seasonal(series: int = 60, extra: int = 8) -> NDArray[np.float64]:
    """Demand that doubles for six weeks of each year."""
    drawn = np.random.default_rng(3)
    level = drawn.uniform(40, 200, (series, 1))
    week = np.arange(WEEKS + extra) % 52
    return drawn.poisson(level * np.where(week < 6, 2.0, 1.0)).astype(float)


def batch(demand: NDArray[np.float64], known: int = WEEKS) -> Batch:
    rows = enumerate(demand)
    requests = tuple(
        Request("n", f"{row}", 7_000, tuple(int(one) for one in values[:known]), 3.0, 0.0, 1.0) for row, values in rows
    )
    return Batch(7_000 + WEEKS * 7, requests, 7, backtests=8)


def test_a_season_that_all_share_is_foreseen_and_the_same_each_time() -> None:
    demand = seasonal()
    answer = forecast(batch(demand), learn)
    came = demand[:, WEEKS : WEEKS + 4].sum(axis=1)
    mean = np.asarray([one.mean for one in answer.forecasts])
    assert np.abs(mean - came).sum() / came.sum() < 0.1
    assert "LightGBM" in answer.forecasts[0].models
    assert sum(answer.forecasts[0].weights) == pytest.approx(1.0)
    assert forecast(batch(demand), learn) == answer


def test_nothing_at_or_after_the_origin_is_learnt() -> None:
    demand = seasonal()
    other = demand.copy()
    other[:, WEEKS:] = other[::-1, WEEKS:] * 9
    made = [forecast(batch(one, WEEKS + 8), learn).forecasts for one in (demand, other)]
    plain = [[msgspec.structs.replace(one, version="", inputs="") for one in answer] for answer in made]
    assert plain[0] == plain[1]


def test_too_little_to_learn_from_is_said_so() -> None:
    few = Panel(seasonal(5))
    assert learn(few, WEEKS, np.full(5, 4), 1, np.zeros(1)) is None


def test_what_was_learnt_never_runs_away() -> None:
    panel = Panel(seasonal())
    found = learn(panel, WEEKS, np.full(60, 4), 1, np.zeros(1))
    assert found is not None
    rows = np.arange(60)
    made = found.predict(panel, Windows(rows, np.full(60, WEEKS), np.zeros(60, dtype=np.intp), np.full(60, 4)))
    assert np.all(made >= 0)
    assert np.all(made <= 1.5 * panel.demand[:, :WEEKS].max(axis=1))


def test_weights_move_only_for_what_was_surely_better() -> None:
    drawn = np.random.default_rng(5)
    came = drawn.uniform(50, 150, 400)
    noise = came + drawn.normal(0, 40, 400)
    series = np.arange(400) % 40
    good = np.stack([noise, noise, came + drawn.normal(0, 5, 400)], axis=1)
    assert weigh(2, good, came, series, season=True, learnt=True) == (0.0, 0.0, 1.0)
    assert weigh(0, good, came, series, season=True, learnt=True) == (0.0, 0.125, 0.875)  # half way from the usual ones
    same = np.stack([noise, noise, noise], axis=1)
    assert weigh(0, same, came, series, season=True, learnt=True) == (0.0, 0.25, 0.75)


def test_holidays_are_counted_by_week() -> None:
    from datetime import date

    first = date(2026, 12, 21).toordinal()
    assert np.diff(holidays_before("DE", first, 7, 2)).tolist() == [2.0, 1.0]
    assert holidays_before("", first, 7, 2).tolist() == [0.0, 0.0, 0.0]
    assert holidays_before("Nowhere", first, 7, 2).tolist() == [0.0, 0.0, 0.0]
