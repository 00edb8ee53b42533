"""All rows of one physical event, over the branches of a site's ledger: what was posted for it, taken back, posted instead.

Rows of an event carry its `group`, the seq of its first row. No index leads from a group to its rows: those of one commit
follow each other, and what takes back or stands for one of them later has its time and goods.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import NotFoundError
from cloud.ingest.batch import epoch_of
from cloud.store import schema
from vocabulary import records
from vocabulary.movement import Movement

#: Rows of one event at most, and how far behind each other those of one commit are looked for.
MOST_ROWS = 200

Key = tuple[int, int]  # epoch in which the row is stored, seq


@dataclass(frozen=True, slots=True)
class Branches:
    """The epochs of a site: `parents` epoch -> (the epoch it grew from or None, the last row that both have)."""

    parents: dict[int, tuple[int | None, int]]

    def stored_in(self, epoch: int, seq: int) -> int | None:
        """The epoch under which row `seq` along the branch `epoch` is stored; None where the branch is not here."""
        while epoch in self.parents:
            parent, last = self.parents[epoch]
            if parent is None or seq > last:
                return epoch
            epoch = parent
        return None

    def key(self, epoch: int, seq: int) -> Key:
        """Where row `seq` along the branch `epoch` is stored."""
        return self.stored_in(epoch, seq) or 0, seq

    def holds(self, branch: int, epoch: int, seq: int) -> bool:
        """Whether row `seq` stored under `epoch` is a row of `branch`."""
        return self.stored_in(branch, seq) == epoch

    def shared(self, branch: int, other: int) -> int:
        """The last row stored under `other` that `branch` has; 0 where it grew from none of them."""
        last: int | None = None
        epoch: int | None = branch
        while epoch in self.parents and epoch != other:
            parent, left = self.parents[epoch]
            last = left if last is None else min(last, left)
            epoch = parent
        return (last or 0) if epoch == other else 0

    def with_row(self, epoch: int, seq: int) -> list[int]:
        """The branches that have row `seq` stored under `epoch`, those that are older first."""
        return [branch for branch in self.parents if self.holds(branch, epoch, seq)]

    def first_of(self, epoch: int) -> int:
        """The first row stored under `epoch`."""
        return self.parents[epoch][1] + 1


@dataclass(frozen=True, slots=True)
class EventRow:
    """A movement of the event; `at` its time as it is known now, both times in microseconds UTC."""

    epoch: int
    seq: int
    position: int
    at: int
    received_at: int
    movement: Movement


@dataclass(frozen=True, slots=True)
class Event:
    """The event that began with row `group` of `epoch`: all its rows, in order of arrival, and those that count still.

    `refusal`: why this is no event of movements that anybody could correct, in one sentence.
    """

    site_id: str
    epoch: int
    group: int
    branches: Branches
    rows: tuple[EventRow, ...] = ()
    standing: tuple[EventRow, ...] = ()
    refusal: str = ""


async def read_branches(conn: AsyncConnection, site_id: str) -> Branches:
    """The branches of a site's ledger, in order of first receipt."""
    e = schema.epoch.c
    rows = await conn.execute(
        select(e.epoch, e.parent_epoch, e.parent_seq).where(e.site_id == site_id).order_by(e.ordinal)
    )
    return Branches(
        {row.epoch: (epoch_of(row.parent_epoch) if row.parent_epoch else None, row.parent_seq) for row in rows}
    )


async def reversed_beside(conn: AsyncConnection, site_id: str, branches: Branches, epoch: int) -> set[Key]:
    """The rows that are reversed by rows which the branch `epoch` does not have, in branches of one origin with it."""
    row = schema.ledger.c
    root = branches.stored_in(epoch, 1)
    gone: set[Key] = set()
    for other in branches.parents:
        if other == epoch or root is None or branches.stored_in(other, 1) != root:
            continue
        query = select(row.body).where(
            row.site_id == site_id,
            row.epoch == other,
            row.seq > branches.shared(epoch, other),
            row.kind == "movement",
        )
        for body in (await conn.execute(query)).scalars():
            movement = _movement(body) if b'"reverses":' in body else None
            if movement is not None and isinstance(movement.reverses, int):
                gone.add(branches.key(other, movement.reverses))
    return gone


async def read_event(conn: AsyncConnection, site_id: str, epoch: int, seq: int) -> Event:
    """The event of row `seq` stored under `epoch`. Raises NotFoundError where there is no such row."""
    row = schema.ledger.c
    branches = await read_branches(conn, site_id)
    where = (row.site_id == site_id) & (row.epoch == epoch) & (row.seq == seq)
    found = (await conn.execute(select(row.body, row.kind).where(where))).first()
    if found is None:
        raise NotFoundError(f"site {site_id} has no record {seq} in epoch {epoch}")
    movement = _movement(found.body) if found.kind == "movement" else None
    if movement is None:  # rows that are kept as evidence have another kind too
        what = "no movement that counts" if found.kind != "movement" else "a movement that this version cannot read"
        return Event(site_id, epoch, seq, branches, refusal=f"This is {what}; only movements can be corrected.")
    group = seq if movement.group is UNSET else movement.group
    stored = branches.stored_in(epoch, group) or epoch
    search = _Search(conn, site_id, branches, stored, group)
    await search.run()
    rows = tuple(sorted(search.rows.values(), key=lambda one: one.position))
    if len(rows) > MOST_ROWS:
        refusal = f"This event has more than {MOST_ROWS} rows; count the places instead."
        return Event(site_id, stored, group, branches, rows, (), refusal)
    gone = {
        branches.key(one.epoch, one.movement.reverses) for one in rows if isinstance(one.movement.reverses, int)
    }  # fmt: skip
    standing = tuple(
        one
        for one in rows
        if one.movement.reverses is UNSET and one.movement.compensates is UNSET and (one.epoch, one.seq) not in gone
    )
    return Event(site_id, stored, group, branches, rows, standing)


@dataclass(slots=True)
class _Search:
    """Gathers the rows of the event that began with row `group` stored under `epoch`, on each branch that has it."""

    conn: AsyncConnection
    site_id: str
    branches: Branches
    epoch: int
    group: int
    rows: dict[Key, EventRow] = field(default_factory=dict[Key, EventRow])

    async def run(self) -> None:
        """Until nothing new is found: what was posted instead may be of other goods, and may be taken back itself."""
        family = self.branches.with_row(self.epoch, self.group)
        todo = [(self.epoch, self.group)]
        todo += [
            (branch, self.branches.first_of(branch))
            for branch in family
            if branch != self.epoch and self.branches.first_of(branch) <= self.group + MOST_ROWS
        ]
        while todo and len(self.rows) <= MOST_ROWS:
            before = len(self.rows)
            for epoch, start in todo:
                await self._following(epoch, start)
            todo = []
            if len(self.rows) > before:
                known = set(self.rows)
                await self._later(family)
                todo = sorted(key for key in self.rows if key not in known)

    async def _following(self, epoch: int, start: int) -> None:
        """The rows from `start` on, up to the next event's first row."""
        row = schema.ledger.c
        found = await self.conn.execute(
            select(schema.ledger)
            .where(row.site_id == self.site_id, row.epoch == epoch, row.seq >= start, row.kind == "movement")
            .order_by(row.seq)
            .limit(MOST_ROWS + 1)
        )
        for one in found:
            movement = _movement(one.body)
            if movement is not None and movement.group is UNSET and one.seq != self.group:
                return
            self._take(one.epoch, one.seq, one.position, one.occurred_at, one.received_at, movement)

    async def _later(self, family: list[int]) -> None:
        """Rows with the time and goods of those that are known; without goods, all rows since with their time."""
        row, line = schema.ledger.c, schema.movement_line.c
        known = list(self.rows.values())
        dates = sorted({one.at for one in known})
        since = min(one.position for one in known)
        query = select(schema.ledger).where(
            row.site_id == self.site_id, row.epoch.in_(family), row.position > since, row.occurred_at.in_(dates)
        )
        if all(one.movement.lines for one in known):
            items = sorted({part.item for one in known for part in one.movement.lines})
            hits = select(line.position).where(
                line.site_id == self.site_id,
                line.item.in_(items),
                line.position > since,
                line.occurred_at.in_(dates),
            )
            query = query.where(row.position.in_(hits))
        found = await self.conn.execute(
            query.where(row.kind == "movement").order_by(row.position).limit(10 * MOST_ROWS)
        )
        for one in found:
            self._take(one.epoch, one.seq, one.position, one.occurred_at, one.received_at, _movement(one.body))

    def _take(self, epoch: int, seq: int, position: int, at: int, received_at: int, movement: Movement | None) -> None:
        if movement is None:
            return
        first = epoch == self.epoch and seq == self.group
        mine = movement.group == self.group and self.branches.holds(epoch, self.epoch, self.group)
        if first or mine:
            self.rows[epoch, seq] = EventRow(epoch, seq, position, at, received_at, movement)


def _movement(body: bytes) -> Movement | None:
    try:
        record = records.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return record if isinstance(record, Movement) else None
