"""What the level models make of every series at any origins, in one pass. Pure.

Series are put into buckets, the models of a series' class are averaged, and the mean is spread over the periods again.
The outlook of now and those of past origins are made by the same functions, so these cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cloud.forecasts.classes import CLASSES, DEAD, NEW, classify
from cloud.forecasts.distribution import moments
from cloud.forecasts.forecast import Batch, DemandClass
from cloud.forecasts.panel import Counts, Panel, Values
from cloud.forecasts.series import dense, from_first_demand, together, weekday_profiles
from cloud.forecasts.smoothing import smooth

#: The models whose mean is the level of a class. Never Croston or SBA: they do not see an item die. Chosen and checked in
#: docs/decisions/0006-forecast-defaults.md.
LEVEL_MODELS: Mapping[DemandClass, tuple[str, ...]] = {
    "smooth": ("SES", "IMAPA"),
    "erratic": ("SES", "IMAPA"),
    "intermittent": ("IMAPA", "ADIDA"),
    "lumpy": ("IMAPA", "ADIDA"),
}

#: Days are put together into weeks before anything else: a week holds the closed days, and is a tenth of the work.
_BUCKET_DAYS = 7
#: The least an item that is not asked for any more is still expected to sell, as a share of its mean over its whole
#: life, and the silence (in mean intervals between demands) behind which even that dwindles. Of spare parts one in six is
#: asked for again after a year of silence (docs/decisions/0006-forecast-defaults.md).
_NEVER_FORGOTTEN, _SILENCE = 0.2, 8.0
#: Buckets of an average series of its batch that a new item's forecast begins with.
_PRIOR_BUCKETS = 4.0


@dataclass(frozen=True, slots=True)
class Book:
    """The series of a batch as tables: by period, and by bucket of `size` periods; both end at the batch's origin.

    `horizon` is lead time plus review in periods, one for each series.
    """

    periods: Panel
    buckets: Panel
    size: int
    horizon: Values

    @property
    def windows(self) -> Counts:
        """Whole buckets that hold each series' horizon, at least one."""
        return np.maximum(np.ceil(self.horizon / self.size - 1e-9), 1).astype(np.intp)

    @classmethod
    def of(cls, batch: Batch) -> Book:
        """The series of `batch`; what lies at or after its origin is never looked at."""
        size = _BUCKET_DAYS if batch.period_days == 1 else 1
        lived = [from_first_demand(dense(one, batch.origin, batch.period_days)) for one in batch.requests]
        horizon = np.asarray([one.lead_time + one.review for one in batch.requests], dtype=np.float64)
        return cls(Panel.of(lived), Panel.of([together(one, size) for one in lived]), size, horizon)

    def day(self, origin: int) -> int:
        """The column of `periods` at which a column of `buckets` begins."""
        return self.periods.length - (self.buckets.length - origin) * self.size

    def profiles(self, origin: int) -> Values:
        """The share of each period of a bucket in it, (series, size), as known at a column of `buckets`."""
        if self.size == 1:
            return np.ones((len(self.horizon), 1))
        return weekday_profiles(self.periods, self.day(origin))

    def realised(self, origins: Counts, horizon: Values) -> Values:
        """What was wanted over whole periods of `horizon` from each column of `buckets` on; nan where it is not known yet."""
        found = np.full((len(horizon), len(origins)), np.nan)
        total, rows = self.periods.cumulated[1], np.arange(len(horizon))
        for column, origin in enumerate(origins):
            start = self.day(int(origin))
            end = start + horizon.astype(np.intp)
            known = end <= self.periods.length
            found[known, column] = total[rows[known], end[known]] - total[known, start]
        return found


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the models make of each series at some origins, before calibration: class and, over the horizon, mean, variance
    and probability of none; all (series, origins).
    """

    classes: Counts
    mean: Values
    variance: Values
    none: Values


def outlook_at(book: Book, origins: Counts, horizon: Values) -> tuple[Outlook, list[Values]]:
    """What the level models alone make of each series at `origins` (columns of the buckets); and the mean of each period of
    a bucket from the last origin on, for each series. Means of new items lean on the other series.
    """
    classes = classes_at(book, origins)
    level = levels_at(book, origins, classes)
    shares = book.profiles(int(origins[-1])) if len(origins) else np.zeros((len(horizon), book.size))
    last = level[:, -1] if len(origins) else np.zeros(len(horizon))
    return over_horizon(book, origins, classes, level, horizon), list(last[:, None] * shares)


def classes_at(book: Book, origins: Counts) -> Counts:
    """The class of each series at each origin; one whose first demand is not a full bucket old is new."""
    classes = classify(book.buckets, origins)
    begun = book.periods.first < book.periods.length
    classes[(classes == DEAD) & begun[:, None] & (book.buckets.first >= book.buckets.length)[:, None]] = NEW
    return classes


def over_horizon(book: Book, origins: Counts, classes: Counts, level: Values, horizon: Values) -> Outlook:
    """The outlook over `horizon` periods of series whose mean bucket ahead is `level`, (series, origins)."""
    mean = np.empty(level.shape)
    for column, origin in enumerate(origins):
        mean[:, column] = level[:, column] * _buckets_in(horizon, book.profiles(int(origin)))
    count = np.maximum(horizon / book.size, 1e-9)[:, None]
    variance, none = moments(book.buckets, origins, mean / count, classes)
    new = classes == NEW
    wide = 2 * np.maximum((mean / count) ** 2, mean / count)  # as wide as its mean and more
    variance, none = np.where(new, wide, variance), np.where(new, np.exp(-mean / count), none)
    quiet = (mean <= 0) | (horizon <= 0)[:, None]
    over = np.where(quiet, 0.0, mean), np.where(quiet, 0.0, variance * count), np.where(quiet, 1.0, none**count)
    return Outlook(classes, *over)


def levels_at(book: Book, origins: Counts, classes: Counts) -> Values:
    """The mean of a bucket ahead by the level models of each series' class, (series, origins)."""
    buckets = book.buckets
    smoothed = smooth(buckets, origins)
    level = np.zeros(classes.shape)
    for name, chosen in LEVEL_MODELS.items():
        here = classes == CLASSES.index(name)
        level = np.where(here, np.mean([smoothed[model] for model in chosen], axis=0), level)
    number, total, _ = buckets.sums(np.zeros_like(origins), origins)
    lived = np.maximum(origins[None, :] - buckets.first[:, None], 1)
    interval = (buckets.last[:, origins] - buckets.first[:, None]) / np.maximum(number, 1)
    silence = (origins[None, :] - buckets.last[:, origins]) / np.maximum(interval, 1)
    remembered = _NEVER_FORGOTTEN * np.minimum(1.0, _SILENCE / np.maximum(silence, 1)) * total / lived
    sparse = (classes == CLASSES.index("intermittent")) | (classes == CLASSES.index("lumpy"))
    level = np.where(sparse, np.maximum(level, remembered), level)
    return np.where(classes == NEW, _new_levels(book, origins, classes, total / lived), level)


def _new_levels(book: Book, origins: Counts, classes: Counts, means: Values) -> Values:
    """A new item's mean bucket: its own demand, which counts the more the longer it is known, and the median of the others."""
    found = np.zeros(classes.shape)
    total = book.periods.cumulated[1]
    for column, origin in enumerate(origins):
        old = classes[:, column] < NEW
        prior = float(np.median(means[old, column])) if old.any() else 0.0
        day = book.day(int(origin))
        seen = np.maximum(day - book.periods.first, 0) / book.size
        found[:, column] = (total[:, day] + prior * _PRIOR_BUCKETS) / (seen + _PRIOR_BUCKETS)
    return found


def _buckets_in(horizon: Values, shares: Values) -> Values:
    """How many average buckets are wanted in `horizon` periods that begin with a bucket whose periods have these shares."""
    size = shares.shape[1]
    whole, rest = np.divmod(horizon, size)
    reached = np.concatenate([np.zeros((len(shares), 1)), np.cumsum(shares, axis=1)], axis=1)
    day = np.minimum(rest.astype(np.intp), size - 1)
    rows = np.arange(len(shares))
    return whole + reached[rows, day] + (rest - day) * shares[rows, day]
