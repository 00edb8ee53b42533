"""The inbox: what headquarters proposes and why; accept, edit, reject or snooze, and follow what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Meta, Struct
from sqlalchemy import and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE
from cloud.projections.changes import Change
from cloud.recommendations.decide import Decision, decide
from cloud.recommendations.orders import Message
from cloud.recommendations.rows import UNDER_WAY, RecommendationRow, find, of_row, query
from cloud.recommendations.undo import can_undo, take_back
from cloud.store import plans, schema
from cloud.store.database import reading, writing
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.movements import item_names
from cloud.web.page import (
    CSV_ROWS,
    PAGE_ROWS,
    HtmlRequest,
    Visit,
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
from vocabulary.recommendation import Effect

#: Waiting proposals that are put in order of urgency; beyond them the oldest are left to the next cycle.
RANKED = 1_000
DAY_US = 86_400_000_000

_STATES = {
    "waiting": ("proposed",),
    "snoozed": ("snoozed",),
    "under way": UNDER_WAY,
    "done": ("fulfilled", "rejected"),
}


class InboxFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds; `page` counts from 0."""

    state: Literal["waiting", "snoozed", "under way", "done"] = "waiting"
    site: Annotated[str, Meta(max_length=200)] = ""
    page: Annotated[int, Meta(ge=0, le=RANKED // PAGE_ROWS)] = 0
    format: Literal["html", "csv"] = "html"


class Answer(Struct, frozen=True):
    """The form. A changed `quantity` makes accepting an edit; `days` is how long a snooze lasts."""

    action: Literal["accept", "reject", "snooze", "undo"]
    quantity: int | None = None
    reason: str = ""
    days: Annotated[int, Meta(ge=1, le=365)] = 1


class _Urgency(Struct, frozen=True):
    """The part of a proposal's body that its rank needs."""

    effects: tuple[Effect, ...] = ()


_urgency = msgspec.json.Decoder(_Urgency)


@dataclass(frozen=True, slots=True)
class Step:
    """A document behind a proposal: the order, or a notice that announces it."""

    id: str
    announces: str
    state: str
    progress: str
    expected: int
    done: int


@dataclass(frozen=True, slots=True)
class Card:
    """A proposal as the inbox shows it."""

    row: RecommendationRow
    site: SiteFreshness
    name: str
    unit: str
    steps: Sequence[Step]
    may_decide: bool
    message: Message | None = None
    #: what the first of two people approved, base units
    approved: int | None = None

    @property
    def path(self) -> str:
        """Its page."""
        return f"/recommendations/{segment(self.row.site_id)}/{segment(self.row.id)}"

    @property
    def waits(self) -> bool:
        """Whether it can be answered."""
        return self.row.state in ("proposed", "snoozed")

    @property
    def answer(self) -> str:
        """What a person, or headquarters by itself, answered; it stays so whatever becomes of the document."""
        if self.row.state not in ("released", "fulfilled"):
            return self.row.state
        if self.by_policy:
            return "auto-accepted"
        return "accepted" if self.row.quantity == self.row.proposal.quantity else "edited"

    @property
    def by_policy(self) -> bool:
        """Whether nobody but the policy decided."""
        return self.row.decided_by.startswith("policy ")

    @property
    def undoable(self) -> bool:
        """Whether its order can be taken back."""
        return self.may_decide and can_undo(self.row, self.message)

    @property
    def moves(self) -> bool:
        """Whether its document is under way, so that its progress may change any moment."""
        return self.row.state in UNDER_WAY


async def read_steps(conn: AsyncConnection, documents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[Step]]:
    """The documents behind orders (site, id), each order first, then what announces it; one query."""
    if not documents:
        return {}
    d, line, done = schema.document.c, schema.document_line.c, schema.document_done.c
    wanted = list(documents)
    rows = await conn.execute(
        select(
            d.site_id, d.id, d.announces, d.state, d.progress,
            func.sum(line.quantity).label("expected"), func.sum(func.coalesce(done.quantity, 0)).label("done"),
        )
        .select_from(schema.document)
        .outerjoin(schema.document_line, and_(line.site_id == d.site_id, line.document == d.id))
        .outerjoin(
            schema.document_done,
            and_(done.site_id == d.site_id, done.document == d.id, done.line == line.line),
        )
        .where(or_(tuple_(d.site_id, d.id).in_(wanted), tuple_(d.site_id, d.announces).in_(wanted)))
        .group_by(d.site_id, d.id, d.announces, d.state, d.progress)
        .order_by(d.site_id, d.announces, d.id)
    )  # fmt: skip
    found: dict[tuple[str, str], list[Step]] = {}
    for row in rows:
        step = Step(row.id, row.announces, row.state, row.progress, int(row.expected or 0), int(row.done or 0))
        found.setdefault((row.site_id, row.announces or row.id), []).append(step)
    return found


async def cards_of(
    conn: AsyncConnection, visited: Visit, rows: Sequence[RecommendationRow], sites: Sequence[SiteFreshness]
) -> list[Card]:
    """`rows` as cards; four queries."""
    i = schema.item.c
    items = await conn.execute(select(i.id, i.name, i.unit).where(i.id.in_(sorted({row.item for row in rows}))))
    known = {item.id: item for item in items}
    steps = await read_steps(conn, [(row.site_id, row.document) for row in rows if row.document])
    messages = await _messages(conn, [(row.site_id, row.document) for row in rows if row.document])
    approved = await _approved(conn, [(row.site_id, row.id) for row in rows if row.state in _STATES["waiting"]])
    by_id = {site.id: site for site in sites}
    return [
        Card(
            row,
            by_id[row.site_id],
            known[row.item].name if row.item in known else row.item,
            known[row.item].unit if row.item in known else "H87",
            steps.get((row.site_id, row.document), ()) if row.document else (),
            visited.person.may("approve", row.site_id),
            messages.get((row.site_id, row.document)),
            approved.get((row.site_id, row.id)),
        )
        for row in rows
    ]


async def _messages(conn: AsyncConnection, orders: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Message]:
    """The newest message about each order."""
    if not orders:
        return {}
    m = plans.purchase_message.c
    rows = await conn.execute(
        select(*(m[name] for name in Message.__struct_fields__))
        .where(tuple_(m.site_id, m.document).in_(list(orders)))
        .order_by(m.revision)
    )
    return {(row.site_id, row.document): Message(*row) for row in rows}


async def _approved(conn: AsyncConnection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """What the last first approval of each proposal said."""
    if not keys:
        return {}
    a = plans.approval.c
    rows = await conn.execute(
        select(a.site_id, a.recommendation, a.quantity)
        .where(tuple_(a.site_id, a.recommendation).in_(list(keys)))
        .order_by(a.at)
    )
    return {(row.site_id, row.recommendation): row.quantity for row in rows}


async def read_inbox(
    conn: AsyncConnection, wanted: InboxFilter, sites: Sequence[SiteFreshness], size: int
) -> tuple[list[RecommendationRow], int]:
    """A page of proposals and how many there are (at most RANKED); two queries.

    Waiting ones come in order of urgency: how probable a stock-out is without them, then what they cost.
    """
    r = schema.recommendation.c
    mine = (r.site_id.in_([site.id for site in sites]), r.state.in_(_STATES[wanted.state]))
    found = (
        await conn.execute(
            select(r.site_id, r.id, r.cost_minor, r.changed_at, r.body)
            .where(*mine)
            .order_by(r.changed_at.desc(), r.site_id, r.id)
            .limit(RANKED)
        )
    ).all()
    ranked = sorted(found, key=_rank) if wanted.state == "waiting" else list(found)
    keys = [(row.site_id, row.id) for row in ranked[wanted.page * PAGE_ROWS :][:size]]
    rows = [of_row(row) for row in await conn.execute(query().where(tuple_(r.site_id, r.id).in_(keys)))] if keys else []
    order = {key: at for at, key in enumerate(keys)}
    return sorted(rows, key=lambda row: order[row.site_id, row.id]), len(found)


def _rank(row: Any) -> tuple[int, int, str, str]:
    effects = _urgency.decode(row.body).effects
    risk = max((effect.stockout_before for effect in effects), default=0)
    return -risk, -(row.cost_minor or 0), row.site_id, row.id


@get("/recommendations", include_in_schema=False)
async def inbox_page(request: HtmlRequest) -> Response[str]:
    """The inbox."""
    visited = visit(request)
    wanted = visited.filter(InboxFilter)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        csv = wanted.format == "csv"
        rows, count = await read_inbox(conn, wanted, chosen(sites, wanted.site), CSV_ROWS if csv else PAGE_ROWS)
        if csv:
            return _sheet(rows, await item_names(conn, (row.item for row in rows)))
        more = count > (wanted.page + 1) * PAGE_ROWS
        return await page(
            visited,
            conn,
            "recommendations.html",
            filter=wanted,
            sites=sites,
            states=list(_STATES),
            cards=await cards_of(conn, visited, rows, sites),
            count=count,
            may_plan=visited.person.may("plan", EVERY_SITE),
            following=href("/recommendations", wanted, page=wanted.page + 1) if more else "",
        )


@get("/recommendations/{site_id:str}/{name:str}", include_in_schema=False)
async def recommendation_page(request: HtmlRequest, site_id: FromPath[str], name: FromPath[str]) -> Response[str]:
    """One proposal with its progress; a script asks for the card alone."""
    visited = visit(request)
    async with reading(visited.services.engine) as conn:
        sites = chosen(await sites_of(conn, visited.person, visited.now), site_id)
        cards = await cards_of(conn, visited, [await find(conn, site_id, name)], sites)
        if visited.partial:
            return _card(visited, cards[0])
        return await page(visited, conn, "recommendation.html", card=cards[0])


@post("/recommendations/{site_id:str}/{name:str}", include_in_schema=False)
async def answer_recommendation(
    request: HtmlRequest, site_id: FromPath[str], name: FromPath[str]
) -> Response[str] | Redirect:
    """Answer a proposal. A script gets the card as it is now, a plain form is sent to its page."""
    visited = visit(request)
    visited.person.require("approve", site_id)
    answer = await read_form(request, Answer)
    services = visited.services
    async with writing(services.engine, site_id) as conn:
        before = await find(conn, site_id, name)
        actor = visited.person.actor
        if answer.action == "undo":
            row = await take_back(conn, services.runtime, actor, site_id, name, answer.reason)
        else:
            decision = decision_of(answer, before.quantity, visited.now)
            row = await decide(conn, services.runtime, actor, site_id, name, decision)
        sites = chosen(await sites_of(conn, visited.person, visited.now), site_id)
        card = (await cards_of(conn, visited, [row], sites))[0]
    kinds = ("recommendations", "documents", "downlink") if row.document or before.document else ("recommendations",)
    services.changes.publish(Change(site_id, kinds, 0, services.runtime.now()))
    if visited.partial:
        return _card(visited, card)
    return see_other(card.path)


def _card(visited: Visit, card: Card) -> Response[str]:
    return html(render("recommendation_card.html", card=card, person=visited.person, now=visited.now))


def decision_of(answer: Answer, proposed: int, now: int) -> Decision:
    """What a form means: accepting another quantity than the proposed one is an edit."""
    if answer.action == "accept":
        if answer.quantity is None or answer.quantity == proposed:
            return Decision("accept", reason=answer.reason)
        return Decision("edit", quantity=answer.quantity, reason=answer.reason)
    if answer.action == "snooze":
        return Decision("snooze", until=now + answer.days * DAY_US, reason=answer.reason)
    return Decision("reject", reason=answer.reason)


def _sheet(rows: Sequence[RecommendationRow], names: dict[str, str]) -> Response[str]:
    head = ("site", "id", "state", "kind", "item", "name", "quantity", "from", "by", "cost_minor", "currency",
            "confidence", "document", "why")  # fmt: skip
    return sheet(
        "recommendations",
        head,
        [
            (row.site_id, row.id, row.state, row.kind, row.item, names.get(row.item, ""), row.quantity, row.partner,
             row.by_day, row.cost_minor, row.currency, row.confidence, row.document,
             " ".join(reason.text for reason in row.proposal.reasons))
            for row in rows
        ],
    )  # fmt: skip
