"""What the product would have foreseen at many origins: only from before each; and what its parts say of hand-made series."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cloud.forecasts.boosted import LAGS, PLAIN, learn, learn_lags
from cloud.forecasts.calibration import ANCHORS, calibrate
from cloud.forecasts.outlook import Book, outlook_at
from cloud.forecasts.panel import Panel
from cloud.forecasts.predict import foresee_at

WEEKS, SERIES, HORIZON = 80, 90, 4.0
ORIGINS = np.arange(30, WEEKS - 3)


def sparse() -> NDArray[np.float64]:
    """Parts that are asked for every third week, of which two thirds die, one after the other."""
    drawn = np.random.default_rng(11)
    demand = np.where(drawn.random((SERIES, WEEKS)) < 0.35, drawn.poisson(4.0, (SERIES, WEEKS)), 0).astype(float)
    for row in range(2 * SERIES // 3):
        demand[row, drawn.integers(10, WEEKS) :] = 0.0
    demand[:, 0] = 1.0
    return demand


def book(demand: NDArray[np.float64]) -> Book:
    panel = Panel(demand)
    return Book(panel, panel, 1, np.full(len(demand), HORIZON))


def test_what_was_foreseen_knows_nothing_of_what_came_after() -> None:
    demand = sparse()
    other = demand.copy()
    other[:, 60:] = other[::-1, 60:] * 7 + 3
    early = ORIGINS[ORIGINS <= 60]
    made = [foresee_at(book(one), ORIGINS, learn) for one in (demand, other)]
    for name in ("classes", "mean", "variance", "none"):
        before = [getattr(one, name)[:, : len(early)] for one in made]
        assert np.array_equal(*before), name
    assert not np.array_equal(made[0].mean, made[1].mean)


def test_what_all_series_teach_betters_the_level_of_those_that_die() -> None:
    series = book(sparse())
    came = series.realised(ORIGINS, series.horizon)
    level, _ = outlook_at(series, ORIGINS, series.horizon)
    known = ~np.isnan(came) & (ORIGINS >= 50)[None, :]
    errors = [float(np.abs(one.mean - came)[known].sum()) for one in (foresee_at(series, ORIGINS, learn), level)]
    assert errors[0] < 0.97 * errors[1]


def test_without_anything_learnt_the_level_stands() -> None:
    series = book(sparse())
    level, _ = outlook_at(series, ORIGINS, series.horizon)
    assert np.array_equal(foresee_at(series, ORIGINS, None).mean, level.mean)


def test_fading_means_are_those_computed_one_by_one() -> None:
    panel = Panel(np.asarray([[0.0, 4.0, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0]]))
    level, often = panel.faded(0.5)
    weights = np.asarray([0.25, 0.5, 1.0])  # of the three weeks since the first demand
    assert level[0].tolist() == pytest.approx([0.0, 0.0, 4.0, 4.0 * 0.5 / 1.5, (4.0 * 0.25 + 2.0) / weights.sum()])
    assert often[0, 4] == pytest.approx((0.25 + 1.0) / weights.sum())
    assert level[1].tolist() == pytest.approx([0.0, 1.0, 1.0, 1.0, 1.0])
    assert panel.largest[0].tolist() == [0.0, 0.0, 4.0, 4.0, 4.0]


def test_the_plain_recipe_stays_what_others_are_measured_against() -> None:
    panel, windows = Panel(sparse()), np.full(SERIES, 4)
    lags, own = (one(panel, WEEKS, windows, 1, np.zeros(1)) for one in (learn_lags, learn))
    assert lags is not None
    assert own is not None
    assert (len(lags.models), lags.told) == (1, False) == (LAGS.models, LAGS.told)
    assert (len(own.models), own.told) == (2, True) == (PLAIN.models, PLAIN.told)
    past = learn(panel, WEEKS - 8, windows, 1, np.zeros(1))
    assert past is not None
    assert len(past.models) == 1  # models of the past only tell what such models are worth


def test_few_past_forecasts_are_asked_for_more_and_overlapping_ones_are_fewer() -> None:
    drawn = np.random.default_rng(2)
    stood, one = drawn.random(4_000), np.ones(4_000)
    many, overlapping = calibrate(stood, one, one), calibrate(stood, one, one, overlap=100.0)
    at = ANCHORS.index(0.95)
    assert many.asked[0][at] == pytest.approx(0.95, abs=0.01)
    assert many.asked[0][at] + 0.005 < overlapping.asked[0][at] <= 0.98


def test_quantiles_from_few_forecasts_still_keep_their_promise() -> None:
    drawn = np.random.default_rng(4)
    kept: list[float] = []
    plain: list[float] = []
    each = 40
    for _ in range(400):
        stood = drawn.random(each)
        learnt = calibrate(stood, np.ones(each), np.ones(each))
        kept.append(learnt.asked[0][ANCHORS.index(0.9)])
        plain.append(float(np.quantile(stood, 0.9)))
    assert np.mean(kept) == pytest.approx(0.9, abs=0.01)  # the share of demand below such a level, on average
    assert np.mean(plain) < np.mean(kept)
