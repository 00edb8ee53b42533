"""What others do at a dock door, written anew from their published descriptions, to stand beside the dock-door rule.

All are given the same ends of passages (1.5 s without a read of the tag at the door) and the gateway's arrival times.
- `first/last antenna`: the zone of the first read and of the last one; a crossing where they differ.
- `strongest-read order`: the zone whose strongest read came later is where the tag went.
- `EdgeX mobility`: the mobility profile of EdgeX's RFID inventory service with its published defaults (threshold 6 dB,
  hold-off 500 ms, slope -0.008 dB/ms, ring of 20 reads); a crossing where first and final location are the two zones of
  one door. It was not made for this; its own departure time of 600 s is replaced by the end of the passage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.portal_physics import Read

SILENCE = 1.5


@dataclass(frozen=True, slots=True)
class Posted:
    """One tag that a rule says has crossed. Times in seconds of the stream."""

    identifier: str
    door: str
    direction: str
    decided: float
    pallet: int = 0


def _passages(reads: list[Read], per_door: bool) -> list[list[Read]]:
    open_: dict[tuple[int, str], list[Read]] = {}
    closed: list[list[Read]] = []
    for read in reads:
        key = (read.door if per_door else 0, read.identifier)
        passage = open_.get(key)
        if passage is not None and read.arrival - passage[-1].arrival > SILENCE:
            closed.append(passage)
            passage = None
        if passage is None:
            open_[key] = passage = []
        passage.append(read)
    return closed + list(open_.values())


def _post(passage: list[Read], start: int, end: int, door: int) -> list[Posted]:
    if start == end:
        return []
    last = passage[-1]
    direction = "in" if end == 1 else "out"
    return [Posted(last.identifier, f"door-{door + 1}", direction, last.arrival + SILENCE)]


def first_last(reads: list[Read]) -> list[Posted]:
    out: list[Posted] = []
    for passage in _passages(reads, True):
        out += _post(passage, passage[0].zone, passage[-1].zone, passage[0].door)
    return out


def strongest_order(reads: list[Read]) -> list[Posted]:
    out: list[Posted] = []
    for passage in _passages(reads, True):
        zones = [[read for read in passage if read.zone == zone] for zone in (0, 1)]
        if all(zones):
            outside, inside = (max(zone, key=lambda read: read.strength).arrival for zone in zones)
            start = 0 if outside < inside else 1
            out += _post(passage, start, 1 - start, passage[0].door)
    return out


def edgex_mobility(reads: list[Read]) -> list[Posted]:
    out: list[Posted] = []
    for passage in _passages(reads, False):
        rings: dict[tuple[int, int], deque[float]] = {}
        seen: dict[tuple[int, int], float] = {}
        where = (passage[0].door, passage[0].zone)
        first = where
        for read in passage:
            at = (read.door, read.zone)
            ring = rings.setdefault(at, deque(maxlen=20))
            ring.append(read.strength)
            if at != where and len(ring) >= 2:
                silent = (read.arrival - seen[where]) * 1000.0
                offset = min(6.0, -0.008 * silent + 6.0 + 0.008 * 500.0)
                old = rings[where]
                if sum(ring) / len(ring) > sum(old) / len(old) + offset:
                    where = at
            seen[at] = read.arrival
        if first[0] == where[0]:
            out += _post(passage, first[1], where[1], where[0])
    return out


PEERS: dict[str, Callable[[list[Read]], list[Posted]]] = {
    "first/last antenna": first_last,
    "strongest-read order": strongest_order,
    "EdgeX mobility": edgex_mobility,
}
