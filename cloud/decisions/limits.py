"""What money and room allow: where orders want more than there is, it goes where a unit of it helps most. Pure.

Greedy on marginal benefit (Lorie and Savage 1955 for capital; Gross 1956 for convex costs): what one more unit lowers the
expected cost of stock-outs falls with each unit, so taking the best ratio first is exact where orders can be divided, and
misses the best by less than one step where packs and minima forbid it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Steps between the least a supplier delivers and what was wanted.
_STEPS = 16


class Want(NamedTuple):
    """An order as it could be cut: `quantities` ascend, with what each costs of the scarce thing, and what it is worth."""

    quantities: tuple[int, ...]
    costs: tuple[float, ...]
    benefits: tuple[float, ...]


def want(quantity: int, least: int, pack: int, cost: Callable[[int], float], benefit: Callable[[int], float]) -> Want:
    """An order of `quantity`, cut in at most _STEPS steps of whole packs down to `least`."""
    pack = max(pack, 1)
    count = max(quantity - least, 0) // pack
    stride = max(1, -(-count // _STEPS)) * pack
    found = list(range(least, quantity, stride))
    found.append(quantity)
    return Want(tuple(found), tuple(map(cost, found)), tuple(map(benefit, found)))


def allot(wants: Sequence[Want], available: float) -> list[int]:
    """How much of each order to place so that costs stay within `available` and benefits are greatest; 0 for none."""
    if sum(one.costs[-1] for one in wants) <= available:
        return [one.quantities[-1] for one in wants]
    taken = [0] * len(wants)
    left = available
    queue: list[tuple[float, int, int]] = []
    for number, one in enumerate(wants):
        queue.append((-_ratio(one, 0), number, 0))
    heapq.heapify(queue)
    while queue:
        _, number, step = heapq.heappop(queue)
        one = wants[number]
        cost = one.costs[step] - (one.costs[step - 1] if step else 0.0)
        if cost > left:
            continue  # this one ends here; another may still fit
        left -= cost
        taken[number] = one.quantities[step]
        if step + 1 < len(one.quantities):
            heapq.heappush(queue, (-_ratio(one, step + 1), number, step + 1))
    return taken


def _ratio(one: Want, step: int) -> float:
    cost = one.costs[step] - (one.costs[step - 1] if step else 0.0)
    benefit = one.benefits[step] - (one.benefits[step - 1] if step else 0.0)
    return benefit / cost if cost > 0 else float("inf")
