"""One game: a calendar and a seed, played by one policy after another from the same stock with the same lead times. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from cloud.forecasts.panel import Counts, Values
from cloud.replay import policies
from cloud.replay.foresight import Foresight
from cloud.replay.history import Calendar, History
from cloud.replay.kpis import Kpis, kpis
from cloud.replay.warehouse import Receipts, Reorder, Unserved, lead_times, play

#: Demands that an item must have had before play begins: what was never seen cannot be planned by anybody.
LEAST_DEMANDS = 2

STATIC, WITH_REVIEW, ROLLING, OWN_LEVELS, OWN_ORDERS, DYNAMIC = (
    "static", "static with review", "rolling", "own min/max", "own orders", "dynamic",
)  # fmt: skip


class Point(msgspec.Struct, frozen=True):
    """The product's policy where one unserved demand costs `stockout_value`, in the currency of the unit costs, and
    `value_share` of what its goods cost; `service` is the mean cycle service of the items that this means at the end.
    """

    stockout_value: float
    value_share: float
    kpis: Kpis
    service: float = 0.0


@dataclass(frozen=True)
class Game:
    """`count` is called after each play."""

    history: History
    calendar: Calendar
    seed: int
    unserved: Unserved
    count: Callable[[], None]

    def run(self, policy: Reorder | Receipts) -> Kpis:
        """What a policy comes to."""
        lead = lead_times(self.history, self.calendar, self.seed)
        opening = opening_stock(self.history, self.calendar)
        played = play(self.history, self.calendar, policy, opening, lead, self.unserved)
        self.count()
        return kpis(self.history, self.calendar, played)

    def opponents(self) -> dict[str, Kpis]:
        """What each opponent comes to, by name."""
        return {name: self.run(one) for name, one in opponents(self.history, self.calendar).items()}

    def dynamic(self, foresight: Foresight, stockout_value: float, value_share: float) -> Point:
        """What the product's policy comes to at one position of the slider."""
        policy = policies.foreseen(self.history, foresight, stockout_value, value_share)
        service = policies.cycle_service(self.history, foresight, stockout_value, value_share)
        return Point(stockout_value, value_share, self.run(policy), service)

    def frontier(self, foresight: Foresight, slider: Sequence[float], value_share: float) -> tuple[Point, ...]:
        """What it comes to at every position."""
        return tuple(self.dynamic(foresight, value, value_share) for value in slider)


def opponents(history: History, calendar: Calendar) -> Mapping[str, Reorder | Receipts]:
    """Who the product's policy is compared with, by name; the user's own where they are known."""
    found: dict[str, Reorder | Receipts] = {
        STATIC: policies.static(history, calendar),
        WITH_REVIEW: policies.static(history, calendar, with_review=True),
        ROLLING: policies.rolling(history, calendar),
    }
    if not np.isnan(history.minimum).all():
        found[OWN_LEVELS] = policies.min_max(history)
    if history.received is not None:
        found[OWN_ORDERS] = Receipts(history.received)
    return found


def opening_stock(history: History, calendar: Calendar) -> Values:
    """What everybody begins with: the real stock then where it is known, else four weeks of the demand known then."""
    if history.opening is not None:
        return np.ceil(np.maximum(history.opening[:, calendar.begin], 0.0))
    rate = history.demand[:, : calendar.begin].mean(axis=1)
    return np.ceil(rate * policies.textbook_review(history))


def seen_before(history: History, calendar: Calendar) -> Counts:
    """The series that can be played: rows with LEAST_DEMANDS before play begins."""
    return np.flatnonzero((history.demand[:, : calendar.begin] > 0).sum(axis=1) >= LEAST_DEMANDS)
