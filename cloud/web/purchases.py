"""Purchase orders: what was ordered of whom, whether it went out, what they promised, what is late; and each order's story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Meta, Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.http import CSRF_FIELD
from cloud.errors import BadInputError, NotFoundError
from cloud.interchange.order_message import OrderMessage, read_message
from cloud.projections.changes import Change
from cloud.recommendations.acknowledge import Acknowledgement, Answer, Promise, acknowledge, answers_to, is_day
from cloud.recommendations.orders import Message
from cloud.recommendations.purchases import PurchaseRow, mark_sent, overdue, purchases, send_again, sending
from cloud.recommendations.rows import RecommendationRow, of_row, query
from cloud.recommendations.undo import can_undo, take_back
from cloud.store import plans, schema
from cloud.store.database import reading, writing
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.page import (
    CSV_ROWS,
    PAGE_ROWS,
    HtmlRequest,
    Visit,
    href,
    page,
    read_fields,
    see_other,
    segment,
    sheet,
    visit,
)
from cloud.web.recommendations import Step, read_steps
from cloud.web.words import iso
from vocabulary.records import LARGEST_INTEGER

_KINDS = ("documents", "downlink", "recommendations", "exceptions")


class PurchaseFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds; `before` is `opened_at` of the last one shown."""

    state: Literal["open", "closed", "cancelled", "all"] = "open"
    sending: Literal["", "waiting", "by hand", "sent", "failed", "none"] = ""
    site: Annotated[str, Meta(max_length=200)] = ""
    supplier: Annotated[str, Meta(max_length=200)] = ""
    late: Literal["", "yes"] = ""
    before: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] = 0
    format: Literal["html", "csv"] = "html"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an order's story; `tone` a state's word for its mark."""

    at: int
    word: str
    text: str
    link: str = ""


async def read_purchases(
    conn: AsyncConnection, wanted: PurchaseFilter, sites: Sequence[SiteFreshness], now: int, limit: int
) -> list[PurchaseRow]:
    """Orders, the newest first; one query."""
    d = schema.document.c
    asked = purchases(now).where(d.site_id.in_([site.id for site in sites]))
    if wanted.state != "all":
        asked = asked.where(d.state == wanted.state)
    if wanted.sending:
        asked = asked.where(sending() == wanted.sending)
    if wanted.supplier:
        asked = asked.where(d.partner == wanted.supplier)
    if wanted.late:
        asked = asked.where(overdue(now))
    if wanted.before:
        asked = asked.where(d.opened_at < wanted.before)
    rows = await conn.execute(asked.order_by(d.opened_at.desc(), d.site_id, d.id).limit(limit))
    return [_row(row) for row in rows.mappings()]


def _row(row: Any) -> PurchaseRow:
    return msgspec.convert({str(name): value for name, value in row.items()}, PurchaseRow)


@get("/purchases", include_in_schema=False)
async def purchases_page(request: HtmlRequest) -> Response[str]:
    """The list."""
    visited = visit(request)
    wanted = visited.filter(PurchaseFilter)
    limit = CSV_ROWS if wanted.format == "csv" else PAGE_ROWS
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        rows = await read_purchases(conn, wanted, chosen(sites, wanted.site), visited.now, limit)
        following = href("/purchases", wanted, before=rows[-1].opened_at) if len(rows) == limit else ""
        if wanted.format == "csv":
            return _sheet(rows, following)
        by_id = {site.id: site for site in sites}
        return await page(
            visited, conn, "purchases.html", filter=wanted, sites=sites, by_id=by_id, rows=rows, following=following
        )


def _sheet(rows: Sequence[PurchaseRow], following: str) -> Response[str]:
    head = ("site", "order", "supplier", "reference", "state", "progress", "opened_at", "wanted_day", "due_day", "sending",
            "sent_at", "answer", "overdue", "promised_late", "cost_minor", "currency", "error")  # fmt: skip
    lines = [
        (row.site_id, row.id, row.supplier, row.reference, row.state, row.progress, iso(row.opened_at), row.wanted_day,
         row.due_day, row.sending, None if row.sent_at is None else iso(row.sent_at), row.answer,
         "yes" if row.overdue else "no", "yes" if row.promised_late else "no", row.cost_minor, row.currency, row.error)
        for row in rows
    ]  # fmt: skip
    return sheet("purchases", head, lines, following)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything known of one order."""

    row: PurchaseRow
    order: OrderMessage
    messages: Sequence[Message]
    answers: Sequence[Acknowledgement]
    proposal: RecommendationRow | None
    steps: Sequence[Step]


async def read_story(conn: AsyncConnection, visited: Visit, site_id: str, order: str) -> Story:
    """One order with all that led to it and followed; a fixed number of queries. Raises NotFoundError."""
    d, m, r = schema.document.c, plans.purchase_message.c, schema.recommendation.c
    found = (await conn.execute(purchases(visited.now).where(d.site_id == site_id, d.id == order))).mappings().first()
    message = await read_message(conn, site_id, order, visited.services.config.server.public_url)
    if found is None or message is None:
        raise NotFoundError(f"site {site_id} has no purchase order {order}")
    row = _row(found)
    sent = await conn.execute(
        select(*(m[name] for name in Message.__struct_fields__))
        .where(m.site_id == site_id, m.document == order)
        .order_by(m.revision)
    )
    proposal = (await conn.execute(query().where(r.site_id == site_id, r.id == row.recommendation))).first()
    steps = (await read_steps(conn, [(site_id, order)])).get((site_id, order), [])
    return Story(
        row,
        message,
        [Message(*one) for one in sent],
        await answers_to(conn, site_id, order),
        None if proposal is None else of_row(proposal),
        steps,
    )


@get("/purchases/{site_id:str}/{name:str}", include_in_schema=False)
async def purchase_page(request: HtmlRequest, site_id: FromPath[str], name: FromPath[str]) -> Response[str]:
    """One order: its lines, its story, and what can be done about it."""
    visited = visit(request)
    async with reading(visited.services.engine) as conn:
        site = chosen(await sites_of(conn, visited.person, visited.now), site_id)[0]
        story = await read_story(conn, visited, site_id, name)
        last = story.messages[-1] if story.messages else None
        undoable = story.proposal is not None and can_undo(story.proposal, last)
        return await page(
            visited,
            conn,
            "purchase.html",
            site=site,
            story=story,
            row=story.row,
            order=story.order,
            last=last,
            events=events_of(story),
            ordered={line.line: line for line in _ordered(story)},
            undoable=undoable and visited.person.may("approve", site_id),
            may_plan=visited.person.may("plan", site_id),
            order_open=story.row.state == "open",
            can_send=story.row.state == "open" and last is not None and last.state in ("waiting", "failed"),
            can_retry=last is not None and last.channel == "webhook" and last.state == "failed",
        )


def _ordered(story: Story) -> Sequence[Any]:
    """The lines as they were ordered, before any answer."""
    return story.answers[-1].kept.ordered if story.answers else story.order.lines


def events_of(story: Story) -> list[Event]:
    """The order's story in the order of time: proposed, approved, sent, answered, arriving."""
    row, proposal = story.row, story.proposal
    events: list[Event] = []
    if proposal is not None:
        link = f"/recommendations/{segment(row.site_id)}/{segment(proposal.id)}"
        why = proposal.proposal.reasons[0].text if proposal.proposal.reasons else ""
        events.append(Event(proposal.created_at, "proposed", why, link))
        if proposal.decided_at is not None:
            by = f"by {proposal.decided_by}" + (f": {proposal.reason}" if proposal.reason else "")
            events.append(Event(proposal.decided_at, "approved", by))
    else:
        events.append(Event(row.opened_at, "opened", ""))
    for message in story.messages:
        if message.sent_at is not None:
            how = "by webhook" if message.channel == "webhook" else "by hand"
            events.append(Event(message.sent_at, "sent", f"revision {message.revision} {how}"))
    for answer in story.answers:
        said = f"by {answer.actor}" + (f": {answer.text}" if answer.text else "")
        events.append(Event(answer.at, answer.state, said))
    return sorted(events, key=lambda event: event.at)


class _Do(Struct, frozen=True):
    """The form: what to do, and for an answer what the supplier said."""

    action: Literal["undo", "sent", "again", "answer"]
    reason: Annotated[str, Meta(max_length=300)] = ""
    state: Literal["accepted", "changed", "refused"] = "accepted"
    reference: Annotated[str, Meta(max_length=100)] = ""


@post("/purchases/{site_id:str}/{name:str}", include_in_schema=False)
async def act_on_purchase(request: HtmlRequest, site_id: FromPath[str], name: FromPath[str]) -> Redirect:
    """Take the order back, note that it was sent by hand, try again, or enter the supplier's answer."""
    visited = visit(request)
    form = await request.form()
    values = {key: str(value).strip() for key, value in form.items() if key != CSRF_FIELD}
    plain = {key: value for key, value in values.items() if value and key in _Do.__struct_fields__}
    wanted = read_fields(plain, _Do)
    visited.person.require("approve" if wanted.action == "undo" else "plan", site_id)
    services, actor = visited.services, visited.person.actor
    runtime = services.runtime
    async with writing(services.engine, site_id) as conn:
        if wanted.action == "undo":
            story = await read_story(conn, visited, site_id, name)
            if story.proposal is None:
                raise NotFoundError(f"order {name} was not opened from a proposal: cancel it instead")
            await take_back(conn, runtime, actor, site_id, story.proposal.id, wanted.reason)
        elif wanted.action == "sent":
            await mark_sent(conn, runtime, actor, site_id, name, wanted.reason)
        elif wanted.action == "again":
            await send_again(conn, runtime, actor, site_id, name)
        else:
            before = await answers_to(conn, site_id, name)
            story = await read_story(conn, visited, site_id, name)
            lines = before[-1].kept.ordered if before else story.order.lines
            answer = answer_of(wanted.state, wanted.reason, wanted.reference, values, story.row.due_day, lines)
            await acknowledge(conn, runtime, actor, "", site_id, name, answer)
    services.changes.publish(Change(site_id, _KINDS, 0, runtime.now()))
    return see_other(f"/purchases/{segment(site_id)}/{segment(name)}")


def answer_of(
    state: Literal["accepted", "changed", "refused"],
    text: str,
    reference: str,
    values: dict[str, str],
    due_day: str,
    lines: Sequence[Any],
) -> Answer:
    """The answer that the form's fields `quantity-N` and `day-N` mean: lines left as ordered are not named."""
    if state != "changed":
        return Answer(state, text, reference)
    promises: list[Promise] = []
    for line in lines:
        number = line.line
        raw, day = values.get(f"quantity-{number}", ""), values.get(f"day-{number}", "")
        if raw and not (raw.isascii() and raw.isdigit()):
            raise BadInputError(f"quantity of line {number}: write a whole number, 0 where it will not come")
        if day and not is_day(day):
            raise BadInputError(f"day of line {number}: {day[:20]} is no date such as 2026-05-31")
        quantity = int(raw[:18]) if raw else line.quantity
        if quantity != line.quantity or (day and day != due_day):
            kept = read_fields(
                {"line": str(number), "quantity": str(quantity)} | ({"day": day} if day else {}), Promise
            )
            promises.append(kept)
    if not promises:
        raise BadInputError("lines: change a quantity or a day, or choose accepted")
    return Answer(state, text, reference, tuple(promises))
