"""Opening stock, customers' orders, purchase orders and shipping notices out of files, a document or command at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import Principal
from cloud.errors import BadRow, CloudError
from cloud.ingest import commands
from cloud.inputs.import_rows import NoticeRow, OrderRow, PurchaseRow, StockRow
from cloud.inputs.order_entry import MOST_LINES, DocumentEntry, enter
from cloud.store import schema
from runtime import Runtime
from vocabulary.document import DocumentLine, ExpectedUnit
from vocabulary.movement import Content
from vocabulary.place import Account
from vocabulary.wire import BalanceLine, OpeningStock

#: Lines of one opening-stock command (ledger rule 11).
OPENING_LINES = 1_000

T = TypeVar("T")
Numbered = tuple[int, msgspec.Struct]


async def store_documents(
    conn: AsyncConnection, runtime: Runtime, principal: Principal, kind: str, rows: Sequence[Numbered]
) -> list[BadRow]:
    """Store the rows of a file, each document in a savepoint of its own; what could not be stored, at its first line.

    The caller rolls everything back where something is said. The rows' sites and items are known.
    """
    if kind == "stock":
        await _send_stock(conn, runtime, principal, [cast(StockRow, row) for _, row in rows])
        return []
    bad: list[BadRow] = []
    zones = {row.id: row.zone for row in await conn.execute(select(schema.site.c.id, schema.site.c.zone))}
    for (site_id, name), lines in _grouped(kind, rows).items():
        first = lines[0][0]
        word = "notice" if kind == "asn" else "order"
        if len(lines) > MOST_LINES:
            bad.append(BadRow(first, word, f"{word} {name} has more than {MOST_LINES} lines; split it"))
            continue
        try:
            async with conn.begin_nested():
                await _enter(conn, runtime, principal, kind, [row for _, row in lines], ZoneInfo(zones[site_id]))
        except CloudError as error:
            bad.append(BadRow(first, "", f"{word} {name} of site {site_id}: {error}"))
    return bad


def _grouped(kind: str, rows: Sequence[Numbered]) -> dict[tuple[str, str], list[Numbered]]:
    """The rows of each document, in the file's order."""
    name = "asn" if kind == "asn" else "order"
    found: dict[tuple[str, str], list[Numbered]] = {}
    for line, row in rows:
        found.setdefault((getattr(row, "site"), getattr(row, name)), []).append((line, row))  # noqa: B009 - several types
    return found


async def _enter(
    conn: AsyncConnection,
    runtime: Runtime,
    principal: Principal,
    kind: str,
    rows: Sequence[msgspec.Struct],
    zone: ZoneInfo,
) -> None:
    if kind == "orders":
        await enter(conn, runtime, principal, _order([cast(OrderRow, row) for row in rows], zone))
    elif kind == "purchases":
        await _purchase(conn, runtime, principal, [cast(PurchaseRow, row) for row in rows], zone)
    else:
        await enter(conn, runtime, principal, await _notice(conn, [cast(NoticeRow, row) for row in rows], zone))


def _order(rows: Sequence[OrderRow], zone: ZoneInfo) -> DocumentEntry:
    first = rows[0]
    return DocumentEntry(
        first.site,
        "outbound-order",
        first.order,
        tuple(DocumentLine(number, row.item, row.quantity) for number, row in enumerate(rows, 1)),
        partner=_first(row.customer for row in rows),
        reference=_first(row.reference for row in rows),
        due=_end_of(_first(row.due for row in rows), zone),
    )


async def _purchase(
    conn: AsyncConnection, runtime: Runtime, principal: Principal, rows: Sequence[PurchaseRow], zone: ZoneInfo
) -> None:
    """A purchase order is known since the day it was placed, not since it was brought here."""
    first = rows[0]
    entry = DocumentEntry(
        first.site,
        "expected-receipt",
        first.order,
        tuple(
            DocumentLine(
                number,
                row.item,
                row.quantity,
                unit_cost=row.unit_cost or UNSET,
                currency=row.currency if row.unit_cost else UNSET,
            )
            for number, row in enumerate(rows, 1)
        ),
        partner=first.supplier,
        reference=_first(row.reference for row in rows),
        due=_end_of(_first(row.due for row in rows), zone),
    )
    document_id = await enter(conn, runtime, principal, entry)
    placed = _end_of(_first(row.ordered for row in rows), zone)
    if placed is not None:
        d = schema.document.c
        await conn.execute(
            update(schema.document)
            .where(d.site_id == first.site, d.id == document_id)
            .values(opened_at=min(placed, runtime.now()))
        )


async def _notice(conn: AsyncConnection, rows: Sequence[NoticeRow], zone: ZoneInfo) -> DocumentEntry:
    first, d = rows[0], schema.document.c
    order = _first(row.order for row in rows)
    partner = _first(row.supplier for row in rows)
    if order and not partner:
        found = await conn.execute(select(d.partner).where(d.site_id == first.site, d.id == order))
        partner = found.scalar_one_or_none() or ""
    totals: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.item, row.lot, row.expiry)
        totals[key] = totals.get(key, 0) + row.quantity
    return DocumentEntry(
        first.site,
        "expected-receipt",
        first.asn,
        tuple(
            DocumentLine(number, item, quantity, lot or UNSET, expiry or UNSET)
            for number, ((item, lot, expiry), quantity) in enumerate(totals.items(), 1)
        ),
        _units(rows),
        partner=partner,
        reference=_first(row.reference for row in rows),
        source=order,
        due=_end_of(_first(row.due for row in rows), zone),
    )


def _units(rows: Sequence[NoticeRow]) -> tuple[ExpectedUnit, ...]:
    """The units that rows name, with all that each holds, and the units that these stand in."""
    holds: dict[str, list[Content]] = {}
    within: dict[str, str] = {}
    for row in rows:
        unit, container = _key(row.unit), _key(row.container)
        if unit:
            holds.setdefault(unit, []).append(Content(row.item, row.quantity, row.lot or UNSET, row.expiry or UNSET))
            if container:
                within[unit] = container
                holds.setdefault(container, [])
    return tuple(ExpectedUnit(unit, within.get(unit, UNSET), tuple(content)) for unit, content in holds.items())


def _key(text: str) -> str:
    """A unit's key: 18 digits alone are an SSCC."""
    digits = text.removeprefix("(00)")
    return f"00/{digits}" if len(digits) == 18 and digits.isdecimal() else text


def _first(texts: Iterator[str]) -> str:
    """The first that is not empty: a document's head may stand in any of its rows."""
    return next((text for text in texts if text), "")


def _end_of(day: str, zone: ZoneInfo) -> int | None:
    """The last microsecond of a day where the site is, UTC; None for no day."""
    if not day:
        return None
    end = datetime.fromisoformat(day).replace(tzinfo=zone) + timedelta(days=1)
    return int(end.timestamp()) * 1_000_000 - 1


async def _send_stock(conn: AsyncConnection, runtime: Runtime, principal: Principal, rows: Sequence[StockRow]) -> None:
    """Opening stock goes to the gateways as commands; they post it, headquarters never writes stock."""
    by_site: dict[str, list[BalanceLine]] = {}
    for row in rows:
        line = BalanceLine(
            Account(row.place, row.status),
            row.item,
            row.quantity,
            row.lot,
            row.expiry,
            row.grams,
            row.unit_cost,
            row.currency,
        )
        by_site.setdefault(row.site, []).append(line)
    for site_id, lines in sorted(by_site.items()):
        for start in range(0, len(lines), OPENING_LINES):
            order = OpeningStock(tuple(lines[start : start + OPENING_LINES]), runtime.now())
            await commands.send(conn, runtime, site_id, order, principal.actor)
