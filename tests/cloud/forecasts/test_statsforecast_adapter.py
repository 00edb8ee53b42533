"""The adapter to statsforecast is total: whatever the series, there is a path of plain, non-negative numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cloud.forecasts.forecast import Batch, Request
from cloud.forecasts.predict import DEFAULTS, forecast
from cloud.forecasts.statsforecast_adapter import point_forecasts

NAMES = sorted({name for table in (DEFAULTS.short, DEFAULTS.seasonal) for models in table.values() for name in models})
HISTORIES = [
    [3.0],
    [0.0, 5.0],
    [0.0] * 40,
    [7.0] * 40,
    [0.0] * 39 + [1.0],
    [1e9, 0.0, 1e9, 0.0, 2.0, 1e-3, 5.0, 0.0],
    list(range(60, 0, -1)),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("season", [1, 4])
def test_every_model_answers_every_series(name: str, season: int) -> None:
    paths = point_forecasts(name, [np.asarray(history, dtype=float) for history in HISTORIES], 6, season)
    assert paths.shape == (len(HISTORIES), 6)
    assert np.all(np.isfinite(paths))
    assert np.all(paths >= 0)


def test_no_series_at_all_is_no_error() -> None:
    assert point_forecasts("SES", [], 6, 1).shape == (0, 6)


def test_the_defaults_see_a_weekly_season_and_a_level_break() -> None:
    origin = 739_000
    week = [30, 10, 10, 10, 10, 0, 0]
    seasonal = Request("north", "a", origin - 364, tuple(week * 52), 2.0, 0.0, 1.0)
    broken = Request("north", "b", origin - 364, tuple([2] * 280 + [10] * 84), 6.0, 0.0, 1.0)
    first, second = forecast(Batch(origin, (seasonal, broken)), point_forecasts).forecasts
    assert first.fan[0][2] > 2 * first.fan[1][2] > first.fan[5][2]
    assert first.mean == pytest.approx(50, rel=0.15)  # a busy day and two ordinary ones
    assert second.mean == pytest.approx(70, rel=0.15)
