"""The demo's partners: what they announce is what is on the pallet, and what leaves was there."""

from __future__ import annotations

import asyncio
from random import Random

import msgspec
from virtual import VirtualRuntime

from demo.api import DocumentRow, OrderLine
from demo.catalogue import items
from demo.shelves import Printer, Shelves
from demo.suppliers import PALLET_CASES, Supplier
from demo.world import World
from vocabulary import epc
from vocabulary.document import ExpectedUnit
from vocabulary.identifier import kind_of


class Headquarters:
    """Stands in for the API: one purchase order, and what was posted."""

    def __init__(self, orders: list[DocumentRow], lines: tuple[OrderLine, ...]) -> None:
        self.orders, self._lines = orders, lines
        self.posted: list[dict[str, object]] = []

    async def open_documents(self, kind: str) -> list[DocumentRow]:
        return self.orders

    async def lines(self, site: str, document: str) -> tuple[OrderLine, ...]:
        return self._lines

    async def open_document(self, entry: dict[str, object]) -> None:
        self.posted.append(entry)


class DockStub:
    """Stands in for the doors."""

    def __init__(self, runtime: VirtualRuntime) -> None:
        self.runtime = runtime
        self.passed: list[tuple[str, list[str], str | None]] = []

    async def send(self, direction: str, cases: list[str], sscc: str | None = None) -> int:
        self.passed.append((direction, list(cases), sscc))
        return self.runtime.now() + 7_000_000


async def test_an_order_is_announced_once_and_comes_as_announced() -> None:
    runtime, catalogue = VirtualRuntime(), items(1)
    item = catalogue[0]
    quantity = (PALLET_CASES + 2) * item.case + 1
    headquarters = Headquarters(
        [
            DocumentRow("north", "PO-1", "REC-1", "", None, "cloud"),
            DocumentRow("north", "SITE-1", "", "", None, "site"),
        ],
        (OrderLine(item.id, quantity),),
    )
    dock, printer = DockStub(runtime), Printer()
    shelves = {"north": Shelves(printer, {})}
    world = World(
        runtime=runtime,
        random=Random(1),
        printer=printer,
        items={one.id: one for one in catalogue},
        docks={"north": dock},  # type: ignore[dict-item]
        shelves=shelves,
        pace=1.0,
    )
    supplier = Supplier(world, headquarters, "SUP-ALTO", 1)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as trucks:
        await supplier.look(trucks)
        await supplier.look(trucks)
    (notice,) = headquarters.posted
    assert notice["source"] == "PO-1"
    units = msgspec.convert(notice["units"], list[ExpectedUnit])
    assert sum(content.quantity for unit in units for content in unit.holds) == quantity
    announced = {unit.unit for unit in units}
    assert all(kind_of(unit.unit) for unit in units)
    tags = [tag for _, cases, sscc in dock.passed for tag in (*cases, sscc) if tag]
    assert {epc.decode(tag).key for tag in tags} == announced
    assert len(dock.passed) == 2
    assert shelves["north"].cases(item) == PALLET_CASES + 2


def test_the_shelf_gives_what_it_has_oldest_first() -> None:
    item, printer = items(1)[0], Printer()
    shelf = Shelves(printer, {item.id: 2 * item.case + 1})
    came = [printer.epc(item.case_gtin, printer.serial(item.case_gtin)) for _ in range(2)]
    shelf.store(item, came)
    assert shelf.cases(item) == 4
    first = shelf.take(item, 3)
    assert len(first) == 3
    assert first[-1] == came[0]
    assert shelf.take(item, 9) == [came[1]]
    assert shelf.take(item, 1) == []
