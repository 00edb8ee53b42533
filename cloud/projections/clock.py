"""A clock record corrects times that were known wrongly: what was derived from them moves to the right day."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DAILY_FLOWS, DailyChanges
from cloud.store import lanes, schema
from vocabulary.records import ClockRecord


async def redate(conn: AsyncConnection, site_id: str, days: BusinessDays, epoch: int, record: ClockRecord) -> None:
    """Shift the derived times of the rows that `record` names, and move their daily flows. Stored bytes stay as they are.

    Minutes without stock are not derived anew: they are bounded by the moments at which they were recorded.
    """
    ledger, line = schema.ledger.c, schema.movement_line.c
    rows = (ledger.site_id == site_id) & (ledger.epoch == epoch) & ledger.seq.between(record.first_seq, record.last_seq)
    named = select(ledger.position).where(rows)
    lines = (line.site_id == site_id) & line.position.in_(named)
    daily = DailyChanges()
    moved = await conn.execute(select(line.item, line.occurred_at, line.flow, line.flow_quantity).where(lines))
    for item, occurred_at, flow, quantity in moved:
        if flow in DAILY_FLOWS:
            daily.add(item, days.day(occurred_at), flow, -quantity)
            daily.add(item, days.day(occurred_at + record.shift), flow, quantity)
    await lanes.add(conn, schema.daily, list(daily.rows(site_id)))
    await conn.execute(update(schema.movement_line).where(lines).values(occurred_at=line.occurred_at + record.shift))
    await conn.execute(update(schema.ledger).where(rows).values(occurred_at=ledger.occurred_at + record.shift))
