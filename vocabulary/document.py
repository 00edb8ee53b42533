"""What is expected to happen, and how much of it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from vocabulary.movement import Content, Movement
from vocabulary.quantity import Money

DocumentType = Literal["expected-receipt", "outbound-order", "transfer", "count-request", "hold"]
DocumentState = Literal["open", "closed", "cancelled"]


class DocumentLine(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A quantity (base units) of an item that is expected. `unit_cost` in 10^-6 major units of `currency` per base unit."""

    line: int
    item: str
    quantity: int
    lot: str | UnsetType = UNSET
    expiry: str | UnsetType = UNSET
    unit_cost: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET


class ExpectedUnit(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A unit that the sender announced (ASN): what it holds itself and the unit that contains it."""

    unit: str
    container: str | UnsetType = UNSET
    holds: tuple[Content, ...] = ()


class Document(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="document/1"
):
    """An expected receipt, order, transfer, count request or hold; whole in each revision, changed by its opener only.

    `partner` is the supplier or customer, `reference` their number for it, `source` the document that caused it (a
    purchase order behind an ASN), `place` where it happens, `from_site` and `to_site` the ends of a transfer, `due` the
    requested date in microseconds UTC.
    """

    id: str
    revision: int
    type: DocumentType
    state: DocumentState
    lines: tuple[DocumentLine, ...] = ()
    units: tuple[ExpectedUnit, ...] = ()
    partner: str | UnsetType = UNSET
    reference: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    place: str | UnsetType = UNSET
    from_site: str | UnsetType = UNSET
    to_site: str | UnsetType = UNSET
    due: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    value: Money | UnsetType = UNSET


class LineProgress(msgspec.Struct, frozen=True):
    """How much of a document's line was expected and how much happened, in base units."""

    line: int
    item: str
    expected: int
    done: int


class Progress(msgspec.Struct, frozen=True):
    """How far a document is: `waiting` nothing yet, `partial`, `complete`, `over` when more came than was expected."""

    document: str
    state: Literal["waiting", "partial", "complete", "over"]
    lines: tuple[LineProgress, ...]


def fulfilments(movement: Movement) -> Iterator[tuple[str, int, str, int]]:
    """(document, line, item, quantity) for each line of `movement` that names a document's line; negative in a reversal."""
    if movement.document is UNSET:
        return
    sign = 1 if movement.reverses is UNSET else -1
    for line in movement.lines:
        number = movement.document_line if line.document_line is UNSET else line.document_line
        if number is not UNSET:
            yield movement.document, number, line.item, sign * line.quantity


def progress(document: Document, movements: Iterable[Movement]) -> Progress:
    """How far `document` is after `movements`; those that name other documents do not count."""
    done: dict[int, int] = {}
    for movement in movements:
        for name, number, _, quantity in fulfilments(movement):
            if name == document.id:
                done[number] = done.get(number, 0) + quantity
    return progress_of(document, done)


def progress_of(document: Document, done: dict[int, int]) -> Progress:
    """The progress of `document` when `done` base units were moved per line number."""
    lines = tuple(LineProgress(line.line, line.item, line.quantity, done.get(line.line, 0)) for line in document.lines)
    if any(line.done > line.expected for line in lines):
        state = "over"
    elif all(line.done == line.expected for line in lines) and lines:
        state = "complete"
    else:
        state = "partial" if any(line.done for line in lines) else "waiting"
    return Progress(document.id, state, lines)
