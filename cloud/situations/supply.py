"""On what terms a site is supplied, and what is there, to come, owed and booked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec
from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.expiry import Lot
from cloud.decisions.leadtime import Promised, learn
from cloud.decisions.replenishment import Position, PriceBreak, Promise, Terms
from cloud.projections.flows import inside
from cloud.situations.receipts import receipts_of
from cloud.situations.sites import SiteSetting
from cloud.store import plans, schema
from vocabulary.place import AVAILABLE


async def terms_of(
    conn: AsyncConnection, site_id: str, now: int | None = None
) -> tuple[dict[str, Terms], dict[str, int]]:
    """The terms to order on, by item: the preferred, then the cheapest, then the quickest; and how many there are.

    With `now` (microseconds UTC) lead times are those that the receipts of the two years before it taught.
    """
    c = schema.term.c
    order = (c.item, c.preferred, c.price_micro, c.lead_time_days, c.supplier)
    first: dict[str, Terms] = {}
    count: dict[str, int] = {}
    promised: dict[str, dict[str, Promised]] = {}
    breaks = await _breaks(conn, site_id)
    for row in (await conn.execute(select(schema.term).where(c.site_id == site_id).order_by(*order))).mappings():
        item, supplier = row["item"], row["supplier"]
        count[item] = count.get(item, 0) + 1
        promised.setdefault(supplier, {})[item] = Promised(row["lead_time_days"], row["lead_time_sd"])
        if item not in first:
            given = {name: row[name] for name in _TERM}
            first[item] = Terms(**given, breaks=tuple(breaks.get((item, supplier), ())))
    if now is not None:
        first |= await _learned(conn, site_id, first, promised, now)
    return first, count


#: The columns of a term that are fields of Terms.
_TERM = tuple(name for name in Terms.__struct_fields__ if name in schema.term.c)


async def _breaks(conn: AsyncConnection, site_id: str) -> dict[tuple[str, str], list[PriceBreak]]:
    """The price breaks of a site, ascending, by item and supplier."""
    c = plans.price_break.c
    rows = await conn.execute(
        select(c.item, c.supplier, c.quantity, c.price_micro).where(c.site_id == site_id).order_by(c.quantity)
    )
    found: dict[tuple[str, str], list[PriceBreak]] = {}
    for item, supplier, quantity, price_micro in rows:
        found.setdefault((item, supplier), []).append(PriceBreak(quantity, price_micro))
    return found


async def _learned(
    conn: AsyncConnection,
    site_id: str,
    first: Mapping[str, Terms],
    promised: Mapping[str, Mapping[str, Promised]],
    now: int,
) -> dict[str, Terms]:
    """The terms whose lead time receipts taught otherwise, by item."""
    found: dict[str, Terms] = {}
    for supplier, receipts in (await receipts_of(conn, site_id, promised, now)).items():
        for item, learned in learn(receipts, promised.get(supplier, {})).items():
            terms = first.get(item)
            if terms is not None and terms.supplier == supplier:
                promise = Promise(terms.lead_time_days, terms.lead_time_sd, learned.receipts, learned.overdue)
                found[item] = msgspec.structs.replace(
                    terms, lead_time_days=learned.mean, lead_time_sd=learned.sd, promised=promise
                )
    return found


async def positions(conn: AsyncConnection, site: SiteSetting, horizons: Mapping[str, float]) -> dict[str, Position]:
    """What is there, to come, owed, and booked within the item's horizon (days), by item.

    Read in the transaction that issues the proposals, so that an order placed meanwhile is not proposed again.
    """
    stock = schema.item_stock.c
    there: dict[str, tuple[int, int]] = {
        row.item: (row.available, row.on_hand)
        for row in await conn.execute(
            select(stock.item, stock.available, stock.on_hand).where(stock.site_id == site.id)
        )
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
    lots = await _lots(conn, site)
    found: dict[str, Position] = {}
    for item in sorted({*there, *on_order, *owed, *booked}):
        available, on_hand = there.get(item, (0, 0))
        coming = on_order.get(item, 0), owed.get(item, 0), booked.get(item, 0)
        found[item] = Position(available, *coming, on_hand, tuple(lots.get(item, ())))
    return found


async def _lots(conn: AsyncConnection, site: SiteSetting) -> dict[str, list[Lot]]:
    """The available goods that expire, with the days in which they can still be consumed, by item."""
    b, known = schema.balance.c, schema.lot.c
    rows = await conn.execute(
        select(b.item, b.place, b.quantity, b.expiry, known.expiry.label("of_lot"))
        .select_from(schema.balance)
        .outerjoin(schema.lot, and_(known.site_id == b.site_id, known.item == b.item, known.lot == b.lot))
        .where(b.site_id == site.id, b.status == AVAILABLE, b.quantity > 0, or_(b.expiry != "", known.expiry != ""))
        .order_by(b.item, b.place, b.lot, b.expiry)
    )
    found: dict[str, list[Lot]] = {}
    for row in rows:
        days = _days_left(row.expiry or row.of_lot, site.today)
        if days is not None and inside(row.place):
            found.setdefault(row.item, []).append(Lot(days, row.quantity))
    return found


def _days_left(expiry: str, today: date) -> int | None:
    """Days in which goods can still be consumed, the day of their expiry included; None for what is no date."""
    try:
        return max((date.fromisoformat(expiry) - today).days + 1, 0)
    except ValueError:
        return None


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
