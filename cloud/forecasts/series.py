"""Dense demand series: missing periods are zero, stock-out periods are estimated, days are put together into weeks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import Request

#: Weeks over which the share of each weekday is measured: a quarter follows a season, and averages out single orders.
PROFILE_WEEKS = 13
#: Weeks of even demand added to a measured weekday profile, so that few observations do not make it extreme.
_PROFILE_PRIOR_WEEKS = 1.0
#: Same weekdays on each side from which a censored day is estimated: a month back and ahead.
_NEIGHBOURS = 4


def dense(request: Request, origin: int, period_days: int) -> NDArray[np.float64]:
    """The periods of a request before `origin` (an ordinal date), zero after the last one known, censored ones estimated."""
    length = max(0, (origin - request.first) // period_days)
    values = np.zeros(length)
    known = np.asarray(request.quantities[:length], dtype=np.float64)
    values[: len(known)] = known
    censored = np.asarray([offset for offset in request.censored if offset < length], dtype=np.intp)
    return uncensor(values, censored, 7 if period_days == 1 else 1)


def uncensor(values: NDArray[np.float64], censored: NDArray[np.intp], season: int) -> NDArray[np.float64]:
    """Put the mean of the nearest observed periods of the same phase in place of censored ones, where that is more.

    What was issued while stock was out is a lower bound of what was wanted.
    """
    if not len(censored):
        return values
    observed = np.ones(len(values), dtype=bool)
    observed[censored] = False
    result = values.copy()
    for at in censored.tolist():
        phase: NDArray[np.intp] = np.flatnonzero(observed[at % season :: season]) * season + at % season
        if len(phase):
            nearest = phase[np.argsort(np.abs(phase - int(at)), kind="stable")[: 2 * _NEIGHBOURS]]
            result[at] = max(float(result[at]), float(np.mean(values[nearest])))
    return result


def from_first_demand(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The series without the zeros before its first demand: an item not yet sold was not an item without demand."""
    wanted = np.flatnonzero(values > 0)
    return values[wanted[0] :] if len(wanted) else values[:0]


def together(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sums of `size` periods, counted back from the end so that the last bucket is full; a first part bucket is dropped."""
    count = len(values) // size
    return values[len(values) - count * size :].reshape(count, size).sum(axis=1)


def weekday_profile(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of a week's demand on each of the seven days that follow the end of a daily series; sums to 1.

    Shrunk towards even days by as much as single orders explain the differences (empirical Bayes, Efron and Morris 1973).
    """
    weeks = min(PROFILE_WEEKS, len(values) // 7)
    even = np.full(7, 1 / 7)
    table = values[len(values) - weeks * 7 :].reshape(weeks, 7)
    total = float(table.sum())
    if weeks < 2 or total <= 0:
        return even
    noise = float(np.sum((table - table.mean(axis=0)) ** 2)) / (7 * (weeks - 1) * weeks)  # of a weekday's mean
    between = float(np.var(table.mean(axis=0), ddof=1))
    kept = max(0.0, 1 - noise / between) * weeks / (weeks + _PROFILE_PRIOR_WEEKS) if between > 0 else 0.0
    return kept * table.sum(axis=0) / total + (1 - kept) * even
