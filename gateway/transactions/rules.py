"""Passages and sightings become intents: EPCs are decoded to units, what is no stock is counted and left out."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

import msgspec

from gateway.observations.doors import Crossing
from gateway.observations.portal import Expectation
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.documents import expected
from gateway.transactions.intents import AnyIntent, Crossed, Moved, Origin, SeenUnit, Unreadable
from vocabulary import epc
from vocabulary.movement import Kind
from vocabulary.place import CUSTOMER, is_virtual

#: Bytes of the evidence's SHA-256 that a movement carries: enough that nobody finds other evidence for it.
EVIDENCE_BYTES = 12
#: Microseconds to which a reader's times are recorded: its clock is corrected over a network and not truer than that.
RESOLUTION = 1_000
#: Hexadecimal digits of a tag's header, the part that says which scheme it follows.
HEADER_DIGITS = 2


class Interpreted(NamedTuple):
    """The intents of an observation, its evidence as bytes, and how many tags were units, no stock, or unreadable."""

    intents: tuple[AnyIntent, ...]
    evidence: bytes
    units: int
    no_stock: int
    unreadable: int


class _Decoded(NamedTuple):
    units: tuple[SeenUnit, ...]
    no_stock: int
    unreadable: dict[str, tuple[str, str]]
    unreadable_tags: int


def dated(crossing: Crossing, shift: int) -> Crossing:
    """A crossing whose times of reading are `shift` microseconds later."""
    return msgspec.structs.replace(crossing, first=crossing.first + shift, last=crossing.last + shift)


def redated(intent: AnyIntent, shift: int) -> AnyIntent:
    """An intent that happened `shift` microseconds later than it says."""
    origin = intent.origin
    if origin.interval is not None:
        first, last = origin.interval
        origin = msgspec.structs.replace(origin, interval=(first + shift, last + shift))
    return msgspec.structs.replace(intent, occurred_at=intent.occurred_at + shift, origin=origin)


def crossed(crossing: Crossing) -> Interpreted:
    """The intents of a decided crossing: what crossed, and one per kind of tag that cannot be read."""
    decoded = _decode(member.identifier for member in crossing.members)
    evidence = msgspec.json.encode(crossing)
    first, last = crossing.first // RESOLUTION * RESOLUTION, crossing.last // RESOLUTION * RESOLUTION
    origin = Origin(
        read_point=crossing.door,
        interval=(first, last),
        rule=crossing.evidence.rule,
        confidence=min((member.confidence for member in crossing.members), default=0),
        evidence=evidence_hash(evidence),
    )
    intents: list[AnyIntent] = []
    if decoded.units:
        intents.append(
            Crossed(
                occurred_at=last,
                origin=origin,
                place=crossing.place,
                direction=crossing.direction,
                units=decoded.units,
            )
        )
    intents += _unreadable(decoded, last)
    return Interpreted(tuple(intents), evidence, len(decoded.units), decoded.no_stock, decoded.unreadable_tags)


def sensed(
    place: str, identifiers: Iterable[str], occurred_at: int, origin: Origin, kind: Kind = "moving"
) -> Interpreted:
    """The intents of tags that are now at `place` (a zone or a shelf)."""
    decoded = _decode(identifiers)
    intents: list[AnyIntent] = []
    if decoded.units:
        intents.append(Moved(occurred_at=occurred_at, origin=origin, place=place, units=decoded.units, kind=kind))
    intents += _unreadable(decoded, occurred_at)
    return Interpreted(tuple(intents), b"", len(decoded.units), decoded.no_stock, decoded.unreadable_tags)


def evidence_hash(evidence: bytes) -> str:
    """What a movement carries of its evidence: 12 bytes of its SHA-256 in base64url."""
    return urlsafe_b64encode(sha256(evidence).digest()[:EVIDENCE_BYTES]).decode()


def expectation(identifier: str, places: Mapping[str, str], catalogue: Catalogue) -> Expectation | None:
    """What the ledger (unit -> place) and the documents let one expect of a tag at a door: it shifts a threshold and
    vetoes nothing."""
    unit = epc.decode(identifier).key
    if unit is None:
        return None
    place = places.get(unit)
    if place is None:
        announced = expected(catalogue, unit, "in")
        return "expected-in" if announced is not None and announced.document.state == "open" else None
    if is_virtual(place):
        return "shipped" if place == CUSTOMER else "expected-in"
    wanted = expected(catalogue, unit, "out")
    return "expected-out" if wanted is not None and wanted.document.state == "open" else "in-house"


def _decode(identifiers: Iterable[str]) -> _Decoded:
    units: dict[str, SeenUnit] = {}
    unreadable: dict[str, tuple[str, str]] = {}
    no_stock = failed = 0
    for identifier in identifiers:
        decoded = epc.decode(identifier)
        if decoded.key is not None:
            units.setdefault(decoded.key, SeenUnit(decoded.key))
        elif decoded.error is None:
            no_stock += 1  # a place, a person or a paper
        else:
            failed += 1
            header = identifier[:HEADER_DIGITS].upper() or "empty"
            subject = f"{header}/{decoded.company_prefix}" if decoded.company_prefix else header
            unreadable.setdefault(subject, (identifier, decoded.error))
    return _Decoded(tuple(units.values()), no_stock, unreadable, failed)


def _unreadable(decoded: _Decoded, occurred_at: int) -> list[Unreadable]:
    return [
        Unreadable(occurred_at=occurred_at, subject=subject, epc=identifier, reason=reason)
        for subject, (identifier, reason) in decoded.unreadable.items()
    ]
