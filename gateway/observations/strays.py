"""The stray ledger: every tag that was read at a door and posted nothing, kept, counted and visible."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

#: Strays kept over all doors: a full yard; the one unseen for longest makes room.
STRAYS = 20_000
#: Windows within this time make a tag static: more than three in ten minutes, without a crossing.
WINDOWS, WINDOW_TIME = 3, 600_000_000
#: Microseconds of unbroken reading that make a tag static.
STATIC_AFTER = 8_000_000


class Stray(msgspec.Struct, frozen=True):
    """A tag that posted nothing at a door. Times in gateway monotonic microseconds, strength in centi-dBm."""

    identifier: str
    door: str
    windows: int
    reads: int
    first: int
    last: int
    strongest: int
    reason: str
    static: bool


class StrayLedger:
    """Strays by (door, tag). Bounded; `dropped` counts what made room."""

    def __init__(self, limit: int = STRAYS) -> None:
        self.dropped = 0
        self.noted = 0
        self._limit = limit
        self._strays: OrderedDict[tuple[str, str], Stray] = OrderedDict()
        self._recent: dict[tuple[str, str], tuple[int, ...]] = {}

    def note(self, door: str, identifier: str, reads: int, first: int, last: int, strongest: int, reason: str) -> None:
        """A passage that ended without a crossing."""
        key = (door, identifier)
        old = self._strays.pop(key, None)
        before = [at for at in self._recent.get(key, ()) if last - at < WINDOW_TIME]
        recent = (*before[-WINDOWS:], last)
        self._recent[key] = recent
        self.noted += 1
        self._strays[key] = Stray(
            identifier=identifier,
            door=door,
            windows=(old.windows if old else 0) + 1,
            reads=(old.reads if old else 0) + reads,
            first=old.first if old else first,
            last=last,
            strongest=max(strongest, old.strongest) if old else strongest,
            reason=reason,
            static=(old is not None and old.static) or last - first > STATIC_AFTER or len(recent) > WINDOWS,
        )
        if len(self._strays) > self._limit:
            gone, _ = self._strays.popitem(last=False)
            self._recent.pop(gone, None)
            self.dropped += 1

    def crossed(self, identifier: str, doors: tuple[str, ...]) -> None:
        """The tag has moved after all: it is a stray no longer."""
        for door in doors:
            self._strays.pop((door, identifier), None)
            self._recent.pop((door, identifier), None)

    def static(self, door: str, identifier: str) -> bool:
        """Whether a tag is on the never-move list: its own movement must speak louder before it is believed."""
        stray = self._strays.get((door, identifier))
        return stray is not None and stray.static

    def all(self) -> list[Stray]:
        """The strays, least recently seen first."""
        return list(self._strays.values())
