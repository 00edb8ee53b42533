"""What the dock-door rule says: goods passed a door, and why it thinks so."""

from __future__ import annotations

import msgspec

from gateway.observations.portal import Direction

#: Name and version of the rule, recorded with each movement.
RULE = "dock-door/1"


class Member(msgspec.Struct, frozen=True):
    """One tag of a crossing. `joined`: carried by its pallet; its own curve alone would not have posted."""

    identifier: str
    confidence: int  # per mille
    reads: tuple[int, int]  # outside, inside
    strongest: tuple[int, int]  # centi-dBm, outside, inside
    moving: float
    companion: float
    joined: bool


class Evidence(msgspec.Struct, frozen=True):
    """Why the rule decided: log likelihood ratio of the path, contrast in centi-dB, votes of the confident tags."""

    rule: str
    crossing: float
    contrast: float
    agreeing: int
    voting: int
    peaks: tuple[int, int]  # outside, inside; gateway monotonic microseconds
    reads: int


class Crossing(msgspec.Struct, frozen=True):
    """Goods passed a door, once. Reader times in microseconds UTC; `crossed`, `decided` in gateway monotonic ones.

    `pallet` numbers what moved together at this door: tags decided later carry the number of the crossing they join.
    """

    door: str
    place: str
    direction: Direction
    members: tuple[Member, ...]
    first: int
    last: int
    crossed: int
    decided: int
    pallet: int
    evidence: Evidence


class OpenPassage(msgspec.Struct, frozen=True):
    """A tag now at a door, for the station page. Times in gateway monotonic microseconds, strength in centi-dBm."""

    door: str
    identifier: str
    since: int
    last: int
    reads: tuple[int, int]
    strongest: int
    moving: float
    resting: bool
