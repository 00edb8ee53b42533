"""Where the slider would have been put, known before the measured periods; and where it should have been, in hindsight. Pure.

It has two numbers: what one unserved demand costs, and the share of its goods' cost that is lost besides. Only positions count
that serve at least as much of the value as the opponent; of these the one is taken whose smaller gain is the largest:
turnover and line stock-outs both count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cloud.forecasts.classes import NEW_BELOW
from cloud.forecasts.panel import Values
from cloud.replay.foresight import foresee
from cloud.replay.games import Game, Point, opponents, seen_before
from cloud.replay.history import Calendar, History, economic_lot
from cloud.replay.kpis import Kpis
from cloud.replay.warehouse import Unserved

#: Positions relative to what an ordinary order costs to hold: each three fifths more than the last, over four decades.
_POSITIONS = tuple(1.6**step for step in range(-8, 12))
#: Shares of the goods' cost on offer: more than a twentieth never paid on spare parts.
VALUE_SHARES = (0.0, 0.01, 0.02, 0.04)
#: Steps between the ends of a slider at which gains are looked at.
_STEPS = 200
#: Gain that stands for a frontier which serves less than the opponent everywhere: below any real one.
_UNREACHED = -1e6
#: Of the periods before play begins, so much is learnt from in the games that choose the slider. An opponent's fixed numbers
#: must be allowed to grow as old there as in the measured periods, so it is little; several games, because one depends on
#: where it happens to begin.
LEARNING = (0.25, 1 / 3, 0.4)


def positions(history: History, calendar: Calendar) -> tuple[float, ...]:
    """The slider, in the currency of the unit costs: around what an ordinary order costs to hold for its cycle, the median
    over items, since a stock-out is weighed against that (`decisions.inventory.stockout_risks`).
    """
    known = history.demand[:, : calendar.begin]
    rate = known.mean(axis=1)
    size = np.maximum(known.sum(axis=1) / np.maximum((known > 0).sum(axis=1), 1), 1.0)
    cycle = np.maximum(economic_lot(rate, history) / np.maximum(rate, 1e-9), 1.0)
    middle = max(float(np.median(history.holding * cycle * size)), 1e-6)
    return tuple(float(f"{middle * position:.3g}") for position in _POSITIONS)


def inner_calendars(calendar: Calendar) -> tuple[Calendar, ...]:
    """The games that choose the slider: wholly before the measured periods, with the same warm-up, and shares of LEARNING."""
    warm_up = calendar.measured - calendar.begin
    begins = {max(NEW_BELOW, round(share * calendar.begin)) for share in LEARNING}
    found = (Calendar(begin, begin + warm_up, calendar.measured) for begin in sorted(begins))
    return tuple(one for one in found if one.measured < one.end)


def chosen_before(
    history: History, calendar: Calendar, slider: Sequence[float], unserved: Unserved, count: Callable[[], None]
) -> dict[str, tuple[float, float]]:
    """By opponent the (stockout value, value share) chosen on `inner_calendars`, each with a seed of its own: geometric means
    of the values; a share of value only where it wins in every game (`share_of`). The middle of the slider where the history is
    too short to tell.
    """
    values: dict[tuple[str, float], list[float]] = {}
    gains: dict[tuple[str, float], list[float]] = {}
    known = history.known(calendar.measured)
    for seed, inner in enumerate(inner_calendars(calendar), 1):
        seen = seen_before(known, inner)
        if not len(seen):
            continue
        game = Game(known.rows(seen), inner, seed, unserved, count)
        foresight = foresee(game.history, inner)
        theirs = game.opponents()
        for share in VALUE_SHARES:
            frontier = game.frontier(foresight, slider, share)
            for name, opponent in theirs.items():
                value, gain, _ = best_on(frontier, opponent)
                values.setdefault((name, share), []).append(value)
                gains.setdefault((name, share), []).append(gain)
    found: dict[str, tuple[float, float]] = {}
    for name in opponents(history, calendar):
        if (name, 0.0) not in gains:
            found[name] = slider[len(slider) // 2], 0.0
            continue
        best = share_of({share: gains[name, share] for share in VALUE_SHARES})
        found[name] = float(np.exp(np.mean(np.log(values[name, best])))), best
    return found


def share_of(gains: Mapping[float, Sequence[float]]) -> float:
    """The share with the best mean gain among 0 and those that won against 0 in every game: a share that wins only on
    average wins by chance, and costs stock-outs.
    """
    sure = [
        share
        for share, found in gains.items()
        if all(one > none for one, none in zip(found, gains[0.0], strict=True)) or not share
    ]
    return max(sure, key=lambda share: float(np.mean(gains[share])))


def best_in_hindsight(frontiers: Mapping[float, Sequence[Point]], opponent: Kpis) -> tuple[float, float, bool]:
    """(stockout value, value share, whether as much value is served as by the opponent) that would have been best."""
    found = {share: best_on(frontier, opponent) for share, frontier in frontiers.items()}
    share = max(found, key=lambda share: found[share][1])
    return found[share][0], share, found[share][2]


def same_value_fill(frontier: Sequence[Point], opponent: Kpis) -> tuple[float, bool]:
    """Where on the slider as much of the value is served as by `opponent`, between two positions in proportion; and whether
    it is anywhere: the nearest end stands where not.
    """
    served = np.maximum.accumulate([point.kpis.value_fill for point in frontier])
    place = int(np.searchsorted(served, opponent.value_fill))
    if place in (0, len(frontier)):
        return frontier[min(place, len(frontier) - 1)].stockout_value, place == 0
    share = (opponent.value_fill - served[place - 1]) / max(served[place] - served[place - 1], 1e-12)
    low, high = frontier[place - 1].stockout_value, frontier[place].stockout_value
    return low * (high / low) ** float(share), True


def best_on(frontier: Sequence[Point], opponent: Kpis) -> tuple[float, float, bool]:
    """(stockout value, gain, reached): of the positions that serve at least as much of the value as `opponent`, the one whose
    smaller gain, in turnover or in line stock-outs as a share of the opponent's, is the largest.
    """
    value, reached = same_value_fill(frontier, opponent)
    if not reached:
        return value, _UNREACHED + frontier[-1].kpis.value_fill, False
    known = np.log(_column([point.stockout_value for point in frontier]))
    first = float(np.log(value))
    places: Values = first + (known[-1] - first) * np.arange(_STEPS) / (_STEPS - 1)
    turnover: Values = np.interp(places, known, _column([point.kpis.turnover for point in frontier]))
    stockout: Values = np.interp(places, known, _column([point.kpis.line_stockout for point in frontier]))
    gain: Values = np.minimum(
        turnover / max(opponent.turnover, 1e-9) - 1, 1 - stockout / max(opponent.line_stockout, 1e-9)
    )
    best = int(gain.argmax())
    return float(np.exp(places[best])), float(gain[best]), True


def _column(values: Sequence[float]) -> Values:
    return np.asarray(values, dtype=np.float64)
