"""Purchase orders: opened from an approved proposal, revised, and followed by what suppliers must be told.

An order is told to its supplier by messages (`purchase_message`): the first waits until it can no longer be taken back, and
each later revision that the supplier must know is another one. `interchange/sender.py` sends them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import ConflictError
from cloud.ingest.downlink import touch
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import read_document, store_document
from cloud.recommendations.rows import RecommendationRow
from cloud.store import plans, schema
from vocabulary.document import Document, DocumentLine
from vocabulary.quantity import Money, amount

MINUTE_US = 60_000_000


class Price(msgspec.Struct, frozen=True):
    """What a base unit costs, 10^-6 of `currency`."""

    micro: int
    currency: str

    def of(self, quantity: int) -> Money:
        """What `quantity` base units cost."""
        return amount(self.micro, quantity, self.currency)


async def price_of(conn: AsyncConnection, row: RecommendationRow, quantity: int) -> Price:
    """The supplier's present price for that many base units, price breaks included.

    Raises ConflictError where the supplier has no terms any more.
    """
    term, step = schema.term.c, plans.price_break.c
    found = (
        await conn.execute(
            select(term.price_micro, term.currency).where(
                term.site_id == row.site_id, term.item == row.item, term.supplier == row.partner
            )
        )
    ).first()
    if found is None:
        raise ConflictError(
            f"supplier {row.partner} has no terms for {row.item} at {row.site_id} any more; reject this and start a cycle"
        )
    steps = await conn.execute(
        select(step.price_micro)
        .where(step.site_id == row.site_id, step.item == row.item, step.supplier == row.partner)
        .where(step.quantity <= quantity)
        .order_by(step.quantity.desc())
        .limit(1)
    )
    better = steps.scalar_one_or_none()
    return Price(found.price_micro if better is None else better, found.currency)


async def open_order(
    conn: AsyncConnection, row: RecommendationRow, quantity: int, price: Price, actor: str, now: int
) -> Document:
    """Open the purchase order of an approved proposal, tell the gateway, and let its message wait for the site's undo time.

    An order that was taken back is opened again under its number, as its next revision.
    """
    site = await _site(conn, row.site_id)
    name = "PO-" + row.id.removeprefix("REC-")
    d = schema.document.c
    before = (await conn.execute(select(d.revision).where(d.site_id == row.site_id, d.id == name))).scalar_one_or_none()
    document = Document(
        id=name,
        revision=1 + (before or 0),
        type="expected-receipt",
        state="open",
        lines=(DocumentLine(1, row.item, quantity, unit_cost=price.micro, currency=price.currency),),
        partner=row.partner,
        source=row.id,
        due=closing(row.by_day, site.zone, site.closes),
        value=price.of(quantity),
    )
    await store_revision(conn, row.site_id, document, actor, now)
    await _queue(conn, row.site_id, document, now + site.undo_minutes * MINUTE_US)
    return document


async def store_revision(conn: AsyncConnection, site_id: str, document: Document, actor: str, now: int) -> None:
    """Store the next revision of an order of ours and tell the gateway."""
    site = await _site(conn, site_id)
    days = BusinessDays(site.zone, site.day_start, site.opens, site.closes)
    # An expected receipt is no demand: the daily figures that storing a document may change stay empty.
    await store_document(
        conn, site_id, document, opened_by="cloud", at=now, days=days, daily=DailyChanges(), actor=actor
    )
    await touch(conn, site_id)


class _Site(msgspec.Struct, frozen=True):
    """What of a site an order needs."""

    zone: str
    day_start: int
    opens: int
    closes: int
    undo_minutes: int


async def _site(conn: AsyncConnection, site_id: str) -> _Site:
    s = schema.site.c
    names = _Site.__struct_fields__
    return _Site(*(await conn.execute(select(*(s[name] for name in names)).where(s.id == site_id))).one())


async def closing_at(conn: AsyncConnection, site_id: str, day: str) -> int:
    """When the site closes on a day (ISO date), microseconds UTC."""
    site = await _site(conn, site_id)
    return closing(day, site.zone, site.closes)


def closing(day: str, zone: str, closes: int) -> int:
    """When a site closes on a day, microseconds UTC: an order due that day is in time until then."""
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(zone))
    return round((midnight + timedelta(minutes=closes)).timestamp() * 1_000_000)


async def find_order(conn: AsyncConnection, site_id: str, name: str) -> Document | None:
    """The purchase order `name` as it is now; None where there is none (a delivery notice is none)."""
    d = schema.document.c
    found = await conn.execute(
        select(d.body).where(
            d.site_id == site_id, d.id == name, d.type == "expected-receipt", d.announces == "", d.opened_by == "cloud"
        )
    )
    body = found.scalar_one_or_none()
    return None if body is None else read_document(body)


# ------------------------------------------------------------------------------------------------- messages


class Message(msgspec.Struct, frozen=True):
    """A revision of an order on its way to its supplier; see `store.plans.purchase_message`."""

    site_id: str
    document: str
    revision: int
    supplier: str
    channel: str
    state: str
    not_before: int
    attempts: int
    sent_at: int | None
    error: str


async def last_message(conn: AsyncConnection, site_id: str, document: str) -> Message | None:
    """The newest message about an order; None for one that was not opened from a proposal."""
    m = plans.purchase_message.c
    query = (
        select(*(m[name] for name in Message.__struct_fields__))
        .where(m.site_id == site_id, m.document == document)
        .order_by(m.revision.desc())
        .limit(1)
    )
    row = (await conn.execute(query)).first()
    return None if row is None else Message(*row)


async def set_message(conn: AsyncConnection, message: Message, **values: str | int | None) -> None:
    """Change columns of a message's row."""
    m = plans.purchase_message.c
    key = (m.site_id == message.site_id, m.document == message.document, m.revision == message.revision)
    await conn.execute(update(plans.purchase_message).where(*key).values(**values))


async def _queue(conn: AsyncConnection, site_id: str, document: Document, not_before: int) -> None:
    supplier = "" if document.partner is UNSET else document.partner
    url = (await conn.execute(select(schema.supplier.c.url).where(schema.supplier.c.id == supplier))).scalar() or ""
    await conn.execute(
        plans.purchase_message.insert().values(
            site_id=site_id,
            document=document.id,
            revision=document.revision,
            supplier=supplier,
            channel="webhook" if url else "file",
            not_before=not_before,
        )
    )


async def tell_change(conn: AsyncConnection, site_id: str, document: Document, now: int) -> None:
    """Let the supplier know of the buyer's new revision of an order, where the order goes out from here.

    A message that has not gone out yet is withdrawn: the new one takes its place and its time, or nothing does where the
    order was cancelled before anything was sent.
    """
    last = await last_message(conn, site_id, document.id)
    if last is None or last.state == "withdrawn" or document.state == "closed":
        return
    unsent = last.state == "waiting" and not last.attempts
    if last.state in ("waiting", "failed"):
        await set_message(conn, last, state="withdrawn")
    if unsent and document.state == "cancelled":
        return
    await _queue(conn, site_id, document, last.not_before if unsent else now)
