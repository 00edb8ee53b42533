"""The last rows of a dead card, as the gateway that took over found them: kept as an epoch of their own, without effect.

What they tell comes in the rows of that gateway, once. These are the evidence: the bytes that were recorded first, chained
to the last row that both held. Nothing derived from records sees them (`schema.SALVAGED`), but for one thing: a clock record
of the card corrects the rows that had arrived before it died, and nobody else can.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.errors import BadInputError, DeniedError
from cloud.ingest.batch import Batch, read_batch
from cloud.ingest.epochs import fits, open_branch
from cloud.projections.calendar import BusinessDays
from cloud.projections.clock import redate
from cloud.projections.parked import digest, occurred_at
from cloud.store import lanes, schema
from cloud.store.database import retrying, writing
from runtime import Runtime
from vocabulary.records import ClockRecord
from vocabulary.wire import Conflict, Pushed


class _UnfitError(Exception):
    """Rows that do not fit: nothing of their push is kept."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(conflict.title)
        self.conflict = conflict


async def keep_rows(
    engine: AsyncEngine, runtime: Runtime, gateway: str, site_id: str, body: bytes
) -> tuple[Pushed | Conflict, int]:
    """Keep a push of a dead card's rows that `gateway` salvaged; the answer, and the site's arrival number after it.

    Rows that are here already are compared, not kept again. A Conflict where they do not follow what is here, or grow from a
    row that is not. Raises BadInputError, TooLargeError, DeniedError.
    """
    batch = read_batch(body)
    header = batch.header
    if (header.gateway, header.site) != (gateway, site_id):
        raise DeniedError(f"gateway {gateway} speaks for site {site_id}, not for {header.site}")
    try:
        return await retrying(engine, runtime, lambda: _keep(engine, batch, runtime.now()))
    except _UnfitError as error:
        return error.conflict, 0


async def _keep(engine: AsyncEngine, batch: Batch, now: int) -> tuple[Pushed, int]:
    site_id, first = batch.header.site, batch.header.first_seq
    s, e = schema.site.c, schema.epoch.c
    async with writing(engine, site_id) as conn:
        site = (await conn.execute(select(schema.site).where(s.id == site_id).with_for_update())).one()
        if batch.header.parent is None and first == 1:
            raise BadInputError("a salvaged card's first rows name the row that they grow from, as `parent`")
        branch = await open_branch(conn, batch, now, salvaged=True)
        if isinstance(branch, Conflict):
            raise _UnfitError(branch)
        conflict = await fits(conn, batch, branch)
        if conflict is not None:
            raise _UnfitError(conflict)
        fresh = max(0, branch.seq - first + 1)
        added = len(batch.bodies) - fresh
        if added > 0:
            await lanes.append(conn, schema.ledger, _rows(batch, fresh, site.position, now))
            branch.seq, branch.hash = batch.last_seq, batch.hashes[-1]
            mine = (e.site_id == site_id) & (e.epoch == branch.epoch)
            await conn.execute(update(schema.epoch).where(mine).values(seq=branch.seq, hash=branch.hash, last_at=now))
            await conn.execute(update(schema.site).where(s.id == site_id).values(position=site.position + added))
            days = BusinessDays(site.zone, site.day_start, site.opens, site.closes)
            for record in map(digest, batch.bodies[fresh:]):
                if isinstance(record, ClockRecord):
                    await redate(conn, site_id, days, branch.epoch, record)
    position: int = site.position + max(0, added)
    return Pushed(branch.seq, branch.hash.hex(), now, str(site.downlink)), position


def _rows(batch: Batch, fresh: int, position: int, now: int) -> list[lanes.Row]:
    """The rows of `batch` from index `fresh` on, behind the site's arrival number `position`."""
    rows: list[lanes.Row] = []
    for index in range(fresh, len(batch.bodies)):
        body = batch.bodies[index]
        record = digest(body)
        at = None if isinstance(record, str) else occurred_at(record)
        seq, number = batch.header.first_seq + index, position + 1 + index - fresh
        key = (batch.header.site, batch.epoch, seq)
        rows.append((*key, number, schema.SALVAGED, now if at is None else at, now, body, batch.hashes[index]))
    return rows
