"""Where stock can be: places in a tree, virtual places, the status of stock, and accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

PlaceKind = Literal["site", "zone", "aisle", "bay", "bin", "dock"]


class Place(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A place of a site. Stock may sit at any level; reports include descendants, the ledger does not."""

    id: str
    kind: PlaceKind
    parent: str = ""
    name: str = ""
    sgln: str = ""


SUPPLIER = "supplier"
CUSTOMER = "customer"
SCRAP = "scrap"
OPENING = "opening"
IDENTITY = "identity"
UNKNOWN = "unknown"
IN_TRANSIT = "in-transit:"
ROBOT = "robot:"

#: Virtual places are not checked for negative balances; robots carry real stock but are not counted as bins either.
_VIRTUAL = frozenset({SUPPLIER, CUSTOMER, SCRAP, OPENING, IDENTITY, UNKNOWN})

AVAILABLE = "available"
DAMAGED = "damaged"
QUARANTINE = "on-hold:quarantine"
INSPECTION = "on-hold:inspection"
RECALL = "on-hold:recall"
STATUSES = (AVAILABLE, QUARANTINE, INSPECTION, RECALL, DAMAGED)


def is_virtual(place: str) -> bool:
    """Whether `place` lies outside the building: what is there is not stock of the site."""
    return place in _VIRTUAL or place.startswith((IN_TRANSIT, ROBOT))


def in_transit(transfer: str) -> str:
    """The virtual place of goods under way on `transfer`."""
    return IN_TRANSIT + transfer


class Account(msgspec.Struct, frozen=True, array_like=True):
    """Where a balance is kept: a place and a status. On the wire: ["dock-1", "available"]."""

    place: str
    status: str = AVAILABLE


def ancestors(place: str, places: Mapping[str, Place]) -> Iterator[str]:
    """`place`, then its parent, up to the site's root. Ends at a place that is not known or was met before."""
    seen: dict[str, None] = {}
    while place and place not in seen:
        seen[place] = None
        yield place
        known = places.get(place)
        place = known.parent if known else ""
