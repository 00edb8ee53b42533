"""What a dock door is, and the thresholds of its rule."""

from __future__ import annotations

from typing import Literal

import msgspec

Direction = Literal["in", "out"]
Expectation = Literal["expected-in", "expected-out", "in-house", "shipped"]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a passage is a crossing. The defaults were fixed on the tuning seeds of `benchmarks/portal.py`."""

    reads_per_zone: int = 4
    """Fewest reads in each zone; raise it where many strays are read, lower it where tags pass fast."""
    moving: float = 6.0
    """Least log likelihood ratio of moving against resting; raise it where strays rest close to the door."""
    crossing: float = 6.5
    """Least log likelihood ratio of crossing against turning back or passing by."""
    joining: float = 4.0
    """The least `moving` ratio of a tag that a pallet of confident tags takes along."""
    joining_reads: int = 2
    """Fewest reads in each zone of a tag that a pallet takes along."""
    alone: float = 1.5
    """What fewer than three confident tags must show beyond `crossing`; raise it where only pallets pass."""
    contrast: float = 800.0
    """Centi-dB by which each zone must be below its peak when the other has its own; lower it where the two antennas
    of a door overlap much."""
    arrived: float = 200.0
    """Centi-dB by which the near zone must have risen before its peak; goods at rest beside an antenna did not arrive."""
    left: float = 400.0
    """Centi-dB by which the far zone must have fallen before goods count as gone through."""
    peaks_apart: float = 0.25
    """Seconds by which the two zones' peaks must differ at least; a fast conveyor needs less."""
    floor: int = -6200
    """Centi-dBm that the three strongest reads of each zone must reach on average; learn it per site: the 5th
    percentile of known passages."""


class DoorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dock door with an inside and an outside zone."""

    name: str
    """How people call this door."""
    place: str
    """The place to which goods come, or from which they leave, when they cross here."""
    inside: tuple[str, ...]
    """Read points (reader/antenna) that look at the warehouse side."""
    outside: tuple[str, ...]
    """Read points that look at the yard side."""
    gpi_gated: bool = False
    """True where a light curtain starts the reading: strays are fewer, so one read less per zone is enough."""
    silence: float = 1.5
    """Seconds without reads that end a passage; raise it where reads are sparse."""
    longest: float = 25.0
    """Seconds of movement that are kept of one passage; what came before is forgotten."""
    longest_wait: float = 60.0
    """Seconds that goods may stand in the doorway and still be the same passage."""
    thresholds: Thresholds = Thresholds()
    """When a passage is a crossing."""
