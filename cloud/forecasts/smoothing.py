"""Exponential smoothing of many series at once, from every origin in one pass: SES, ADIDA and IMAPA.

Nikolopoulos et al. 2011 (ADIDA) and Petropoulos and Kourentzes 2015 (IMAPA): a series is put together into buckets of
k = 1, 2, ... periods counted back from the origin, each bucket series is smoothed, and the forecast per period is the one
at k = the mean interval between demands (ADIDA), or the mean of those up to it (IMAPA). The parameter is the one of a grid
with the least squared error of one-step forecasts up to the origin, so nothing at or after an origin is ever looked at.
"""

from __future__ import annotations

import numpy as np

from cloud.forecasts.panel import Counts, Panel, Values

#: Smoothing parameters of SES, closer together where series are slow; of the bucket series the usual 0.1 to 0.3.
_WIDE = np.asarray((0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.14, 0.18, 0.23, 0.3, 0.4, 0.5, 0.65, 0.8, 0.99))
_NARROW = np.linspace(0.1, 0.3, 7)


def smooth(panel: Panel, origins: Counts) -> dict[str, Values]:
    """Mean demand of one period ahead by "SES", "ADIDA" and "IMAPA", (series, origins); 0 before the first demand."""
    intervals = mean_intervals(panel, origins)
    adida, imapa = np.zeros(intervals.shape), np.zeros(intervals.shape)
    longest = intervals.max(axis=1, initial=0)
    for size in range(1, int(longest.max(initial=0)) + 1):
        rows = np.flatnonzero(longest >= size)
        made = _bucket_forecasts(panel.rows(rows), origins, size, _NARROW) / size
        imapa[rows] += np.where(intervals[rows] >= size, made, 0.0)
        adida[rows] += np.where(intervals[rows] == size, made, 0.0)
    ses = _bucket_forecasts(panel, origins, 1, _WIDE)
    return {"SES": ses, "ADIDA": adida, "IMAPA": imapa / np.maximum(intervals, 1)}


def mean_intervals(panel: Panel, origins: Counts) -> Counts:
    """Mean periods from one demand to the next, rounded, as known at each origin (series, origins); 0 before the first."""
    number = panel.cumulated[0][:, origins]
    span = panel.last[:, origins] - panel.first[:, None]
    return np.where(number > 0, np.round(span / np.maximum(number, 1)), 0).astype(np.intp)


def _bucket_forecasts(panel: Panel, origins: Counts, size: int, alphas: Values) -> Values:
    """Forecasts of the next bucket of `size` periods at each origin (series, origins): SES with the best of `alphas`."""
    sums, everyone = panel.cumulated[1], np.arange(len(panel.demand))
    made = np.zeros((len(everyone), len(origins)))
    for phase in sorted({int(origin) % size for origin in origins}):
        columns = {int(origin): column for column, origin in enumerate(origins) if origin % size == phase}
        level = np.zeros((len(alphas), len(everyone)))
        squared = np.zeros_like(level)
        begun = np.zeros(len(everyone), dtype=bool)
        for end in range(phase, max(columns) + 1, size):
            if end >= size:
                bucket = sums[:, end] - sums[:, end - size]
                error = np.where(begun, bucket - level, 0.0)
                squared += error**2
                level += alphas[:, None] * error
                begins = ~begun & (panel.first <= end - size)
                level[:, begins] = bucket[begins]
                begun |= begins
            if end in columns:
                made[:, columns[end]] = np.where(begun, level[squared.argmin(axis=0), everyone], 0.0)
    return np.maximum(made, 0.0)
