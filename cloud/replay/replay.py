"""READ FIRST of the replay: what would the forecast-driven policy have saved on this history? Pure.

Opponents and the product's policy play the same demand, opening stock, calendar and lead times (`warehouse`). The slider,
what one unserved demand costs, is chosen against each opponent on the periods before the measured ones, where it must serve
at least as much of the value (`slider`); what it then comes to is shown whatever it is. Beside it stand the slider that would
have been best in hindsight, the whole frontier, and an oracle that knew all demand.

    tables.py, ledger.py   demand and terms out of files, out of the database
    history.py             what is played on, and the calendar
    foresight.py           the product's own forecasts from every past origin
    policies.py            who orders when and how much
    warehouse.py           one policy played forward
    kpis.py                what it came to
    words.py               the same in sentences
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from cloud.replay import policies
from cloud.replay.foresight import Foresight, foresee
from cloud.replay.games import DYNAMIC, LEAST_DEMANDS, Game, Point, opponents, seen_before
from cloud.replay.history import Calendar, History
from cloud.replay.kpis import Kpis
from cloud.replay.slider import VALUE_SHARES, best_in_hindsight, chosen_before, inner_calendars, positions
from cloud.replay.warehouse import Unserved

#: Seeds of the lead times, for the band around each figure.
SEEDS = (1, 2, 3)
#: Periods that a replay needs at least: fewer leave nothing to measure once forecasts had something to learn from.
LEAST_PERIODS = 30
#: Which policies are played.
Which = Literal["both", "static", "dynamic"]
#: (done, total) as a replay goes on.
Progress = Callable[[int, int], None]


class Comparison(msgspec.Struct, frozen=True):
    """The product's policy against one opponent, out of sample: at the slider chosen before the measured periods (`chosen`),
    and at the one that would have been best (`hindsight`, in sample: nobody could have known it).

    `band`: of each figure, the change from the opponent to `chosen`: least, mean and most over the seeds. `reached`: whether
    the slider serves as much value as the opponent anywhere on its range.
    """

    opponent: str
    opponent_kpis: Kpis
    chosen: Point
    hindsight: Point
    band: dict[str, tuple[float, float, float]]
    reached: bool


class Replay(msgspec.Struct, frozen=True):
    """What came out. All policies were measured over the same periods, `policies` with the first seed of lead times.

    `calendar`: periods learnt from, first measured, end. `left_out`: series with fewer than two demands to learn from.
    `lead_time`: the median of the items', periods.
    """

    series: int
    left_out: int
    calendar: tuple[int, int, int]
    period_days: float
    unserved: Unserved
    seeds: tuple[int, ...]
    policies: dict[str, Kpis]
    comparisons: tuple[Comparison, ...]
    frontier: tuple[Point, ...]
    oracle: Kpis
    lead_time: float = 0.0


def replay(
    history: History,
    *,
    which: Which = "both",
    unserved: Unserved = "waits",
    seeds: Sequence[int] = SEEDS,
    calendar: Calendar | None = None,
    progress: Progress = lambda done, total: None,
) -> Replay:
    """Play every policy on `history`. Raises ValueError, in a sentence, where nothing can be played or `seeds` is empty."""
    if not seeds:
        raise ValueError("seeds: give at least one")
    if history.periods < LEAST_PERIODS:
        raise ValueError(f"demand covers {history.periods} periods, a replay needs {LEAST_PERIODS} or more")
    calendar = calendar or Calendar.of(history)
    playable = seen_before(history, calendar)
    if not len(playable):
        raise ValueError(f"no item has {LEAST_DEMANDS} demands in its first {calendar.begin} periods")
    chosen = history.rows(playable)
    slider = positions(chosen, calendar)
    count = _counter(which, chosen, calendar, len(slider), len(seeds), progress)
    games = [Game(chosen, calendar, seed, unserved, count) for seed in seeds]
    played = [] if which == "dynamic" else [game.opponents() for game in games]
    found = dict(played[0]) if played else {}
    frontiers: dict[float, tuple[Point, ...]] = {}
    comparisons: tuple[Comparison, ...] = ()
    if which != "static":
        foresight = foresee(chosen, calendar)
        frontiers = {share: games[0].frontier(foresight, slider, share) for share in VALUE_SHARES}
        if played:
            sliders = chosen_before(chosen, calendar, slider, unserved, count)
            comparisons = _compare(games, played, foresight, frontiers, sliders)
            found[DYNAMIC] = comparisons[0].chosen.kpis
    return Replay(
        series=len(playable),
        left_out=len(history.demand) - len(playable),
        calendar=(calendar.begin, calendar.measured, calendar.end),
        period_days=history.period_days,
        unserved=unserved,
        seeds=tuple(seeds),
        policies=found,
        comparisons=comparisons,
        frontier=tuple(point for frontier in frontiers.values() for point in frontier),
        oracle=games[0].run(policies.oracle(chosen)),
        lead_time=float(np.median(chosen.lead_time)),
    )


def _compare(
    games: Sequence[Game],
    played: Sequence[Mapping[str, Kpis]],
    foresight: Foresight,
    frontiers: Mapping[float, Sequence[Point]],
    sliders: Mapping[str, tuple[float, float]],
) -> tuple[Comparison, ...]:
    found: list[Comparison] = []
    for name, opponent in played[0].items():
        ours = [game.dynamic(foresight, *sliders[name]) for game in games]
        value, share, reached = best_in_hindsight(frontiers, opponent)
        band: dict[str, tuple[float, float, float]] = {}
        for figure in Kpis.__struct_fields__:
            changes = [change(figure, theirs[name], our.kpis) for theirs, our in zip(played, ours, strict=True)]
            band[figure] = min(changes), sum(changes) / len(changes), max(changes)
        found.append(Comparison(name, opponent, ours[0], games[0].dynamic(foresight, value, share), band, reached))
    return tuple(found)


def change(figure: str, old: Kpis, new: Kpis) -> float:
    """How a figure changed: as a share of the old one, but fill rates by their difference."""
    before, after = float(getattr(old, figure)), float(getattr(new, figure))
    if figure in ("unit_fill", "value_fill"):
        return after - before
    return after / before - 1 if before else 0.0


def _counter(
    which: Which, history: History, calendar: Calendar, places: int, seeds: int, progress: Progress
) -> Callable[[], None]:
    """Counts plays and tells `progress`."""
    opposing, frontier = len(opponents(history, calendar)), places * len(VALUE_SHARES)
    total = 1
    if which != "dynamic":
        total += opposing * seeds
    if which != "static":
        total += frontier
    if which == "both":
        total += len(inner_calendars(calendar)) * (frontier + opposing) + opposing * (seeds + 1)
    done = [0]

    def count() -> None:
        done[0] += 1
        progress(min(done[0], total), total)

    return count
