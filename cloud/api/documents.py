"""/api/v1/documents: what is expected to happen; opened, revised, closed and cancelled here, followed by movements.

A partner's key sees and writes its own documents only: a supplier reads released purchase orders and announces shipments
against them (ASN), a customer orders.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Response, get, post, put
from litestar.params import FromPath, JSONBody
from sqlalchemy import select

from cloud.access.http import principal_of
from cloud.access.principal import Permission
from cloud.api.caller import Caller, Http, caller_of
from cloud.api.paging import PAGE, Cursor, Filter, Limit, StateFilter, TypeFilter, answer, page_of
from cloud.errors import NotFoundError
from cloud.inputs.order_entry import DocumentEntry, enter, revise
from cloud.projections.changes import Change
from cloud.projections.documents import read_document
from cloud.recommendations.purchases import shown_to_partners
from cloud.store import lanes, schema
from cloud.store.database import lock_sites
from vocabulary.document import Document, DocumentState, LineProgress, progress_of


class DocumentRow(msgspec.Struct, frozen=True):
    """A document in a list. `announces` is the purchase order behind an ASN; times in µs UTC."""

    site_id: str
    id: str
    revision: int
    type: str
    state: str
    progress: str
    partner: str
    reference: str
    source: str
    announces: str
    from_site: str
    to_site: str
    due: int | None
    opened_by: str
    opened_at: int
    changed_at: int


class Documents(msgspec.Struct, frozen=True):
    """A page of documents."""

    items: list[DocumentRow]
    next: str


class DocumentDetail(msgspec.Struct, frozen=True):
    """A document whole, how much of each line happened, and the ASNs that announce it."""

    row: DocumentRow
    document: Document
    lines: list[LineProgress]
    notices: list[str]


def _any_of(caller: Caller) -> Permission:
    """A partner trades, everybody else reads."""
    return "trade" if caller.principal.partner else "read"


def _reader(request: Http, site_id: str | None = None) -> Caller:
    return caller_of(request, "trade" if principal_of(request).partner else "read", site_id)


def _writer(request: Http, site_id: str) -> Caller:
    """A partner may do to its own documents what planners may do to all."""
    return caller_of(request, "trade" if principal_of(request).partner else "plan", site_id)


@get("/documents", operation_id="list_documents")
async def list_documents(
    request: Http,
    site: Filter = "",
    type_: TypeFilter = "",
    state_: StateFilter = "",
    partner: Filter = "",
    source: Filter = "",
    item: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Documents]:
    """Documents, the last opened first. `type`: expected-receipt, outbound-order, transfer, count-request, hold."""
    caller, d, line = _reader(request), schema.document, schema.document_line.c
    query = select(*(d.c[name] for name in DocumentRow.__struct_fields__)).where(
        caller.principal.scope(d.c.site_id, _any_of(caller))
    )
    partner = caller.principal.partner or partner
    if caller.principal.partner:
        query = query.where(shown_to_partners(caller.now))
    for column, value in (
        (d.c.site_id, site),
        (d.c.type, type_),
        (d.c.state, state_),
        (d.c.partner, partner),
        (d.c.source, source),
    ):
        if value:
            query = query.where(column == value)
    if item:
        query = query.where(
            select(line.line).where(line.site_id == d.c.site_id, line.document == d.c.id, line.item == item).exists()
        )
    keys = [d.c.opened_at, d.c.site_id, d.c.id]
    async with caller.reading() as conn:
        return answer(
            request, Documents(*await page_of(conn, query, keys, DocumentRow, cursor, limit, newest_first=True))
        )


async def _detail(caller: Caller, site: str, document_id: str) -> DocumentDetail:
    d, done = schema.document, schema.document_done.c
    async with caller.reading() as conn:
        columns = [d.c[name] for name in DocumentRow.__struct_fields__]
        query = select(*columns, d.c.body).where(d.c.site_id == site, d.c.id == document_id)
        if caller.principal.partner:
            query = query.where(shown_to_partners(caller.now))
        found = (await conn.execute(query)).first()
        if found is None or (caller.principal.partner and found.partner != caller.principal.partner):
            raise NotFoundError(f"site {site} has no document {document_id} that you may see")
        lines = await lanes.select_in(conn, (done.line, done.quantity), site, done.document, [document_id])
        notices = await conn.execute(
            select(d.c.id).where(d.c.site_id == site, d.c.announces == document_id).order_by(d.c.opened_at, d.c.id)
        )
        names = list(notices.scalars())
    document = read_document(found.body)
    progress = progress_of(document, dict(lines))
    return DocumentDetail(DocumentRow(*tuple(found)[:-1]), document, list(progress.lines), names)


@get("/documents/{site:str}/{document:str}", operation_id="get_document")
async def get_document(request: Http, site: FromPath[str], document: FromPath[str]) -> DocumentDetail:
    """One document whole, with its progress."""
    return await _detail(_reader(request, site), site, document)


@post("/documents", operation_id="open_document")
async def open_document(request: Http, data: JSONBody[DocumentEntry]) -> DocumentDetail:
    """Open an expected receipt, order, transfer, count request or hold. The same id and content again changes nothing."""
    caller = _writer(request, data.site)
    async with caller.writing(data.site, "documents", "downlink") as conn:
        await lock_sites(conn, data.to_site or data.site)  # the receiver's document of a transfer stands there
        document_id = await enter(conn, caller.services.runtime, caller.principal, data)
    if data.to_site not in ("", data.site):
        caller.services.changes.publish(Change(data.to_site, ("documents", "downlink"), 0, caller.now))
    return await _detail(caller, data.site, document_id)


@put("/documents/{site:str}/{document:str}", operation_id="revise_document")
async def revise_document(
    request: Http, site: FromPath[str], document: FromPath[str], data: JSONBody[DocumentEntry]
) -> DocumentDetail:
    """Replace lines, units, partner and dates of an open document; only what was opened here can be revised here."""
    caller = _writer(request, site)
    async with caller.writing(site, "documents", "downlink") as conn:
        await revise(conn, caller.services.runtime, caller.principal, site, document, entry=data)
    return await _detail(caller, site, document)


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a document ends, and why."""

    state: Literal["closed", "cancelled"]
    reason: str = ""


@post("/documents/{site:str}/{document:str}/end", operation_id="end_document", status_code=200)
async def end_document(
    request: Http, site: FromPath[str], document: FromPath[str], data: JSONBody[Ending]
) -> DocumentDetail:
    """Close or cancel a document that was opened here."""
    caller = _writer(request, site)
    state: DocumentState = data.state
    async with caller.writing(site, "documents", "downlink") as conn:
        await revise(conn, caller.services.runtime, caller.principal, site, document, state=state, reason=data.reason)
    return await _detail(caller, site, document)


DOCUMENTS = [list_documents, get_document, open_document, revise_document, end_document]
