"""Quantiles that keep their promise: asked for at another level, the one below which past demand stayed that often.

Quantile recalibration (Kuleshov, Fenner and Ermon 2018) of each class, and within it of small, middling and large items,
from forecasts made at past origins with what was known then; recent ones count more. Of few of them the level is taken that
much higher that the next demand keeps it (split conformal prediction, Vovk, Gammerman and Shafer 2005, with the forecasts
whose demand overlaps counted as one). The distribution keeps its form, so an item that may want nothing at all is not moved
off zero. Choices and figures: docs/decisions/0006-forecast-defaults.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cloud.forecasts.distribution import MOST
from cloud.forecasts.forecast import Calibration
from cloud.forecasts.panel import Counts, Values

#: Levels that are measured; well below the median they are left alone, between them the level asked is interpolated.
ANCHORS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998)
#: Level up to which nothing is moved: orders do not look there.
UNMOVED = 0.4
#: Past forecasts that weigh as much as the belief that no other level is needed.
_PRIOR_SCORES = 30
#: Past forecasts below which a class keeps the calibration it had, and below which a third of it follows the whole.
LEAST_SCORES, _LEAST_OF_THIRD = 20, 60
#: Origins (buckets) after which a past forecast counts half: two months of weeks.
HALF_LIFE = 8.0
#: Relative error assumed before anything was measured: an ordinary intermittent item.
_UNKNOWN_ERROR = 0.6

UNCALIBRATED = Calibration(ANCHORS, (0.0, 0.0), (ANCHORS, ANCHORS, ANCHORS), _UNKNOWN_ERROR, 0)


def calibrate(
    stood: Values, mean: Values, realised: Values, age: Values | None = None, overlap: float = 1.0
) -> Calibration:
    """The calibration of past forecasts: at which level of its forecast each realised demand `stood` (0 where there was
    none: every quantile covers that), the forecasts' means, and what came.

    `age` in origins since each was made: the older, the less it counts. `overlap`: how many forecasts of a series share
    demand, the origins that a horizon reaches over.
    """
    count = len(realised)
    if not count:
        return UNCALIBRATED
    weight = np.ones(count) if age is None else 0.5 ** (age / HALF_LIFE)
    low, high = (float(edge) for edge in np.quantile(mean, (1 / 3, 2 / 3)))
    thirds = third((low, high), mean)
    levels: list[tuple[float, ...]] = []
    for number in range(3):
        chosen = thirds == number
        if chosen.sum() < _LEAST_OF_THIRD:
            chosen = np.ones(count, dtype=bool)
        levels.append(_needed(stood[chosen], weight[chosen], max(overlap, 1.0)))
    total = float(np.sum(realised))
    error = float(np.sum(np.abs(realised - mean))) / total if total > 0 else _UNKNOWN_ERROR
    return Calibration(ANCHORS, (low, high), (levels[0], levels[1], levels[2]), error, count)


def third(edges: tuple[float, float], mean: Values) -> Counts:
    """Which third of its class a forecast belongs to by its mean: 0 small, 1 middling, 2 large."""
    return np.searchsorted(np.asarray(edges), mean, side="left").astype(np.intp)


def _needed(stood: Values, weight: Values, overlap: float) -> tuple[float, ...]:
    order = np.argsort(stood, kind="stable")
    reached = np.cumsum(weight[order])
    effective = float(reached[-1] ** 2 / np.sum(weight**2))  # Kish: as many equally weighted ones
    levels = np.asarray(ANCHORS)
    most = (1 + levels) / 2  # few say nothing of the tail
    goal = np.minimum(levels * (1 + overlap / effective), most)
    place = np.searchsorted(reached / reached[-1], goal - 1e-9)
    needed = np.clip(stood[order][np.minimum(place, len(stood) - 1)], UNMOVED, MOST)
    share = effective / (effective + _PRIOR_SCORES)
    moved = share * needed + (1 - share) * levels
    return tuple(float(level) for level in np.maximum.accumulate(moved))


def asked(levels: Sequence[float], learnt: Calibration, mean: float) -> Values:
    """The levels at which to ask the distribution of a forecast with this mean for quantiles that are to hold at `levels`."""
    needed = learnt.asked[int(third(learnt.edges, np.asarray([mean]))[0])]
    last = max(1.0, needed[-1])
    return np.interp(levels, (0.0, UNMOVED, *learnt.levels, 1.0), (0.0, UNMOVED, *needed, last))
