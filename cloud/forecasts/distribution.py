"""Demand over a horizon as a distribution: a gamma with a mass at zero, fitted by its moments.

Silver, Pyke and Thomas, Inventory and Production Management, 4th ed.: gamma lead-time demand; the variance of a
random lead time L adds m^2 var(L) to E[L] var(demand).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammainc, gammaincinv  # pyright: ignore[reportUnknownVariableType]

from cloud.forecasts.classes import INTERMITTENT
from cloud.forecasts.panel import Counts, Panel, Values

#: Buckets of history behind the moments: one year of weeks, so that an old life of the item does not speak; the whole
#: life where the year held fewer demands than LEAST_DEMANDS.
MOMENT_BUCKETS, LEAST_DEMANDS = 52, 4
#: Mean of a bucket below which nothing is expected, base units: smoothing leaves ever smaller rests of a dead item.
LEAST_MEAN = 1e-9
#: Smallest squared coefficient of variation: the gamma needs some spread, and no demand is known to the unit.
_LEAST_CV2 = 1e-4
#: Level up to which the gamma is believed. Bulk orders go beyond any gamma: of what lies above, a level of TOP + x means
#: 1 + x times the quantile at TOP, so that past demand can say how far (docs/decisions/0006-forecast-defaults.md).
TOP = 0.99
#: The highest level that can be asked: ten times the quantile at TOP; beyond it the model is wrong, not its spread.
MOST = TOP + 9.0


def moments(
    panel: Panel, origins: Counts, mean: Values, classes: Counts, most: int = MOMENT_BUCKETS
) -> tuple[Values, Values]:
    """(variance, probability of none) of one bucket's demand whose forecast mean is `mean`; all (series, origins).

    Intermittent demand that slows down comes less often in the same sizes (Teunter, Syntetos and Babai); other demand
    changes its sizes.
    """
    recent = panel.sums(np.maximum(origins - most, 0), origins)
    whole = panel.sums(np.zeros_like(origins), origins)
    few = recent[0] < LEAST_DEMANDS
    number, total, squares = (np.where(few, all_, last) for last, all_ in zip(recent, whole, strict=True))
    lived = np.maximum(origins[None, :] - panel.first[:, None], 1)
    share = number / np.where(few, lived, np.minimum(lived, most))
    some = np.maximum(number, 1)
    size, square = total / some, squares / some
    often = np.minimum(1.0, mean / np.maximum(size, LEAST_MEAN))
    probability = np.where(classes >= INTERMITTENT, often, share)
    stretch = mean / np.maximum(probability * size, LEAST_MEAN)
    variance = np.maximum(probability * square * stretch**2 - mean**2, mean)
    nothing = (number == 0) | (mean < LEAST_MEAN)
    return np.where(nothing, 0.0, variance), np.where(nothing, 1.0, 1 - probability)


def quantiles(mean: Values, variance: Values, none: Values, levels: Values | tuple[float, ...]) -> Values:
    """Quantiles (series, levels) of gamma demand with the given means, variances and probabilities of none at all.

    `levels` are the same for all series, or a row for each; above TOP they count in quantiles at TOP.
    """
    told = np.atleast_2d(np.asarray(levels, dtype=np.float64))
    tau = np.minimum(told, TOP)
    some, shape, scale = _gamma(mean, variance, none)
    inner = np.clip((tau - none[:, None]) / some[:, None], 0.0, 1.0)
    found = np.asarray(gammaincinv(shape[:, None], inner), dtype=np.float64) * scale[:, None]
    return np.where((mean[:, None] <= 0) | (tau <= none[:, None]), 0.0, found * (1 + np.maximum(told - TOP, 0.0)))


def stood(mean: Values, variance: Values, none: Values, demand: Values) -> Values:
    """The lowest level whose quantile is at least `demand`, above TOP in quantiles at TOP; 0 where none came, MOST where
    none was thought possible.
    """
    some, shape, scale = _gamma(mean, variance, none)
    below = none + some * np.asarray(gammainc(shape, np.maximum(demand, 0.0) / scale), dtype=np.float64)
    top = quantiles(mean, variance, none, (TOP,))[:, 0]
    beyond = TOP + np.maximum(demand / np.maximum(top, 1e-12) - 1, 0.0)
    found = np.where(below > TOP, beyond, below)
    return np.where(demand <= 0, 0.0, np.where((mean <= 0) | (top <= 0), MOST, np.minimum(found, MOST)))


def _gamma(mean: Values, variance: Values, none: Values) -> tuple[Values, Values, Values]:
    """Probability of some demand, and shape and scale of what comes then."""
    some = np.maximum(1 - none, 1e-9)
    positive_mean = np.maximum(mean, 1e-12) / some
    positive_variance = np.maximum(
        (variance + mean**2) / some - positive_mean**2, _LEAST_CV2 * np.maximum(positive_mean**2, 1e-12)
    )
    return some, positive_mean**2 / positive_variance, positive_variance / positive_mean
