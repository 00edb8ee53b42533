"""A clock record corrects times that were known wrongly: what was derived from them moves with them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections import arrivals
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DAILY_FLOWS, EMPTY_MINUTES, DailyChanges
from cloud.projections.flows import stock_change
from cloud.projections.items import StockChange, change_items
from cloud.store import lanes, schema
from vocabulary.place import Account
from vocabulary.records import ClockRecord

#: Items whose past is gone through at a time: bounds memory.
ITEMS = 50


async def named_rows(conn: AsyncConnection, site_id: str, epoch: int, record: ClockRecord) -> ColumnElement[bool]:
    """The condition for the ledger rows that `record`, recorded in `epoch`, names: a seq counts along the branch."""
    c, e = schema.ledger.c, schema.epoch.c
    last = record.last_seq
    parts: list[ColumnElement[bool]] = []
    while True:
        query = select(e.parent_epoch, e.parent_seq).where(e.site_id == site_id, e.epoch == epoch)
        head = (await conn.execute(query)).first()
        base = head.parent_seq if head is not None and head.parent_epoch else 0
        parts.append(and_(c.epoch == epoch, c.seq.between(max(record.first_seq, base + 1), last)))
        if head is None or record.first_seq > base:
            return and_(c.site_id == site_id, or_(*parts))
        epoch, last = int(head.parent_epoch), min(last, base)


async def redate(conn: AsyncConnection, site_id: str, days: BusinessDays, epoch: int, record: ClockRecord) -> None:
    """Shift the derived times of the rows that `record` names, with all that follows from them: the days of their flows,
    the minutes without stock, the times of units, counts, inspections, exceptions, arrivals. Stored bytes stay as they are."""
    rows = await named_rows(conn, site_id, epoch, record)
    line, shift = schema.movement_line.c, record.shift
    named = select(schema.ledger.c.position).where(rows)
    lines = (line.site_id == site_id) & line.position.in_(named)
    daily = DailyChanges()
    items: dict[str, None] = {}
    moved = await conn.execute(
        select(line.item, line.occurred_at, line.flow, line.flow_quantity, line.document)
        .where(lines)
        .order_by(line.position, line.line)
    )
    documents: dict[str, None] = {}
    for item, occurred_at, flow, quantity, document in moved:
        items[item] = None
        if flow in DAILY_FLOWS:
            daily.add(item, days.day(occurred_at), flow, -quantity)
            daily.add(item, days.day(occurred_at + shift), flow, quantity)
        if document:
            documents[document] = None
    await _redate_reports(conn, site_id, rows, shift)
    await conn.execute(update(schema.movement_line).where(lines).values(occurred_at=line.occurred_at + shift))
    await conn.execute(update(schema.ledger).where(rows).values(occurred_at=schema.ledger.c.occurred_at + shift))
    await arrivals.derive_moved(conn, site_id, documents)
    names = list(items)
    for start in range(0, len(names), ITEMS):
        await _restate(conn, site_id, days, names[start : start + ITEMS], daily)
    await lanes.add(conn, schema.daily, list(daily.rows(site_id)))


async def _redate_reports(conn: AsyncConnection, site_id: str, rows: ColumnElement[bool], shift: int) -> None:
    """Units, counts, inspections and exceptions whose times come from `rows`, which are not shifted yet.

    When an exception was first opened stays as it was told: it is the least of several rows, and not made anew.
    """
    c, unit, error = schema.ledger.c, schema.unit.c, schema.exception.c
    for seq, at in ((unit.seq, unit.at), (unit.first_seq, unit.first_at)):
        source = exists().where(rows, c.seq == seq, c.occurred_at == at)
        await conn.execute(update(schema.unit).where(unit.site_id == site_id, source).values({at: at + shift}))
    source = exists().where(rows, c.kind == "exception", c.occurred_at == error.at)
    own = (error.site_id == site_id) & (error.origin == "gateway")
    await conn.execute(update(schema.exception).where(own, source).values(at=error.at + shift))
    named = select(c.position).where(rows)
    count, inspection = schema.count_line.c, schema.inspection.c
    await conn.execute(
        update(schema.count_line)
        .where(count.site_id == site_id, count.position.in_(named))
        .values(first_scan=count.first_scan + shift, cut_off=count.cut_off + shift)
    )
    await conn.execute(
        update(schema.inspection)
        .where(inspection.site_id == site_id, inspection.position.in_(named))
        .values(at=inspection.at + shift)
    )


async def _restate(
    conn: AsyncConnection, site_id: str, days: BusinessDays, items: Iterable[str], daily: DailyChanges
) -> None:
    """Derive anew since when, and for how long on each day, none of `items` was available."""
    line, day, stock = schema.movement_line.c, schema.daily.c, schema.item_stock.c
    wanted = list(items)
    told = select(day.item, day.day, day.empty_minutes).where(day.site_id == site_id, day.item.in_(wanted))
    for item, on, minutes in await conn.execute(told):
        daily.add(item, on, EMPTY_MINUTES, -minutes)
    await conn.execute(schema.item_stock.delete().where(stock.site_id == site_id, stock.item.in_(wanted)))
    past = await conn.execute(
        select(
            line.item, line.occurred_at, line.quantity, line.from_place, line.from_status, line.to_place, line.to_status
        )
        .where(line.site_id == site_id, line.item.in_(wanted))
        .order_by(line.position, line.line)
    )
    changes: list[StockChange] = []
    for item, at, quantity, from_place, from_status, to_place, to_status in past:
        on_hand, available = stock_change(Account(from_place, from_status), Account(to_place, to_status), quantity)
        if on_hand or available:
            changes.append(StockChange(item, at, on_hand, available))
    await change_items(conn, site_id, days, changes, daily)
