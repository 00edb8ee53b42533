"""Movements: the live feed, and the one record behind a number: why is it so?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import UNSET, Meta, Struct
from sqlalchemy import Select, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, NotFoundError
from cloud.ingest.batch import epoch_of
from cloud.ingest.corrections import Correction, Replacement, ReplacementKind, ReplacementLine, correct, read_case
from cloud.projections.changes import Change
from cloud.store import schema
from cloud.store.database import reading, writing
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.page import (
    CSV_ROWS,
    PAGE_ROWS,
    HtmlRequest,
    href,
    html,
    page,
    read_form,
    render,
    see_other,
    segment,
    sheet,
    visit,
)
from cloud.web.words import iso
from vocabulary import chain, records
from vocabulary.movement import Kind, Line, Movement, accounts
from vocabulary.place import Account
from vocabulary.records import LARGEST_INTEGER

#: Lines of a movement named in the feed; the others are counted.
NAMED_LINES = 2


class FeedFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds. `before` is a site's arrival number; `seen` and `since` are what the page shows already."""

    site: Annotated[str, Meta(max_length=200)] = ""
    item: Annotated[str, Meta(max_length=200)] = ""
    before: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] = 0
    format: Literal["html", "csv"] = "html"
    seen: Annotated[str, Meta(max_length=80)] = ""
    since: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] = 0


@dataclass(frozen=True, slots=True)
class Goods:
    """A line of a movement, for a table: base units and accounts."""

    item: str
    quantity: int
    lot: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A movement as the feed shows it. `movement` is None where this version cannot read it."""

    site: SiteFreshness
    epoch: int
    seq: int
    position: int
    at: int
    received_at: int
    movement: Movement | None
    item: str

    @property
    def link(self) -> str:
        """Why: its page."""
        return movement_link(self.site.id, self.epoch, self.seq)

    @property
    def kind(self) -> Kind | str:
        """Its kind; a reversal says so."""
        if self.movement is None:
            return "unreadable"
        return self.movement.kind

    @property
    def goods(self) -> list[Goods]:
        """Its lines, those of the wanted item first."""
        found = [] if self.movement is None else [goods_line(self.movement, line) for line in self.movement.lines]
        return sorted(found, key=lambda line: line.item != self.item) if self.item else found

    @property
    def marks(self) -> list[str]:
        """What is special about it, in words."""
        return marks_of(self.movement)


def marks_of(movement: Movement | None) -> list[str]:
    """What is special about a movement, in words."""
    if movement is None:
        return []
    named = (
        ("correction", movement.reverses), ("replacement", movement.replaces), ("completes", movement.completes),
        ("compensation", movement.compensates), ("implied", movement.implied),
    )  # fmt: skip
    return [name for name, value in named if value is not UNSET]


def goods_line(movement: Movement, line: Line) -> Goods:
    """A line with the accounts that hold for it."""
    source, target = accounts(movement, line)
    lot = "" if line.lot is UNSET else line.lot
    return Goods(line.item, line.quantity, lot, account_text(*source_of(source)), account_text(*source_of(target)))


def source_of(account: Any) -> tuple[str, str]:
    """An account's place and status."""
    return account.place, account.status


def account_text(place: str, status: str) -> str:
    """An account for people: the status only where it is not the ordinary one."""
    return place if status == "available" else f"{place} ({status})"


def movement_link(site_id: str, epoch: int, seq: int) -> str:
    """The page of one record."""
    return f"/movements/{segment(site_id)}/{epoch}/{seq}"


async def read_feed(
    conn: AsyncConnection, sites: Sequence[SiteFreshness], wanted: FeedFilter, limit: int
) -> list[Shown]:
    """The newest movements of `sites` (of one item, if wanted), the newest first: one query, one range for each site."""
    by_id = {site.id: site for site in sites}
    if not by_id:
        return []
    newest = union_all(*(_newest_of(site.id, wanted, limit) for site in sites)).subquery()
    rows = await conn.execute(
        select(newest).order_by(newest.c.received_at.desc(), newest.c.site_id, newest.c.position.desc()).limit(limit)
    )
    return [
        Shown(
            by_id[row.site_id],
            row.epoch,
            row.seq,
            row.position,
            row.occurred_at,
            row.received_at,
            movement_in(row.body),
            wanted.item,
        )
        for row in rows
    ]


def _newest_of(site_id: str, wanted: FeedFilter, limit: int) -> Select[Any]:
    row, line = schema.ledger.c, schema.movement_line.c
    columns = (row.site_id, row.epoch, row.seq, row.position, row.occurred_at, row.received_at, row.body)
    query = select(*columns).where(row.site_id == site_id)
    if wanted.item:
        hits = select(line.position).where(line.site_id == site_id, line.item == wanted.item)
        hits = hits.where(line.position < wanted.before) if wanted.before else hits
        query = query.where(row.position.in_(hits.distinct().order_by(line.position.desc()).limit(limit)))
    else:
        query = query.where(row.kind == "movement")
        query = query.where(row.position < wanted.before) if wanted.before else query
    part = query.order_by(row.position.desc()).limit(limit).subquery()
    return select(part)


def movement_in(body: bytes) -> Movement | None:
    """The movement in canonical bytes; None where it is another record or this version cannot read it."""
    try:
        record = records.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return record if isinstance(record, Movement) else None


async def item_names(conn: AsyncConnection, items: Iterable[str]) -> dict[str, str]:
    """The names of items, in one query."""
    wanted = sorted(set(items))
    i = schema.item.c
    found = await conn.execute(select(i.id, i.name).where(i.id.in_(wanted)))
    return {row.id: row.name for row in found}


@get("/live", include_in_schema=False)
async def live_page(request: HtmlRequest) -> Response[str]:
    """The feed; a script asks every second with what it has `seen`, and gets 204 while nothing was recorded."""
    visited = visit(request)
    wanted = visited.filter(FeedFilter)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        shown_sites = chosen(sites, wanted.site)
        version = str(sum(site.position for site in shown_sites))
        if visited.partial and wanted.seen == version:
            return Response("", status_code=204)
        rows = await read_feed(conn, shown_sites, wanted, CSV_ROWS if wanted.format == "csv" else PAGE_ROWS)
        older = len(shown_sites) == 1 and len(rows) >= PAGE_ROWS
        following = href("/live", wanted, before=rows[-1].position, seen="", since=0 or "") if older else ""
        if wanted.format == "csv":
            return _sheet(rows, following)
        newest = max((row.received_at for row in rows), default=0)
        shown: dict[str, object] = {
            "filter": wanted, "sites": sites, "rows": rows, "following": following,
            "names": await item_names(conn, (line.item for row in rows for line in row.goods[:NAMED_LINES])),
            "again": "" if wanted.before else href("/live", wanted, seen=version, since=newest),
            "named_lines": NAMED_LINES,
        }  # fmt: skip
        if visited.partial:
            return html(render("live_table.html", now=visited.now, **shown))
        return await page(visited, conn, "live.html", **shown)


def _sheet(rows: Sequence[Shown], following: str) -> Response[str]:
    lines = [
        (row.site.id, str(row.epoch), row.seq, iso(row.at), iso(row.received_at), row.kind, line.item, line.quantity,
         line.lot, line.source, line.target, document_of(row.movement), ",".join(row.marks))
        for row in rows
        for line in row.goods
    ]  # fmt: skip
    head = ("site", "epoch", "seq", "occurred_at", "received_at", "kind", "item", "quantity", "lot", "from", "to",
            "document", "marks")  # fmt: skip
    return sheet("movements", head, lines, following)


def document_of(movement: Movement | None) -> str:
    """The document that a movement fulfils; "" for none."""
    return "" if movement is None or movement.document is UNSET else movement.document


@get("/movements/{site_id:str}/{epoch:str}/{seq:int}", include_in_schema=False)
async def movement_page(
    request: HtmlRequest, site_id: FromPath[str], epoch: FromPath[str], seq: FromPath[int]
) -> Response[str]:
    """One record: what it says, the rows it belongs with, and whether its place in the chain holds."""
    visited = visit(request)
    number = epoch_of(epoch)
    if not 0 < seq <= LARGEST_INTEGER:
        raise NotFoundError("the records of an epoch are numbered from 1")
    row = schema.ledger.c
    async with reading(visited.services.engine) as conn:
        site = chosen(await sites_of(conn, visited.person, visited.now), site_id)[0]
        query = select(schema.ledger).where(row.site_id == site.id, row.epoch == number)
        found = (await conn.execute(query.where(row.seq.in_((seq - 1, seq))).order_by(row.seq))).all()
        if not found or found[-1].seq != seq:
            raise NotFoundError(f"site {site_id} has no record {seq} in epoch {epoch}")
        record = found[-1]
        before = found[0].hash if len(found) == 2 else chain.genesis(number) if seq == 1 else None
        movement = movement_in(record.body)
        goods = [] if movement is None else [goods_line(movement, line) for line in movement.lines]
        units = [] if movement is None else [(entry, accounts(movement, entry)) for entry in movement.units]
        return await page(
            visited,
            conn,
            "movement.html",
            site=site,
            record=record,
            movement=movement,
            goods=goods,
            units_in=[(entry, account_text(*source_of(a)), account_text(*source_of(b))) for entry, (a, b) in units],
            names=await item_names(conn, (line.item for line in goods)),
            related=_related(movement),
            holds=None if before is None else chain.link(before, record.body) == record.hash,
            before=before,
            text=_readable(record.body),
            marks=marks_of(movement),
            unset=UNSET,
            case=None if movement is None else await read_case(conn, site.id, number, seq, visited.now),
            may_correct=visited.person.may("operate", site.id),
            kinds=get_args(ReplacementKind),
        )


class CorrectionForm(Struct, frozen=True):
    """The form: why, and what happened instead where `kind` says that something did."""

    reason: Annotated[str, Meta(max_length=500)] = ""
    kind: ReplacementKind | Literal[""] = ""
    source: Annotated[str, Meta(max_length=200)] = ""
    target: Annotated[str, Meta(max_length=200)] = ""
    document: Annotated[str, Meta(max_length=200)] = ""
    item: Annotated[str, Meta(max_length=200)] = ""
    quantity: Annotated[int, Meta(ge=0, le=10**12)] = 0
    lot: Annotated[str, Meta(max_length=200)] = ""


@post("/movements/{site_id:str}/{epoch:str}/{seq:int}/correction", include_in_schema=False)
async def correct_movement(
    request: HtmlRequest, site_id: FromPath[str], epoch: FromPath[str], seq: FromPath[int]
) -> Redirect:
    """Have the site take the whole event back, and post what did happen."""
    visited = visit(request)
    form = await read_form(request, CorrectionForm)
    visited.person.require("operate", site_id)
    number, services = epoch_of(epoch), visited.services
    wanted = Correction(form.reason, _replacement(form))
    async with writing(services.engine, site_id) as conn:
        await correct(conn, services.runtime, site_id, number, seq, wanted, visited.person.actor)
    services.changes.publish(Change(site_id, ("downlink",), 0, services.runtime.now()))
    return see_other(movement_link(site_id, number, seq))


def _replacement(form: CorrectionForm) -> Replacement | None:
    """What happened instead; None for nothing. Raises BadInputError where the form says only a part of it."""
    if not form.kind:
        if form.source or form.target or form.document or form.item or form.quantity or form.lot:
            raise BadInputError("kind: say what happened instead, or leave all of it empty")
        return None
    if not (form.source and form.target):
        raise BadInputError("source, target: say from where to where it went")
    if bool(form.item) != bool(form.quantity) or (form.lot and not form.item):
        raise BadInputError("item, quantity: name both, or none of them for the same goods")
    lines = (ReplacementLine(form.item, form.quantity, form.lot),) if form.item else ()
    return Replacement(form.kind, Account(form.source), Account(form.target), form.document, lines)


def _readable(body: bytes) -> str:
    """Canonical bytes, indented; as they are where they are no JSON."""
    try:
        return msgspec.json.format(body.decode(), indent=2)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")


def _related(movement: Movement | None) -> list[tuple[str, int]]:
    """(how, seq) of the rows of the same branch that this one refers to."""
    if movement is None:
        return []
    named = (
        ("belongs to the event that began with", movement.group), ("takes back", movement.reverses),
        ("stands for", movement.replaces), ("completes", movement.completes), ("compensates for", movement.compensates),
        ("was caused by the count", movement.count), ("was caused by the inspection", movement.inspection),
    )  # fmt: skip
    # row 0 is one of another ledger of the site: its number here says nothing
    return [(how, seq) for how, seq in named if not isinstance(seq, msgspec.UnsetType) and seq]
