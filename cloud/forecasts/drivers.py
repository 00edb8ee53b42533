"""What campaigns, prices and indicators do to demand, and whether they earn their place in the forecast. Pure.

A driver multiplies demand: y = level * exp(beta * g(x)), g(x) = sign(x) log(1 + |x| / ordinary |x|). beta is fitted over all
series by quasi-Poisson regression (McCullagh and Nelder 1989, ch. 9) against each series' own trailing level. Demand is
cleaned of the effect before models look at it, and gets it back where the driver's value ahead is known. A driver enters
only if, at past origins after those it was fitted on, it lowers the pinball loss of demand over the horizon by more than two
standard errors. Nothing at or after an origin is used but what was planned beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.distribution import moments, quantiles
from cloud.forecasts.forecast import Batch, Driver, Verdict
from cloud.forecasts.mixture import SURE, clustered_error
from cloud.forecasts.outlook import Book, classes_at, levels_at
from cloud.forecasts.panel import Counts, Panel, Values
from cloud.forecasts.seasonal import last_year

#: Levels whose pinball loss judges a driver: the middle, and where orders look.
_LEVELS = (0.5, 0.8, 0.9, 0.95)
#: Share of the loss that a driver must be worth: of many candidates some look sure of next to nothing.
_WORTH = 0.005
#: Buckets behind the level against which an effect is seen, and those a series must have.
_TRAILING, _LEAST = 13, 4
#: Variance of the prior of beta: a driver at its ordinary value seldom does more than double demand.
_PRIOR = 1.0
#: Bound of beta: beyond it something else was measured.
_MOST_BETA = 5.0
#: Series on which a driver is judged at most, evenly taken: more change the standard error only.
_SERIES = 1_500
#: Past origins on which a driver is judged, at most, and buckets they may lie back: a year of weeks.
_ORIGINS, _BACK = 16, 52
#: Buckets of past origins that are taken as one observation at least: what moves all items moves them for a while.
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class Signal:
    """One driver as seen by every series: g of its values by period, (distinct, periods), of which `rows` says whose each
    series has; the columns go on after the origin. `plan`: has planned values; `moves`: varies; `middle`: mean of the past.
    """

    name: str
    rows: Counts
    values: Values
    planned: NDArray[np.bool_]
    plan: bool
    moves: NDArray[np.bool_]
    middle: Values

    def ahead(self, origin: int) -> Values:
        """The values as known at a column: later ones where planned; else none for a plan, the last one for an indicator."""
        known = self.values.copy()
        last = known[:, origin - 1 : origin] if origin and not self.plan else np.zeros((len(known), 1))
        known[:, origin:] = np.where(self.planned[:, origin:], known[:, origin:], last)
        low, high = known[:, :origin].min(initial=0.0), known[:, :origin].max(initial=0.0)
        return np.clip(known, low, high)  # nothing is known about values never met

    def buckets(self, book: Book, known: Values) -> Values:
        """Means over the buckets of `book`, and on after its origin, around the `middle`: (distinct, buckets)."""
        part = known[:, book.periods.length - book.buckets.length * book.size :]
        count = part.shape[1] // book.size
        return part[:, : count * book.size].reshape(len(part), count, book.size).mean(axis=2) - self.middle[:, None]


@dataclass(frozen=True, slots=True)
class Effects:
    """Drivers that count, with their betas."""

    signals: tuple[Signal, ...]
    betas: tuple[float, ...]

    def factors(self, rows: Counts, origin: int) -> Values:
        """By how much demand is changed in each period, as known at column `origin`: (rows, periods)."""
        total = 0.0
        for signal, beta in zip(self.signals, self.betas, strict=True):
            apart = signal.ahead(origin) - signal.middle[:, None]  # so that cleaned demand keeps its size
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
    values = np.full((len(distinct), width), np.nan)
    planned = np.full(values.shape, plan)
    for key, at in distinct.items():
        for number in key:
            _place(parts[number], values[at], planned[at], begin, batch.period_days)
    values = np.nan_to_num(values) if plan else _held(values)
    known = np.abs(values[:, :origin])
    ordinary = float(np.median(known[known > 0])) if (known > 0).any() else 0.0
    if ordinary <= 0:
        return None
    values = np.sign(values) * np.log1p(np.abs(values) / ordinary)
    moves = np.ptp(values[:, :origin], axis=1) > 0 if origin else np.zeros(len(values), dtype=bool)
    middle = values[:, :origin].mean(axis=1) if origin else np.zeros(len(values))
    return Signal(name, rows, values, planned, plan, moves, middle) if moves.any() else None


def _place(part: Driver, values: Values, planned: NDArray[np.bool_], begin: int, period_days: int) -> None:
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


def _held(values: Values) -> Values:
    """The last value before each gap, in its place; 0 before the first."""
    at: Counts = np.where(np.isnan(values), 0, np.arange(values.shape[1], dtype=np.intp)[None, :])
    np.maximum.accumulate(at, axis=1, out=at)
    return np.nan_to_num(np.take_along_axis(values, at, axis=1))


def cleaned(book: Book, effects: Effects) -> Book:
    """The same series without what the drivers did to them."""
    periods = book.periods.length
    factors = effects.factors(np.arange(len(book.horizon)), periods)[:, :periods]
    demand = book.periods.demand / factors
    first = periods - book.buckets.length * book.size
    buckets = demand[:, first:].reshape(len(demand), book.buckets.length, book.size).sum(axis=2)
    return Book(Panel(demand), Panel(buckets), book.size, book.horizon)


def lifted(book: Book, effects: Effects, origins: Counts) -> Values:
    """The mean change of demand over each series' horizon from each column of the buckets on, (series, origins)."""
    found = np.ones((len(book.horizon), len(origins)))
    whole = np.maximum(np.ceil(book.horizon), 1).astype(np.intp)
    rows = np.arange(len(whole))
    for column, origin in enumerate(origins):
        day = book.day(int(origin))
        ahead = effects.factors(rows, day)[:, day:]
        sums = np.concatenate([np.zeros((len(ahead), 1)), np.cumsum(ahead, axis=1)], axis=1)
        reach = np.minimum(whole, ahead.shape[1])
        found[:, column] = sums[rows, reach] / np.maximum(reach, 1)
    return found


# -------------------------------------------------------------------------------------------------------- gate


def admit(book: Book, candidates: Sequence[Signal], season: int, backtests: int) -> tuple[Effects, tuple[Verdict, ...]]:
    """The drivers that earn their place, fitted on all that is known, and the verdict on each candidate.

    They enter one at a time, the best first, each judged beside those that already did.
    """
    accepted: list[Signal] = []
    verdicts: dict[str, Verdict] = {}
    while True:
        trials = [
            (_judge(book, accepted, one, season, backtests), one)
            for one in candidates
            if one not in accepted and not (accepted and verdicts[one.name].gain <= 0)
        ]
        for verdict, one in trials:
            verdicts[one.name] = verdict
        winners = [
            (verdict.gain / max(verdict.standard_error, 1e-12), one) for verdict, one in trials if verdict.accepted
        ]
        if not winners:
            break
        accepted.append(max(winners, key=lambda pair: pair[0])[1])
    betas = _fit(book, accepted, book.buckets.length, season) if accepted else np.zeros(0)
    effects = Effects(tuple(accepted), tuple(float(beta) for beta in betas))
    final: list[Verdict] = []
    for one in candidates:
        verdict = verdicts[one.name]
        if one in accepted:
            verdict = _told(one.name, True, verdict.gain, verdict.standard_error, float(betas[accepted.index(one)]))
        final.append(verdict)
    return effects, tuple(final)


def _judge(book: Book, accepted: Sequence[Signal], one: Signal, season: int, backtests: int) -> Verdict:
    """The candidate beside what was accepted already, at past origins; betas come from before each half of those."""
    rows = np.flatnonzero(one.moves[one.rows])
    rows = rows[:: max(1, -(-len(rows) // _SERIES))]
    window = int(np.median(book.windows[rows]))
    last = book.buckets.length - window
    origins = np.unique(
        np.linspace(max(last - min(_BACK, 2 * backtests), _TRAILING + _LEAST), last, _ORIGINS).astype(np.intp)
    )
    origins = origins[origins >= _TRAILING + _LEAST]
    if len(origins) < 4:
        return _told(one.name, False, 0.0, 0.0, 0.0, "the history is too short to judge it")
    part = _rows(book, rows)
    base: list[_Over] = []
    new: list[_Over] = []
    beta = 0.0
    for half in np.array_split(origins, 2):
        before = int(half[0])
        with_it, without = [*accepted, one], list(accepted)
        betas = _fit(book, with_it, before, season)
        beta = float(betas[-1])
        base.append(_over(book, part, rows, without, _fit(book, without, before, season), half, window, season))
        new.append(_over(book, part, rows, with_it, betas, half, window, season))
    before_it, beside = _Over.joined(base), _Over.joined(new)
    even = before_it.mean.sum(axis=1) / np.maximum(beside.mean.sum(axis=1), 1e-12)
    lost = before_it.loss(np.ones(len(rows)))
    demand = float(lost.sum())
    gain = lost - beside.loss(even)  # what a lasting shift of all forecasts does is not the driver's merit
    series = np.broadcast_to(np.arange(len(rows))[:, None], gain.shape)
    blocks = np.broadcast_to((origins // max(window, _BLOCK))[None, :], gain.shape)
    error = max(clustered_error(gain.reshape(-1), group.reshape(-1)) for group in (series, blocks))
    share, sure = float(gain.sum()) / max(demand, 1e-12), error / max(demand, 1e-12)
    if len(rows) < 2 or not np.isfinite(sure):
        return _told(one.name, False, share, 0.0, beta, "too few series and periods to judge it")
    return _told(one.name, share > SURE * sure and share >= _WORTH, share, sure, beta)


def _told(name: str, accepted: bool, gain: float, error: float, beta: float, why: str = "") -> Verdict:
    uplift = float(np.exp(beta * np.log(2.0)) - 1)  # g of the ordinary value is log 2
    figures = f"it changes the loss of past forecasts by {-100 * gain:+.1f} % (standard error {100 * error:.1f})"
    words = f"enters: {figures}; its ordinary value moves demand by {100 * uplift:+.0f} %"
    if not accepted:
        little = gain > SURE * error
        too = "too little to be worth it" if little else "not more than two standard errors better"
        words = f"stays out: {why or f'{figures}, which is {too}'}"
    return Verdict(name, accepted, round(gain, 6), round(error, 6), round(uplift, 4), words)


@dataclass(frozen=True, slots=True)
class _Over:
    """Demand over the horizon as seen from past origins, (series, origins), and what came."""

    mean: Values
    variance: Values
    none: Values
    came: Values

    @classmethod
    def joined(cls, parts: Sequence[_Over]) -> _Over:
        return cls(*(np.concatenate([getattr(one, name) for one in parts], axis=1) for name in cls.__slots__))

    def loss(self, factor: Values) -> Values:
        """Mean pinball loss of each forecast, all of a series changed by its factor."""
        mean, variance = self.mean * factor[:, None], self.variance * factor[:, None] ** 2
        told = quantiles(mean.reshape(-1), variance.reshape(-1), self.none.reshape(-1), _LEVELS)
        short = self.came.reshape(-1)[:, None] - told
        tau = np.asarray(_LEVELS)
        return np.maximum(tau * short, (tau - 1) * short).mean(axis=1).reshape(self.came.shape)


def _over(
    book: Book,
    part: Book,
    rows: Counts,
    used: Sequence[Signal],
    betas: Values,
    origins: Counts,
    window: int,
    season: int,
) -> _Over:
    """Demand over `window` buckets from each origin, with the drivers `used`."""
    buckets = part.buckets
    total = buckets.cumulated[1]
    lift = np.ones((len(rows), len(origins)))
    if len(used):
        past = sum(
            beta * signal.buckets(book, signal.values)[signal.rows[rows], : buckets.length]
            for signal, beta in zip(used, betas, strict=True)
        )
        buckets = Panel(buckets.demand / np.exp(np.asarray(past)))
        for column, origin in enumerate(origins.tolist()):
            ahead = sum(
                beta * signal.buckets(book, signal.ahead(book.day(origin)))[signal.rows[rows], origin : origin + window]
                for signal, beta in zip(used, betas, strict=True)
            )
            lift[:, column] = np.exp(np.asarray(ahead)).mean(axis=1)
    clean = Book(buckets, buckets, 1, np.full(len(rows), float(window)))
    classes = classes_at(clean, origins)
    level = levels_at(clean, origins, classes)
    if season > 1:
        seasonal = last_year(buckets, origins, np.full(len(rows), window), season)
        level = np.where((classes < 2) & ~np.isnan(seasonal), np.nan_to_num(seasonal), level)
    variance, none = moments(buckets, origins, level, classes)
    came = total[:, origins + window] - total[:, origins]
    return _Over(level * window * lift, variance * window * lift**2, none**window, came)


def _rows(book: Book, rows: Counts) -> Book:
    return Book(book.periods.rows(rows), book.buckets.rows(rows), book.size, book.horizon[rows])


def _fit(book: Book, used: Sequence[Signal], end: int, season: int) -> Values:
    """The betas of `used` from the buckets before `end`, together."""
    if not len(used):
        return np.zeros(0)
    moving = np.zeros(len(book.horizon), dtype=bool)
    for signal in used:
        moving |= signal.moves[signal.rows]
    rows = np.flatnonzero(moving)
    panel = book.buckets.rows(rows)
    columns = np.arange(_LEAST, end)
    begin = np.maximum(np.maximum(columns - _TRAILING, 0)[None, :], panel.first[:, None])
    lived = np.maximum(columns[None, :] - begin, 1)
    line = np.arange(len(rows))[:, None]
    total = panel.cumulated[1]
    base = (total[line, columns[None, :]] - total[line, begin]) / lived
    if season > 1:
        same = last_year(panel, columns, np.ones(len(rows), dtype=np.intp), season)
        base = np.where(np.isnan(same) | (same <= 0) | (base <= 0), base, np.sqrt(np.maximum(same * base, 0.0)))
    table: list[Values] = []
    for signal in used:
        own = signal.buckets(book, signal.values)[signal.rows[rows], : book.buckets.length]
        sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(own, axis=1)], axis=1)
        table.append(own[:, columns] - (sums[line, columns[None, :]] - sums[line, begin]) / lived)
    came = panel.demand[:, columns]
    good = (base > 0) & (columns[None, :] - panel.first[:, None] >= _LEAST)
    good &= np.any(np.abs(np.stack(table)) > 1e-9, axis=0)
    number, whole, squares = panel.sums(np.zeros(1, dtype=np.intp), np.asarray([end]))
    del number
    mean = whole / max(end, 1)
    spread = np.maximum(squares / max(end, 1) - mean**2, mean)
    weight = np.broadcast_to(mean / np.maximum(spread, 1e-12), base.shape)[good]
    return _newton(np.stack([one[good] for one in table], axis=1), base[good], came[good], weight)


def _newton(table: Values, base: Values, came: Values, weight: Values) -> Values:
    """Ridge-penalised quasi-Poisson regression with an offset of log `base`."""
    beta = np.zeros(table.shape[1])
    for _ in range(12):
        mean = base * np.exp(np.clip(table @ beta, -_MOST_BETA, _MOST_BETA))
        slope = table.T @ (weight * (came - mean)) - beta / _PRIOR
        bend = (table * (weight * mean)[:, None]).T @ table + np.eye(len(beta)) / _PRIOR
        step = np.linalg.solve(bend, slope)
        beta = np.clip(beta + np.clip(step, -1.0, 1.0), -_MOST_BETA, _MOST_BETA)
        if np.abs(step).max(initial=0.0) < 1e-8:
            break
    return beta
