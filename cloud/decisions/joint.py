"""Orders that share a supplier's freight: what is due soon comes along when that is cheaper than the freight. Pure.

Can-order policies (Balintfy 1964; Silver 1974): when one item must be ordered, others come along that would be due soon.
Here what an early unit costs is exact: its holding for the days until it would have been ordered anyway; which units come
is the cheapest choice that reaches the supplier's threshold (a covering knapsack, solved over a grid of the missing value).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: Steps of the missing value in which the choice is exact; values are rounded down, so the threshold is really reached.
_STEPS = 500
#: Offers that are weighed, the cheapest for their value first: what is due in months never pays.
_MOST_OFFERS = 40
#: Quantities of one offer that are weighed.
_MOST_OPTIONS = 24


class Offer(NamedTuple):
    """Units that could come along: each is worth `price` towards the threshold and costs `holding` a day for the `wait`
    days that it comes early; between `least` and `most` base units in packs.
    """

    price: float
    holding: float
    wait: float
    least: int
    most: int
    pack: int = 1


class TopUp(NamedTuple):
    """What comes along: base units of each offer (0: none of it), and what ordering it early costs."""

    quantities: tuple[int, ...]
    cost: float


def top_up(missing: float, freight: float, offers: Sequence[Offer]) -> TopUp | None:
    """The cheapest way to add `missing` of value, or None where no way costs less than the `freight` that it saves."""
    if missing <= 0 or freight <= 0:
        return None
    order = sorted(
        range(len(offers)), key=lambda index: offers[index].holding * offers[index].wait / offers[index].price
    )
    order = order[:_MOST_OFFERS]
    cost = np.full(_STEPS + 1, np.inf)  # the least cost of adding at least so many steps of value
    cost[0] = 0.0
    taken: list[tuple[list[int], np.ndarray[tuple[int], np.dtype[np.intp]]]] = []
    for index in order:
        quantities = [0, *_options(offers[index], missing)]
        choices = np.stack([_after(cost, offers[index], quantity, missing) for quantity in quantities])
        taken.append((quantities, choices.argmin(axis=0)))
        cost = choices.min(axis=0)
    if not cost[_STEPS] < freight:
        return None
    found = [0] * len(offers)
    left = _STEPS
    for index, (quantities, choice) in zip(reversed(order), reversed(taken), strict=True):
        quantity = quantities[int(choice[left])]
        found[index] = quantity
        left = max(left - _steps(offers[index], quantity, missing), 0)
    return TopUp(tuple(found), float(cost[_STEPS]))


def _options(offer: Offer, missing: float) -> list[int]:
    """The quantities of an offer that are weighed, up to the first that is enough alone."""
    pack = max(offer.pack, 1)
    if offer.most < offer.least or offer.least <= 0:
        return []
    needed = max(int(np.ceil(missing / offer.price)) - offer.least, 0)
    count = min(-(-needed // pack), (offer.most - offer.least) // pack)
    last = offer.least + count * pack
    stride = max(1, -(-count // (_MOST_OPTIONS - 1)))
    found = list(range(offer.least, last + 1, stride * pack))
    return found if found[-1] == last else [*found, last]


def _steps(offer: Offer, quantity: int, missing: float) -> int:
    return min(int(quantity * offer.price / missing * _STEPS + 1e-9), _STEPS)


def _after(
    cost: np.ndarray[tuple[int], np.dtype[np.float64]], offer: Offer, quantity: int, missing: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The least costs when `quantity` of an offer is taken besides."""
    steps = _steps(offer, quantity, missing)
    before = cost[np.maximum(np.arange(_STEPS + 1) - steps, 0)]
    return before + quantity * offer.holding * max(offer.wait, 0.0)
