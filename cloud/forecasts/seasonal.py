"""Last year's demand of the same weeks at this year's level: seasonal naive (Hyndman and Athanasopoulos), vectorised."""

from __future__ import annotations

import numpy as np

from cloud.forecasts.panel import Counts, Panel, Values

#: Buckets whose mean, now over a year ago, moves last year's demand; and the bounds of that ratio: beyond them the two
#: years are not the same item.
_RECENT, _LEAST, _MOST = 8, 0.5, 2.0
#: Days of a period or bucket -> how many make a year.
_SEASONS = {7: 52, 28: 13, 30: 12, 31: 12}


def season_of(days: int) -> int:
    """Buckets of `days` days in a year; 1, no season, where a year is not a whole number of them."""
    return _SEASONS.get(days, 1)


def last_year(panel: Panel, origins: Counts, windows: Counts, season: int) -> Values:
    """The mean bucket of last year's same `windows` (buckets, one per series) at this year's level, (series, origins).

    nan where the series was not yet alive then, or the window is longer than a season.
    """
    total = panel.cumulated[1]
    line = np.arange(len(windows))[:, None]
    begin = origins[None, :] - season
    end = begin + windows[:, None]
    known = (begin >= panel.first[:, None]) & (end <= origins[None, :])
    mean = (total[line, np.clip(end, 0, panel.length)] - total[line, np.maximum(begin, 0)]) / windows[:, None]
    return np.where(known, mean * _growth(panel, origins, season), np.nan)


def last_year_path(panel: Panel, origin: int, steps: int, season: int) -> Values:
    """The same for each of the `steps` buckets from one origin on, (series, steps); a year repeats itself."""
    if not panel.length:
        return np.full((len(panel.demand), steps), np.nan)
    at = origin - season + np.arange(steps) % season
    path = np.where(at[None, :] >= panel.first[:, None], panel.demand[:, np.maximum(at, 0)], np.nan)
    return path * _growth(panel, np.asarray([origin]), season)


def _growth(panel: Panel, origins: Counts, season: int) -> Values:
    total = panel.cumulated[1]
    line = np.arange(len(total))[:, None]
    then = origins[None, :] - season
    start = np.minimum(np.maximum(then - _RECENT, panel.first[:, None]), np.maximum(then, 0))
    count = np.maximum(then - start, 0)
    before = total[line, np.maximum(then, 0)] - total[line, start]
    now = total[line, origins[None, :]] - total[line, np.maximum(origins[None, :] - count, 0)]
    ratio = np.where((before > 0) & (count > 0), now / np.maximum(before, 1e-12), 1.0)
    return np.clip(ratio, _LEAST, _MOST)
