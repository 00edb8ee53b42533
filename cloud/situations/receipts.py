"""How long purchase orders took until the first of them arrived: what lead times are learned from."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.leadtime import Promised, Receipts
from cloud.store import schema

_DAY_US = 86_400_000_000
#: Orders older than this tell of another supplier than today's, microseconds: two years.
LOOK_BACK_US = 730 * _DAY_US
#: An order is not asked for at once, and tells nothing of the lead time, when it is due later than this many times the
#: promise and two days.
_LATER = 1.5


async def receipts_of(
    conn: AsyncConnection, site_id: str, promised: Mapping[str, Mapping[str, Promised]], now: int
) -> dict[str, dict[str, Receipts]]:
    """By supplier and item, the days that orders of the last two years took, and the ages of those that nothing came of;
    `promised` by supplier and item, `now` in microseconds UTC. One query.
    """
    d, line = schema.document.c, schema.document_line.c
    rows = await conn.execute(
        select(d.partner, line.item, d.opened_at, d.arrived_at, d.due)
        .select_from(schema.document)
        .join(schema.document_line, and_(line.site_id == d.site_id, line.document == d.id))
        .where(
            d.site_id == site_id,
            d.type == "expected-receipt",
            d.state != "cancelled",
            d.announces == "",
            d.from_site == "",
            d.partner != "",
            d.opened_at > now - LOOK_BACK_US,
            or_(d.arrived_at.is_not(None), d.state == "open"),
        )
        .order_by(d.opened_at, d.id, line.line)
    )
    took: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for supplier, item, opened_at, arrived_at, due in rows:
        agreed = promised.get(supplier, {}).get(item)
        if agreed is None or (due is not None and due - opened_at > (_LATER * agreed.mean + 2) * _DAY_US):
            continue
        days, waiting = took.setdefault(supplier, {}).setdefault(item, ([], []))
        if arrived_at is None:
            waiting.append((now - opened_at) / _DAY_US)
        elif arrived_at >= opened_at:  # one that was written down after its goods had come tells nothing
            days.append((arrived_at - opened_at) / _DAY_US)
    return {
        supplier: {item: Receipts(tuple(days), tuple(waiting)) for item, (days, waiting) in items.items()}
        for supplier, items in took.items()
    }
