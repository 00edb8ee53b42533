"""Demand over any length of time, from what was foreseen over lead time and review: gamma with scaled moments. Pure.

The gamma quantile is Wilson and Hilferty's (1931) cube of a normal: within 3 % of the mean up to the 99 % point where the
coefficient of variation is at most one, and needs no library that a serving process would have to load.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import Forecast

Values = NDArray[np.float64]
_NORMAL = NormalDist()
#: Below this a mean or a variance counts as none.
_NONE = 1e-12
#: Probabilities at which distributions are summed up: even in the logarithm of either tail, from 10^-5 to 1 - 10^-5.
_TAIL: Values = np.geomspace(1e-5, 0.5, 40)
GRID: Values = np.concatenate([_TAIL, 1 - _TAIL[-2::-1]])
_GRID_Z: Values = np.asarray([_NORMAL.inv_cdf(float(level)) for level in GRID])
#: What each point of the grid stands for: the trapezoid's weights, the tails beyond it with its last point.
_WEIGHT: Values = np.concatenate([[GRID[0]], np.zeros(len(GRID) - 1)])
_WEIGHT[-1] += 1 - GRID[-1]
_WEIGHT[:-1] += np.diff(GRID) / 2
_WEIGHT[1:] += np.diff(GRID) / 2


class Daily(NamedTuple):
    """Demand of a day: its mean and variance, and how uncertain the lead time is behind what was foreseen, days."""

    rate: float
    variance: float
    horizon: float
    mean_over_horizon: float


def daily(forecast: Forecast) -> Daily:
    """What a forecast says of a day: its quantiles' variance over the horizon, less what the lead time's spread adds.

    var(D over L) = L var(d) + rate^2 var(L) (Hadley and Whitin 1963); not below that of a Poisson demand.
    """
    period = float(forecast.period_days)
    rate, horizon = forecast.rate / period, max(forecast.horizon * period, 1e-9)
    _, second = moments(forecast.levels, forecast.quantiles)
    spread = second - (rate * forecast.lead_time_sd * period) ** 2
    return Daily(rate, max(spread / horizon, rate), horizon, forecast.mean)


def moments(levels: tuple[float, ...], quantiles: tuple[float, ...]) -> tuple[float, float]:
    """Mean and variance of the distribution whose quantiles are linear between `levels` and flat beyond them."""
    if not quantiles:
        return 0.0, 0.0
    low, high, width = _steps(levels)
    at = np.asarray(quantiles, dtype=np.float64)
    a, b = at[low], at[high]
    mean = float(width @ (a + b)) / 2
    second = float(width @ (a * a + a * b + b * b)) / 3
    return mean, max(second - mean * mean, 0.0)


def shortage(forecast: Forecast, position: float) -> float:
    """Base units of the demand over the horizon that `position` leaves unserved, on average: E[(D - position)+]."""
    low, high, width = _steps(forecast.levels)
    short = np.asarray(forecast.quantiles, dtype=np.float64) - position
    a, b = short[low], short[high]
    # a line from a to b, of which only what is above zero counts
    rise = b - a
    crossing = np.where(rise > _NONE, np.maximum(b, 0.0) ** 2 / (2 * np.maximum(rise, _NONE)), np.maximum(b, 0.0))
    return float(width @ np.where(a >= 0, (a + b) / 2, crossing))


@lru_cache(maxsize=16)
def _steps(levels: tuple[float, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
    """(from, to, probability) of the pieces between levels, with flat ones at both ends."""
    edge = np.asarray([0.0, *levels, 1.0])
    last = len(levels) - 1
    low = np.asarray([0, *range(last), last], dtype=np.intp)
    high = np.asarray([0, *range(1, last + 1), last], dtype=np.intp)
    return low, high, np.diff(edge)


def over(demand: Daily, days: float, lead_time_sd: float = 0.0) -> tuple[float, float]:
    """Mean and variance of the demand in the next `days`, whose length varies by `lead_time_sd`.

    Within the foreseen horizon the mean is its share of what was foreseen there; beyond it the rate goes on.
    """
    inside = min(days, demand.horizon)
    mean = demand.mean_over_horizon * inside / demand.horizon + demand.rate * max(days - inside, 0.0)
    return mean, demand.variance * days + (demand.rate * lead_time_sd) ** 2


def gamma_quantile(mean: float, variance: float, level: float) -> float:
    """What a gamma demand with these moments does not exceed with probability `level`."""
    return float(gamma_quantiles(np.asarray([mean]), np.asarray([variance]), np.asarray([level]))[0])


def gamma_quantiles(mean: Values, variance: Values, level: Values) -> Values:
    """`gamma_quantile` of each item, at a level of its own."""
    score = np.asarray([_NORMAL.inv_cdf(float(one)) for one in np.atleast_1d(level)])
    return _cube(mean, variance, score)


def gamma_shortage(mean: Values, variance: Values, position: Values) -> Values:
    """E[(D - position)+] of a gamma demand with these moments, for each item."""
    at = _cube(mean[:, None], variance[:, None], _GRID_Z)
    return np.maximum(at - position[:, None], 0.0) @ _WEIGHT


def _cube(mean: Values, variance: Values, score: Values) -> Values:
    ninth = variance / (9 * np.maximum(mean, _NONE) ** 2)
    root = 1 - ninth + score * np.sqrt(np.maximum(ninth, 0.0))
    return np.where(mean > _NONE, np.maximum(mean, 0.0) * np.maximum(root, 0.0) ** 3, 0.0)
