"""Opening and changing documents: what may be said, checked against items, partners and the order behind an ASN."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import Principal
from cloud.errors import BadInputError, ConflictError, DeniedError, NotFoundError
from cloud.ingest.downlink import touch
from cloud.inputs.masters import Id, Text
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import read_document, store_document
from cloud.recommendations.orders import tell_change
from cloud.store import audit, lanes, schema
from runtime import Runtime
from vocabulary.document import Document, DocumentLine, DocumentState, DocumentType, ExpectedUnit
from vocabulary.identifier import kind_of
from vocabulary.quantity import Money, amount

#: Lines, and units, of one document at most: a full truck of cases.
MOST_LINES, MOST_UNITS = 2_000, 10_000
#: Base units, and prices, of one line at most.
MOST_QUANTITY, MOST_PRICE = 10**12, 10**12
#: When documents can be due, microseconds UTC: within 2000 and 2100.
EARLIEST_US, LATEST_US = 946_684_800_000_000, 4_102_444_800_000_000

_PREFIX: dict[DocumentType, str] = {
    "expected-receipt": "ER-",
    "outbound-order": "SO-",
    "transfer": "TR-",
    "count-request": "CR-",
    "hold": "HO-",
}


class DocumentEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document as it is asked for. Without `id` one is made. An ASN is an expected receipt whose `source` is the
    purchase order; its lines follow from its units where none are given. `due` in microseconds UTC."""

    site: Id
    type: DocumentType
    id: Annotated[str, Meta(max_length=100, pattern=r"^[^\s/\x00-\x1f]*$")] = ""
    lines: Annotated[tuple[DocumentLine, ...], Meta(max_length=MOST_LINES)] = ()
    units: Annotated[tuple[ExpectedUnit, ...], Meta(max_length=MOST_UNITS)] = ()
    partner: Text = ""
    reference: Text = ""
    source: Text = ""
    place: Text = ""
    from_site: Text = ""
    to_site: Text = ""
    due: int | None = None
    reason: Text = ""


async def enter(conn: AsyncConnection, runtime: Runtime, principal: Principal, entry: DocumentEntry) -> str:
    """Open the document that `entry` asks for, in the caller's transaction; returns its id. Raises CloudError."""
    d = schema.document.c
    document_id = entry.id or _PREFIX[entry.type] + runtime.token_bytes(6).hex()
    found = (
        await conn.execute(select(d.body, d.opened_by).where(d.site_id == entry.site, d.id == document_id))
    ).first()
    if entry.type == "transfer":
        principal.require("plan", entry.to_site)
    document = await _document(conn, principal, entry, document_id)
    if found is not None:
        before = read_document(found.body)
        if msgspec.structs.replace(before, revision=1, state="open", reason=document.reason) == document:
            return document_id
        raise ConflictError(
            f"document {document_id} exists already and says something else; revise it or choose another id"
        )
    await _store(conn, runtime, principal, entry.site, document, "document.open")
    if document.type == "transfer":  # the receiver expects it from now on, and learns what left when it leaves
        await _store(conn, runtime, principal, entry.to_site, document, "document.open")
    return document_id


async def revise(
    conn: AsyncConnection,
    runtime: Runtime,
    principal: Principal,
    site_id: str,
    document_id: str,
    *,
    entry: DocumentEntry | None = None,
    state: DocumentState = "open",
    reason: str = "",
) -> None:
    """Replace an open document's content by `entry`, or end it with `state`. Raises CloudError."""
    d = schema.document.c
    found = (
        await conn.execute(
            select(d.body, d.opened_by, d.partner, d.announces).where(d.site_id == site_id, d.id == document_id)
        )
    ).first()
    if found is None or (principal.partner and found.partner != principal.partner):
        raise NotFoundError(f"site {site_id} has no document {document_id} that you may see")
    before = read_document(found.body)
    if found.opened_by != "cloud":
        raise ConflictError(f"document {document_id} was opened at the site; only the site changes it")
    if principal.partner and before.type == "expected-receipt" and not found.announces:
        raise DeniedError("a purchase order is changed by its buyer only")
    if before.state != "open":
        raise ConflictError(f"document {document_id} is {before.state} already")
    if entry is None:
        document = msgspec.structs.replace(before, state=state, reason=_set(reason[:300]))
    else:
        if (entry.site, entry.type, entry.id or document_id) != (site_id, before.type, document_id):
            raise BadInputError("site, type and id of a document cannot be changed; open another one")
        document = await _document(conn, principal, entry, document_id)
    document = msgspec.structs.replace(document, revision=before.revision + 1)
    await _store(conn, runtime, principal, site_id, document, f"document.{'revise' if entry else state}")
    if document.type == "expected-receipt":  # the supplier of an order that went out from here learns of it
        await tell_change(conn, site_id, document, runtime.now())


async def _store(
    conn: AsyncConnection, runtime: Runtime, principal: Principal, site_id: str, document: Document, action: str
) -> None:
    s, now, daily = schema.site.c, runtime.now(), DailyChanges()
    site = (await conn.execute(select(s.zone, s.day_start, s.opens, s.closes).where(s.id == site_id))).first()
    if site is None:
        raise NotFoundError(f"there is no site {site_id}")
    days = BusinessDays(site.zone, site.day_start, site.opens, site.closes)
    await store_document(
        conn, site_id, document, opened_by="cloud", at=now, days=days, daily=daily, actor=principal.actor
    )
    await lanes.add(conn, schema.daily, list(daily.rows(site_id)))
    await touch(conn, site_id)
    await audit.record(conn, now, principal.actor, action, site_id, document.id, {"revision": document.revision})


async def _document(conn: AsyncConnection, principal: Principal, entry: DocumentEntry, document_id: str) -> Document:
    """The document that `entry` describes, revision 1. Raises BadInputError, DeniedError."""
    partner = entry.partner
    if principal.partner:
        if partner not in ("", principal.partner):
            raise DeniedError(f"partner: this key speaks for {principal.partner} only")
        partner = principal.partner
        if entry.type not in ("expected-receipt", "outbound-order"):
            raise DeniedError("type: a partner announces shipments (expected-receipt) and orders (outbound-order)")
    if entry.type == "transfer" and (entry.site != entry.from_site or entry.to_site in ("", entry.site)):
        raise BadInputError("from_site, to_site: a transfer is opened at its from_site and goes to another site")
    if entry.type == "expected-receipt" and (entry.source or principal.partner):
        await _check_order(conn, entry, partner)
    for number, unit in enumerate(entry.units, 1):
        for key in (unit.unit, *(() if unit.container is UNSET else (unit.container,))):
            try:
                kind_of(key)
            except ValueError as error:
                raise BadInputError(f"units[{number}]: {error}") from None
    lines = entry.lines or _lines_of(entry.units)
    await _check_lines(conn, lines, [content.item for unit in entry.units for content in unit.holds])
    if entry.due is not None and not EARLIEST_US <= entry.due < LATEST_US:
        raise BadInputError("due: microseconds since 1970, UTC, between the years 2000 and 2100")
    return Document(
        id=document_id,
        revision=1,
        type=entry.type,
        state="open",
        lines=lines,
        units=entry.units,
        partner=_set(partner),
        reference=_set(entry.reference),
        source=_set(entry.source),
        place=_set(entry.place),
        from_site=_set(entry.from_site),
        to_site=_set(entry.to_site),
        due=UNSET if entry.due is None else entry.due,
        reason=_set(entry.reason),
        value=_value(lines),
    )


def _set(text: str) -> str | UnsetType:
    return text or UNSET


def _lines_of(units: tuple[ExpectedUnit, ...]) -> tuple[DocumentLine, ...]:
    """A line for each item and lot that the units hold."""
    totals: dict[tuple[str, str | UnsetType, str | UnsetType], int] = {}
    for unit in units:
        for content in unit.holds:
            key = (content.item, content.lot, content.expiry)
            totals[key] = totals.get(key, 0) + content.quantity
    return tuple(
        DocumentLine(number, item, quantity, lot, expiry)
        for number, ((item, lot, expiry), quantity) in enumerate(totals.items(), 1)
    )


async def _check_order(conn: AsyncConnection, entry: DocumentEntry, partner: str) -> None:
    """The order that an ASN names is open and the partner's own."""
    d = schema.document.c
    order = (
        await conn.execute(
            select(d.partner, d.type, d.state, d.announces).where(d.site_id == entry.site, d.id == entry.source)
        )
    ).first()
    if order is None or order.type != "expected-receipt" or order.announces or (partner and order.partner != partner):
        raise BadInputError(f"source: {entry.source or 'nothing'} is no purchase order of yours at site {entry.site}")
    if order.state == "cancelled":
        raise ConflictError(f"purchase order {entry.source} is cancelled; ship nothing for it")


async def _check_lines(conn: AsyncConnection, lines: tuple[DocumentLine, ...], held: list[str]) -> None:
    numbers = [line.line for line in lines]
    if len(set(numbers)) != len(numbers):
        raise BadInputError("lines: each needs a number of its own")
    for line in lines:
        if not 0 < line.quantity <= MOST_QUANTITY or not 0 < line.line <= 1 << 31:
            raise BadInputError(f"lines: line {line.line}: number and quantity are above 0 and at most {MOST_QUANTITY}")
        if line.unit_cost is not UNSET and not 0 <= line.unit_cost <= MOST_PRICE:
            raise BadInputError(f"lines: line {line.line}: unit_cost is between 0 and {MOST_PRICE}")
    wanted = list(dict.fromkeys([*(line.item for line in lines), *held]))
    i = schema.item.c
    known: set[str] = set()
    for start in range(0, len(wanted), lanes.IN_LIST):
        part = wanted[start : start + lanes.IN_LIST]
        known |= set((await conn.execute(select(i.id).where(i.id.in_(part)))).scalars())
    for item in wanted:
        if item not in known:
            raise BadInputError(f"lines: item {item[:100]} is not known; use one of /api/v1/items")


def _value(lines: tuple[DocumentLine, ...]) -> Money | UnsetType:
    """What the lines cost together, where all are priced in one currency."""
    total, currency = 0, ""
    for line in lines:
        if line.unit_cost is UNSET or line.currency is UNSET or currency not in ("", line.currency):
            return UNSET
        currency = line.currency
        total += amount(line.unit_cost, line.quantity, currency).minor
    return Money(total, currency) if currency and abs(total) < 1 << 53 else UNSET
