"""Quantiles that keep their promise: asked for at another level, the one below which past demand stayed that often.

Quantile recalibration (Kuleshov, Fenner and Ermon 2018) of each class, from forecasts made at past origins with what was
known then. The distribution keeps its form, so an item that may want nothing at all is not moved off zero.
Checked in docs/decisions/0006-forecast-defaults.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import Calibration

Values = NDArray[np.float64]

#: Levels that are measured; well below the median they are left alone, between them the level asked is interpolated.
ANCHORS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
#: Level up to which nothing is moved: orders do not look there.
_UNMOVED = 0.4
#: Past forecasts that weigh as much as the belief that no other level is needed.
_PRIOR_SCORES = 30
#: Past forecasts below which a class keeps the calibration it had.
LEAST_SCORES = 20
#: Bounds of a level asked: beyond these the model is wrong, not its spread.
_LEAST, _MOST = _UNMOVED, 1 - 1e-6
#: Relative error assumed before anything was measured: an ordinary intermittent item.
_UNKNOWN_ERROR = 0.6

UNCALIBRATED = Calibration(ANCHORS, ANCHORS, _UNKNOWN_ERROR, 0)


def calibrate(stood: Values, mean: Values, realised: Values) -> Calibration:
    """The calibration of past forecasts: at which level of its forecast each realised demand `stood` (0 where there was
    none: every quantile covers that), the forecasts' means, and what came.
    """
    count = len(realised)
    if not count:
        return UNCALIBRATED
    weight = count / (count + _PRIOR_SCORES)
    needed = np.clip(np.quantile(stood, ANCHORS, method="inverted_cdf"), _LEAST, _MOST)
    levels = weight * needed + (1 - weight) * np.asarray(ANCHORS)
    total = float(np.sum(realised))
    error = float(np.sum(np.abs(realised - mean))) / total if total > 0 else _UNKNOWN_ERROR
    return Calibration(ANCHORS, tuple(float(level) for level in levels), error, count)


def asked(levels: tuple[float, ...], calibration: Calibration) -> Values:
    """The levels at which to ask a forecast's distribution for quantiles that are to hold at `levels`; never falling."""
    anchors = (0.0, _UNMOVED, *calibration.levels, 1.0)
    return np.interp(levels, anchors, (0.0, _UNMOVED, *calibration.asked, 1.0))
