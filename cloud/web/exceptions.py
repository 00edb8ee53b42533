"""What needs a person's judgement, with its evidence; assign, snooze or decide, with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Meta, Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.ingest.judgement import judge
from cloud.projections.changes import Change
from cloud.store import schema
from cloud.store.database import reading, writing
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.movements import movement_link
from cloud.web.page import (
    CSV_ROWS,
    PAGE_ROWS,
    HtmlRequest,
    Visit,
    href,
    page,
    read_form,
    see_other,
    sheet,
    visit,
)
from cloud.web.words import iso
from vocabulary.exception import ExceptionKind
from vocabulary.wire import Command, DecideException

#: Open exceptions that are put in order of what is at stake.
MOST_PAGES = 200
#: Commands to sites that are looked through for decisions under way.
PENDING = 500

_command = msgspec.json.Decoder(Command)
_facts = msgspec.json.Decoder(dict[str, str | int])


class ExceptionFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds; `page` counts from 0."""

    state: Literal["open", "assigned", "snoozed", "decided"] = "open"
    site: Annotated[str, Meta(max_length=200)] = ""
    kind: Annotated[str, Meta(max_length=60)] = ""
    page: Annotated[int, Meta(ge=0, le=MOST_PAGES)] = 0
    format: Literal["html", "csv"] = "html"


class Verdict(Struct, frozen=True):
    """The form."""

    site: str
    kind: ExceptionKind
    subject: str
    state: Literal["assigned", "snoozed", "decided"]
    reason: Annotated[str, Meta(max_length=500)] = ""
    back: Annotated[str, Meta(max_length=500)] = ""


@dataclass(frozen=True, slots=True)
class Case:
    """An exception as the page shows it. `pending`: a decision that the site has not recorded yet."""

    row: Any
    site: SiteFreshness
    facts: dict[str, str | int]
    cause: str
    pending: str
    may_decide: bool


async def read_cases(
    conn: AsyncConnection, visited: Visit, wanted: ExceptionFilter, sites: Sequence[SiteFreshness], limit: int
) -> list[Case]:
    """Exceptions, those with the most money at stake first; three queries."""
    e = schema.exception.c
    query = select(schema.exception).where(e.state == wanted.state, e.site_id.in_([site.id for site in sites]))
    if wanted.kind:
        query = query.where(e.kind == wanted.kind)
    order = (e.value_minor.is_(None), e.value_minor.desc(), e.at.desc(), e.site_id, e.kind, e.subject)
    rows = (await conn.execute(query.order_by(*order).limit(limit).offset(wanted.page * PAGE_ROWS))).all()
    pending = await _pending(conn, [site.id for site in sites])
    by_id = {site.id: site for site in sites}
    causes = await _causes(conn, rows)
    return [
        Case(
            row,
            by_id[row.site_id],
            _facts.decode(row.facts) if row.facts else {},
            causes.get((row.site_id, row.cause), ""),
            pending.get((row.site_id, row.kind, row.subject), ""),
            visited.person.may("operate", row.site_id),
        )
        for row in rows
    ]


async def _pending(conn: AsyncConnection, sites: Sequence[str]) -> dict[tuple[str, str, str], str]:
    """Decisions on their way to sites, by exception."""
    c = schema.command.c
    rows = await conn.execute(
        select(c.site_id, c.body).where(c.site_id.in_(sites), c.result == "").order_by(c.created_at).limit(PENDING)
    )
    found: dict[tuple[str, str, str], str] = {}
    for site_id, body in rows:
        order = _command.decode(body).order
        if isinstance(order, DecideException):
            found[site_id, order.exception, order.subject] = order.state
    return found


async def _causes(conn: AsyncConnection, rows: Sequence[Any]) -> dict[tuple[str, int], str]:
    """Links to the records that raised exceptions, on the newest branch of each site that holds them."""
    wanted = {(row.site_id, row.cause) for row in rows if row.cause is not None}
    if not wanted:
        return {}
    p = schema.epoch.c
    branches = await conn.execute(
        select(p.site_id, p.epoch, p.seq)
        .where(p.site_id.in_(sorted({site for site, _ in wanted})), p.salvaged.is_(False))
        .order_by(p.site_id, p.ordinal)
    )
    links: dict[tuple[str, int], str] = {}
    for branch in branches:
        for site_id, seq in wanted:
            if site_id == branch.site_id and seq <= branch.seq:
                links[site_id, seq] = movement_link(site_id, branch.epoch, seq)
    return links


@get("/exceptions", include_in_schema=False)
async def exceptions_page(request: HtmlRequest) -> Response[str]:
    """The list."""
    visited = visit(request)
    wanted = visited.filter(ExceptionFilter)
    csv = wanted.format == "csv"
    limit = CSV_ROWS if csv else PAGE_ROWS + 1
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        cases = await read_cases(conn, visited, wanted, chosen(sites, wanted.site), limit)
        if csv:
            return _sheet(cases)
        more = len(cases) > PAGE_ROWS and wanted.page < MOST_PAGES
        return await page(
            visited,
            conn,
            "exceptions.html",
            filter=wanted,
            sites=sites,
            states=("open", "assigned", "snoozed", "decided"),
            cases=cases[:PAGE_ROWS],
            here=href("/exceptions", wanted),
            following=href("/exceptions", wanted, page=wanted.page + 1) if more else "",
        )


def _sheet(cases: Sequence[Case]) -> Response[str]:
    head = ("site", "kind", "subject", "state", "at", "text", "action", "value_minor", "currency", "owner", "reason")
    rows = [
        (case.row.site_id, case.row.kind, case.row.subject, case.row.state, iso(case.row.at), case.row.text,
         case.row.action, case.row.value_minor, case.row.currency, case.row.owner, case.row.reason)
        for case in cases
    ]  # fmt: skip
    return sheet("exceptions", head, rows)


@post("/exceptions", include_in_schema=False)
async def answer_exception(request: HtmlRequest) -> Redirect:
    """Decide about an exception: here where headquarters owns it, by a command where a gateway does."""
    visited = visit(request)
    verdict = await read_form(request, Verdict)
    visited.person.require("operate", verdict.site)
    services = visited.services
    decision = DecideException(verdict.kind, verdict.subject, verdict.state, verdict.reason, visited.person.actor)
    async with writing(services.engine, verdict.site) as conn:
        await judge(conn, services.runtime, verdict.site, decision)
    services.changes.publish(Change(verdict.site, ("exceptions", "downlink"), 0, services.runtime.now()))
    local = verdict.back.startswith("/exceptions")
    return see_other(verdict.back if local else "/exceptions")
