"""Dense demand series: missing periods are zero, stock-out periods are estimated, days are put together into weeks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import Request
from cloud.forecasts.panel import Panel, Values

#: Weeks over which the share of each weekday is measured: a quarter follows a season, and averages out single orders.
PROFILE_WEEKS = 13
#: Weeks of even demand added to a measured weekday profile, so that few observations do not make it extreme.
_PROFILE_PRIOR_WEEKS = 1.0
#: Same weekdays on each side from which a censored day is estimated: a month back and ahead.
_NEIGHBOURS = 4


def dense(request: Request, origin: int, period_days: int) -> Values:
    """The periods of a request before `origin` (an ordinal date), zero after the last one known, censored ones estimated."""
    length = max(0, (origin - request.first) // period_days)
    values = np.zeros(length)
    known = np.asarray(request.quantities[:length], dtype=np.float64)
    values[: len(known)] = known
    censored = np.asarray([offset for offset in request.censored if offset < length], dtype=np.intp)
    return uncensor(values, censored, 7 if period_days == 1 else 1)


def uncensor(values: Values, censored: NDArray[np.intp], season: int) -> Values:
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


def from_first_demand(values: Values) -> Values:
    """The series without the zeros before its first demand: an item not yet sold was not an item without demand."""
    wanted = np.flatnonzero(values > 0)
    return values[wanted[0] :] if len(wanted) else values[:0]


def together(values: Values, size: int) -> Values:
    """Sums of `size` periods, counted back from the end so that the last bucket is full; a first part bucket is dropped."""
    count = len(values) // size
    return values[len(values) - count * size :].reshape(count, size).sum(axis=1)


def weekday_profiles(periods: Panel, end: int) -> Values:
    """The share of a week's demand on each of the seven days that follow column `end` of daily series, (series, 7).

    Shrunk towards even days by as much as single orders explain the differences (empirical Bayes, Efron and Morris 1973).
    """
    weeks = np.clip((end - periods.first) // 7, 0, PROFILE_WEEKS)
    most = int(weeks.max(initial=0))
    even = np.full((len(weeks), 7), 1 / 7)
    if most < 2:
        return even
    table = periods.demand[:, end - most * 7 : end].reshape(-1, most, 7)
    counted = np.arange(most)[None, :] >= most - weeks[:, None]
    table = np.where(counted[:, :, None], table, 0.0)
    some = np.maximum(weeks, 2).astype(np.float64)
    total = table.sum(axis=1)
    mean = total / some[:, None]
    apart = np.where(counted[:, :, None], table - mean[:, None, :], 0.0)
    noise = np.sum(apart**2, axis=(1, 2)) / (7 * (some - 1) * some)  # of a weekday's mean
    between = np.var(mean, axis=1, ddof=1)
    kept = np.maximum(0.0, 1 - noise / np.maximum(between, 1e-12)) * some / (some + _PROFILE_PRIOR_WEEKS)
    kept = np.where((weeks >= 2) & (between > 0), kept, 0.0)[:, None]
    return kept * total / np.maximum(total.sum(axis=1, keepdims=True), 1e-12) + (1 - kept) * even
