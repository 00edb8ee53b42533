"""Projections can be thrown away: derived anew from the ledger and the documents they must come out the same."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

import msgspec
from sqlalchemy import Table, delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections import arrivals
from cloud.projections.calendar import BusinessDays
from cloud.projections.clock import named_rows
from cloud.projections.daily import DAILY_FLOWS, ORDERED, DailyChanges
from cloud.projections.documents import is_demand
from cloud.projections.late import Late
from cloud.projections.parked import Parked, digest, no_effect, occurred_at, park, read_parked
from cloud.projections.project import Arrived, Site, project
from cloud.store import lanes, schema
from cloud.store.database import is_bad_value
from vocabulary import chain, records

#: Records derived in one go: bounds memory.
STEP = 1_000

#: The column of the documents that follows from the ledger, and all others.
ARRIVED = (schema.document, tuple(set(schema.document.columns.keys()) - {"site_id", "id", "arrived_at"}))

#: Tables that follow from the ledger alone, and the columns that do not (times of receipt).
DERIVED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (schema.balance, ()),
    (schema.item_stock, ()),
    (schema.unit, ()),
    (schema.lot, ()),
    (schema.movement_line, ()),
    (schema.daily, ()),
    (schema.count_line, ()),
    (schema.inspection, ()),
    (schema.document_done, ()),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What verification of a site found; `differences` is empty where everything agrees."""

    site_id: str
    records: int
    differences: tuple[str, ...]


async def verify_site(
    conn: AsyncConnection, site_id: str, told: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Check the chain of every epoch and derive a site's projections anew, comparing each table.

    The derived rows stay in the caller's transaction: roll it back to look only, commit it to repair. `told` hears of progress.
    """
    site = (await conn.execute(select(schema.site).where(schema.site.c.id == site_id))).mappings().one()
    days = BusinessDays(site["zone"], site["day_start"], site["opens"], site["closes"])
    differences = await _check_chains(conn, site_id)
    if differences:  # nothing right can be derived from rows that were changed
        return Report(site_id, site["position"], tuple(differences))
    derived = (*DERIVED, ARRIVED)
    before = {table.name: await _digest(conn, table, site_id, without) for table, without in derived}
    rebuilt = await rebuild_site(conn, site_id, days, site["position"], told)
    if rebuilt.refused:
        one = rebuilt.refused[0]
        differences.append(
            f"records without effect that are not parked: {len(rebuilt.refused)}; "
            f"the first is {one.seq} of epoch {one.epoch}: {one.reason}"
        )
    if rebuilt.applied:
        differences.append(f"parked records that this version can apply: {rebuilt.applied}")
    for table, without in derived:
        if before[table.name] != await _digest(conn, table, site_id, without):
            differences.append(f"table {table.name} differs from what the ledger gives")
    if rebuilt.records != site["position"]:
        differences.append(f"the site counts {site['position']} records, the ledger holds {rebuilt.records}")
    return Report(site_id, rebuilt.records, tuple(differences))


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did: records read, `refused` those it had to park, `applied` how many parked ones it could apply."""

    records: int = 0
    applied: int = 0
    refused: list[Parked] = field(default_factory=list[Parked])


async def rebuild_site(
    conn: AsyncConnection, site_id: str, days: BusinessDays, total: int, told: Callable[[int, int], None]
) -> Rebuilt:
    """Derive all projections of a site anew, in the caller's transaction.

    A record that cannot be digested is parked, as when it arrives; one that was parked and now can be takes effect.
    """
    for table, _ in DERIVED:
        await conn.execute(delete(table).where(table.c.site_id == site_id))
    await arrivals.forget(conn, site_id)
    await _demand_of_documents(conn, site_id)
    c, position, result = schema.ledger.c, 0, Rebuilt()
    parked = await read_parked(conn, site_id)
    await _as_recorded(conn, site_id, parked)
    late = Late(site_id, days, parked)
    while True:
        found = (
            await conn.execute(
                select(c.epoch, c.seq, c.position, c.received_at, c.body, c.kind)
                .where(c.site_id == site_id, c.position > position)
                .order_by(c.position)
                .limit(STEP)
            )
        ).all()
        if not found:
            result.applied = await late.finish(conn)
            return result
        rows: list[Arrived] = []
        bodies: dict[tuple[int, int], bytes] = {}
        refused: list[Parked] = []
        for row in found:
            record = digest(row.body)
            if row.kind == schema.SALVAGED and not isinstance(record, records.ClockRecord):
                continue  # kept as evidence; what it tells comes in another row
            bodies[row.epoch, row.seq] = row.body
            if isinstance(record, str):
                refused.append(Parked(row.epoch, row.seq, row.body, record))
            else:
                rows.append(Arrived(row.epoch, row.seq, row.position, row.received_at, record))
        failed = await _derive(conn, Site(site_id, days, live=False), late, rows)
        refused += [Parked(*key, bodies[key], reason) for key, reason in failed.items()]
        fresh = late.sort(bodies, refused)
        await park(conn, site_id, fresh, found[-1].received_at)
        result.refused += fresh
        position, result.records = found[-1].position, result.records + len(found)
        told(result.records, total)


async def _derive(conn: AsyncConnection, site: Site, late: Late, rows: list[Arrived]) -> dict[tuple[int, int], str]:
    """Project `rows`; where that fails one at a time, returning why those failed that have no effect."""
    try:
        async with conn.begin_nested():
            await _project(conn, site, late, rows)
        return {}
    except Exception as error:  # one record's effect cannot be computed: find it, keep the others
        if isinstance(error, DBAPIError) and not is_bad_value(error):
            raise
        failed: dict[tuple[int, int], str] = {}
    for row in rows:
        try:
            async with conn.begin_nested():
                await _project(conn, site, late, [row])
        except Exception as error:
            if isinstance(error, DBAPIError) and not is_bad_value(error):
                raise
            failed[row.epoch, row.seq] = no_effect(error)
    return failed


async def _project(conn: AsyncConnection, site: Site, late: Late, rows: list[Arrived]) -> None:
    """What was parked has not had its side effects yet; the rest had them when it arrived."""
    for row in rows:
        if late.is_late(row) and (at := occurred_at(row.record)) is not None:
            c = schema.ledger.c  # it was dated at its receipt; clock records have corrected that since
            await conn.execute(
                update(schema.ledger)
                .where(c.site_id == site.id, c.epoch == row.epoch, c.seq == row.seq)
                .values(occurred_at=c.occurred_at - c.received_at + at)
            )
    for first_time, part in groupby(rows, late.has_side_effects):
        await project(conn, late.site if first_time else site, list(part))


async def _as_recorded(conn: AsyncConnection, site_id: str, parked: Set[tuple[int, int]]) -> None:
    """The times of the ledger's rows as they were recorded: clock records correct them again, each at its turn."""
    c = schema.ledger.c
    told = c.kind.in_(("clock", schema.SALVAGED))
    query = select(c.epoch, c.seq, c.body).where(c.site_id == site_id, told).order_by(c.position)
    for row in (await conn.execute(query)).all():
        record = digest(row.body)
        if isinstance(record, records.ClockRecord) and (row.epoch, row.seq) not in parked:
            where = await named_rows(conn, site_id, row.epoch, record)
            await conn.execute(update(schema.ledger).where(where).values(occurred_at=c.occurred_at - record.shift))


async def rebuild_daily(conn: AsyncConnection, site_id: str, days: BusinessDays) -> None:
    """Derive the daily figures anew after a site's business days changed.

    Minutes without stock fall away: they are derived from the order of records, by `verify_site` with repair.
    """
    await conn.execute(delete(schema.daily).where(schema.daily.c.site_id == site_id))
    d, line, document = schema.document_line.c, schema.movement_line.c, schema.document
    opened = await conn.execute(
        select(document.c.id, document.c.due, document.c.opened_at).where(document.c.site_id == site_id)
    )
    for name, due, opened_at in opened.all():
        await conn.execute(
            update(schema.document_line)
            .where(d.site_id == site_id, d.document == name)
            .values(day=days.day(opened_at if due is None else due))
        )
    await _demand_of_documents(conn, site_id)
    daily = DailyChanges()
    rows = await conn.stream(
        select(line.item, line.occurred_at, line.flow, line.flow_quantity).where(
            line.site_id == site_id, line.flow != ""
        )
    )
    async for item, at, flow, quantity in rows:
        if flow in DAILY_FLOWS:
            daily.add(item, days.day(at), flow, quantity)
    await lanes.add(conn, schema.daily, list(daily.rows(site_id)))


async def _demand_of_documents(conn: AsyncConnection, site_id: str) -> None:
    daily, line = DailyChanges(), schema.document_line.c
    rows = await conn.execute(
        select(line.item, line.day, line.quantity, line.type, line.state).where(line.site_id == site_id)
    )
    for item, day, quantity, kind, state in rows:
        if is_demand(kind, state):
            daily.add(item, day, ORDERED, quantity)
    await lanes.add(conn, schema.daily, list(daily.rows(site_id)))


async def _check_chains(conn: AsyncConnection, site_id: str) -> list[str]:
    """Whether each epoch's rows are dense and chained up to its head."""
    e, c = schema.epoch.c, schema.ledger.c
    wrong: list[str] = []
    for head in (await conn.execute(select(schema.epoch).where(e.site_id == site_id).order_by(e.ordinal))).all():
        previous, seq = (head.parent_hash, head.parent_seq) if head.parent_epoch else (chain.genesis(head.epoch), 0)
        rows = await conn.stream(
            select(c.seq, c.body, c.hash).where(c.site_id == site_id, c.epoch == head.epoch).order_by(c.seq)
        )
        async for row in rows:
            seq += 1
            previous = chain.link(previous, row.body)
            if row.seq != seq or row.hash != previous:
                wrong.append(f"epoch {head.epoch}: row {seq} is missing or was changed")
                break
        else:
            if (head.seq, head.hash) != (seq, previous):
                wrong.append(f"epoch {head.epoch}: the head is at {head.seq}, the rows end at {seq}")
    return wrong


async def _digest(conn: AsyncConnection, table: Table, site_id: str, without: tuple[str, ...]) -> bytes:
    """A hash over a site's rows of a table, in the order of its key; rows at zero do not count."""
    columns = [column for column in table.columns if column.name not in without]
    query = select(*columns).where(table.c.site_id == site_id).order_by(*table.primary_key)
    total = sha256()
    sums = [column.name for column in columns if column.name in _SUMS.get(table.name, ())]
    async for row in await conn.stream(query):
        values = tuple(row)
        if not sums or any(row._mapping[name] for name in sums):  # pyright: ignore[reportPrivateUsage] - public by documentation
            total.update(msgspec.json.encode(values))
    return total.digest()


#: Tables of sums: a row whose sums are all zero says the same as no row.
_SUMS = {
    "balance": ("quantity", "grams", "held", "held_grams"),
    "daily": ("ordered", "issued", "received", "returned", "transferred", "empty_minutes"),
    "document_done": ("quantity",),
}
