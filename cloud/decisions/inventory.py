"""The formulas of inventory theory that replenishment rests on; amounts in one currency, times in days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

#: Bounds of the share of cycles that may end in a stock-out. Above 0.3 the value fill rate falls (measured on spare
#: parts: with service kept at 0.7 or more the same stock loses a third less value); below 0.002 no forecast can tell.
LEAST_RISK, MOST_RISK = 0.002, 0.3
#: An order lasts no longer than this, days, whatever its fixed cost: beyond a year nobody knows the demand.
LONGEST_COVER = 365.0
#: Bisection steps over the value of a stock-out: 60 halvings of the range below leave nothing to find.
_STEPS = 60
_LEAST_VALUE, _MOST_VALUE = 1e-6, 1e12


class Economics(NamedTuple):
    """What one item at one site costs: `holding` per base unit and day, `rate` base units a day, `line_size` base units
    of an ordinary demand, `lot` base units of an ordinary order, `review` days between orders.
    """

    holding: float
    rate: float
    line_size: float
    lot: float
    review: float


def economic_order_quantity(rate: float, order_cost: float, holding: float) -> float:
    """Harris (1913): sqrt(2 D K / h), the lot at which ordering and holding cost the same. 0 where nothing is needed."""
    return math.sqrt(2 * rate * order_cost / holding) if rate > 0 and holding > 0 else 0.0


def stockout_risk(item: Economics, stockout_value: float) -> float:
    """The share of order cycles that may end short when one demand not served at once costs `stockout_value`.

    Holding one more base unit for a cycle costs holding * cycle; it is needed with this probability and then saves
    stockout_value / line_size (Silver, Pyke and Thomas: a charge per unit short). 1 - risk is the cycle service (type 1).
    """
    if item.rate <= 0 or stockout_value <= 0:
        return MOST_RISK
    cycle = max(item.lot / item.rate, item.review)
    risk = item.holding * cycle * max(item.line_size, 1.0) / stockout_value
    return min(max(risk, LEAST_RISK), MOST_RISK)


def stockout_value(items: Sequence[Economics], service: float) -> float:
    """The value of one unserved demand at which the items' cycle service is `service` on average: the one slider.

    Found by bisection; 0 where there are no items. A service outside what the bounds allow gives the nearest value.
    """
    moving = [item for item in items if item.rate > 0]
    if not moving:
        return 0.0
    low, high = math.log(_LEAST_VALUE), math.log(_MOST_VALUE)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        risk = sum(stockout_risk(item, math.exp(middle)) for item in moving) / len(moving)
        low, high = (middle, high) if 1 - risk < service else (low, middle)
    return math.exp(high)


def orderable(wanted: float, moq: int, pack: int) -> int:
    """The least quantity a supplier accepts that is at least `wanted`: not below `moq`, whole packs, base units."""
    pack = max(pack, 1)
    least = max(math.ceil(wanted), moq, 1)
    return -(-least // pack) * pack
