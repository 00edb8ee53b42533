"""Orders that will not come again: lines far beyond what an item's lines ever were are pointed out, a person marks them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import ConflictError, NotFoundError
from cloud.store import audit, plans, schema

#: A line is pointed out beyond this many times the largest of the item's ordinary lines, which are the smaller nine of ten.
FAR_BEYOND = 3.0
#: Lines below which nothing can be said about what is ordinary.
_LEAST_LINES = 10
#: Lines of an item that are looked at, the latest: a few years of an ordinary item's.
_LINES = 5_000
#: Lines that are pointed out or shown as marked.
LISTED = 10


class OrderLine(msgspec.Struct, frozen=True):
    """A line of a customer order; `marked` as one that will not come again, with its `reason`."""

    document: str
    line: int
    day: str
    quantity: int
    marked: bool = False
    reason: str = ""


async def bulk_demand(conn: AsyncConnection, site_id: str) -> dict[str, list[tuple[str, int]]]:
    """(day, base units) of the marked lines that are demand, by item."""
    b, line = plans.bulk_order.c, schema.document_line.c
    same = and_(line.site_id == b.site_id, line.document == b.document, line.line == b.line)
    query = (
        select(line.item, line.day, line.quantity)
        .select_from(plans.bulk_order.join(schema.document_line, same))
        .where(b.site_id == site_id, line.type == "outbound-order", line.state != "cancelled")
        .order_by(line.item, line.day)
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for item, day, quantity in await conn.execute(query):
        found.setdefault(item, []).append((day, quantity))
    return found


async def striking_lines(conn: AsyncConnection, site_id: str, item: str) -> list[OrderLine]:
    """The item's order lines that are marked, and those that look as if they should be; the latest first."""
    b, line = plans.bulk_order.c, schema.document_line.c
    same = and_(line.site_id == b.site_id, line.document == b.document, line.line == b.line)
    query = (
        select(line.document, line.line, line.day, line.quantity, b.at, b.reason)
        .select_from(schema.document_line.outerjoin(plans.bulk_order, same))
        .where(line.site_id == site_id, line.item == item)
        .where(line.type == "outbound-order", line.state != "cancelled")
        .order_by(line.day.desc(), line.document, line.line)
        .limit(_LINES)
    )
    lines = [
        OrderLine(row.document, row.line, row.day, row.quantity, row.at is not None, row.reason or "")
        for row in await conn.execute(query)
    ]
    return striking(lines)[:LISTED]


def striking(lines: Sequence[OrderLine]) -> list[OrderLine]:
    """Those of `lines` that are marked or lie far beyond the ordinary ones. Pure."""
    sizes = sorted(line.quantity for line in lines if not line.marked)
    enough = len(sizes) >= _LEAST_LINES
    usual = sizes[(9 * (len(sizes) - 1)) // 10] if enough else 0
    return [line for line in lines if line.marked or (enough and line.quantity > FAR_BEYOND * max(usual, 1))]


async def mark(
    conn: AsyncConnection, site_id: str, document: str, line: int, reason: str, actor: str, now: int
) -> None:
    """Leave an order line out of the demand that is foreseen. Raises NotFoundError, ConflictError where it already is."""
    c, b = schema.document_line.c, plans.bulk_order.c
    query = select(c.item, c.quantity, c.type).where(c.site_id == site_id, c.document == document, c.line == line)
    found = (await conn.execute(query)).first()
    if found is None or found.type != "outbound-order":
        raise NotFoundError(f"site {site_id} has no customer order {document} with a line {line}")
    there = select(b.at).where(b.site_id == site_id, b.document == document, b.line == line)
    if (await conn.execute(there)).first() is not None:
        raise ConflictError(f"line {line} of {document} is left out already")
    row = {"site_id": site_id, "document": document, "line": line, "at": now, "actor": actor, "reason": reason}
    await conn.execute(plans.bulk_order.insert().values(**row))
    detail = {"line": line, "item": found.item, "quantity": found.quantity, "reason": reason}
    await audit.record(conn, now, actor, "bulk-order.mark", site_id, document, detail)


async def unmark(conn: AsyncConnection, site_id: str, document: str, line: int, actor: str, now: int) -> None:
    """Let an order line count as demand again. Raises NotFoundError where it is not marked."""
    b = plans.bulk_order.c
    gone = await conn.execute(
        delete(plans.bulk_order).where(b.site_id == site_id, b.document == document, b.line == line)
    )
    if not gone.rowcount:
        raise NotFoundError(f"line {line} of {document} at site {site_id} is not left out")
    await audit.record(conn, now, actor, "bulk-order.unmark", site_id, document, {"line": line})
