"""Goods that do not keep: what of the stock will spoil, and how much more can be consumed in time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from cloud.decisions.demand import Daily, gamma_quantile, gamma_shortage, over

#: An order is kept so small that with this probability at most a part of it is left when it expires: one order in twenty,
#: since what spoils costs its whole price, what is missing only the part of it that a stock-out costs.
WASTE_RISK = 0.05


class Lot(NamedTuple):
    """Available base units that expire in `days` (0: today is their last day)."""

    days: int
    quantity: int


def spoiling(lots: Iterable[Lot], rate: float) -> int:
    """Base units of `lots` that are not consumed before they expire, at `rate` a day, the first to expire first (FEFO).

    What expired already spoils whole.
    """
    used, wasted = 0.0, 0.0
    for lot in sorted(lots):
        quantity = max(lot.quantity, 0)
        eaten = min(float(quantity), max(rate * max(lot.days, 0) - used, 0.0))
        used += eaten
        wasted += quantity - eaten
    return int(wasted + 1e-9)


def consumable(demand: Daily, days: float, position: int, risk: float = WASTE_RISK) -> int:
    """Base units beyond `position` that demand consumes within `days` with probability 1 - `risk`; may be negative.

    What is there and coming is consumed first (FEFO), so an order of this size and it must go within the time.
    """
    mean, variance = over(demand, days)
    return int(gamma_quantile(mean, variance, risk)) - position


def expected_waste(demand: Daily, days: float, position: int, quantity: int) -> float:
    """Base units of an order of `quantity` that are left after `days`, on average: E[(position + quantity - D)+] less what is
    left of the position itself.
    """
    mean, variance = over(demand, days)
    return _left(mean, variance, position + quantity) - _left(mean, variance, position)


def _left(mean: float, variance: float, quantity: float) -> float:
    """E[(quantity - D)+] of a gamma demand."""
    short = gamma_shortage(np.asarray([mean]), np.asarray([variance]), np.asarray([float(quantity)]))
    return max(quantity - mean + float(short[0]), 0.0)
