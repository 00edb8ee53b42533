"""READ FIRST of the forecasts: series in, forecasts out. Pure; the same batch gives the same numbers anywhere.

    drivers.py       which campaigns, prices and indicators earn their place; demand without what they did
    outlook.py       level models of each class, at now and at past origins, in one pass
    seasonal.py      last year's same weeks;  boosted.py  one model learnt from all series
    mixture.py       how much each of these counts, by what they were worth at past origins
    distribution.py  a gamma with a mass at zero over the horizon;  calibration.py  the levels at which past demand kept it
    answers.py       quantiles, fan, version

Now and past origins go through the same functions, so what is measured is what is forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts import calibration, drivers
from cloud.forecasts.answers import Answer, answers
from cloud.forecasts.boosted import Boosted, Windows
from cloud.forecasts.classes import CLASSES, INTERMITTENT, NEW, NEW_BELOW
from cloud.forecasts.distribution import stood
from cloud.forecasts.forecast import FAN_PERIODS, Batch, Calibration, Forecasts, Verdict
from cloud.forecasts.holiday import holidays_before
from cloud.forecasts.mixture import KINDS, Weights, usual, weigh
from cloud.forecasts.outlook import LEVEL_MODELS, Book, Outlook, classes_at, levels_at, outlook_at, over_horizon
from cloud.forecasts.panel import Counts, Panel, Values
from cloud.forecasts.seasonal import last_year, last_year_path, season_of

__all__ = ["Book", "Look", "forecast", "look", "outlook_at"]

#: (buckets, origin, windows of the series, season, holidays before each bucket) -> what was learnt; `boosted.learn`.
Learn = Callable[[Panel, int, Counts, int, Values], Boosted | None]

#: Past origins lie back as far as the horizon reaches and `backtests` more, but not more than this, buckets.
_BACK_MOST = 78
#: What was learnt at one origin serves those after it when past forecasts are made again, learning so often at most, and
#: with at least so many buckets between: learning at each is too slow.
_LEARN_TIMES, _LEARN_EVERY = 3, 4
#: Seasons that must be known before one can be learnt: all but the first half of the second is only remembered.
_SEASONS_TAUGHT = 1.5
#: Classes that are forecast from their own past; the others are new or dead.
_KNOWN = NEW
#: Classes below this one, smooth and erratic, are asked for in most periods: only they can teach what a season does.
_STEADY = INTERMITTENT


@dataclass(frozen=True, slots=True)
class Look:
    """What is foreseen of each series: the outlook over its horizon at the origin (series, 1), the mean of each period ahead
    (series, periods), the group each belongs to ("smooth", "smooth, seasonal", ...), the weights of KINDS by group, the
    calibration by group, and the verdicts on drivers.
    """

    book: Book
    outlook: Outlook
    path: Values
    groups: tuple[str, ...]
    weights: dict[str, Weights]
    calibration: dict[str, Calibration]
    verdicts: tuple[Verdict, ...]
    touched: tuple[tuple[str, ...], ...]

    @property
    def learnt(self) -> list[Calibration]:
        """The calibration of each series: its group's, or while that has none its class's."""
        found: list[Calibration] = []
        for group in self.groups:
            own = self.calibration.get(group) or self.calibration.get(group.partition(",")[0])
            found.append(own or calibration.UNCALIBRATED)
        return found


def forecast(batch: Batch, learn: Learn | None = None) -> Forecasts:
    """Forecast each series of `batch`; without `learn` from each series' own past alone."""
    seen = look(batch, learn, FAN_PERIODS)
    spread = np.asarray([one.lead_time_sd for one in batch.requests], dtype=np.float64)
    rate = seen.outlook.mean[:, 0] / np.maximum(seen.book.horizon, 1e-9)
    over = seen.outlook.mean[:, 0], seen.outlook.variance[:, 0] + (rate * spread) ** 2, seen.outlook.none[:, 0]
    learnt = seen.learnt
    classes = seen.outlook.classes[:, 0]
    models = [_models(int(code), seen.weights.get(group)) for code, group in zip(classes, seen.groups, strict=True)]
    answer = Answer(batch, seen.book, classes, over, seen.path, learnt, models, seen.verdicts, seen.touched)
    return Forecasts(
        answers(answer), {name: seen.calibration[name] for name in sorted(seen.calibration)}, seen.verdicts
    )


def look(batch: Batch, learn: Learn | None, periods: int) -> Look:
    """Look ahead from the origin of `batch`, with the mean of each of `periods` periods."""
    raw = Book.of(batch)
    days = batch.period_days * raw.size
    season = season_of(days)
    reach = int(max(periods, raw.horizon.max(initial=0.0))) + 2 * raw.size
    effects, verdicts, touched = _drivers(batch, raw, season, reach)
    book = drivers.cleaned(raw, effects) if effects.signals else raw
    ahead = -(-reach // book.size) + 1
    first = batch.origin - book.buckets.length * days
    holidays = holidays_before(batch.country, first, days, book.buckets.length + ahead)
    past = _past_origins(book, batch)
    sight = _Sight(book, season, holidays, learn, raw, effects)
    back = sight.at(past, teach_at=past[:: max(_LEARN_EVERY, -(-len(past) // _LEARN_TIMES))])
    now = sight.at(np.asarray([book.buckets.length]), teach_at=np.asarray([book.buckets.length]))
    whole = np.maximum(np.round(raw.horizon), 1.0)  # past demand is known by whole periods
    came = raw.realised(past, whole)
    lift = sight.lift(past)
    weights = _weights(back, now, came / lift / (whole[:, None] / book.size), whole)
    known = _calibrations(sight, back, sight.outlook(back, weights, whole, lift), came, batch)
    here = np.asarray([book.buckets.length])
    outlook = sight.outlook(now, weights, book.horizon, sight.lift(here))
    path = sight.path(now, weights, -(-periods // book.size))[:, :periods]
    names = tuple(str(name) for name in now.groups[:, 0])
    return Look(raw, outlook, path, names, weights, dict(batch.known) | known, verdicts, touched)


def _models(code: int, weights: Weights | None) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The models behind a forecast and what each counts."""
    if code >= _KNOWN or weights is None:
        return ("mean",), (1.0,)
    levels = LEVEL_MODELS[CLASSES[code]]
    found = [(model, weights[0] / len(levels)) for model in levels]
    found += [("SeasonalNaive", weights[1]), ("LightGBM", weights[2])]
    used = [(model, weight) for model, weight in found if weight > 0]
    return tuple(model for model, _ in used), tuple(round(weight, 4) for _, weight in used)


def _drivers(
    batch: Batch, book: Book, season: int, reach: int
) -> tuple[drivers.Effects, tuple[Verdict, ...], tuple[tuple[str, ...], ...]]:
    """The drivers that enter, the verdicts on all, and the names of those that could have moved each series."""
    nothing = drivers.Effects((), ()), (), ((),) * len(batch.requests)
    if not batch.drivers or not batch.backtests:
        return nothing
    candidates = drivers.signals(batch, book, reach)
    effects, verdicts = drivers.admit(book, candidates, season, batch.backtests)
    touched = tuple(
        tuple(one.name for one in candidates if one.moves[one.rows[row]]) for row in range(len(batch.requests))
    )
    return effects, verdicts, touched


def _past_origins(book: Book, batch: Batch) -> Counts:
    """Past columns of the buckets to look from again; the latest a bucket ago, the first as far as a horizon reaches more."""
    length = book.buckets.length
    if not batch.backtests or not len(book.horizon):
        return np.zeros(0, dtype=np.intp)
    back = min(batch.backtests + int(np.max(book.windows)) - 1, _BACK_MOST)
    return np.arange(max(NEW_BELOW, length - back), length, dtype=np.intp)


# -------------------------------------------------------------------------------------------------------- sight


@dataclass(frozen=True, slots=True)
class _Seen:
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


@dataclass(frozen=True, slots=True)
class _Sight:
    book: Book
    season: int
    holidays: Values
    learn: Learn | None
    raw: Book
    effects: drivers.Effects

    def at(self, origins: Counts, teach_at: Counts) -> _Seen:
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
            plain = ~known & (classes[:, columns] < _KNOWN)
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
        groups = np.where(season & (classes < _KNOWN), np.char.add(names, ", seasonal"), names)
        return _Seen(origins, kinds, classes, groups, season, learnt, found[1])

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

    def levels(self, seen: _Seen, weights: dict[str, Weights]) -> Values:
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

    def outlook(self, seen: _Seen, weights: dict[str, Weights], horizon: Values, lift: Values) -> Outlook:
        """Over the horizon: the models' outlook, changed by what the drivers do."""
        made = over_horizon(self.book, seen.origins, seen.classes, self.levels(seen, weights), horizon)
        return replace(made, mean=made.mean * lift, variance=made.variance * lift**2)

    def path(self, now: _Seen, weights: dict[str, Weights], steps: int) -> Values:
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
            periods = periods * self.effects.factors(np.arange(count), day)[:, day : day + periods.shape[1]]
        return periods


# ------------------------------------------------------------------------------------------------- what was learnt


def _weights(back: _Seen, now: _Seen, came: Values, whole: Values) -> dict[str, Weights]:
    """The weights of each group that is there now; `came` by mean bucket, counted by the length of the horizon."""
    found: dict[str, Weights] = {}
    for group in np.unique(now.groups).tolist():
        here = now.groups[:, 0] == group
        code = int(now.classes[here, 0][0])
        if code >= _KNOWN:
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


def _calibrations(sight: _Sight, back: _Seen, over: Outlook, came: Values, batch: Batch) -> dict[str, Calibration]:
    """Look back from past origins with what was known then, and calibrate each group by it."""
    if not len(back.origins):
        return {}
    window = sight.book.windows
    found: dict[str, Calibration] = {}
    for group in sorted({*np.unique(back.groups).tolist()}):
        here = (back.groups == group) & ~np.isnan(came) & (back.classes < _KNOWN)
        rows, columns = np.nonzero(here)
        before = batch.known.get(group, calibration.UNCALIBRATED).scores
        if len(rows) < max(calibration.LEAST_SCORES, before // 2):
            continue  # a few changed series do not outweigh all
        parts = over.mean[here], over.variance[here], over.none[here]
        origins = back.origins[columns].astype(np.float64)
        past = calibration.Past(stood(*parts, came[here]), parts[0], came[here], origins, origins + window[rows])
        found[group] = calibration.follow(past, float(sight.book.buckets.length))
    return found
