"""Demand over a horizon as a distribution: a gamma with a mass at zero, fitted by its moments.

Silver, Pyke and Thomas, Inventory and Production Management, 4th ed.: gamma lead-time demand; the variance of a
random lead time L adds m^2 var(L) to E[L] var(demand).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv  # pyright: ignore[reportUnknownVariableType]

from cloud.forecasts.forecast import DemandClass

Values = NDArray[np.float64]

#: Buckets of history behind the moments: one year of weeks, so that an old life of the item does not speak.
MOMENT_BUCKETS = 52
#: Mean of a bucket below which nothing is expected, base units: smoothing leaves ever smaller rests of a dead item.
LEAST_MEAN = 1e-9
#: Smallest squared coefficient of variation: the gamma needs some spread, and no demand is known to the unit.
_LEAST_CV2 = 1e-4


def moments(history: Values, mean: float, demand_class: DemandClass, most: int = MOMENT_BUCKETS) -> tuple[float, float]:
    """(variance, probability of none) of one bucket's demand when its forecast mean is `mean`, from the last `most`.

    Intermittent demand that slows down comes less often in the same sizes (Teunter, Syntetos and Babai); other demand
    changes its sizes.
    """
    recent = history[-most:]
    sizes = recent[recent > 0]
    if not len(sizes) or mean < LEAST_MEAN:
        return 0.0, 1.0
    size, square, share = float(np.mean(sizes)), float(np.mean(sizes**2)), len(sizes) / len(recent)
    if demand_class in ("intermittent", "lumpy", "new"):
        often = min(1.0, mean / size)
        stretch = mean / (often * size)
        return max(often * square * stretch**2 - mean**2, mean), 1 - often
    stretch = mean / (share * size)
    return max(share * square * stretch**2 - mean**2, mean), 1 - share


def quantiles(mean: Values, variance: Values, none: Values, levels: Values | tuple[float, ...]) -> Values:
    """Quantiles (series, levels) of gamma demand with the given means, variances and probabilities of none at all.

    `levels` are the same for all series, or a row for each.
    """
    tau = np.atleast_2d(np.asarray(levels, dtype=np.float64))
    some, shape, scale = _gamma(mean, variance, none)
    inner = np.clip((tau - none[:, None]) / some[:, None], 0.0, 1.0)
    found = np.asarray(gammaincinv(shape[:, None], inner), dtype=np.float64) * scale[:, None]
    return np.where((mean[:, None] <= 0) | (tau <= none[:, None]), 0.0, found)


def stood(mean: Values, variance: Values, none: Values, demand: Values) -> Values:
    """The lowest level whose quantile is at least `demand`: 0 where none came, 1 where none was thought possible."""
    some, shape, scale = _gamma(mean, variance, none)
    below = none + some * np.asarray(gammainc(shape, np.maximum(demand, 0.0) / scale), dtype=np.float64)
    return np.where(demand <= 0, 0.0, np.where(mean <= 0, 1.0, np.minimum(below, 1.0)))


def _gamma(mean: Values, variance: Values, none: Values) -> tuple[Values, Values, Values]:
    """Probability of some demand, and shape and scale of what comes then."""
    some = np.maximum(1 - none, 1e-9)
    positive_mean = np.maximum(mean, 1e-12) / some
    positive_variance = np.maximum(
        (variance + mean**2) / some - positive_mean**2, _LEAST_CV2 * np.maximum(positive_mean**2, 1e-12)
    )
    return some, positive_mean**2 / positive_variance, positive_variance / positive_mean
