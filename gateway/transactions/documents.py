"""Which document goods belong to: by the units it announces, else by the items it still wants, earliest due first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import UNSET

from gateway.transactions.catalogue import Catalogue, Expected, Wanted
from gateway.transactions.intents import DocumentCame
from vocabulary.document import Document, DocumentLine
from vocabulary.place import CUSTOMER, SUPPLIER, UNKNOWN, in_transit
from vocabulary.stock import Stock, Unit

Direction = Literal["in", "out"]
#: (document, line) -> base units
Pending = dict[tuple[str, int], int]


def document_of(catalogue: Catalogue, stock: Stock, name: str) -> Document | None:
    """The document with this id, whether headquarters or the site opened it."""
    return catalogue.documents.get(name) or stock.documents.get(name)


def serves(document: Document, direction: Direction, site: str) -> bool:
    """Whether goods that go `direction` through a door of `site` can belong to `document`."""
    if document.type == "transfer":
        if direction == "in":
            return document.to_site == site or document.from_site != site
        return document.from_site == site or (document.from_site is UNSET and document.to_site != site)
    return document.type == ("expected-receipt" if direction == "in" else "outbound-order")


def expected(catalogue: Catalogue, unit: str, direction: Direction) -> Expected | None:
    """Where `unit` is announced for this direction: an open document first, else a closed or cancelled one."""
    for found in catalogue.expected.get(unit, ()):
        if serves(found.document, direction, catalogue.site):
            return found
    return None


def wanting(
    catalogue: Catalogue,
    stock: Stock,
    at_site: Mapping[str, tuple[Wanted, ...]],
    items: Iterable[str],
    direction: Direction,
    pending: Pending,
) -> Document | None:
    """The open document, earliest due first, that still wants one of `items`; the items are tried in their order.

    `at_site` are the lines of the site's own documents. A document that another open one refines waits behind it: the
    shipping notice goes before its purchase order.
    """
    for item in items:
        candidates = (*catalogue.wanted.get(item, ()), *at_site.get(item, ()))
        open_lines = [
            wanted
            for wanted in candidates
            if serves(wanted.document, direction, catalogue.site) and remaining(stock, wanted, pending) > 0
        ]
        if open_lines:
            return min(open_lines, key=lambda wanted: wanted.document.id in catalogue.refined).document
    return None


def remaining(stock: Stock, wanted: Wanted, pending: Mapping[tuple[str, int], int]) -> int:
    """Base units that a line still wants."""
    name, number = wanted.document.id, wanted.line.line
    return wanted.line.quantity - done(stock, name, number) - pending.get((name, number), 0)


def done(stock: Stock, document: str, line: int) -> int:
    """Base units moved so far for a document's line."""
    lines = stock.done.get(document)
    return 0 if lines is None else lines.get(line, 0)


def line_for(
    document: Document, stock: Stock, item: str, lot: str, pending: Mapping[tuple[str, int], int]
) -> DocumentLine | None:
    """The line of `document` that goods fulfil: of its item and lot, one that still wants some first."""
    fitting = [
        line for line in document.lines if line.item == item and (line.lot is UNSET or not lot or line.lot == lot)
    ] or [line for line in document.lines if line.item == item]
    for line in fitting:
        if remaining(stock, Wanted(document, line), pending) > 0:
            return line
    return fitting[-1] if fitting else None


def came_late(old: Catalogue, new: Catalogue, units: Mapping[str, Unit], occurred_at: int) -> tuple[DocumentCame, ...]:
    """The documents of `new` that announce units which came before them: from `unknown`, or of unknown content."""
    late: list[DocumentCame] = []
    for name in sorted(new.documents):
        document = new.documents[name]
        before = old.documents.get(name)
        if document.state != "open" or document == before or not serves(document, "in", new.site):
            continue
        if any(
            (known := units.get(one.unit)) is not None and known.first_from.place == UNKNOWN for one in document.units
        ):
            late.append(DocumentCame(occurred_at=occurred_at, document=name))
    return tuple(late)


def outside_of(document: Document | None, direction: Direction) -> str:
    """The virtual place on the other side of a door for goods of `document`.

    Goods that come in and that nothing announces come from `unknown`, until a document says whence (rule 12).
    """
    if document is None:
        return UNKNOWN if direction == "in" else CUSTOMER
    if document.type == "transfer":
        return in_transit(document.id)
    return SUPPLIER if direction == "in" else CUSTOMER


def cost_of(catalogue: Catalogue, stock: Stock, document: Document, line: DocumentLine) -> tuple[int, str]:
    """Unit cost (10^-6 major units) and currency of a line, its own or that of the order it refines; (0, "") if none."""
    if line.unit_cost is not UNSET:
        return line.unit_cost, "" if line.currency is UNSET else line.currency
    order = None if document.source is UNSET else document_of(catalogue, stock, document.source)
    for ordered in () if order is None else order.lines:
        if ordered.item == line.item and ordered.unit_cost is not UNSET:
            return ordered.unit_cost, "" if ordered.currency is UNSET else ordered.currency
    return 0, ""
