"""What campaigns, prices and indicators are to each series: their values over time, and what is known of them ahead. Pure.

A driver multiplies demand: y = level * exp(beta * g(x)), g(x) = sign(x) log(1 + |x| / ordinary |x|); for a campaign, whose
values are the log changes that somebody planned, g(x) = x, and beta is the part of the plan that comes. Demand is cleaned of
the effect before models look at it, and gets it back where the driver's value ahead is known. `gate.py` measures beta and
says which drivers enter. Nothing at or after an origin is used but what was planned before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import Batch, Driver
from cloud.forecasts.outlook import Book
from cloud.forecasts.panel import Counts, Panel, Values

#: Mean and variance of the prior of beta: a driver at its ordinary value seldom does more than double demand.
_PRIOR = 0.0, 1.0
#: The same for what was planned: all of it comes; now and then nothing of it, or twice as much.
_PLANNED = 1.0, 0.25


@dataclass(frozen=True, slots=True)
class Signal:
    """One driver as seen by every series: g of its values by period, (distinct, periods), of which `rows` says whose each
    series has; the columns go on after the origin. `plan`: has planned values, each visible from the column `since` on;
    `changes`: the values where they were told, nan between them, of a plan whose values hold; `moves`: varies; `middle`: mean
    of the past; `bounds`: least and most value before each column up to the origin; `prior`: mean and variance of beta before
    anything was seen; `expected` as in `Driver`.
    """

    name: str
    rows: Counts
    values: Values
    planned: NDArray[np.bool_]
    plan: bool
    moves: NDArray[np.bool_]
    middle: Values
    ordinary: float
    bounds: Values
    since: Counts | None = None
    changes: Values | None = None
    expected: bool = False
    prior: tuple[float, float] = _PRIOR

    def ahead(self, origin: int, reach: int) -> Values:
        """`reach` values from a column on as known at it: those planned; else none for a plan, the last one of an indicator."""
        part = slice(origin, origin + reach)
        visible = self.planned[:, part]
        if self.since is not None:
            visible = visible & (self.since[:, part] <= origin)
        last = self.values[:, origin - 1 : origin] if origin else np.zeros((len(self.values), 1))
        if self.changes is not None:
            told = np.where(visible, self.changes[:, part], np.nan)
            known = _held(np.concatenate([last, told], axis=1))[:, 1:]
        else:
            known = np.where(visible, self.values[:, part], 0.0 if self.plan else last)
        if self.expected:
            return known
        low, high = self.bounds[:, origin]
        return np.clip(known, low, high)  # nothing is known about values never met

    def past_buckets(self, book: Book) -> Values:
        """Means over the buckets of `book` around the `middle`: (distinct, buckets)."""
        length = book.periods.length
        return _together(self.values[:, length - book.buckets.length * book.size : length], book.size, self.middle)

    def buckets_ahead(self, book: Book, origin: int, count: int) -> Values:
        """The same of `count` buckets from a column of the buckets on, as known at it."""
        return _together(self.ahead(book.day(origin), count * book.size), book.size, self.middle)


def _together(values: Values, size: int, middle: Values) -> Values:
    return values.reshape(len(values), -1, size).mean(axis=2) - middle[:, None]


@dataclass(frozen=True, slots=True)
class Effects:
    """Drivers that count, with their betas."""

    signals: tuple[Signal, ...]
    betas: tuple[float, ...]

    def past(self, rows: Counts, length: int) -> Values:
        """By how much demand was changed in each of the first `length` periods, (rows, periods)."""
        return self._factors(rows, [signal.values[:, :length] for signal in self.signals])

    def ahead(self, rows: Counts, origin: int, reach: int) -> Values:
        """By how much it is changed in the `reach` periods from a column on, as known at it, (rows, reach)."""
        return self._factors(rows, [signal.ahead(origin, reach) for signal in self.signals])

    def _factors(self, rows: Counts, values: Sequence[Values]) -> Values:
        total = 0.0
        for signal, beta, own in zip(self.signals, self.betas, values, strict=True):
            apart = own - signal.middle[:, None]  # so that cleaned demand keeps its size
            total = total + beta * apart[signal.rows[rows]]
        return np.exp(np.asarray(total))


def signals(batch: Batch, book: Book, reach: int) -> list[Signal]:
    """The drivers of `batch` along the periods of `book` and `reach` periods on; those that never vary are left out."""
    names = sorted({driver.name for driver in batch.drivers})
    begin = batch.origin - book.periods.length * batch.period_days
    width = book.periods.length + reach
    found: list[Signal] = []
    for name in names:
        parts = [driver for driver in batch.drivers if driver.name == name]
        made = _signal(name, parts, batch, begin, width, book.periods.length)
        if made is not None:
            found.append(made)
    return found


def _signal(name: str, parts: Sequence[Driver], batch: Batch, begin: int, width: int, origin: int) -> Signal | None:
    by_scope: dict[tuple[str, str], list[int]] = {}
    for number, part in enumerate(parts):
        by_scope.setdefault((part.site, part.item), []).append(number)
    distinct: dict[tuple[int, ...], int] = {}
    rows = np.zeros(len(batch.requests), dtype=np.intp)
    for row, one in enumerate(batch.requests):
        scopes = (("", ""), (one.site, ""), ("", one.item), (one.site, one.item))  # the closest one has the last word
        key = tuple(number for scope in scopes for number in by_scope.get(scope, ()))
        rows[row] = distinct.setdefault(key, len(distinct))
    plan = any(any(part.planned) for part in parts)
    expected, holds = any(part.expected for part in parts), any(part.holds for part in parts)
    values = np.full((len(distinct), width), np.nan)
    planned = np.full(values.shape, plan)
    since = np.zeros(values.shape, dtype=np.intp)
    for key, at in distinct.items():
        for number in key:
            _place(parts[number], values[at], planned[at], since[at], begin, batch.period_days)
    changes = values if plan and holds else None
    values = np.nan_to_num(values) if plan and not holds else _held(values)
    known = np.abs(values[:, :origin])
    ordinary = float(np.median(known[known > 0])) if (known > 0).any() else 0.0
    if name in batch.effects:  # betas that were learnt before count in the same measure
        ordinary = batch.effects[name].ordinary
    if expected:
        moves = np.any(np.abs(values) > 0, axis=1)
    elif ordinary <= 0:
        return None
    else:
        values = _scaled(values, ordinary)
        changes = None if changes is None else _scaled(changes, ordinary)
        moves = np.ptp(values[:, :origin], axis=1) > 0 if origin else np.zeros(len(values), dtype=bool)
    if not moves.any():
        return None
    middle = values[:, :origin].mean(axis=1) if origin else np.zeros(len(values))
    later = since if since.any() else None
    prior = _PLANNED if expected else _PRIOR
    bounds = _bounds(values[:, :origin])
    return Signal(name, rows, values, planned, plan, moves, middle, ordinary, bounds, later, changes, expected, prior)


def _bounds(past: Values) -> Values:
    """The least and the most before each column and after the last, 0 among them: (2, columns + 1)."""
    found = np.zeros((2, past.shape[1] + 1))
    if len(past):
        np.minimum.accumulate(past.min(axis=0), out=found[0, 1:])
        np.maximum.accumulate(past.max(axis=0), out=found[1, 1:])
    return np.stack([np.minimum(found[0], 0.0), np.maximum(found[1], 0.0)])


def _scaled(values: Values, ordinary: float) -> Values:
    return np.sign(values) * np.log1p(np.abs(values) / ordinary)


def _place(
    part: Driver, values: Values, planned: NDArray[np.bool_], since: Counts, begin: int, period_days: int
) -> None:
    at = (np.asarray(part.dates, dtype=np.intp) - begin) // period_days
    number = np.zeros(len(values))
    total = np.zeros(len(values))
    inside = (at >= 0) & (at < len(values))
    told, beforehand = np.asarray(part.values), np.asarray(part.planned, dtype=bool)
    np.add.at(number, at[inside], 1)
    np.add.at(total, at[inside], told[inside])
    some = number > 0
    values[some] = total[some] / number[some]
    planned[at[inside & ~beforehand]] = False
    if part.since:
        told = -(-(np.asarray(part.since, dtype=np.intp) - begin) // period_days)
        since[some] = 0
        np.maximum.at(since, at[inside], told[inside])


def _held(values: Values) -> Values:
    """The last value before each gap, in its place; 0 before the first."""
    at: Counts = np.where(np.isnan(values), 0, np.arange(values.shape[1], dtype=np.intp)[None, :])
    np.maximum.accumulate(at, axis=1, out=at)
    return np.nan_to_num(np.take_along_axis(values, at, axis=1))


def cleaned(book: Book, effects: Effects) -> Book:
    """The same series without what the drivers did to them."""
    periods = book.periods.length
    demand = book.periods.demand / effects.past(np.arange(len(book.horizon)), periods)
    first = periods - book.buckets.length * book.size
    buckets = demand[:, first:].reshape(len(demand), book.buckets.length, book.size).sum(axis=2)
    return Book(Panel(demand), Panel(buckets), book.size, book.horizon)


def lifted(book: Book, effects: Effects, origins: Counts) -> Values:
    """The mean change of demand over each series' horizon from each column of the buckets on, (series, origins)."""
    found = np.ones((len(book.horizon), len(origins)))
    whole = np.maximum(np.ceil(book.horizon), 1).astype(np.intp)
    rows, most = np.arange(len(whole)), int(whole.max(initial=1))
    for column, origin in enumerate(origins):
        ahead = effects.ahead(rows, book.day(int(origin)), most)
        sums = np.concatenate([np.zeros((len(ahead), 1)), np.cumsum(ahead, axis=1)], axis=1)
        reach = np.minimum(whole, ahead.shape[1])
        found[:, column] = sums[rows, reach] / np.maximum(reach, 1)
    return found
