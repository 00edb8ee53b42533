"""One gradient-boosted model for all series of a batch (LightGBM); the only module that imports it.

It learns what a series' recent past, the same weeks of last year, and its silence say about the mean bucket of a window
ahead, relative to the series' own scale, so that short histories lean on what others show. Direct: one window, one answer,
nothing is fed back. Tweedie loss (Jorgensen 1987): counts with many zeros and continuous demand alike, and a mean, not a
median. Deterministic: one thread, seeded, and the sample of past windows it learns from is bounded. Choices and figures:
docs/decisions/0006-forecast-defaults.md.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cloud.forecasts.panel import Counts, Panel, Values

#: Past windows learnt from: more than these gained nothing on the public sets, and they take two seconds; and those for a
#: model of a past origin, which only serves to see what such models are worth.
SAMPLE, PAST_SAMPLE = 80_000, 30_000
#: Windows below which nothing general can be learnt, and series that must stand behind them.
LEAST_WINDOWS, LEAST_SERIES = 2_000, 40
#: Share of the windows learnt that are single buckets at some distance: what a path is made of.
_STEPS = 0.3
#: Buckets a series must have lived, and a season more where there is one, before a window it teaches with.
_LIVED = 6
_TREES = 150
_COMMON: dict[str, object] = {
    "objective": "tweedie",
    "learning_rate": 0.06,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is grown: LightGBM's parameters; whether it is `told` how demand fades, its sizes and silences; the power
    of a series' scale that its windows weigh by (1: as much as their demand, 0: all alike); models whose mean answers.
    """

    parameters: dict[str, object]
    told: bool
    weight: float
    models: int


#: From lags and moving means alone, as the forecasts were first made: what others are measured against.
LAGS = Recipe({"num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.8}, told=False, weight=1.0, models=1)
#: With a season: the weeks of the year need deep trees.
SEASONAL = Recipe({"num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.5}, told=False, weight=0.5, models=1)
#: Without: shallow ones, and the mean of two, because a few dear orders sway one.
PLAIN = Recipe({"num_leaves": 15, "min_data_in_leaf": 100, "feature_fraction": 0.4}, told=True, weight=0.5, models=2)
_SEED = 20_251
_LAGS = (1, 2, 3, 4, 5, 6, 8)
_MEANS = (2, 4, 8, 13, 26, 52)
#: Parameters of the exponentially fading means: from three buckets to two thirds of a year of weeks.
_FADING = (0.03, 0.1, 0.3)
#: A window's forecast above this many times the largest mean bucket such a window ever had is a model running away.
_RUNAWAY = 1.5


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows ahead, one after the other: series `rows`, the `origins` they are seen from, buckets from the origin to
    their `starts`, and their `lengths` in buckets.
    """

    rows: Counts
    origins: Counts
    starts: Counts
    lengths: Counts


@dataclass(frozen=True, slots=True)
class Boosted:
    """What was learnt: give it the panel it learnt from, or the same with more known."""

    models: tuple[Any, ...]
    season: int
    holidays: Values
    told: bool

    def predict(self, panel: Panel, windows: Windows) -> Values:
        """The mean bucket of each window, base units, never negative."""
        if not len(windows.rows):
            return np.zeros(0)
        table, scale = _features(panel, windows, self.season, self.holidays, told=self.told)
        made = np.mean([cast("Values", one.predict(table, num_threads=1)) for one in self.models], axis=0) * scale
        recent = panel.cumulated[1]
        most = np.zeros(len(windows.rows))
        for length in np.unique(windows.lengths).tolist():
            sums = (recent[:, length:] - recent[:, :-length]) / length if length < recent.shape[1] else recent[:, :1]
            running = np.maximum.accumulate(np.concatenate([np.zeros((len(sums), length)), sums], axis=1), axis=1)
            here = windows.lengths == length
            most[here] = running[windows.rows[here], np.minimum(windows.origins[here], running.shape[1] - 1)]
        return np.clip(made, 0.0, _RUNAWAY * np.where(most > 0, most, np.inf))

    def steps(self, panel: Panel, windows: Windows) -> Values:
        """The same, each window as the mean of its buckets forecast one by one: better where a season moves them."""
        owner = np.repeat(np.arange(len(windows.rows)), windows.lengths)
        begins = np.cumsum(windows.lengths) - windows.lengths
        each = np.arange(len(owner)) - begins[owner]
        single = Windows(windows.rows[owner], windows.origins[owner], windows.starts[owner] + each, np.ones_like(each))
        made = np.bincount(owner, weights=self.predict(panel, single), minlength=len(windows.rows))
        return made / np.maximum(windows.lengths, 1)


def learn(
    panel: Panel, origin: int, lengths: Counts, season: int, holidays: Values, recipe: Recipe | None = None
) -> Boosted | None:
    """Learn from windows that ended before `origin`; `lengths` are the windows asked of each series, `holidays` the public
    holidays before each column (cumulated, reaching past the origin; all 0 where none are known). With a `season` (else 1)
    only from windows whose like of last year is known. Before the last column of `panel` it learns in short, from fewer
    windows. `recipe`: another than the usual. None where there is too little to learn from.
    """
    past = origin < panel.length
    windows = _sample(
        panel, origin, lengths, season + _LIVED if season > 1 else _LIVED, PAST_SAMPLE if past else SAMPLE
    )
    if windows is None:
        return None
    chosen = recipe or (SEASONAL if season > 1 else PLAIN)
    table, scale = _features(panel, windows, season, holidays, told=chosen.told)
    total = panel.cumulated[1]
    begin = windows.origins + windows.starts
    came = (total[windows.rows, begin + windows.lengths] - total[windows.rows, begin]) / windows.lengths
    lightgbm: Any = importlib.import_module("lightgbm")  # a second and 100 MB: only where something is learnt
    weight = (scale / scale.mean()) ** chosen.weight
    data = lightgbm.Dataset(table, came / scale, weight=weight, params={"verbose": -1}, free_raw_data=True)
    grown = (
        lightgbm.train(_COMMON | chosen.parameters | {"seed": seed}, data, _TREES)
        for seed in range(1, 1 + (1 if past else chosen.models))
    )
    return Boosted(tuple(grown), season, holidays, chosen.told)


def learn_lags(panel: Panel, origin: int, lengths: Counts, season: int, holidays: Values) -> Boosted | None:
    """`learn` by the recipe LAGS."""
    return learn(panel, origin, lengths, season, holidays, LAGS)


def _sample(panel: Panel, origin: int, lengths: Counts, lived: int, most: int) -> Windows | None:
    """Windows of series that had `lived`, drawn evenly over series and origins; the same for the same panel."""
    latest = np.minimum(origin - lengths, origin - 1)
    room = np.maximum(latest - (panel.first + lived) + 1, 0)
    count = int(min(most, room.sum()))
    if count < LEAST_WINDOWS or int((room > 0).sum()) < LEAST_SERIES:
        return None
    drawn = np.random.default_rng(_SEED)
    rows = np.searchsorted(np.cumsum(room), drawn.integers(0, int(room.sum()), count), side="right").astype(np.intp)
    origins = panel.first[rows] + lived + (drawn.random(count) * room[rows]).astype(np.intp)
    step = drawn.random(count) < _STEPS
    starts = np.where(step, (drawn.random(count) * lengths[rows]).astype(np.intp), 0)
    return Windows(rows, origins, starts, np.where(step, 1, lengths[rows]))


def _features(panel: Panel, windows: Windows, season: int, holidays: Values, *, told: bool) -> tuple[Values, Values]:
    """(features, scale) of each window, from the columns before its origin alone."""
    rows, now, number = windows.rows, windows.origins, panel.cumulated[0]
    total, squares, first = panel.cumulated[1], panel.cumulated[2], panel.first[rows]
    life = np.maximum(now - first, 1).astype(np.float64)

    def mean(start: Counts, end: Counts) -> Values:
        low, high = np.maximum(start, first), np.maximum(end, first)
        found = (total[rows, high] - total[rows, low]) / np.maximum(high - low, 1)
        return np.where(high > low, found, np.nan)

    whole = total[rows, now] / life
    scale = np.maximum((whole + np.nan_to_num(mean(now - 26, now))) / 2, 1e-6)
    columns: list[Values] = [panel.demand[rows, np.maximum(now - lag, 0)] / scale for lag in _LAGS]
    columns += [mean(now - width, now) / scale for width in _MEANS]
    for width in (8, 26, 52):
        seen = np.minimum(width, life)
        columns.append((number[rows, now] - number[rows, np.maximum(now - width, 0)]) / seen)
    demands = np.maximum(number[rows, now], 1)
    size = total[rows, now] / demands
    columns += [
        (now - panel.last[rows, now]).astype(np.float64),
        life,
        np.log(scale),
        number[rows, now] / life,
        squares[rows, now] / demands / np.maximum(size**2, 1e-12),
        windows.starts.astype(np.float64),
        windows.lengths.astype(np.float64),
    ]
    if told:
        columns += _of_slow(panel, windows, scale)
    if season > 1:
        columns += _of_season(mean, now, windows, scale, season, holidays)
    return np.stack(columns, axis=1), scale


def _of_slow(panel: Panel, windows: Windows, scale: Values) -> list[Values]:
    """How fast demand fades or grows, what single demands are, and whether the present silence is a long one."""
    rows, now, first = windows.rows, windows.origins, panel.first[windows.rows]
    number, total = (part[rows, now] for part in panel.cumulated[:2])
    columns: list[Values] = []
    for alpha in _FADING:
        level, often = panel.faded(alpha)
        columns += [level[rows, now] / scale, often[rows, now]]
    last = panel.last[rows, now]
    before = panel.last[rows, np.maximum(last - 1, 0)]
    interval = np.maximum((last - first) / np.maximum(number, 1), 1.0)
    columns += [
        np.log(np.maximum(total / np.maximum(number, 1), 1e-6)),
        panel.largest[rows, now] / scale,
        np.log1p(number),
        panel.demand[rows, np.maximum(last - 1, 0)] / scale,
        (last - before).astype(np.float64),
        (now - last) / interval,
    ]
    return columns


def _of_season(mean: Any, now: Counts, windows: Windows, scale: Values, season: int, holidays: Values) -> list[Values]:
    """What the same weeks of the last two years say, and which of the year these are."""
    begin = now + windows.starts
    end = begin + windows.lengths
    columns: list[Values] = []
    for shift in (-1, 0, 1):
        known = end - season + shift <= now
        columns.append(np.where(known, mean(begin - season + shift, end - season + shift), np.nan) / scale)
    level = mean(now - season - 8, now - season)
    columns += [
        columns[1] * scale / np.maximum(level, 1e-9),
        mean(now - 8, now) / np.maximum(level, 1e-9),
        mean(begin - 2 * season, end - 2 * season) / scale,
        mean(now - season - 4, now - season) / scale,
        (begin % season).astype(np.float64),
    ]
    if holidays.any():
        last = len(holidays) - 1
        free = holidays[np.minimum(end, last)] - holidays[np.minimum(begin, last)]
        before = holidays[np.clip(end - season, 0, last)] - holidays[np.clip(begin - season, 0, last)]
        columns += [free / windows.lengths, (free - before) / windows.lengths]
    return columns
