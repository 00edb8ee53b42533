"""Scans become intents (rule 13): what a code means depends on the scanner and on what was scanned there before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent, Crossed, Moved, Origin, Scanned, SeenUnit
from vocabulary.barcode import Barcode
from vocabulary.document import Document
from vocabulary.movement import Content, Kind
from vocabulary.place import CUSTOMER, IN_TRANSIT, SUPPLIER
from vocabulary.quantity import from_measure

#: Microseconds for which a place or document code that was scanned stays in force.
CODE_LIFE = 60_000_000
#: Microseconds within which the same code again is the same scan: scanners repeat while the trigger is held.
REPEAT_WITHIN = 300_000

#: Kinds whose place code says where goods go; in the others it says where they come from.
_TOWARDS: frozenset[Kind] = frozenset({"receiving", "storing", "moving", "returning"})


class ScannerRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scan on one device means."""

    kind: Kind = "moving"
    """What people do there: receiving, storing, picking, shipping."""
    from_place: str = ""
    """Where goods come from; leave it out where people scan the place they take from."""
    to_place: str = ""
    """Where goods go; leave it out where people scan the place they put to."""


class ScannerState(msgspec.Struct, frozen=True):
    """What one scanner remembers. Times in gateway monotonic microseconds."""

    place: str = ""
    place_at: int = 0
    document: str = ""
    document_at: int = 0
    text: str = ""
    text_at: int = 0


FRESH = ScannerState()

Outcome = Literal["posted", "place", "document", "repeat", "no-place", "unreadable"]


class Scan(NamedTuple):
    """What became of a scan: the scanner's state after it, the intents, and how it is counted."""

    state: ScannerState
    intents: tuple[AnyIntent, ...]
    outcome: Outcome


def scanned(
    state: ScannerState,
    rule: ScannerRule,
    code: Barcode,
    catalogue: Catalogue,
    site_documents: Mapping[str, Document],
    monotonic: int,
    occurred_at: int,
    origin: Origin,
) -> Scan:
    """Interpret one scan; the next one is given the returned state."""
    if code.text == state.text and monotonic - state.text_at < REPEAT_WITHIN:
        return Scan(msgspec.structs.replace(state, text_at=monotonic), (), "repeat")
    state = msgspec.structs.replace(state, text=code.text, text_at=monotonic)
    place = _place_of(code, catalogue)
    if place:
        return Scan(msgspec.structs.replace(state, place=place, place_at=monotonic), (), "place")
    if code.text in catalogue.documents or code.text in site_documents:
        return Scan(msgspec.structs.replace(state, document=code.text, document_at=monotonic), (), "document")
    if code.unit is None and code.gtin is None:
        return Scan(state, (), "unreadable")
    source, target = _places(state, rule, monotonic)
    document = state.document if state.document and monotonic - state.document_at < CODE_LIFE else ""
    if not target or (not source and code.unit is None):
        return Scan(state, (), "no-place")
    if code.unit is not None:
        intent = _unit(code, rule, source, target, document, catalogue, occurred_at, origin)
    else:
        intent = _pieces(code, rule, source, target, document, catalogue, occurred_at, origin)
    return Scan(state, (intent,), "posted")


def _place_of(code: Barcode, catalogue: Catalogue) -> str:
    """The place that a code names: its id as text, or its GLN."""
    if code.text in catalogue.places:
        return code.text
    if code.gln is None or code.gtin is not None or code.sscc is not None:
        return ""
    for place in catalogue.places.values():
        if place.sgln and place.sgln.rpartition(":")[2].replace(".", "").startswith(code.gln[:12]):
            return place.id
    return ""


def _places(state: ScannerState, rule: ScannerRule, monotonic: int) -> tuple[str, str]:
    """Where goods come from and go: as configured, with the place scanned last in the blank, else on the kind's side."""
    source, target = rule.from_place, rule.to_place
    if not state.place or monotonic - state.place_at >= CODE_LIFE:
        return source, target
    if not source and not target:
        return (source, state.place) if rule.kind in _TOWARDS else (state.place, target)
    if not source:
        return state.place, target
    if not target:
        return source, state.place
    return (source, state.place) if rule.kind in _TOWARDS else (state.place, target)


def _unit(
    code: Barcode,
    rule: ScannerRule,
    source: str,
    target: str,
    document: str,
    catalogue: Catalogue,
    occurred_at: int,
    origin: Origin,
) -> AnyIntent:
    unit = SeenUnit(str(code.unit), label=_label(code, catalogue), lot=code.lot or "", expiry=code.expiry or "")
    if source == SUPPLIER or source.startswith(IN_TRANSIT):
        return Crossed(
            occurred_at=occurred_at, origin=origin, place=target, direction="in", units=(unit,), document=document
        )
    if target == CUSTOMER or target.startswith(IN_TRANSIT):
        return Crossed(
            occurred_at=occurred_at,
            origin=origin,
            place=source or catalogue.site,
            direction="out",
            units=(unit,),
            document=document,
        )
    return Moved(occurred_at=occurred_at, origin=origin, place=target, units=(unit,), kind=rule.kind, document=document)


def _label(code: Barcode, catalogue: Catalogue) -> tuple[Content, ...]:
    """What the label of a logistic unit says it holds: AI 02 and 37, with lot and expiry."""
    level = None if code.content_gtin is None else catalogue.packaging.get(code.content_gtin)
    if level is None or not code.count:
        return ()
    return (
        Content(
            level.item,
            level.quantity * code.count,
            lot=code.lot or msgspec.UNSET,
            expiry=code.expiry or msgspec.UNSET,
        ),
    )


def _pieces(
    code: Barcode,
    rule: ScannerRule,
    source: str,
    target: str,
    document: str,
    catalogue: Catalogue,
    occurred_at: int,
    origin: Origin,
) -> Scanned:
    """One piece of its packaging level, or what its label weighs for an item kept by measure."""
    gtin, item, pieces, grams = code.gtin or "", "", code.quantity or 1, None
    level = catalogue.packaging.get(gtin)
    known = None if level is None else catalogue.items.get(level.item)
    if known is not None:
        for ai in sorted(code.elements):
            measure = from_measure(ai, code.elements[ai])
            if measure is None:
                continue
            if known.catch_weight and measure[0] == "GRM":
                grams = measure[1]
            elif known.unit == measure[0] and measure[1] > 0:
                gtin, item, pieces = "", known.id, measure[1]
            break
    return Scanned(
        occurred_at=occurred_at,
        origin=origin,
        kind=rule.kind,
        from_place=source,
        to_place=target,
        gtin=gtin,
        item=item,
        pieces=pieces,
        lot=code.lot or "",
        expiry=code.expiry or "",
        grams=grams,
        document=document,
    )
