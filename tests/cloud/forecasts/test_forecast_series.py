"""Demand series: classes, buckets, stock-outs, the profile of the week."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cloud.forecasts.classes import CLASSES, classify
from cloud.forecasts.forecast import Request
from cloud.forecasts.panel import Panel
from cloud.forecasts.series import dense, together, uncensor, weekday_profiles


def class_of(quantities: list[float] | NDArray[np.float64]) -> str:
    panel = Panel.of([np.asarray(quantities, dtype=float)])
    return CLASSES[classify(panel, np.asarray([panel.length]))[0, 0]]


def profile(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return weekday_profiles(Panel.of([values]), len(values))[0]


@pytest.mark.parametrize(
    ("quantities", "expected"),
    [
        ([5, 6, 5, 4, 5, 6, 5, 4], "smooth"),
        ([1, 30, 2, 25, 1, 40, 2, 1], "erratic"),
        ([5, 0, 0, 5, 0, 0, 5, 0, 5], "intermittent"),
        ([1, 0, 0, 50, 0, 0, 2, 0, 90], "lumpy"),
        ([3, 0, 2], "new"),
        ([0] * 30, "dead"),
        ([0] * 50 + [5, 6, 5, 4, 5, 6, 5, 4], "smooth"),  # before its first demand it was no item
    ],
)
def test_each_kind_of_demand_has_its_class(quantities: list[int], expected: str) -> None:
    assert class_of([*quantities]) == expected


def test_the_cut_offs_are_those_of_the_paper() -> None:
    every_132 = np.zeros(132)
    every_132[np.linspace(0, 131, 100).astype(int)] = 7.0
    assert class_of(every_132) == "intermittent"  # ADI exactly 1.32
    every_132[np.flatnonzero(every_132 == 0)[0]] = 7.0
    assert class_of(every_132) == "smooth"


def test_missing_periods_are_zero_and_nothing_after_the_origin_is_read() -> None:
    request = Request("north", "screw", 100, (1, 2, 3, 99, 99), 5.0, 0.0, 1.0)
    assert dense(request, 103, 1).tolist() == [1, 2, 3]
    assert dense(request, 107, 1).tolist() == [1, 2, 3, 99, 99, 0, 0]
    assert dense(request, 90, 1).tolist() == []


def test_a_stock_out_day_is_estimated_from_its_weekday_and_never_lowered() -> None:
    values = np.asarray([10.0, 1, 1, 1, 1, 1, 1] * 6)
    short = values.copy()
    short[21] = 0.0  # a busy day without stock
    short[22] = 5.0  # a quiet day on which more went out than usual, until stock was gone
    estimated = uncensor(short, np.asarray([21, 22]), 7)
    assert estimated[21] == 10.0
    assert estimated[22] == 5.0
    assert np.array_equal(np.delete(estimated, [21, 22]), np.delete(values, [21, 22]))


def test_buckets_are_counted_back_from_the_end() -> None:
    assert together(np.asarray([9.0, 1, 2, 3, 4]), 2).tolist() == [3.0, 7.0]


def test_the_profile_of_the_week_follows_the_days_after_the_end() -> None:
    shares = profile(np.asarray([8.0, 2, 2, 2, 2, 0, 0] * 13))
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] > 3 * shares[1] > 3 * shares[5] > 0


def test_single_orders_make_no_profile_of_the_week() -> None:
    drawn = np.random.default_rng(2)
    lumpy = drawn.poisson(0.1, (200, 91)) * 40.0
    raw = np.abs(lumpy.reshape(200, 13, 7).sum(axis=1) / np.maximum(lumpy.sum(axis=1), 1.0)[:, None] - 1 / 7).mean()
    shrunk = np.mean([np.abs(profile(one) - 1 / 7) for one in lumpy])
    assert shrunk < raw / 3
    busy = np.asarray([40.0, 5, 5, 5, 5, 0, 0] * 13) + drawn.poisson(2.0, 91).astype(np.float64)
    assert profile(busy)[0] == pytest.approx(42 / 74, abs=0.06)
    assert profile(np.asarray([3.0] * 7)).tolist() == [1 / 7] * 7
