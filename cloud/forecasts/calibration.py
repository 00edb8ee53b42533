"""Quantiles that keep their promise: moved until past demand stayed below them as often as they say.

Split conformal prediction for quantiles (Romano, Patterson and Candes 2019) with locally weighted scores (Lei et al.
2018): how far demand lay above the quantile, in standard deviations of its own forecast. One shift per class and level,
from forecasts made at past origins with what was known then.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import Calibration

Values = NDArray[np.float64]

#: Levels at which a shift is measured; well below the median quantiles are left alone, between levels it is interpolated.
ANCHORS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
#: Level up to which nothing is moved: orders do not look there.
_UNMOVED = 0.4
#: Past forecasts that weigh as much as the belief that no shift is needed.
_PRIOR_SCORES = 30
#: Past forecasts below which a class keeps the calibration it had.
LEAST_SCORES = 20
#: Bounds of a shift, standard deviations: beyond these the model is wrong, not its spread.
_LEAST_SHIFT, _MOST_SHIFT = -1.0, 4.0
#: Relative error assumed before anything was measured: an ordinary intermittent item.
_UNKNOWN_ERROR = 0.6

UNCALIBRATED = Calibration(ANCHORS, (0.0,) * len(ANCHORS), _UNKNOWN_ERROR, 0)


def calibrate(predicted: Values, mean: Values, deviation: Values, realised: Values) -> Calibration:
    """The calibration of past forecasts: `predicted` (forecasts, ANCHORS) quantiles, their means and standard
    deviations, and what came.
    """
    count = len(realised)
    if not count:
        return UNCALIBRATED
    weight = count / (count + _PRIOR_SCORES)
    shift: list[float] = []
    for column, level in enumerate(ANCHORS):
        above = realised - predicted[:, column]
        # A forecast of nothing has no width: what came against it is as far away as a shift may go.
        scores = np.where(deviation > 0, above / np.maximum(deviation, 1e-9), np.sign(above) * _MOST_SHIFT)
        found = float(np.quantile(scores, min(1.0, level * (count + 1) / count), method="higher"))
        shift.append(weight * min(max(found, _LEAST_SHIFT), _MOST_SHIFT))
    total = float(np.sum(realised))
    error = float(np.sum(np.abs(realised - mean))) / total if total > 0 else _UNKNOWN_ERROR
    return Calibration(ANCHORS, tuple(shift), error, count)


def shifted(quantiles: Values, deviation: float, levels: tuple[float, ...], calibration: Calibration) -> Values:
    """One forecast's `quantiles` (at `levels`) under `calibration`: not negative, not falling from level to level."""
    anchors = (0.0, _UNMOVED, *calibration.levels, 1.0)
    shifts = (0.0, 0.0, *calibration.shift, calibration.shift[-1])
    return np.maximum.accumulate(np.maximum(quantiles + deviation * np.interp(levels, anchors, shifts), 0.0))
