"""Orders that need a person's judgement: one that did not reach its supplier, one refused, shortened or promised too late.

What it means is told with it: the probability of a stock-out without the missing goods, and how long the stock lasts.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.forecasts.forecast import Forecast
from cloud.projections.reports import store_exception
from cloud.store import schema
from vocabulary.document import Document
from vocabulary.exception import ExceptionKind, ExceptionRecord

UNSENT: ExceptionKind = "order-not-sent"
ANSWER: ExceptionKind = "order-answer"
DAY_US = 86_400_000_000
#: Characters of an exception's text.
MOST_TEXT = 500
#: Items of one order whose stock-out probability is told: more sentences help nobody.
TOLD_ITEMS = 3


async def raise_unsent(
    conn: AsyncConnection, site_id: str, order: str, supplier: str, tries: int, error: str, given_up: bool, now: int
) -> None:
    """Tell people that an order does not reach its supplier."""
    how = "is not tried any more" if given_up else "is tried again"
    text = f"Order {order} did not reach {supplier} in {tries} tries and {how}: {error}"
    action = (
        "Send it by hand (PDF or CSV on the order's page) and mark it as sent, or set the supplier's address right."
    )
    facts: dict[str, str | int] = {"supplier": supplier, "tries": tries}
    record = ExceptionRecord(UNSENT, order, "open", now, text[:MOST_TEXT], action, facts=facts)
    await store_exception(conn, site_id, record, "cloud")


async def settle_unsent(conn: AsyncConnection, site_id: str, order: str, now: int, reason: str) -> None:
    """The order has gone out after all, or need not any more."""
    await _settle(conn, site_id, UNSENT, order, now, reason)


async def settle_answer(conn: AsyncConnection, site_id: str, order: str, now: int, reason: str) -> None:
    """A later answer made the order good again."""
    await _settle(conn, site_id, ANSWER, order, now, reason)


async def _settle(
    conn: AsyncConnection, site_id: str, kind: ExceptionKind, subject: str, now: int, reason: str
) -> None:
    e = schema.exception.c
    await conn.execute(
        update(schema.exception)
        .where(e.site_id == site_id, e.kind == kind, e.subject == subject, e.origin == "cloud", e.state != "decided")
        .values(state="decided", at=now, reason=reason)
    )


async def raise_answer(
    conn: AsyncConnection,
    site_id: str,
    document: Document,
    missing: Mapping[str, int],
    late_us: int,
    said: str,
    now: int,
) -> None:
    """Tell people that an order comes with less (`missing` base units by item), not at all, or later, and what it means."""
    supplier = "The supplier" if document.partner is UNSET else document.partner
    facts: dict[str, str | int] = {"order": document.id, "supplier": supplier}
    if document.state == "cancelled":
        text = f"{supplier} refused order {document.id}."
        action = "The next cycle proposes anew; look for another supplier of what is urgent."
    elif missing:
        text = f"{supplier} delivers less of order {document.id}: {sum(missing.values())} base units are missing."
        action = "The next cycle proposes anew for what is missing."
    else:
        text = f"{supplier} delivers order {document.id} later."
        action = "Speed it up, or order what is urgent elsewhere."
    if late_us > 0:
        days = -(-late_us // DAY_US)
        text += f" It comes {days} day{'s' if days > 1 else ''} after the day it was ordered for."
        facts["late_days"] = days
    due_us = None if late_us <= 0 or document.due is UNSET else document.due - now
    coming: dict[str, int] = {}
    for line in document.lines if document.state == "open" else ():
        coming[line.item] = coming.get(line.item, 0) + line.quantity
    for item in (list(missing) or list(coming))[:TOLD_ITEMS]:
        sentence = await _meaning(conn, site_id, item, missing.get(item, 0), coming.get(item, 0), due_us, facts)
        text += f" {sentence}" if sentence else ""
    if said:
        text += f" They say: {said}"
    record = ExceptionRecord(ANSWER, document.id, "open", now, text[:MOST_TEXT], action, facts=facts)
    await store_exception(conn, site_id, record, "cloud")


async def _meaning(
    conn: AsyncConnection,
    site_id: str,
    item: str,
    missing: int,
    coming: int,
    due_us: int | None,
    facts: dict[str, str | int],
) -> str:
    """What the missing or late goods of one item do, by the forecast in force; "" where there is none.

    What of the order is still `coming` counts as missing too where it comes behind the forecast's horizon.
    """
    f = schema.forecast.c
    body = (
        await conn.execute(select(f.body).where(f.site_id == site_id, f.item == item, f.latest))
    ).scalar_one_or_none()
    if body is None:
        return ""
    forecast = msgspec.json.decode(body, type=Forecast)
    available, position = await _position(conn, site_id, item)
    behind = due_us is not None and due_us / DAY_US > forecast.horizon * forecast.period_days
    without = position - coming if behind else position
    after, before = round(forecast.exceeded(without) * 1_000), round(forecast.exceeded(position + missing) * 1_000)
    rate = forecast.rate / forecast.period_days
    if missing or after != before:
        facts[f"stockout_{item}"] = after
        change = (
            f"rises from {before / 10:.1f} % to {after / 10:.1f} %" if after != before else f"stays {after / 10:.1f} %"
        )
        days = forecast.horizon * forecast.period_days
        return f"The probability that {item} runs out in the next {days:.0f} days {change}."
    if due_us is None or rate <= 0:
        return ""
    lasts, until = max(available, 0) / rate, max(due_us / DAY_US, 0.0)
    facts[f"lasts_days_{item}"] = round(lasts)
    return f"What is there of {item} lasts about {lasts:.1f} days, the delivery comes in {until:.1f}."


async def _position(conn: AsyncConnection, site_id: str, item: str) -> tuple[int, int]:
    """(available, available and on order less what is owed to customers), base units."""
    stock, line, d, done = schema.item_stock.c, schema.document_line.c, schema.document.c, schema.document_done.c
    available = (
        await conn.execute(select(stock.available).where(stock.site_id == site_id, stock.item == item))
    ).scalar() or 0
    left = line.quantity - func.coalesce(done.quantity, 0)
    rows = await conn.execute(
        select(line.type, func.sum(left).label("left"))
        .join_from(schema.document_line, schema.document, (d.site_id == line.site_id) & (d.id == line.document))
        .outerjoin(
            schema.document_done,
            (done.site_id == line.site_id) & (done.document == line.document) & (done.line == line.line),
        )
        .where(line.site_id == site_id, line.item == item, line.state == "open", d.announces == "", left > 0)
        .where(line.type.in_(("expected-receipt", "outbound-order")))
        .group_by(line.type)
    )
    open_lines = {row.type: int(row.left) for row in rows}
    owed = open_lines.get("outbound-order", 0)
    return available, max(available, 0) + open_lines.get("expected-receipt", 0) - owed
