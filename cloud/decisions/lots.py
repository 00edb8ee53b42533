"""How much to order at a time, when the price falls with the quantity: all-units discounts, packs and minima. Pure.

Hadley and Whitin (1963), chapter 2: within the range of one price the cost of a day, D c + K D / Q + r c Q / 2, is least at
the economic lot of that price or at the range's near end; the best of these over all prices is the best of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cloud.decisions.inventory import LONGEST_COVER, Values, economic_lots, orderable
from cloud.decisions.terms import PriceBreak, Terms

#: Below this a cost or a rate counts as none.
_NONE = 1e-12


def daily_cost(quantity: float, price: float, rate: float, order_cost: float, holding_rate: float) -> float:
    """What ordering `quantity` at a time costs a day: goods at `price`, orders, and holding half of it.

    `price` and `order_cost` in one currency, `rate` base units a day, `holding_rate` the share of the price a day.
    """
    lot = max(quantity, _NONE)
    return rate * price + order_cost * rate / lot + holding_rate * price * lot / 2


def discounted_lots(
    rate: Values,
    order_cost: Values,
    prices: Values,
    starts: Values,
    holding_rate: Values,
    least: Values,
    longest: float | Values = LONGEST_COVER,
) -> tuple[Values, Values]:
    """The cheapest lot of each item, and its price; arrays over items.

    `prices` and `starts` are (breaks, items): from `starts` base units on an order costs `prices` each; a row of starts 0
    has the list price, a start of infinity means no break. `holding_rate` is the share of the price a day. A lot is at
    least `least`, and lasts `longest` days at most unless `least` is more.
    """
    most = np.maximum(rate * longest, least)
    best_lot = np.maximum(least, 1.0)
    best_cost = np.full_like(best_lot, np.inf)
    best_price = np.asarray(prices[0], dtype=np.float64)
    for price, start in zip(prices, starts, strict=True):
        lot = np.maximum(economic_lots(rate, order_cost, holding_rate * price), np.maximum(least, start))
        lot = np.maximum(np.minimum(lot, most), np.maximum(start, 1.0))
        cost = rate * price + order_cost * rate / lot + holding_rate * price * lot / 2
        usable = np.isfinite(start) & (start <= most)
        better = usable & (cost < best_cost * (1 - 1e-12))
        best_lot, best_price = np.where(better, lot, best_lot), np.where(better, price, best_price)
        best_cost = np.where(better, cost, best_cost)
    return best_lot, best_price


def discounted_lot(
    rate: float,
    order_cost: float,
    price: float,
    breaks: Sequence[PriceBreak],
    holding_rate: float,
    least: float,
    longest: float = LONGEST_COVER,
) -> tuple[float, float]:
    """`discounted_lots` of one item: the lot, and what each unit of it costs, major units."""
    prices = np.asarray([[price], *([one.price_micro / 1e6] for one in breaks)])
    starts = np.asarray([[0.0], *([float(one.quantity)] for one in breaks)])
    one = [np.asarray([value]) for value in (rate, order_cost, holding_rate, least)]
    lots, paid = discounted_lots(one[0], one[1], prices, starts, one[2], one[3], longest)
    return float(lots[0]), float(paid[0])


def worth_rounding_up(
    quantity: int, terms: Terms, rate: float, order_cost: float, holding_rate: float, longest: float = LONGEST_COVER
) -> int:
    """The quantity of the next break instead of `quantity`, where the goods' lower price pays for holding more of them.

    What is compared is the cost of a day when such an order is placed each time (`daily_cost`), up to `longest` days.
    """
    best, least_cost = quantity, daily_cost(quantity, terms.price_at(quantity) / 1e6, rate, order_cost, holding_rate)
    for one in terms.breaks:
        more = orderable(one.quantity, terms.moq, terms.pack)
        if more <= quantity or more > rate * longest:
            continue
        cost = daily_cost(more, terms.price_at(more) / 1e6, rate, order_cost, holding_rate)
        if cost < least_cost:
            best, least_cost = more, cost
    return best


def largest_orderable(most: float, moq: int, pack: int) -> int:
    """The largest quantity of whole packs that is at most `most`, 0 where the supplier's minimum is more."""
    pack = max(pack, 1)
    quantity = int(max(most, 0) // pack) * pack
    return quantity if quantity >= max(moq, 1) else 0
