"""What all kinds of models make of every series at any origins, now and in the past alike. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts import drivers
from cloud.forecasts.boosted import Boosted, Windows
from cloud.forecasts.classes import CLASSES, INTERMITTENT, NEW
from cloud.forecasts.mixture import KINDS, Weights, usual, weigh
from cloud.forecasts.outlook import Book, Outlook, classes_at, levels_at, over_horizon
from cloud.forecasts.panel import Counts, Panel, Values
from cloud.forecasts.seasonal import last_year, last_year_path

#: (buckets, origin, windows of the series, season, holidays before each bucket) -> what was learnt; `boosted.learn`.
Learn = Callable[[Panel, int, Counts, int, Values], Boosted | None]

#: Past origins lie back as far as this, buckets: a year and a half of weeks.
BACK_MOST = 78
#: Buckets between the origins at which the past of a whole replay is learnt from again.
_REPLAY_EVERY = 13
#: Seasons that must be known before one can be learnt: all but the first half of the second is only remembered.
_SEASONS_TAUGHT = 1.5
#: Classes below this one are forecast from their own past; the others are new or dead.
KNOWN = NEW
#: Classes below this one, smooth and erratic, are asked for in most periods: only they can teach what a season does.
_STEADY = INTERMITTENT


@dataclass(frozen=True, slots=True)
class Seen:
    """What each kind of model makes of each series at some origins: mean bucket by kind (series, origins, KINDS), nan where
    a kind has none; class and group (series, origins); what was learnt last of the season.
    """

    origins: Counts
    kinds: Values
    classes: Counts
    groups: NDArray[np.str_]
    season: NDArray[np.bool_]
    learnt: NDArray[np.bool_]
    boosted: Boosted | None

    def at(self, columns: Counts) -> Seen:
        """The same at some of the origins."""
        kinds, classes, groups = self.kinds[:, columns], self.classes[:, columns], self.groups[:, columns]
        return Seen(
            self.origins[columns],
            kinds,
            classes,
            groups,
            self.season[:, columns],
            self.learnt[:, columns],
            self.boosted,
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """The series of `book`, cleaned of what the `effects` of drivers did to them (`raw`: as they were), with the buckets of a
    `season`, the `holidays` before each bucket, and how to `learn` from all series.
    """

    book: Book
    season: int
    holidays: Values
    learn: Learn | None
    raw: Book
    effects: drivers.Effects

    def at(self, origins: Counts, teach_at: Counts) -> Seen:
        """Every kind of model at `origins`; learning happens at `teach_at`, and serves the origins after."""
        book, windows = self.book, self.book.windows
        classes = classes_at(self.raw, origins)
        kinds = np.full((*classes.shape, len(KINDS)), np.nan)
        kinds[:, :, 0] = levels_at(book, origins, classes)
        if self.season > 1:
            kinds[:, :, 1] = last_year(book.buckets, origins, windows, self.season)
        found: tuple[Boosted | None, Boosted | None] = (None, None)
        for number, origin in enumerate(teach_at.tolist() if self.learn else ()):
            end = teach_at[number + 1] if number + 1 < len(teach_at) else origins[-1] + 1
            columns = np.flatnonzero((origins >= origin) & (origins < end))
            known = ~np.isnan(kinds[:, columns, 1]) & (classes[:, columns] < _STEADY)
            plain = ~known & (classes[:, columns] < KNOWN)
            seasonal = self._learn(origin, self.season if known.any() else 0)
            if seasonal is None:  # nobody has shown yet what a season does: all learn from their recent past
                plain, known = plain | known, np.zeros_like(known)
            found = self._learn(origin, 1 if plain.any() else 0), seasonal
            for learnt, here in zip(found, (plain, known), strict=True):
                if learnt is not None:
                    rows, at = np.nonzero(here)
                    kinds[rows, columns[at], 2] = self._boosted(learnt, rows, origins[columns[at]])
        season, learnt = ~np.isnan(kinds[:, :, 1]), ~np.isnan(kinds[:, :, 2])
        names = np.asarray(CLASSES)[classes]
        groups = np.where(season & (classes < KNOWN), np.char.add(names, ", seasonal"), names)
        return Seen(origins, kinds, classes, groups, season, learnt, found[1])

    def _learn(self, origin: int, season: int) -> Boosted | None:
        """What series teach at an origin; with `season` 0 nothing is wanted."""
        if self.learn is None or not season or (season > 1 and origin < _SEASONS_TAUGHT * season):
            return None
        return self.learn(self.book.buckets, origin, self.book.windows, season, self.holidays)

    def _boosted(self, found: Boosted, rows: Counts, origins: Counts) -> Values:
        """The mean bucket of the windows of some series."""
        asked = Windows(rows, origins, np.zeros_like(rows), self.book.windows[rows])
        panel = self.book.buckets
        return found.predict(panel, asked) if found.season == 1 else found.steps(panel, asked)

    def levels(self, seen: Seen, weights: dict[str, Weights]) -> Values:
        """The mean bucket ahead of all kinds together, (series, origins)."""
        level = seen.kinds[:, :, 0].copy()
        for group, weight in weights.items():
            here = seen.groups == group
            usable = np.where(np.isnan(seen.kinds[here]), 0.0, np.asarray(weight))
            total = usable.sum(axis=1)
            mixed = (np.nan_to_num(seen.kinds[here]) * usable).sum(axis=1) / np.maximum(total, 1e-12)
            level[here] = np.where(total > 0, mixed, level[here])
        return level

    def lift(self, origins: Counts) -> Values:
        """By how much the drivers change demand over the horizon, as known at each origin."""
        if not self.effects.signals:
            return np.ones((len(self.book.horizon), len(origins)))
        return drivers.lifted(self.book, self.effects, origins)

    def outlook(self, seen: Seen, weights: dict[str, Weights], horizon: Values, lift: Values) -> Outlook:
        """Over the horizon: the models' outlook, changed by what the drivers do."""
        made = over_horizon(self.book, seen.origins, seen.classes, self.levels(seen, weights), horizon)
        return replace(made, mean=made.mean * lift, variance=made.variance * lift**2)

    def path(self, now: Seen, weights: dict[str, Weights], steps: int) -> Values:
        """The mean of each period in the `steps` buckets ahead of one origin, (series, periods)."""
        book, origin = self.book, int(now.origins[0])
        count = len(book.horizon)
        kinds = np.repeat(now.kinds[:, 0, None, :], steps, axis=1)
        if self.season > 1:
            kinds[:, :, 1] = last_year_path(book.buckets, origin, steps, self.season)
        if now.boosted is not None:
            rows = np.repeat(np.flatnonzero(now.season[:, 0] & (now.classes[:, 0] < _STEADY)), steps)
            each = np.tile(np.arange(steps), len(rows) // max(steps, 1))
            asked = Windows(rows, np.full(len(rows), origin), each, np.ones(len(rows), dtype=np.intp))
            kinds[rows, each, 2] = now.boosted.predict(book.buckets, asked)
        wide = replace(now, kinds=kinds, groups=np.repeat(now.groups, steps, axis=1))
        buckets = self.levels(wide, weights)
        periods = (buckets[:, :, None] * book.profiles(origin)[:, None, :]).reshape(count, steps * book.size)
        if self.effects.signals:
            day = book.periods.length
            periods = periods * self.effects.ahead(np.arange(count), day, periods.shape[1])
        return periods


def weights_now(back: Seen, now: Seen, came: Values, whole: Values) -> dict[str, Weights]:
    """The weights of each group that is there now; `came` by mean bucket, counted by the length of the horizon."""
    found: dict[str, Weights] = {}
    for group in np.unique(now.groups).tolist():
        here = now.groups[:, 0] == group
        code = int(now.classes[here, 0][0])
        if code >= KNOWN:
            continue
        season, learnt = bool(now.season[here, 0].any()), bool(now.learnt[here, 0].any())
        past = (back.groups == group) & ~np.isnan(came)
        past &= (back.season | (not season)) & (back.learnt | (not learnt))
        rows, columns = np.nonzero(past)
        if not len(rows):
            found[group] = usual(code, season=season, learnt=learnt)
            continue
        kinds = np.nan_to_num(back.kinds[rows, columns]) * whole[rows, None]
        found[group] = weigh(code, kinds, came[rows, columns] * whole[rows], rows, season=season, learnt=learnt)
    return found


def foresee_at(
    book: Book, origins: Counts, learn: Learn | None, season: int = 1, every: int = _REPLAY_EVERY
) -> Outlook:
    """The outlook over each series' horizon that the product would have had at each of `origins` (ascending columns of the
    buckets): all kinds of models, weighed by what was known then. It learns from all series at each so many origins, from fewer
    windows than it does today, and weighs anew there; without holidays and drivers. Levels for its quantiles are the caller's
    to calibrate, from the same outlook.
    """
    sight = Sight(book, season, np.zeros(1), learn, book, drivers.Effects((), ()))
    teach_at = origins[::every]
    seen = sight.at(origins, teach_at)
    whole = np.maximum(np.round(book.horizon), 1.0)
    came = book.realised(origins, whole) / (whole[:, None] / book.size)
    ends = origins[None, :] + book.windows[:, None]
    level = np.zeros(seen.classes.shape)
    for number, begin in enumerate(teach_at.tolist()):
        end = teach_at[number + 1] if number + 1 < len(teach_at) else origins[-1] + 1
        here = np.flatnonzero((origins >= begin) & (origins < end))
        before = np.flatnonzero((origins < begin) & (origins >= begin - BACK_MOST))
        known = np.where(ends[:, before] <= begin, came[:, before], np.nan)
        level[:, here] = sight.levels(seen.at(here), weights_now(seen.at(before), seen.at(here[:1]), known, whole))
    return over_horizon(book, origins, seen.classes, level, book.horizon)
