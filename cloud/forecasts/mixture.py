"""How much each kind of model counts, for each class: as much as its past forecasts of the horizon's demand earned.

Weights are chosen on past origins from a coarse grid, and only where they beat the class's usual ones by more than one
standard error (clustered by series): short histories keep what usually holds. Of steady demand with a season they go half
way only (shrinkage, Diebold and Pauly 1990): what was learnt in the past had seen less of the season than it has now.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from cloud.forecasts.classes import CLASSES
from cloud.forecasts.panel import Counts, Values

#: The kinds of models: the class's level models, the same weeks of last year, and what was learnt from all series.
KINDS = ("level", "season", "boosted")
#: Weights are multiples of this: finer ones cannot be told apart.
_GRID = 4
#: Standard errors by which other weights must win, and by which a driver must: weights only trade good models.
_BETTER, SURE = 1.0, 2.0
#: Past forecasts below which nothing is chosen.
_LEAST = 100

Weights = tuple[float, float, float]

#: Usual weights by what is at hand: with a season known and something learnt, only one, or neither.
USUAL: dict[tuple[bool, bool], Weights] = {
    (True, True): (0.0, 0.25, 0.75),
    (True, False): (0.5, 0.5, 0.0),
    (False, True): (0.5, 0.0, 0.5),
    (False, False): (1.0, 0.0, 0.0),
}
_SPARSE = ("intermittent", "lumpy")
#: The same for demand that mostly is not there: last year's single orders do not come again in the same week.
USUAL_SPARSE: dict[tuple[bool, bool], Weights] = {
    (True, True): (0.5, 0.0, 0.5),
    (True, False): (1.0, 0.0, 0.0),
    (False, True): (0.25, 0.0, 0.75),
    (False, False): (1.0, 0.0, 0.0),
}


def usual(code: int, *, season: bool, learnt: bool) -> Weights:
    """The weights of a class (its index) of which nothing was measured."""
    return (USUAL_SPARSE if CLASSES[code] in _SPARSE else USUAL)[season, learnt]


def weigh(code: int, kinds: Values, came: Values, series: Counts, *, season: bool, learnt: bool) -> Weights:
    """The weights of a class from its past forecasts: `kinds` (forecasts, KINDS), what `came`, and of which `series`."""
    start = usual(code, season=season, learnt=learnt)
    if len(came) < _LEAST or came.sum() <= 0:
        return start
    allowed = (True, season, learnt)
    steps = range(_GRID + 1)
    best, most = start, 0.0
    lost = np.abs(kinds @ np.asarray(start) - came)
    for whole in product(steps, steps):
        if sum(whole) > _GRID:
            continue
        weights = whole[0] / _GRID, whole[1] / _GRID, 1 - sum(whole) / _GRID
        if any(weight and not possible for weight, possible in zip(weights, allowed, strict=True)):
            continue
        gain = lost - np.abs(kinds @ np.asarray(weights) - came)
        if (total := float(gain.sum())) > max(most, _BETTER * clustered_error(gain, series)):
            best, most = weights, total
    if not season or CLASSES[code] in _SPARSE:  # these are not told of the season
        return best
    level, same_weeks, boosted = ((old + new) / 2 for old, new in zip(start, best, strict=True))
    return level, same_weeks, boosted


def clustered_error(loss: Values, cluster: Counts) -> float:
    """Standard error of the sum of `loss` whose rows depend on each other within a cluster (Cameron and Miller 2015)."""
    _, group = np.unique(cluster, return_inverse=True)
    sums = np.bincount(group, weights=loss)
    count = len(sums)
    if count < 2:
        return float("inf")
    return float(np.sqrt(np.sum((sums - sums.mean()) ** 2) * count / (count - 1)))
