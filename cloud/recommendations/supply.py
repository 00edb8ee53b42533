"""On what terms a site is supplied, and what is there, to come, owed and booked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Position, Terms
from cloud.recommendations.sites import SiteSetting
from cloud.store import schema


async def terms_of(conn: AsyncConnection, site_id: str) -> tuple[dict[str, Terms], dict[str, int]]:
    """The terms to order on, by item: the preferred, then the cheapest, then the quickest; and how many there are."""
    c = schema.term.c
    order = (c.item, c.preferred, c.price_micro, c.lead_time_days, c.supplier)
    first: dict[str, Terms] = {}
    count: dict[str, int] = {}
    for row in (await conn.execute(select(schema.term).where(c.site_id == site_id).order_by(*order))).mappings():
        count[row["item"]] = count.get(row["item"], 0) + 1
        if row["item"] not in first:
            first[row["item"]] = Terms(**{name: row[name] for name in Terms.__struct_fields__})
    return first, count


async def positions(conn: AsyncConnection, site: SiteSetting, horizons: Mapping[str, float]) -> dict[str, Position]:
    """What is there, to come, owed, and booked within the item's horizon (days), by item.

    Read in the transaction that issues the proposals, so that an order placed meanwhile is not proposed again.
    """
    stock = schema.item_stock.c
    available: dict[str, int] = {
        row.item: row.available
        for row in await conn.execute(select(stock.item, stock.available).where(stock.site_id == site.id))
    }
    on_order: dict[str, int] = {}
    owed: dict[str, int] = {}
    booked: dict[str, int] = {}
    today = site.today
    for kind, item, day, left in await _open_lines(conn, site.id):
        if kind == "expected-receipt":
            on_order[item] = on_order.get(item, 0) + left
        elif day < today.isoformat():
            owed[item] = owed.get(item, 0) + left
        elif day < (today + timedelta(days=round(horizons.get(item, 0.0)))).isoformat():
            booked[item] = booked.get(item, 0) + left
    items = sorted(set(available) | set(on_order) | set(owed) | set(booked))
    return {
        item: Position(available.get(item, 0), on_order.get(item, 0), owed.get(item, 0), booked.get(item, 0))
        for item in items
    }


async def _open_lines(conn: AsyncConnection, site_id: str) -> list[tuple[str, str, str, int]]:
    """(type, item, day, base units left) of open receipts and customer orders; an ASN repeats its order, so is left out."""
    line, doc, done = schema.document_line.c, schema.document.c, schema.document_done.c
    query = (
        select(line.type, line.item, line.day, line.quantity - func.coalesce(done.quantity, 0))
        .select_from(schema.document_line)
        .join(schema.document, (doc.site_id == line.site_id) & (doc.id == line.document))
        .outerjoin(
            schema.document_done,
            (done.site_id == line.site_id) & (done.document == line.document) & (done.line == line.line),
        )
        .where(line.site_id == site_id, line.state == "open", doc.announces == "")
        .where(line.type.in_(("expected-receipt", "outbound-order")))
        .order_by(line.document, line.line)
    )
    return [(kind, item, day, left) for kind, item, day, left in await conn.execute(query) if left > 0]
