"""What is really on the shelves of the demo's world: the truth that the programs have to find out by themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from demo.catalogue import PREFIX, DemoItem, DemoSite
from demo.history import year
from gateway.simulation.epc_encode import sgtin_96

#: First serial that the printers of the partners give out.
_FIRST_SERIAL = 1_000


class Printer:
    """Gives every case a tag of its own."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def serial(self, gtin: str) -> int:
        """The next serial of a GTIN."""
        self._next[gtin] = self._next.get(gtin, _FIRST_SERIAL) + 1
        return self._next[gtin]

    def epc(self, gtin: str, serial: int) -> str:
        """The SGTIN-96 of a case, hex."""
        return sgtin_96(gtin, serial, len(PREFIX))


class Shelves:
    """The stock of one site: loose goods of before, and tagged cases that came since."""

    def __init__(self, printer: Printer, loose: dict[str, int]) -> None:
        self._printer = printer
        self._loose = loose
        self._tagged: dict[str, deque[str]] = {}

    def cases(self, item: DemoItem) -> int:
        """Whole cases of an item that could leave."""
        return self._loose.get(item.id, 0) // item.case + len(self._tagged.get(item.id, ()))

    def store(self, item: DemoItem, epcs: Iterable[str]) -> None:
        """Put tagged cases that came on the shelf."""
        self._tagged.setdefault(item.id, deque()).extend(epcs)

    def take(self, item: DemoItem, cases: int) -> list[str]:
        """Take up to so many cases off the shelf, oldest first; each gets a tag if it has none."""
        taken: list[str] = []
        while len(taken) < cases and self._loose.get(item.id, 0) >= item.case:
            self._loose[item.id] -= item.case
            taken.append(self._printer.epc(item.case_gtin, self._printer.serial(item.case_gtin)))
        tagged = self._tagged.get(item.id, deque())
        while len(taken) < cases and tagged:
            taken.append(tagged.popleft())
        return taken


def after_history(seed: int, site: DemoSite, catalogue: list[DemoItem], first_weekday: int) -> dict[str, int]:
    """What the seeded year left at a site, base units by item."""
    stock: dict[str, int] = {}
    for event in year(seed, site, catalogue, first_weekday):
        if event.kind in ("opening", "received"):
            stock[event.item] = stock.get(event.item, 0) + event.quantity
        elif event.kind == "sold":
            stock[event.item] = stock.get(event.item, 0) - event.quantity
    return stock
