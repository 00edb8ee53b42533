"""What headquarters holds of a site, as a gateway that begins anew, or that lacks a part of the past, is told it.

It comes in pages of one state: each names the site's arrival number, and who reads them begins again when it changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET
from sqlalchemy import Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import NotFoundError
from cloud.ingest.batch import epoch_of
from cloud.ingest.corrections import rows_taken_back
from cloud.ingest.epochs import find_branch
from cloud.projections.documents import read_document
from cloud.projections.units import read_holds
from cloud.store import schema
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content
from vocabulary.place import CUSTOMER, SUPPLIER, Account
from vocabulary.quantity import Money
from vocabulary.records import decode
from vocabulary.wire import UNTOLD, BalanceLine, DoneLine, OpeningPage, UnitLine

#: Lines of one page.
PAGE = 1_000
#: Lines that a count or a document counts for: it holds lines itself, up to some 100 kB.
HEAVY = 20

#: Microseconds for which a unit that left is told, 7 days: what is turned back or sent back at once is known when it comes,
#: and at one unit a second these are still no more than 600 pages. What comes later is met anew.
LEFT_US = 7 * 86_400_000_000

_encoder = msgspec.json.Encoder()
_Rows = list[Row[Any]]


class _Section(NamedTuple):
    """A part of the snapshot: its field in the page, lines a row counts for, rows in a fixed order, how they travel."""

    name: str
    weight: int
    query: Select[*tuple[Any, ...]]
    lines: Callable[[AsyncConnection, str, _Rows], Awaitable[list[Any]]]


def _sections(site_id: str) -> tuple[_Section, ...]:
    return (*_stock(site_id), *_papers(site_id))


def _stock(site_id: str) -> tuple[_Section, ...]:
    b, u, lot, ledger = schema.balance, schema.unit, schema.lot.c, schema.ledger.c
    position = select(schema.site.c.position).where(schema.site.c.id == site_id).scalar_subquery()
    newest = (  # of one state, like all that is told: not the clock's time
        select(ledger.received_at).where(ledger.site_id == site_id, ledger.position == position).scalar_subquery()
    )
    dated = (lot.site_id == b.c.site_id) & (lot.item == b.c.item) & (lot.lot == b.c.lot)
    return (
        _Section(
            "balances",
            1,
            select(b, lot.expiry.label("lot_expiry"))
            .select_from(b.outerjoin(schema.lot, dated))
            .where(
                b.c.site_id == site_id,
                b.c.place.not_in(sorted(UNTOLD)),
                or_(b.c.quantity != 0, b.c.grams != 0),
            )
            .order_by(*b.primary_key),
            _balances,
        ),
        _Section(
            "units",
            1,
            select(u)
            .where(u.c.site_id == site_id, or_(u.c.place.not_in((CUSTOMER, SUPPLIER)), u.c.at >= newest - LEFT_US))
            .order_by(u.c.unit),
            _units,
        ),
    )


def _papers(site_id: str) -> tuple[_Section, ...]:
    d, done, e = schema.document, schema.document_done, schema.exception
    line, count = schema.document_line.c, schema.count_line.c
    return (
        _Section(
            "counts",
            HEAVY,
            select(count.place, count.status, func.max(count.position).label("position"))
            .where(count.site_id == site_id)
            .group_by(count.place, count.status)
            .order_by(count.place, count.status),
            _counts,
        ),
        _Section(
            "documents",
            HEAVY,
            select(d.c.body)
            .where(d.c.site_id == site_id, d.c.opened_by == "site", d.c.state == "open")
            .order_by(d.c.id),
            _documents,
        ),
        _Section(
            "done",
            1,
            select(done.c.document, done.c.line, line.item, done.c.quantity)
            .where(
                done.c.site_id == site_id,
                done.c.quantity > 0,
                line.site_id == site_id,
                line.document == done.c.document,
                line.line == done.c.line,
                line.state == "open",
            )
            .order_by(done.c.document, done.c.line),
            _done,
        ),
        _Section(
            "exceptions",
            1,
            select(e)
            .where(e.c.site_id == site_id, e.c.origin == "gateway", e.c.state != "decided")
            .order_by(e.c.kind, e.c.subject),
            _exceptions,
        ),
    )


async def page_count(conn: AsyncConnection, site_id: str, epoch: str) -> int:
    """How many pages a gateway that enrols with `epoch` must apply; 0 where all of the site's past is its own."""
    e = schema.epoch.c
    known = (await conn.execute(select(e.epoch).where(e.site_id == site_id, e.salvaged.is_(False)))).scalars().all()
    if not [one for one in known if one != epoch_of(epoch)]:
        return 0
    return _pages(await _sizes(conn, site_id))


async def _sizes(conn: AsyncConnection, site_id: str) -> list[tuple[_Section, int]]:
    """The sections and how many rows each has."""
    found: list[tuple[_Section, int]] = []
    for section in _sections(site_id):
        rows = await conn.execute(select(func.count()).select_from(section.query.order_by(None).subquery()))
        found.append((section, rows.scalar_one()))
    return found


def _pages(sizes: list[tuple[_Section, int]]) -> int:
    return -(-sum(section.weight * rows for section, rows in sizes) // PAGE)


async def read_page(conn: AsyncConnection, site_id: str, page: int, epoch: str = "") -> OpeningPage:
    """Page `page` (from 0) of what is here of the site. Raises NotFoundError behind the last one, BadInputError.

    `epoch` is the asking ledger's: `seq` says how many of its rows are in it. Balances of places that only say where
    stock came from or went are left out, and so are units that left longer ago than LEFT_US.
    """
    ledger, s = schema.ledger.c, schema.site.c
    position = (await conn.execute(select(s.position).where(s.id == site_id))).scalar_one()
    since = (
        await conn.execute(
            select(ledger.occurred_at)
            .where(ledger.site_id == site_id, ledger.kind != schema.SALVAGED)
            .order_by(ledger.position)
            .limit(1)
        )
    ).scalar_one_or_none()
    branch = await find_branch(conn, site_id, epoch_of(epoch)) if epoch else None
    sizes = await _sizes(conn, site_id)
    pages = _pages(sizes)
    if not 0 <= page < max(1, pages):
        raise NotFoundError(f"there are {pages} pages, counted from 0")
    told: dict[str, tuple[Any, ...]] = {}
    before = 0  # lines of the sections so far; a row is on the page on which its first line is
    for section, count in sizes:
        first, end = (
            min(count, max(0, -(-(line - before) // section.weight))) for line in (page * PAGE, (page + 1) * PAGE)
        )
        if first < end:
            rows = await conn.execute(section.query.offset(first).limit(end - first))
            told[section.name] = tuple(await section.lines(conn, site_id, list(rows)))
        before += section.weight * count
    if branch is not None and page == 0:
        told["taken_back"] = tuple(await rows_taken_back(conn, site_id, branch.epoch))
    return OpeningPage(page, pages, position=position, seq=branch.seq if branch else 0, since=since or 0, **told)


async def _balances(conn: AsyncConnection, site_id: str, rows: _Rows) -> list[Any]:
    return [
        BalanceLine(
            Account(row.place, row.status),
            row.item,
            row.quantity,
            row.lot,
            (row.lot_expiry or "") if row.lot else row.expiry,
            row.grams,
        )
        for row in rows
    ]


async def _units(conn: AsyncConnection, site_id: str, rows: _Rows) -> list[Any]:
    return [
        UnitLine(
            row.unit,
            Account(row.place, row.status),
            row.container,
            _contents(row.holds),
            row.at,
            Account(row.first_place, row.first_status),
        )
        for row in rows
    ]


async def _counts(conn: AsyncConnection, site_id: str, rows: _Rows) -> list[Any]:
    c = schema.ledger.c
    found = await conn.execute(
        select(c.body).where(c.site_id == site_id, c.position.in_([row.position for row in rows])).order_by(c.position)
    )
    records = [decode(body) for body in found.scalars()]
    return [record for record in records if isinstance(record, Count)]


async def _documents(conn: AsyncConnection, site_id: str, rows: _Rows) -> list[Any]:
    return [read_document(row.body) for row in rows]


async def _done(conn: AsyncConnection, site_id: str, rows: _Rows) -> list[Any]:
    return [DoneLine(row.document, row.line, row.item, row.quantity) for row in rows]


async def _exceptions(conn: AsyncConnection, site_id: str, rows: _Rows) -> list[Any]:
    """As the gateway recorded them, but for the row that was the cause: it stands in another ledger."""
    return [
        ExceptionRecord(
            row.kind,
            row.subject,
            row.state,
            row.at,
            row.text,
            row.action or UNSET,
            msgspec.json.decode(row.facts, type=dict[str, str | int]) if row.facts else UNSET,
            value=UNSET if row.value_minor is None else Money(row.value_minor, row.currency),
            owner=row.owner or UNSET,
            due=UNSET if row.due is None else row.due,
            reason=row.reason or UNSET,
            actor=row.actor or UNSET,
        )
        for row in rows
    ]


def _contents(holds: str) -> tuple[Content, ...]:
    return tuple(
        Content(item, quantity, lot or UNSET, expiry or UNSET, grams or UNSET)
        for item, lot, expiry, quantity, grams in read_holds(holds)
    )
