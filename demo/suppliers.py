"""A supplier of the demo: it reads its orders, announces each shipment, and brings it to a door."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from demo.api import Api, ApiError, DocumentRow
from demo.catalogue import PREFIX, DemoItem, sscc
from demo.dock import DockError
from demo.world import World, say
from gateway.simulation.epc_encode import sscc_96

#: Seconds between two looks of a supplier at its orders, by a watcher's clock.
POLL_S = 3.0
#: Seconds from the notice to the truck at the door, by a watcher's clock: the goods were ready, the roads were empty.
TRUCK_S = (12.0, 25.0)
#: Cases on a pallet at most.
PALLET_CASES = 24


class Supplier:
    """Answers the orders that name it, each by one notice and as many pallets as it needs."""

    def __init__(self, world: World, api: Api, name: str, number: int) -> None:
        self._world, self._api, self._name = world, api, name
        self._answered: set[tuple[str, str]] = set()
        #: SSCCs of this supplier begin here, so that no two of them are alike
        self._pallets = number * 1_000_000

    async def run(self) -> None:
        """Look at the orders for ever."""
        async with asyncio.TaskGroup() as trucks:
            while True:
                await self.look(trucks)
                await asyncio.sleep(POLL_S * self._world.pace)

    async def look(self, trucks: asyncio.TaskGroup) -> None:
        """Answer what is new."""
        try:
            documents = await self._api.open_documents("expected-receipt")
            announced = {(one.site_id, one.announces) for one in documents}
            for order in documents:
                key = (order.site_id, order.id)
                if order.announces or order.opened_by != "cloud" or key in self._answered | announced:
                    continue
                pallets = await self._announce(order)
                self._answered.add(key)
                trucks.create_task(self._deliver(order, pallets))
        except ApiError as error:
            say(f"{self._name}: {error}")

    async def _announce(self, order: DocumentRow) -> list[Pallet]:
        pallets: list[Pallet] = []
        for line in await self._api.lines(order.site_id, order.id):
            pallets += self._packed(self._world.items[line.item], line.quantity)
        await self._api.open_document(
            {
                "site": order.site_id,
                "type": "expected-receipt",
                "id": f"ASN-{order.id}",
                "source": order.id,
                "reference": f"{self._name}-{self._pallets}",
                "due": order.due,
                "units": [unit for pallet in pallets for unit in pallet.units()],
            }
        )
        say(f"{self._name}: announced {order.id} for {order.site_id} on {len(pallets)} pallets")
        return pallets

    def _packed(self, item: DemoItem, quantity: int) -> list[Pallet]:
        """Full cases, the rest as pieces, on pallets of one item."""
        cases, pieces = divmod(quantity, item.case)
        tags = [(item.case_gtin, item.case)] * cases + [(item.gtin, 1)] * pieces
        pallets: list[Pallet] = []
        for start in range(0, len(tags), PALLET_CASES):
            self._pallets += 1
            serials = [
                (gtin, self._world.printer.serial(gtin), held) for gtin, held in tags[start : start + PALLET_CASES]
            ]
            pallets.append(Pallet(sscc(self._pallets), item, tuple(serials)))
        return pallets

    async def _deliver(self, order: DocumentRow, pallets: list[Pallet]) -> None:
        world = self._world
        await world.wait(TRUCK_S)
        if order.due is not None and order.source == "":  # ordered before the watcher came: it arrives when it was due
            await asyncio.sleep(max(0, order.due - world.runtime.now()) / 1_000_000)
        for pallet in pallets:
            epcs = [world.printer.epc(gtin, serial) for gtin, serial, _ in pallet.serials]
            try:
                crossing = await world.docks[order.site_id].send("in", epcs, sscc_96(pallet.sscc, len(PREFIX)))
            except DockError as error:
                say(f"{self._name}: {error}")
                continue
            say(f"{self._name}: pallet {pallet.sscc} reaches {order.site_id}")
            await asyncio.sleep(max(0, crossing - world.runtime.now()) / 1_000_000)
            whole = [epc for epc, (_, _, held) in zip(epcs, pallet.serials, strict=True) if held == pallet.item.case]
            world.shelves[order.site_id].store(pallet.item, whole)


@dataclass(frozen=True, slots=True)
class Pallet:
    """A pallet of one item: its SSCC, and of each package on it GTIN, serial and base units."""

    sscc: str
    item: DemoItem
    serials: tuple[tuple[str, int, int], ...]

    def units(self) -> list[dict[str, object]]:
        """The pallet and its cases as a shipping notice announces them."""
        container = f"00/{self.sscc}"
        return [
            {"unit": container},
            *(
                {
                    "unit": f"01/{gtin}/21/{serial}",
                    "container": container,
                    "holds": [{"item": self.item.id, "quantity": held}],
                }
                for gtin, serial, held in self.serials
            ),
        ]
