"""Documents: what is expected to happen, and how much of it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.params import FromPath
from msgspec import Meta, Struct
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import NotFoundError
from cloud.projections.documents import read_document
from cloud.store import schema
from cloud.store.database import reading
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.movements import Shown, item_names, movement_in
from cloud.web.page import CSV_ROWS, PAGE_ROWS, HtmlRequest, href, page, segment, sheet, visit
from cloud.web.words import iso
from vocabulary.document import Document, progress_of
from vocabulary.records import LARGEST_INTEGER

#: Movements and announced units listed on a document's page.
LISTED = 200


class DocumentFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds; `before` is `changed_at` of the last one shown."""

    type: Literal["", "expected-receipt", "outbound-order", "transfer", "count-request", "hold"] = ""
    state: Literal["open", "closed", "cancelled", "all"] = "open"
    site: Annotated[str, Meta(max_length=200)] = ""
    partner: Annotated[str, Meta(max_length=200)] = ""
    search: Annotated[str, Meta(max_length=80)] = ""
    before: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] = 0
    format: Literal["html", "csv"] = "html"


async def read_documents(
    conn: AsyncConnection, wanted: DocumentFilter, sites: Sequence[SiteFreshness], limit: int
) -> list[Any]:
    """Documents, the last changed first."""
    d = schema.document.c
    query = select(
        d.site_id, d.id, d.type, d.state, d.partner, d.reference, d.source, d.announces, d.due, d.progress, d.opened_by,
        d.opened_at, d.changed_at,
    ).where(d.site_id.in_([site.id for site in sites]))  # fmt: skip
    if wanted.type:
        query = query.where(d.type == wanted.type)
    if wanted.state != "all":
        query = query.where(d.state == wanted.state)
    if wanted.partner:
        query = query.where(d.partner == wanted.partner)
    if wanted.search:
        query = query.where(
            or_(d.id.icontains(wanted.search, autoescape=True), d.reference.icontains(wanted.search, autoescape=True))
        )
    if wanted.before:
        query = query.where(d.changed_at < wanted.before)
    return list(await conn.execute(query.order_by(d.changed_at.desc(), d.site_id, d.id).limit(limit)))


@get("/documents", include_in_schema=False)
async def documents_page(request: HtmlRequest) -> Response[str]:
    """The list."""
    visited = visit(request)
    wanted = visited.filter(DocumentFilter)
    csv = wanted.format == "csv"
    limit = CSV_ROWS if csv else PAGE_ROWS
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        rows = await read_documents(conn, wanted, chosen(sites, wanted.site), limit)
        following = href("/documents", wanted, before=rows[-1].changed_at) if len(rows) == limit else ""
        if csv:
            return _sheet(rows, following)
        return await page(
            visited,
            conn,
            "documents.html",
            filter=wanted,
            sites=sites,
            zones={site.id: site for site in sites},
            rows=rows,
            following=following,
        )


def _sheet(rows: Sequence[Any], following: str) -> Response[str]:
    head = ("site", "id", "type", "state", "progress", "partner", "reference", "source", "due", "opened_at")
    lines = [
        (row.site_id, row.id, row.type, row.state, row.progress, row.partner, row.reference, row.source,
         None if row.due is None else iso(row.due), iso(row.opened_at))
        for row in rows
    ]  # fmt: skip
    return sheet("documents", head, lines, following)


@get("/documents/{site_id:str}/{name:path}", include_in_schema=False)
async def document_page(request: HtmlRequest, site_id: FromPath[str], name: FromPath[str]) -> Response[str]:
    """One document: its lines expected and done, the units that were announced, the movements that fulfilled it."""
    visited = visit(request)
    document_id = str(name).removeprefix("/")
    d, done = schema.document.c, schema.document_done.c
    async with reading(visited.services.engine) as conn:
        site = chosen(await sites_of(conn, visited.person, visited.now), site_id)[0]
        row = (await conn.execute(select(schema.document).where(d.site_id == site.id, d.id == document_id))).first()
        if row is None:
            raise NotFoundError(f"site {site_id} has no document {document_id}")
        document = read_document(row.body)
        quantities = await conn.execute(
            select(done.line, done.quantity).where(done.site_id == site.id, done.document == document_id)
        )
        progress = progress_of(document, {one.line: one.quantity for one in quantities})
        notices = (
            await conn.execute(
                select(d.id, d.partner, d.progress, d.state, d.opened_at)
                .where(d.site_id == site.id, d.announces == document_id)
                .order_by(d.opened_at, d.id)
                .limit(LISTED)
            )
        ).all()
        movements = await fulfilling(conn, site, document, row, [notice.id for notice in notices])
        r = schema.recommendation.c
        source = (await conn.execute(select(r.id).where(r.site_id == site.id, r.id == row.source))).scalar()
        return await page(
            visited,
            conn,
            "document.html",
            site=site,
            row=row,
            document=document,
            progress=progress,
            notices=notices,
            rows=movements,
            recommendation=source or "",
            names=await item_names(conn, (line.item for line in document.lines)),
            lines={line.line: line for line in document.lines},
            units_shown=document.units[:LISTED],
            units_more=max(0, len(document.units) - LISTED),
            named_lines=2,
            since=0,
            segment=segment,
        )


async def fulfilling(
    conn: AsyncConnection, site: SiteFreshness, document: Document, row: Any, notices: Sequence[str]
) -> list[Shown]:
    """The movements that fulfilled a document or what announces it, the newest first; two queries.

    Looked for among its items' movements that arrived while it was open: no index by document slows ingest for this.
    """
    m, record = schema.movement_line.c, schema.ledger.c
    first = (
        select(m.position)
        .where(m.received_at >= row.opened_at, m.site_id == site.id)
        .order_by(m.received_at)
        .limit(1)
        .scalar_subquery()
    )
    positions = (
        select(m.position)
        .where(
            m.site_id == site.id,
            m.item.in_(sorted({line.item for line in document.lines})),
            m.position >= first,
            m.document.in_([document.id, *notices]),
        )
        .group_by(m.position)
        .order_by(m.position.desc())
        .limit(LISTED)
    )
    found = await conn.execute(
        select(schema.ledger)
        .where(record.site_id == site.id, record.position.in_(positions))
        .order_by(record.position.desc())
    )
    return [
        Shown(site, one.epoch, one.seq, one.position, one.occurred_at, one.received_at, movement_in(one.body), "")
        for one in found
    ]
