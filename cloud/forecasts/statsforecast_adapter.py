"""The one module that imports statsforecast: typed, and total (no series makes it raise).

Importing it takes seconds and 200 MB, so only a backtest does, for the models that ours are measured against: written by
others, so that a fault of ours cannot flatter us.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from statsforecast.models import IMAPA, SeasonalNaive, SimpleExponentialSmoothingOptimized

#: Periods over which the mean stands in where a model cannot fit (too short, constant, not finite).
_FALLBACK_PERIODS = 8


def path_forecasts(
    model: str, histories: Sequence[NDArray[np.float64]], horizon: int, season: int
) -> NDArray[np.float64]:
    """The mean forecast of `model` for each history: (series, horizon), never negative, never not-a-number.

    `model` is one of SES, IMAPA, SeasonalNaive; `season` in periods, 1 for none.
    """
    fitted = _model(model, season)
    result = np.empty((len(histories), horizon))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of divisions by zero in constant series: the result is looked at instead
        for row, history in enumerate(histories):
            short = model == "SeasonalNaive" and len(history) < season  # no year behind it: the last value, plain naive
            result[row] = history[-1] if short and len(history) else _path(fitted, history, horizon)
    return np.maximum(result, 0.0)


def _path(fitted: Any, history: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    try:
        path = np.asarray(fitted.forecast(y=history, h=horizon)["mean"], dtype=np.float64)
    except (NotImplementedError, ValueError, ZeroDivisionError, IndexError, RuntimeError):
        path = np.full(horizon, np.nan, dtype=np.float64)
    if not np.all(np.isfinite(path)):
        mean = float(np.mean(history[-_FALLBACK_PERIODS:])) if len(history) else 0.0
        path = np.full(horizon, mean, dtype=np.float64)
    return path


def _model(name: str, season: int) -> Any:
    made = {
        "SES": SimpleExponentialSmoothingOptimized,
        "IMAPA": IMAPA,
        "SeasonalNaive": lambda: SeasonalNaive(season_length=season),
    }[name]
    return cast(Any, made())
