"""Transfers between sites (ledger rule 12): what one site sent becomes what the other one expects.

The sender's balance and units at `in-transit:<transfer>` are all that left for it. The receiver's document of the same id
says so, with units and contents; headquarters revises it whenever more leaves.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import COMPLETE, read_document, store_document
from cloud.projections.units import read_holds
from cloud.store import schema
from cloud.store.database import lock_sites
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.movement import Content
from vocabulary.place import IN_TRANSIT
from vocabulary.stock import Stock


def transfers_in(stock: Stock) -> list[str]:
    """The transfers whose in-transit place has balances or units in `stock`, each once, in order."""
    places = dict.fromkeys(
        [*(key.place for key in stock.balances), *(unit.account.place for unit in stock.units.values())]
    )
    return [place.removeprefix(IN_TRANSIT) for place in places if place.startswith(IN_TRANSIT)]


async def forward(conn: AsyncConnection, from_site: str, transfers: list[str], at: int) -> list[str]:
    """Revise the receivers' documents of `transfers` that `from_site` sends; returns the sites that must be told."""
    told: list[str] = []
    d = schema.document.c
    for transfer in transfers:
        mine = select(d.to_site).where(
            d.site_id == from_site, d.id == transfer, d.type == "transfer", d.from_site == from_site
        )
        to_site = (await conn.execute(mine)).scalar_one_or_none()
        if not to_site or to_site == from_site:
            continue  # the receiver's own rows, or a transfer that nobody opened here
        await lock_sites(conn, to_site)
        theirs = select(d.body).where(d.site_id == to_site, d.id == transfer, d.type == "transfer")
        body = (await conn.execute(theirs)).scalar_one_or_none()
        if body is None:
            continue
        before = read_document(body)
        after = await _sent(conn, from_site, before)
        if after is None or before.state == "cancelled":
            continue
        await _store(conn, to_site, after, at)
        told.append(to_site)
    return told


async def _sent(conn: AsyncConnection, from_site: str, before: Document) -> Document | None:
    """The document as it must be now; None where it says so already, or nothing has left yet."""
    place = IN_TRANSIT + before.id
    b, u = schema.balance.c, schema.unit.c
    balances = await conn.execute(
        select(b.item, b.lot, b.expiry, b.quantity)
        .where(b.site_id == from_site, b.place == place, b.quantity > 0)
        .order_by(b.item, b.lot, b.expiry)
    )
    lines = _numbered(before, [(row.item, row.lot or UNSET, row.expiry or UNSET, row.quantity) for row in balances])
    if not lines:
        return None
    units = await conn.execute(
        select(u.unit, u.container, u.holds).where(u.site_id == from_site, u.place == place).order_by(u.unit)
    )
    expected = tuple(ExpectedUnit(unit, container or UNSET, _contents(holds)) for unit, container, holds in units)
    if (tuple(lines), expected) == (before.lines, before.units):
        return None
    after = msgspec.structs.replace(before, lines=tuple(lines), units=expected, revision=before.revision + 1)
    if before.state == "closed" and before.reason == COMPLETE:
        after = msgspec.structs.replace(after, state="open", reason=UNSET)
    return after


_Goods = tuple[str, str | UnsetType, str | UnsetType, int]


def _numbered(before: Document, sent: list[_Goods]) -> list[DocumentLine]:
    """A line for each goods; known goods keep their number, a line planned without a lot gives its number to the first."""
    exact = {(line.item, line.lot, line.expiry): line.line for line in before.lines}
    taken = {goods[:3]: exact[goods[:3]] for goods in sent if goods[:3] in exact}
    planned = {line.item: line.line for line in reversed(before.lines) if line.line not in taken.values()}
    following = max((line.line for line in before.lines), default=0)
    lines: list[DocumentLine] = []
    for item, lot, expiry, quantity in sent:
        number = taken.get((item, lot, expiry)) or planned.pop(item, 0)
        if not number:
            number = following = following + 1
        lines.append(DocumentLine(number, item, quantity, lot, expiry))
    return sorted(lines, key=lambda line: line.line)


def _contents(holds: str) -> tuple[Content, ...]:
    return tuple(
        Content(item, quantity, lot or UNSET, expiry or UNSET, grams or UNSET)
        for item, lot, expiry, quantity, grams in read_holds(holds)
    )


async def _store(conn: AsyncConnection, site_id: str, document: Document, at: int) -> None:
    s = schema.site.c
    site = (await conn.execute(select(s.zone, s.day_start, s.opens, s.closes).where(s.id == site_id))).one()
    days = BusinessDays(site.zone, site.day_start, site.opens, site.closes)
    await store_document(  # a transfer is no demand: the daily figures stay as they are
        conn, site_id, document, opened_by="cloud", at=at, days=days, daily=DailyChanges(), actor="transfer"
    )
    await conn.execute(update(schema.site).where(s.id == site_id).values(downlink=s.downlink + 1))
