"""Parked records that a rebuild can apply: their side effects, which the other records had when they arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections import documents, transfers
from cloud.projections.calendar import BusinessDays
from cloud.projections.parked import Parked, tag_of, unpark
from cloud.projections.project import Arrived, Site
from cloud.store import schema
from vocabulary.movement import Movement, accounts
from vocabulary.place import IN_TRANSIT


class Late:
    """Follows the parked records of one site through a rebuild."""

    def __init__(self, site_id: str, days: BusinessDays, parked: set[tuple[int, int]]) -> None:
        self.site = Site(site_id, days)
        self._parked = parked
        self._applied: dict[tuple[int, int], str] = {}
        self._still: set[str] = set()
        self._movements: dict[tuple[int, int], Arrived] = {}

    def is_late(self, row: Arrived) -> bool:
        """Whether `row` had no effect so far."""
        return (row.epoch, row.seq) in self._parked

    def has_side_effects(self, row: Arrived) -> bool:
        """Whether `row` takes its side effects where it stands; a movement's come at the end, from the sums of all rows."""
        if not self.is_late(row):
            return False
        if isinstance(row.record, Movement):
            self._movements[row.epoch, row.seq] = row
        return not isinstance(row.record, Movement)

    def sort(self, bodies: Mapping[tuple[int, int], bytes], refused: Sequence[Parked]) -> list[Parked]:
        """Note which of the rows in `bodies` took effect; returns those of `refused` that must be parked anew."""
        without = {(one.epoch, one.seq) for one in refused}
        self._applied |= {key: tag_of(bodies[key]) for key in bodies if key in self._parked and key not in without}
        self._still |= {tag_of(one.body) for one in refused}
        return [one for one in refused if (one.epoch, one.seq) not in self._parked]

    async def finish(self, conn: AsyncConnection) -> int:
        """Follow what the late movements fulfilled or sent, forget that they were parked; returns how many were applied."""
        if not self._applied:
            return 0
        settled = sorted(set(self._applied.values()) - self._still)
        await unpark(conn, self.site.id, list(self._applied), settled)
        rows = [row for key, row in self._movements.items() if key in self._applied]
        movements = [row.record for row in rows if isinstance(row.record, Movement)]
        told = self.site.downlink_changed
        if rows:
            at = rows[-1].received_at
            names = dict.fromkeys(one.document for one in movements if one.document is not UNSET)
            told |= await documents.advance(conn, self.site.id, {str(name): {} for name in names}, at, live=True)
            await transfers.forward(conn, self.site.id, _transfers(movements), at)
        if told:
            s = schema.site.c
            await conn.execute(update(schema.site).where(s.id == self.site.id).values(downlink=s.downlink + 1))
        return len(self._applied)


def _transfers(movements: Sequence[Movement]) -> list[str]:
    """The transfers whose in-transit place the movements touch, each once, in order."""
    places = [
        account.place
        for movement in movements
        for part in (*movement.lines, *movement.units)
        for account in accounts(movement, part)
    ]
    return [place.removeprefix(IN_TRANSIT) for place in dict.fromkeys(places) if place.startswith(IN_TRANSIT)]
