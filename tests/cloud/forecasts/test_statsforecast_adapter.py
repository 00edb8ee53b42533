"""The adapter to statsforecast is total: whatever the series, there is a path of plain, non-negative numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cloud.forecasts.statsforecast_adapter import path_forecasts

NAMES = ["SES", "IMAPA", "SeasonalNaive"]
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
    paths = path_forecasts(name, [np.asarray(history, dtype=float) for history in HISTORIES], 6, season)
    assert paths.shape == (len(HISTORIES), 6)
    assert np.all(np.isfinite(paths))
    assert np.all(paths >= 0)


def test_no_series_at_all_is_no_error() -> None:
    assert path_forecasts("SES", [], 6, 1).shape == (0, 6)
