"""Whether a driver earns its place in the forecast, and how much of it counts. Pure.

beta is fitted over all series by quasi-Poisson regression (McCullagh and Nelder 1989, ch. 9) against each series' own
trailing level. A driver enters only if, at past origins after those it was fitted on, it lowers the pinball loss of demand
over the horizon by more than two standard errors. What somebody planned (`Driver.expected`) counts as planned until the past
is enough to judge by; up to then what came of earlier plans moves beta away from 1 as far as it can be told. Campaigns are
rare beside what else moves demand: where it is sure that something came of them they enter though the loss does not show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from cloud.forecasts.distribution import moments, quantiles
from cloud.forecasts.drivers import Effects, Signal
from cloud.forecasts.forecast import Effect, Verdict
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
#: Bound of beta: beyond it something else was measured.
_MOST_BETA = 5.0
#: Series on which a driver is judged at most, evenly taken: more change the standard error only.
_SERIES = 1_500
#: Past origins on which a driver is judged, at most, and buckets they may lie back: a year of weeks.
_ORIGINS, _BACK = 16, 52
#: Buckets of past origins that are taken as one observation at least: what moves all items moves them for a while.
_BLOCK = 8
#: What was planned is judged once its beta is known to this standard error, so that all of it and nothing of it are four
#: apart, and it was met in so many blocks of time: with fewer even a sure effect would not be two standard errors better.
_KNOWN_TO, _LEAST_BLOCKS = 0.25, 4
#: Variance that keeps a beta where other series put it.
_FIXED = 1e-8


def admit(
    book: Book, candidates: Sequence[Signal], season: int, backtests: int, known: Mapping[str, Effect]
) -> tuple[Effects, tuple[Verdict, ...], dict[str, Effect]]:
    """The drivers that earn their place, fitted on all that is known, the verdict on each candidate, and what was learnt.

    They enter one at a time, the best first, each judged beside those that already did. What is `known` of a driver from
    more past forecasts than there are here is not judged again.
    """
    ready = [_told_before(one, _scores(book, one, backtests), known.get(one.name)) for one in candidates]
    settled = {one.name: known[one.name].verdict for one, old in ready if old}
    accepted = [one for one, old in ready if old and known[one.name].verdict.accepted]
    signals = [one for one, _ in ready]
    verdicts: dict[str, Verdict] = {}
    for one in signals:
        if one.expected and one.name not in settled:
            verdict = _of_experience(book, accepted, one, season, backtests)
            verdicts[one.name] = verdict
            accepted += [one] if verdict.accepted else []
    open_ones = [one for one in signals if one.name not in settled and one.name not in verdicts]
    verdicts |= _compete(book, accepted, open_ones, season, backtests)
    betas = _fit(book, accepted, book.buckets.length, season) if accepted else np.zeros(0)
    effects = Effects(tuple(accepted), tuple(float(beta) for beta in betas))
    final: list[Verdict] = []
    learnt = dict(known)
    for one in signals:
        inside = next((number for number, other in enumerate(accepted) if other is one), None)
        verdict = settled.get(one.name) or verdicts.get(one.name) or _told(one, True, 0.0, 0.0, 0.0)
        beta = known[one.name].beta if one.name in settled else float(betas[inside]) if inside is not None else 0.0
        if one.expected:
            verdict = _of_plan(book, one, verdict, beta if inside is not None or one.name in settled else verdict.share)
        elif one.name not in settled and inside is not None:
            verdict = _told(one, True, verdict.gain, verdict.standard_error, beta)
        final.append(verdict)
        if one.name not in settled:
            learnt[one.name] = Effect(verdict, beta, one.ordinary, _scores(book, one, backtests))
    return effects, tuple(final), learnt


def _told_before(one: Signal, scores: int, old: Effect | None) -> tuple[Signal, bool]:
    """The signal, its beta fixed where it is known from more; and whether it is."""
    if old is None or old.scores <= 2 * scores:
        return one, False
    return replace(one, prior=(old.beta, _FIXED)), True


def _compete(
    book: Book, accepted: list[Signal], candidates: Sequence[Signal], season: int, backtests: int
) -> dict[str, Verdict]:
    """Judge the candidates beside those `accepted`, to which the winners are added, the best first."""
    verdicts: dict[str, Verdict] = {}
    entered = False
    while True:
        trials = [
            (_judge(book, accepted, one, season, backtests), one)
            for one in candidates
            if not any(one is other for other in accepted) and not (entered and verdicts[one.name].gain <= 0)
        ]
        for verdict, one in trials:
            verdicts[one.name] = verdict
        winners = [
            (verdict.gain / max(verdict.standard_error, 1e-12), one) for verdict, one in trials if verdict.accepted
        ]
        if not winners:
            return verdicts
        accepted.append(max(winners, key=lambda pair: pair[0])[1])
        entered = True


def _origins(book: Book, rows: Counts, backtests: int) -> tuple[Counts, int]:
    """The past origins at which a driver of these series is judged, and the buckets that each looks ahead."""
    window = int(np.median(book.windows[rows]))
    last = book.buckets.length - window
    first = max(last - min(_BACK, 2 * backtests), _TRAILING + _LEAST)
    origins = np.unique(np.linspace(first, last, _ORIGINS).astype(np.intp))
    return origins[(origins >= _TRAILING + _LEAST) & (origins <= last)], window


def _moved(one: Signal) -> Counts:
    """The series on which a driver is judged."""
    rows = np.flatnonzero(one.moves[one.rows])
    return rows[:: max(1, -(-len(rows) // _SERIES))]


def _scores(book: Book, one: Signal, backtests: int) -> int:
    rows = _moved(one)
    return len(rows) * len(_origins(book, rows, backtests)[0])


def _of_experience(book: Book, accepted: Sequence[Signal], one: Signal, season: int, backtests: int) -> Verdict:
    """Whether what was planned enters: as planned while the past cannot tell; then by the gate, or where plans are rare beside
    what else moves demand, if it is sure that something came of them.
    """
    rows = _moved(one)
    origins, window = _origins(book, rows, backtests)
    if len(origins) < 4 or len(rows) < 2:
        return _told(one, True, 0.0, 0.0, 1.0)
    met = np.abs(one.past_buckets(book) + one.middle[:, None])[one.rows[rows]] > 1e-9
    columns = np.flatnonzero(met.any(axis=0))
    columns = columns[columns >= origins[0]]
    blocks = len(np.unique(columns // max(window, _BLOCK)))
    beta, error = _share(book, one, season)
    if blocks < _LEAST_BLOCKS or error > _KNOWN_TO:
        return _told(one, True, 0.0, 0.0, 1.0)
    verdict = _judge(book, accepted, one, season, backtests)
    sure = beta > SURE * error and verdict.gain > -SURE * verdict.standard_error
    return verdict if verdict.accepted or not sure else msgspec.structs.replace(verdict, accepted=True)


def _judge(book: Book, accepted: Sequence[Signal], one: Signal, season: int, backtests: int) -> Verdict:
    """The candidate beside what was accepted already, at past origins; betas come from before each half of those."""
    rows = _moved(one)
    origins, window = _origins(book, rows, backtests)
    if len(origins) < 4:
        return _told(one, False, 0.0, 0.0, 0.0, "the history is too short to judge it")
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
        return _told(one, False, share, 0.0, beta, "too few series and periods to judge it")
    return _told(one, share > SURE * sure and share >= _WORTH, share, sure, beta)


def _told(one: Signal, accepted: bool, gain: float, error: float, beta: float, why: str = "") -> Verdict:
    uplift = float(np.exp(beta * np.log(2.0)) - 1)  # g of the ordinary value is log 2
    words = f"enters: {_figures(gain, error)}; its ordinary value moves demand by {100 * uplift:+.0f} %"
    if not accepted:
        little = gain > SURE * error
        too = "too little to be worth it" if little else "not more than two standard errors better"
        words = f"stays out: {why or f'{_figures(gain, error)}, which is {too}'}"
    share = beta if one.expected else None
    return Verdict(one.name, accepted, round(gain, 6), round(error, 6), round(uplift, 4), words, share)


def _figures(gain: float, error: float) -> str:
    return f"it changes the loss of past forecasts by {-100 * gain:+.1f} % (standard error {100 * error:.1f})"


def _of_plan(book: Book, one: Signal, verdict: Verdict, share: float | None) -> Verdict:
    """The verdict on what was planned, in the words of planners: how much of it is taken, and why."""
    length, part = book.periods.length, one.values[one.rows]
    met = part[:, :length] != 0
    begun = met & ~np.concatenate([np.zeros((len(met), 1), dtype=bool), met[:, :-1]], axis=1)
    occasions, ahead = int(begun.sum()), part[:, length:]
    typical = ahead[ahead != 0] if (ahead != 0).any() else part[part != 0]
    planned = float(np.expm1(np.median(typical))) if len(typical) else 0.0
    counted = 1.0 if share is None else share
    uplift = float(np.expm1(counted * np.log1p(planned)))
    plan, taken = f"the planned {100 * planned:+.0f} %", f"{100 * uplift:+.0f} %"
    times = "one past campaign is" if occasions == 1 else f"{occasions} past campaigns are"
    if not verdict.accepted:
        words = verdict.reason
    elif verdict.gain > SURE * verdict.standard_error > 0:
        words = f"enters: {_figures(verdict.gain, verdict.standard_error)}; of {plan} {taken} is expected to come"
    elif verdict.standard_error > 0:
        figures = _figures(verdict.gain, verdict.standard_error)
        words = f"enters: of {plan} {taken} is expected, as it came in the past; too rare to show surely: {figures}"
    elif not occasions:
        words = f"enters: no past campaign to judge by: {plan} is taken"
    else:
        words = f"enters: {times} too little to judge by: of {plan} {taken} is taken"
    return Verdict(
        one.name,
        verdict.accepted,
        verdict.gain,
        verdict.standard_error,
        round(uplift, 4),
        words,
        round(counted, 4),
        occasions,
    )


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
            beta * signal.past_buckets(book)[signal.rows[rows]] for signal, beta in zip(used, betas, strict=True)
        )
        buckets = Panel(buckets.demand / np.exp(np.asarray(past)))
        for column, origin in enumerate(origins.tolist()):
            ahead = sum(
                beta * signal.buckets_ahead(book, origin, window)[signal.rows[rows]]
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


@dataclass(frozen=True, slots=True)
class _Cells:
    """Buckets of series in which drivers stood apart from the time before: the drivers (cells, drivers), the level without
    them, what came, its weight, and which series and bucket it was.
    """

    table: Values
    base: Values
    came: Values
    weight: Values
    series: Counts
    bucket: Counts


def _cells(book: Book, used: Sequence[Signal], end: int, season: int) -> _Cells:
    moving = np.zeros(len(book.horizon), dtype=bool)
    for signal in used:
        moving |= signal.moves[signal.rows]
    rows = np.flatnonzero(moving)
    panel = book.buckets.rows(rows)
    columns = np.arange(min(_LEAST, end), end)
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
        own = signal.past_buckets(book)[signal.rows[rows]]
        sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(own, axis=1)], axis=1)
        table.append(own[:, columns] - (sums[line, columns[None, :]] - sums[line, begin]) / lived)
    came = panel.demand[:, columns]
    good = (base > 0) & (columns[None, :] - panel.first[:, None] >= _LEAST)
    good &= np.any(np.abs(np.stack(table)) > 1e-9, axis=0)
    _, whole, squares = panel.sums(np.zeros(1, dtype=np.intp), np.asarray([end]))
    mean = whole / max(end, 1)
    spread = np.maximum(squares / max(end, 1) - mean**2, mean)
    weight = np.broadcast_to(mean / np.maximum(spread, 1e-12), base.shape)
    series, bucket = np.nonzero(good)
    return _Cells(
        np.stack([one[good] for one in table], axis=1), base[good], came[good], weight[good], series, columns[bucket]
    )


def _fit(book: Book, used: Sequence[Signal], end: int, season: int) -> Values:
    """The betas of `used` from the buckets before `end`, together."""
    prior = np.asarray([one.prior for one in used]).reshape(-1, 2)
    return _newton(_cells(book, used, end, season), prior) if len(used) else prior[:, 0]


def _share(book: Book, one: Signal, season: int) -> tuple[float, float]:
    """The beta of one driver from all that is known, and its standard error: the larger of those by series and by time, and
    of the one that the regression itself tells (sandwich, Cameron and Miller 2015).
    """
    cells = _cells(book, [one], book.buckets.length, season)
    prior = np.asarray([one.prior])
    beta = float(_newton(cells, prior)[0])
    driver = cells.table[:, 0]
    mean = cells.base * np.exp(np.clip(driver * beta, -_MOST_BETA, _MOST_BETA))
    information = float((driver**2 * cells.weight * mean).sum())
    if information <= 0:
        return beta, float("inf")
    score = driver * cells.weight * (cells.came - mean)
    errors = [clustered_error(score, cluster) for cluster in (cells.series, cells.bucket // _BLOCK)]
    return beta, max([1 / np.sqrt(information), *(error / information for error in errors)])


def _newton(cells: _Cells, prior: Values) -> Values:
    """Quasi-Poisson regression with an offset of log `base` and normal priors (mean, variance) of the betas."""
    table, beta, precision = cells.table, prior[:, 0].copy(), 1 / prior[:, 1]
    for _ in range(12):
        mean = cells.base * np.exp(np.clip(table @ beta, -_MOST_BETA, _MOST_BETA))
        slope = table.T @ (cells.weight * (cells.came - mean)) - (beta - prior[:, 0]) * precision
        bend = (table * (cells.weight * mean)[:, None]).T @ table + np.diag(precision)
        step = np.linalg.solve(bend, slope)
        beta = np.clip(beta + np.clip(step, -1.0, 1.0), -_MOST_BETA, _MOST_BETA)
        if np.abs(step).max(initial=0.0) < 1e-8:
            break
    return beta
