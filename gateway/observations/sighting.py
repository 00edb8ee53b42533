"""What one device sensed, once: the value that every driver delivers and every rule reads."""

from __future__ import annotations

import msgspec


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """One identifier sensed by one read point. Lives at the edge only; never persisted.

    `identifier` is the EPC bank's content as upper-case hex for a tag, or the code's text for a label.
    `reader_time` is the device's own time corrected to ours, microseconds UTC; `monotonic` the gateway's
    monotonic microseconds at arrival. `strength` is in centi-dBm; `phase` in 1/4096 of a turn.
    """

    device: str
    read_point: str
    identifier: str
    reader_time: int
    monotonic: int
    strength: int | None = None
    phase: int | None = None
    channel: int | None = None
    count: int = 1
    symbology: str | None = None  # AIM identifier of a scanned code, such as ]C1
