"""READ FIRST: a gateway's push becomes stored rows, projections and a new head, in one transaction.

The server hashes the bytes it received, never a re-encoding. What it already holds is compared, not stored again; a gap or
a fork is answered with what is expected. A record that this version cannot digest is stored, chained and acknowledged
like any other, and parked; nothing that a site sends can block its queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.errors import BadInputError, DeniedError, TooLargeError
from cloud.ingest.alarms import REFUSALS, branched, instance_spoke, push_passed, push_refused
from cloud.ingest.batch import Batch, read_batch
from cloud.ingest.epochs import Branch, fits, open_branch, repeated
from cloud.projections.calendar import BusinessDays
from cloud.projections.changes import Change, Changes
from cloud.projections.parked import Parked, digest, no_effect, occurred_at, park
from cloud.projections.project import Arrived, Site, project
from cloud.store import lanes, schema
from cloud.store.database import is_bad_value, retrying, writing
from runtime import Runtime
from vocabulary.records import Record, kind_of
from vocabulary.wire import Conflict, Pushed, Status

_encoder = msgspec.json.Encoder()
_status = msgspec.json.Decoder(Status)


@dataclass(slots=True)
class Receiver:
    """Takes pushes into `engine`; tells `changes` after each commit."""

    engine: AsyncEngine
    runtime: Runtime
    changes: Changes
    #: gateway -> pushes refused in a row; one entry for each enrolled gateway at most
    _refusals: dict[str, int] = field(default_factory=dict[str, int])

    async def push(self, gateway: str, site_id: str, body: bytes) -> Pushed | Conflict:
        """Store a push of `gateway`, enrolled for `site_id`. Raises BadInputError, TooLargeError, DeniedError."""
        try:
            batch = read_batch(body)
        except (BadInputError, TooLargeError) as error:
            await self._refused(gateway, site_id, str(error))
            raise
        if (batch.header.gateway, batch.header.site) != (gateway, site_id):
            raise DeniedError(f"gateway {gateway} speaks for site {site_id}, not for {batch.header.site}")
        decoded = [digest(line) for line in batch.bodies]
        try:
            answer, position = await self._stored(batch, decoded, careful=False)
        except (BadInputError, DeniedError):
            raise
        except Exception as error:  # one record's effect cannot be computed: find it, park it, keep the others
            if isinstance(error, DBAPIError) and not is_bad_value(error):
                raise
            answer, position = await self._stored(batch, decoded, careful=True)
        if batch.bodies and self._refusals.pop(gateway, 0) >= REFUSALS:
            async with writing(self.engine, site_id) as conn:
                await push_passed(conn, site_id, gateway, self.runtime.now())
        if position:
            self.changes.publish(Change(site_id, ("records",), position, self.runtime.now()))
        return answer

    async def _refused(self, gateway: str, site_id: str, reason: str) -> None:
        """Count what is refused as it is; people are told when it does not end."""
        self._refusals[gateway] = self._refusals.get(gateway, 0) + 1
        if self._refusals[gateway] == REFUSALS:
            async with writing(self.engine, site_id) as conn:
                await push_refused(conn, site_id, gateway, reason, self.runtime.now())

    async def _stored(
        self, batch: Batch, decoded: list[Record | str], *, careful: bool
    ) -> tuple[Pushed | Conflict, int]:
        """Store a push, again where its transaction met another site's."""
        return await retrying(self.engine, self.runtime, lambda: self._store(batch, decoded, careful=careful))

    async def _store(
        self, batch: Batch, decoded: list[Record | str], *, careful: bool
    ) -> tuple[Pushed | Conflict, int]:
        now = self.runtime.now()
        header = batch.header
        async with writing(self.engine, header.site) as conn:
            c = schema.site.c
            site = (
                (await conn.execute(select(schema.site).where(c.id == header.site).with_for_update())).mappings().one()
            )
            branch = await open_branch(conn, batch, now)
            if isinstance(branch, Conflict):
                return branch, 0
            if branch.left:
                await branched(conn, header.site, header.gateway, branch.seq, branch.left, now)
            conflict = await fits(conn, batch, branch)
            if conflict is not None:
                return conflict, 0
            fresh = max(0, branch.seq - header.first_seq + 1)  # the rows before it are here already, and the same
            context = Site(header.site, BusinessDays(site["zone"], site["day_start"], site["opens"], site["closes"]))
            position: int = site["position"]
            stored = len(batch.bodies) - fresh
            if stored > 0:
                again = await repeated(conn, batch, branch)
                await _store_rows(conn, batch, decoded, fresh, position, now, again)
                await _derive(conn, context, batch, decoded, fresh, position, now, again, careful=careful)
                branch.seq, branch.hash = batch.last_seq, batch.hashes[-1]
                downlink = site["downlink"] + (1 if context.downlink_changed else 0)
                await conn.execute(
                    update(schema.site).where(c.id == header.site).values(position=position + stored, downlink=downlink)
                )
            else:
                downlink, stored = site["downlink"], 0
            await _heads(conn, batch, branch, header.status, now)
        told = Pushed(branch.seq, branch.hash.hex(), now, str(downlink))
        if context.downlink_changed:
            self.changes.publish(Change(header.site, ("downlink", "documents"), position + stored, now))
        for other in dict.fromkeys(context.others_changed):
            self.changes.publish(Change(other, ("downlink", "documents"), 0, now))
        return told, position + stored if stored else 0


async def _store_rows(
    conn: AsyncConnection,
    batch: Batch,
    decoded: Sequence[Record | str],
    fresh: int,
    position: int,
    now: int,
    again: frozenset[int],
) -> None:
    """Keep the new rows; those `again` (seq) without effect, for they arrived in another epoch before."""
    site_id, first = batch.header.site, batch.header.first_seq
    rows: list[lanes.Row] = []
    parked: list[Parked] = []
    for index in range(fresh, len(batch.bodies)):
        body, record = batch.bodies[index], decoded[index]
        at = now
        if isinstance(record, str):
            parked.append(Parked(batch.epoch, first + index, body, record))
        else:
            at = occurred_at(record) or now
        position += 1
        kind = schema.SALVAGED if first + index in again else kind_of(body)
        rows.append((site_id, batch.epoch, first + index, position, kind, at, now, body, batch.hashes[index]))
    await lanes.append(conn, schema.ledger, rows)
    await park(conn, site_id, parked, now)


async def _derive(
    conn: AsyncConnection,
    site: Site,
    batch: Batch,
    decoded: Sequence[Record | str],
    fresh: int,
    position: int,
    now: int,
    again: frozenset[int],
    *,
    careful: bool,
) -> None:
    """Project the new rows but those `again`; `careful`: one at a time, parking those whose effect cannot be computed."""
    first = batch.header.first_seq
    rows = [
        Arrived(batch.epoch, first + index, position + 1 + index - fresh, now, record)
        for index, record in enumerate(decoded)
        if index >= fresh and not isinstance(record, str) and first + index not in again
    ]
    if not careful:
        await project(conn, site, rows)
        return
    for row in rows:
        try:
            async with conn.begin_nested():
                await project(conn, site, [row])
        except Exception as error:
            if isinstance(error, DBAPIError) and not is_bad_value(error):
                raise
            await park(
                conn, site.id, [Parked(row.epoch, row.seq, batch.bodies[row.seq - first], no_effect(error))], now
            )


async def _heads(conn: AsyncConnection, batch: Batch, branch: Branch, status: Status, now: int) -> None:
    """Write the branch's head, what the gateway said of itself, and forget an advisory whose rows have arrived."""
    header = batch.header
    e, g, a = schema.epoch.c, schema.gateway.c, schema.advisory.c
    if status.instance:
        mine = (g.site_id == header.site) & (g.id == header.gateway)
        said = (await conn.execute(select(g.status).where(mine))).scalar_one_or_none()
        if not said or _status.decode(said).instance != status.instance:
            await instance_spoke(conn, header.site, header.gateway, status.instance, now)
    await conn.execute(
        update(schema.epoch)
        .where(e.site_id == header.site, e.epoch == branch.epoch)
        .values(seq=branch.seq, hash=branch.hash, last_at=now)
    )
    await conn.execute(
        update(schema.gateway)
        .where(g.site_id == header.site, g.id == header.gateway)
        .values(
            epoch=header.epoch,
            seen_at=now,
            behind=max(0, status.recorded - branch.seq),
            status=_encoder.encode(status).decode(),
            clock_us=status.now - now,
        )
    )
    await conn.execute(
        delete(schema.advisory).where(a.site_id == header.site, a.epoch == branch.epoch, a.seq <= branch.seq)
    )
