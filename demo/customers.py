"""The customers of the demo: one of them orders every now and then, and what is there leaves on a tagged pallet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from demo.api import Api, ApiError
from demo.catalogue import CUSTOMERS, SITES, DemoItem
from demo.dock import DockError
from demo.world import World, say

#: Seconds between two customers' orders in the whole network, and from the order to its pallet, by a watcher's clock.
ORDER_S = (9.0, 16.0)
PICK_S = (4.0, 9.0)
#: Seconds from a pallet at the door until its customer has unpacked it, by a watcher's clock.
RECEIVED_S = (20.0, 30.0)
#: Seconds between two tries to deliver what was not there, by a watcher's clock.
AGAIN_S = 30.0
#: Cases that a customer wants of an item: at least, at most.
LEAST_CASES, ORDER_CASES = 2, 5
#: Cases on a pallet at most.
PALLET_CASES = 24
#: One order in this many is for anything in the catalogue, whether it is there or not; the others know what is in stock.
BLIND = 6
#: Orders that a customer's pickers keep trying to deliver at most.
OPEN_ORDERS = 200


@dataclass(frozen=True, slots=True)
class Order:
    """What a customer ordered: cases of each item."""

    id: str
    site: str
    customer: str
    cases: dict[str, int]


class Customers:
    """All customers: one of them orders every now and then, and what is there leaves on a pallet."""

    def __init__(self, world: World, apis: dict[str, Api]) -> None:
        self._world, self._apis = world, apis
        self._number = 0
        self._waiting = 0

    async def run(self) -> None:
        """Order for ever."""
        async with asyncio.TaskGroup() as pickers:
            while True:
                await self._world.wait(ORDER_S)
                if self._waiting >= OPEN_ORDERS:
                    continue
                try:
                    order = await self._order()
                except ApiError as error:
                    say(f"customers: {error}")
                    continue
                pickers.create_task(self._fulfil(order))

    async def _order(self) -> Order:
        """Open an order for a few items."""
        world, random = self._world, self._world.random
        site = random.choices(SITES, [one.share for one in SITES])[0].id
        wanted: dict[str, int] = {}
        for _ in range(random.choice((1, 2, 2, 3))):
            item = self._chosen(site)
            wanted[item.id] = wanted.get(item.id, 0) + random.randrange(LEAST_CASES, ORDER_CASES + 1)
        customer = random.choice(CUSTOMERS)
        self._number += 1
        lines = [
            {"line": number, "item": item, "quantity": cases * world.items[item].case}
            for number, (item, cases) in enumerate(wanted.items(), 1)
        ]
        name = f"SO-{customer.removeprefix('CUS-')}-{self._number:05d}"
        entry = {"site": site, "type": "outbound-order", "id": name, "due": world.runtime.now(), "lines": lines}
        await self._apis[customer].open_document(entry)
        return Order(name, site, customer, wanted)

    def _chosen(self, site: str) -> DemoItem:
        world, random = self._world, self._world.random
        known = [item for item in world.items.values() if world.shelves[site].cases(item)]
        pool = list(world.items.values()) if not known or random.randrange(BLIND) == 0 else known
        return random.choices(pool, [item.daily for item in pool])[0]

    async def _fulfil(self, order: Order) -> None:
        """Bring what is there to a door, look again for the rest, and tell headquarters when all has come."""
        world, left = self._world, dict(order.cases)
        self._waiting += 1
        await world.wait(PICK_S)
        while left:
            epcs = self._picked(order.site, left)
            if epcs:
                try:
                    await world.docks[order.site].send("out", epcs)
                    say(f"{order.customer}: a pallet of {len(epcs)} cases leaves {order.site} for {order.id}")
                except DockError as error:
                    say(f"{order.customer}: {error}")
            if left:
                await asyncio.sleep(AGAIN_S * world.pace)
        self._waiting -= 1
        await world.wait(RECEIVED_S)
        try:
            await self._apis[order.customer].close_document(order.site, order.id, "delivered")
        except ApiError as error:
            say(f"{order.customer}: {error}")

    def _picked(self, site: str, left: dict[str, int]) -> list[str]:
        """A pallet of what is there of the cases that are `left`, which become fewer."""
        world = self._world
        epcs: list[str] = []
        for name, cases in list(left.items()):
            taken = world.shelves[site].take(world.items[name], min(cases, PALLET_CASES - len(epcs)))
            epcs += taken
            left[name] = cases - len(taken)
            if not left[name]:
                del left[name]
        return epcs
