"""Quantiles that keep their promise: asked for at another level, the one below which past demand stayed that often.

Quantile recalibration (Kuleshov, Fenner and Ermon 2018) of each class, and within it of small, middling and large items,
from forecasts made at past origins with what was known then; recent ones count more, and where the quantiles so moved were
still passed too often or too seldom, the level aimed at follows slowly (Gibbs and Candes 2021, adaptive conformal inference).
The distribution keeps its form, so an item that may want nothing at all is not moved off zero. Choices and figures:
docs/decisions/0006-forecast-defaults.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
#: How far the level aimed at follows one origin's miss: at 0.1 the promise is kept no better and the quantiles swing.
STEP = 0.05
#: Relative error assumed before anything was measured: an ordinary intermittent item.
_UNKNOWN_ERROR = 0.6

UNCALIBRATED = Calibration(ANCHORS, (0.0, 0.0), (ANCHORS, ANCHORS, ANCHORS), _UNKNOWN_ERROR, 0)


@dataclass(frozen=True, slots=True)
class Past:
    """Forecasts of one class at past origins, one after the other: the level at which demand `stood`, the forecast's `mean`,
    what came (`realised`), the `origin`, and when it was known (`known`), both in buckets.
    """

    stood: Values
    mean: Values
    realised: Values
    origin: Values
    known: Values

    def where(self, chosen: NDArray[np.bool_]) -> Past:
        """Some of them."""
        return Past(*(part[chosen] for part in (self.stood, self.mean, self.realised, self.origin, self.known)))


def follow(past: Past, now: float) -> Calibration:
    """The calibration of `past` as it is at the origin `now`, having followed its own misses since the first origin."""
    aimed = np.asarray(ANCHORS)
    missed: list[tuple[float, Values]] = []  # (known at, step to take)
    for origin in np.unique(past.origin).tolist():
        for step in (step for known, step in missed if known <= origin):
            aimed = aimed + step
        missed = [(known, step) for known, step in missed if known > origin]
        before, here = past.where(past.known <= origin), past.where(past.origin == origin)
        if len(before.stood) < LEAST_SCORES or not len(here.stood):
            continue
        learnt = calibrate(before.stood, before.mean, before.realised, origin - before.origin, aimed)
        asked_here = np.asarray(learnt.asked)[third(learnt.edges, here.mean)]
        hit = np.mean(here.stood[:, None] <= asked_here + 1e-9, axis=0)
        missed.append((float(here.known.max()), STEP * (np.asarray(ANCHORS) - hit)))
    for step in (step for known, step in missed if known <= now):
        aimed = aimed + step
    told = past.where(past.known <= now)
    return calibrate(told.stood, told.mean, told.realised, now - told.origin, aimed)


def calibrate(
    stood: Values, mean: Values, realised: Values, age: Values | None = None, aimed: Values | None = None
) -> Calibration:
    """The calibration of past forecasts: at which level of its forecast each realised demand `stood` (0 where there was
    none: every quantile covers that), the forecasts' means, and what came.

    `age` in origins since each was made: the older, the less it counts. `aimed`: levels to aim at instead of ANCHORS.
    """
    count = len(realised)
    if not count:
        return UNCALIBRATED
    weight = np.ones(count) if age is None else 0.5 ** (age / HALF_LIFE)
    goal = np.clip(np.asarray(ANCHORS) if aimed is None else aimed, 0.0, 1.0 - 1e-6)
    low, high = (float(edge) for edge in np.quantile(mean, (1 / 3, 2 / 3)))
    thirds = third((low, high), mean)
    levels: list[tuple[float, ...]] = []
    for number in range(3):
        chosen = thirds == number
        if chosen.sum() < _LEAST_OF_THIRD:
            chosen = np.ones(count, dtype=bool)
        levels.append(_needed(stood[chosen], weight[chosen], goal))
    total = float(np.sum(realised))
    error = float(np.sum(np.abs(realised - mean))) / total if total > 0 else _UNKNOWN_ERROR
    return Calibration(ANCHORS, (low, high), (levels[0], levels[1], levels[2]), error, count)


def third(edges: tuple[float, float], mean: Values) -> Counts:
    """Which third of its class a forecast belongs to by its mean: 0 small, 1 middling, 2 large."""
    return np.searchsorted(np.asarray(edges), mean, side="left").astype(np.intp)


def _needed(stood: Values, weight: Values, goal: Values) -> tuple[float, ...]:
    order = np.argsort(stood, kind="stable")
    reached = np.cumsum(weight[order])
    effective = float(reached[-1] ** 2 / np.sum(weight**2))  # Kish: as many equally weighted ones
    place = np.searchsorted(reached / reached[-1], goal - 1e-9)
    needed = np.clip(stood[order][np.minimum(place, len(stood) - 1)], UNMOVED, MOST)
    share = effective / (effective + _PRIOR_SCORES)
    moved = share * needed + (1 - share) * np.asarray(ANCHORS)
    return tuple(float(level) for level in np.maximum.accumulate(moved))


def asked(levels: Sequence[float], learnt: Calibration, mean: float) -> Values:
    """The levels at which to ask the distribution of a forecast with this mean for quantiles that are to hold at `levels`."""
    needed = learnt.asked[int(third(learnt.edges, np.asarray([mean]))[0])]
    last = max(1.0, needed[-1])
    return np.interp(levels, (0.0, UNMOVED, *learnt.levels, 1.0), (0.0, UNMOVED, *needed, last))
