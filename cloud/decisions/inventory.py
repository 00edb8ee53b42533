"""The formulas of inventory theory that replenishment and its replay rest on; each takes numbers or arrays of them.

Amounts in one currency; times in one unit (days in the cycle, periods in a replay), the same for rates and holding costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
#: One number, or an array of them.
Amount = TypeVar("Amount", int, Values)

#: Bounds of the share of cycles that may end in a stock-out. No item is kept on worse than even odds: measured on spare
#: parts (docs/forecasting.md, part 3), a higher bound lets dear items run dry and value fill fall, a lower one ties money up
#: where a stock-out costs little. Below 0.002 no forecast can tell.
LEAST_RISK, MOST_RISK = 0.002, 0.5
#: An order lasts no longer than this, days, whatever its fixed cost: beyond a year nobody knows the demand.
LONGEST_COVER = 365.0
#: Bisection steps over the value of a stock-out: 60 halvings of the range below leave nothing to find.
_STEPS = 60
_LEAST_VALUE, _MOST_VALUE = 1e-6, 1e12
#: Below this a rate or a cost counts as none.
_NONE = 1e-12


class Economics(NamedTuple):
    """What one item at one site costs: `holding` per base unit and day, `rate` base units a day, `line_size` base units
    of an ordinary demand, `lot` base units of an ordinary order, `review` days between orders.
    """

    holding: float
    rate: float
    line_size: float
    lot: float
    review: float


def economic_lots(rate: Values, order_cost: Values, holding: Values) -> Values:
    """Harris (1913): sqrt(2 D K / h), the lots at which ordering and holding cost the same. 0 where nothing is needed."""
    needed = (rate > 0) & (holding > 0)
    return np.where(needed, np.sqrt(2 * np.maximum(rate, 0.0) * order_cost / np.maximum(holding, _NONE)), 0.0)


def ordinary_lots(
    rate: Values, order_cost: Values, holding: Values, moq: Values, review: float, longest: float = LONGEST_COVER
) -> Values:
    """What is ordered at a time: the economic lot, for at most `longest`, at least `review`, not below the minimum."""
    lot = np.minimum(economic_lots(rate, order_cost, holding), rate * longest)
    return np.maximum(np.maximum(lot, rate * review), np.maximum(moq, 1.0))


def stockout_risks(
    holding: Values, rate: Values, line_size: Values, lot: Values, review: float, stockout_value: float | Values
) -> Values:
    """The share of each item's order cycles that may end short when one demand not served at once costs `stockout_value`.

    Holding one more base unit for a cycle costs holding * cycle; it is needed with this probability and then saves
    stockout_value / line_size (Silver, Pyke and Thomas: a charge per unit short). 1 - risk is the cycle service (type 1).
    """
    moving = (rate > 0) & (np.asarray(stockout_value) > 0)
    cycle = np.maximum(lot / np.maximum(rate, _NONE), review)
    risk = holding * cycle * np.maximum(line_size, 1.0) / np.maximum(stockout_value, _NONE)
    return np.where(moving, np.clip(risk, LEAST_RISK, MOST_RISK), MOST_RISK)


def unserved_values(stockout_value: float, value_share: float, unit_cost: Values, line_size: Values) -> Values:
    """What one demand not served at once costs, by item: the same amount for each, and a share of the goods' own cost.

    The share is what keeps dear items served: with none, a stock-out of a bolt weighs as much as one of a gearbox.
    """
    return stockout_value + value_share * unit_cost * np.maximum(line_size, 1.0)


def order_up_to(reorder_point: Amount, lot: Amount) -> Amount:
    """S of an (s, S) policy that orders once the position is below s: s - 1 + lot.

    An order is larger than its lot by what the last demand took the position below s - 1. Taking that undershoot off the lot
    was measured and does not pay (docs/forecasting.md, part 3).
    """
    return reorder_point - 1 + lot


def economic_order_quantity(rate: float, order_cost: float, holding: float) -> float:
    """`economic_lots` of one item."""
    return float(economic_lots(np.asarray(rate), np.asarray(order_cost), np.asarray(holding)))


def stockout_risk(item: Economics, stockout_value: float) -> float:
    """`stockout_risks` of one item."""
    holding, rate, line_size, lot = (np.asarray(value, dtype=np.float64) for value in item[:4])
    return float(stockout_risks(holding, rate, line_size, lot, item.review, stockout_value))


def stockout_value(items: Sequence[Economics], service: float, shares: Values | None = None) -> float:
    """The value of one unserved demand at which the items' cycle service is `service` on average: the one slider.

    `shares` is what each item's demand costs besides (`unserved_values` with a value of 0). Found by bisection; 0 where there
    are no items. A service outside what the bounds allow gives the nearest value.
    """
    moving = [place for place, item in enumerate(items) if item.rate > 0]
    if not moving:
        return 0.0
    holding, rate, line_size, lot, review = np.asarray([items[place] for place in moving], dtype=np.float64).T
    besides = np.zeros(len(moving)) if shares is None else shares[moving]
    cycle_lot = np.maximum(lot, review * rate)  # each item may have a review of its own
    low, high = math.log(_LEAST_VALUE), math.log(_MOST_VALUE)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        value = math.exp(middle) + besides
        risk = float(stockout_risks(holding, rate, line_size, cycle_lot, 0.0, value).mean())
        low, high = (middle, high) if 1 - risk < service else (low, middle)
    return math.exp(high)


def orderable(wanted: float, moq: int, pack: int) -> int:
    """The least quantity a supplier accepts that is at least `wanted`: not below `moq`, whole packs, base units."""
    pack = max(pack, 1)
    least = max(math.ceil(wanted), moq, 1)
    return -(-least // pack) * pack
