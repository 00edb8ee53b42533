"""Projections can be thrown away: derived anew from the ledger and the documents they must come out the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from sqlalchemy import Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DAILY_FLOWS, ORDERED, DailyChanges
from cloud.projections.documents import is_demand
from cloud.projections.project import Arrived, Site, project
from cloud.store import lanes, schema
from vocabulary import chain, records

#: Records derived in one go: bounds memory.
STEP = 1_000

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
    before = {table.name: await _digest(conn, table, site_id, without) for table, without in DERIVED}
    count = await rebuild_site(conn, site_id, days, site["position"], told)
    for table, without in DERIVED:
        if before[table.name] != await _digest(conn, table, site_id, without):
            differences.append(f"table {table.name} differs from what the ledger gives")
    if count != site["position"]:
        differences.append(f"the site counts {site['position']} records, the ledger holds {count}")
    return Report(site_id, count, tuple(differences))


async def rebuild_site(
    conn: AsyncConnection, site_id: str, days: BusinessDays, total: int, told: Callable[[int, int], None]
) -> int:
    """Derive all projections of a site anew, in the caller's transaction; returns how many records the ledger holds."""
    for table, _ in DERIVED:
        await conn.execute(delete(table).where(table.c.site_id == site_id))
    await _demand_of_documents(conn, site_id)
    site = Site(site_id, days, live=False)
    c, position, count = schema.ledger.c, 0, 0
    parked = await _parked(conn, site_id)
    while True:
        found = (
            await conn.execute(
                select(c.epoch, c.seq, c.position, c.received_at, c.body)
                .where(c.site_id == site_id, c.position > position)
                .order_by(c.position)
                .limit(STEP)
            )
        ).all()
        if not found:
            return count
        rows = [
            Arrived(row.epoch, row.seq, row.position, row.received_at, records.decode(row.body))
            for row in found
            if (row.epoch, row.seq) not in parked
        ]
        await _as_recorded(conn, site_id, rows)
        await project(conn, site, rows)
        position, count = found[-1].position, count + len(found)
        told(count, total)


async def _as_recorded(conn: AsyncConnection, site_id: str, rows: list[Arrived]) -> None:
    """The times of the ledger's rows as they were recorded: clock records among the rows correct them again."""
    c = schema.ledger.c
    for row in rows:
        if isinstance(row.record, records.ClockRecord):
            where = (
                (c.site_id == site_id)
                & (c.epoch == row.epoch)
                & c.seq.between(row.record.first_seq, row.record.last_seq)
            )
            await conn.execute(update(schema.ledger).where(where).values(occurred_at=c.occurred_at - row.record.shift))


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
    async for item, occurred_at, flow, quantity in rows:
        if flow in DAILY_FLOWS:
            daily.add(item, days.day(occurred_at), flow, quantity)
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


async def _parked(conn: AsyncConnection, site_id: str) -> set[tuple[int, int]]:
    p = schema.parked.c
    return {(row.epoch, row.seq) for row in await conn.execute(select(p.epoch, p.seq).where(p.site_id == site_id))}


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
