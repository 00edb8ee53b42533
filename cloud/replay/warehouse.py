"""A warehouse played forward, all items at once: receive, serve, review, order. Pure.

Lead times are random and the same for every policy that is played with the same seed (common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cloud.forecasts.panel import Counts, Values
from cloud.replay.history import Calendar, History

#: What happens to demand that is not served at once.
Unserved = Literal["waits", "lost"]


@dataclass(frozen=True)
class Played:
    """What happened, (series, periods) from the first period played on, base units; `orders` counts those placed."""

    on_hand: Values
    issued: Values
    short: Values
    demand: Values
    orders: Values


#: (period, inventory position) -> quantity to order now, 0 where none.
Reorder = Callable[[int, Values], Values]


@dataclass(frozen=True)
class Receipts:
    """Orders that were really placed, known by what came in each period, (series, periods of the history)."""

    received: Values


def lead_times(history: History, calendar: Calendar, seed: int) -> Counts:
    """The lead time of an order placed in each period, (series, periods), whole periods, at least one: lognormal around the
    item's own, with its spread. Drawn period by period, so that a longer calendar begins with the same ones.
    """
    drawn: Values = np.random.default_rng(seed).standard_normal((calendar.end, len(history.demand)))
    sigma = np.sqrt(np.log1p(history.lead_time_cv**2))[:, None]
    factor = np.exp(sigma * drawn.T - sigma**2 / 2)
    return np.maximum(np.round(history.lead_time[:, None] * factor), 1).astype(np.intp)


def play(
    history: History,
    calendar: Calendar,
    policy: Reorder | Receipts,
    opening: Values,
    lead: Counts,
    unserved: Unserved = "waits",
) -> Played:
    """Play a policy from `calendar.begin` to its end, beginning with `opening` stock and nothing on order. Real receipts
    come when they came, and count as one order each.
    """
    count, span = len(history.demand), calendar.end - calendar.begin
    rows = np.arange(count)
    arriving = np.zeros((count, calendar.end + int(lead.max(initial=1)) + 1))
    if isinstance(policy, Receipts):
        arriving[:, : calendar.end] = policy.received[:, : calendar.end]
    on_hand, waiting, on_order = opening.astype(np.float64).copy(), np.zeros(count), np.zeros(count)
    kept = {name: np.zeros((count, span)) for name in ("on_hand", "issued", "short", "orders")}
    for at in range(span):
        now = calendar.begin + at
        on_hand += arriving[:, now]
        demand = history.demand[:, now]
        served = np.minimum(on_hand, waiting + demand)
        kept["short"][:, at] = np.maximum(demand - np.maximum(on_hand - waiting, 0.0), 0.0)
        on_hand -= served
        waiting = waiting + demand - served if unserved == "waits" else waiting
        if isinstance(policy, Receipts):
            ordered = arriving[:, now]
        else:
            on_order -= arriving[:, now]
            quantity = policy(now, on_hand - waiting + on_order)
            ordered = np.where(quantity > 0, np.maximum(np.ceil(quantity), history.moq), 0.0)
            arriving[rows, now + lead[:, now]] += ordered
            on_order += ordered
        kept["on_hand"][:, at], kept["issued"][:, at], kept["orders"][:, at] = on_hand, served, ordered > 0
    return Played(demand=history.demand[:, calendar.begin : calendar.end], **kept)
