"""What a movement means beyond the balances: how its lines crossed the building's edge. Pure."""

from __future__ import annotations

from functools import lru_cache

from msgspec import UNSET

from vocabulary.movement import Movement
from vocabulary.place import (
    AVAILABLE,
    CUSTOMER,
    IN_TRANSIT,
    OPENING,
    ROBOT,
    SCRAP,
    SUPPLIER,
    UNKNOWN,
    Account,
    is_virtual,
)

ISSUED, RECEIVED, RETURNED, TRANSFERRED, COUNTED, SCRAPPED = (
    "issued",
    "received",
    "returned",
    "transferred",
    "counted",
    "scrapped",
)


@lru_cache(maxsize=20_000)
def inside(place: str) -> bool:
    """Whether stock at `place` is in the building: bins, docks, zones, and what robots carry."""
    return not is_virtual(place) or place.startswith(ROBOT)


def flow_of(movement: Movement, source: Account, target: Account, quantity: int) -> tuple[str, int]:
    """(flow, signed base units) of one line; ("", 0) inside the building. A reversal takes back what it reverses."""
    sign = 1
    if movement.reverses is not UNSET:
        source, target, sign = target, source, -1
    from_place, to_place = source.place, target.place
    if to_place == from_place:
        return "", 0
    if to_place == CUSTOMER:
        return ISSUED, sign * quantity
    if from_place == CUSTOMER:
        return RETURNED, sign * quantity
    if inside(from_place):
        return _outwards(movement, to_place, sign * quantity)
    if inside(to_place):
        return _inwards(from_place, movement, sign * quantity)
    return "", 0


def _outwards(movement: Movement, to_place: str, quantity: int) -> tuple[str, int]:
    if inside(to_place):
        return "", 0
    if movement.kind == "consuming":
        return ISSUED, quantity
    if to_place.startswith(IN_TRANSIT):
        return TRANSFERRED, quantity
    if to_place == SUPPLIER:
        return RECEIVED, -quantity
    if to_place == SCRAP:
        return SCRAPPED, quantity
    return (COUNTED, -quantity) if to_place in (UNKNOWN, OPENING) else ("", 0)


def _inwards(from_place: str, movement: Movement, quantity: int) -> tuple[str, int]:
    if from_place == SUPPLIER or from_place.startswith(IN_TRANSIT) or movement.kind == "producing":
        return RECEIVED, quantity
    if from_place == SCRAP:
        return SCRAPPED, -quantity
    return (COUNTED, quantity) if from_place in (UNKNOWN, OPENING) else ("", 0)


def stock_change(source: Account, target: Account, quantity: int) -> tuple[int, int]:
    """How a line changes what is in the building and what of it is available, base units."""
    if source.place == target.place and source.status == target.status:
        return 0, 0
    leaves, arrives = inside(source.place), inside(target.place)
    on_hand = (quantity if arrives else 0) - (quantity if leaves else 0)
    available = (quantity if arrives and target.status == AVAILABLE else 0) - (
        quantity if leaves and source.status == AVAILABLE else 0
    )
    return on_hand, available
