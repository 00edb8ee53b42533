"""One item: where it is, what was asked of it, what is foreseen, what is proposed and what moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Meta, Struct
from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import NotFoundError
from cloud.forecasts.forecast import Forecast
from cloud.projections.flows import COUNTED, SCRAPPED
from cloud.recommendations.rows import UNANSWERED, UNDER_WAY, RecommendationRow, of_row, query
from cloud.situations.bulk import mark, unmark
from cloud.situations.sites import SiteSetting, setting_of
from cloud.situations.whatif import LEAST_UPLIFT, MOST_MOVED, MOST_UPLIFT, Change
from cloud.store import schema
from cloud.store.database import reading, writing
from cloud.web.announced import Announced, announced
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.history import Ahead, Day, Flow, ahead, by_day, chart, past
from cloud.web.item_foresight import CLASSES, Foresight, chart_campaigns, day_of, model_words, read_foresight
from cloud.web.movements import FeedFilter, read_feed
from cloud.web.page import HtmlRequest, Visit, embedded_json, href, page, read_form, see_other, segment, sheet, visit
from vocabulary.place import IN_TRANSIT, ROBOT, is_virtual

#: Balances, documents and movements listed; more are a link away.
LISTED = 100
#: Counted or scrapped lines that the stock line is reckoned with.
OTHER_LINES = 20_000

_forecast = msgspec.json.Decoder(Forecast)


class ItemFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds: the site whose history is shown ("" = where most of it is), how many days of it, and what is to be
    supposed of a campaign: moved by `shift` days, with another `uplift` (per cent), or left `out`.
    """

    site: Annotated[str, Meta(max_length=200)] = ""
    days: Literal[30, 90, 180, 365] = 90
    format: Literal["html", "csv"] = "html"
    campaign: Annotated[str, Meta(max_length=200)] = ""
    shift: Annotated[int, Meta(ge=-MOST_MOVED, le=MOST_MOVED)] = 0
    uplift: Annotated[float, Meta(ge=LEAST_UPLIFT / 10, le=MOST_UPLIFT / 10)] | None = None
    out: bool = False

    @property
    def change(self) -> Change | None:
        """What is to be supposed of a campaign."""
        if not self.campaign:
            return None
        uplift = None if self.uplift is None else round(10 * self.uplift)
        return Change(self.campaign, self.shift, uplift, self.out)


@dataclass(frozen=True, slots=True)
class SiteStock:
    """What a site has of the item, base units."""

    site: SiteFreshness
    on_hand: int
    available: int
    empty_since: int | None


@dataclass(frozen=True, slots=True)
class Past:
    """An item's days at a site and what is foreseen."""

    days: list[Day]
    fan: list[Ahead]
    forecast: Forecast | None
    site: SiteSetting


async def read_stock(conn: AsyncConnection, item: str, sites: Sequence[SiteFreshness]) -> list[SiteStock]:
    """The item's stock at each of `sites`, zero where it never was."""
    st, site_of = schema.item_stock.c, {site.id: site for site in sites}
    rows = await conn.execute(
        select(st.site_id, st.on_hand, st.available, st.empty_since).where(
            st.site_id.in_([site.id for site in sites]), st.item == item
        )
    )
    found = {row.site_id: SiteStock(site_of[row.site_id], row.on_hand, row.available, row.empty_since) for row in rows}
    for site_id, items in (await announced(conn, sites)).items():
        one = items.get(item, Announced())
        found[site_id] = SiteStock(site_of[site_id], one.on_hand, one.available, None)
    return [found.get(site.id) or SiteStock(site, 0, 0, None) for site in sites]


async def read_places(conn: AsyncConnection, visited: Visit, item: str) -> list[Any]:
    """Balances of the item that are not zero, in the building and under way."""
    b = schema.balance.c
    rows = await conn.execute(
        select(b.site_id, b.place, b.status, b.lot, b.expiry, b.quantity, b.held)
        .where(b.item == item, visited.person.scope(b.site_id), b.quantity != 0)
        .order_by(b.site_id, b.place, b.status, b.lot, b.expiry)
        .limit(LISTED * 3)
    )
    return [row for row in rows if not is_virtual(row.place) or row.place.startswith((IN_TRANSIT, ROBOT))][:LISTED]


async def read_past(conn: AsyncConnection, site_id: str, item: str, days: int, now: int, on_hand: int) -> Past:
    """The item's days at a site, and its forecast; five queries."""
    s, d, m, f, st = (
        schema.site.c, schema.daily.c, schema.movement_line.c, schema.forecast.c, schema.item_stock.c,
    )  # fmt: skip
    site = setting_of((await conn.execute(select(schema.site).where(s.id == site_id))).mappings().one(), now)
    calendar, today = site.days, site.today.isoformat()
    first = (site.today - timedelta(days=days)).isoformat()
    mine = (d.site_id == site_id, d.item == item)
    rows = await conn.execute(select(schema.daily).where(*mine, d.day >= first, d.day <= today))
    empty_since = select(st.empty_since).where(st.site_id == site_id, st.item == item).scalar_subquery()
    first_order = select(func.min(d.day)).where(*mine, d.ordered > 0).scalar_subquery()
    since, ordered = (await conn.execute(select(empty_since, first_order))).one()
    running = {} if since is None else calendar.open_minutes(max(since, now - days * 86_400_000_000), now)
    flows = {
        row.day: Flow(row.ordered, row.issued, row.received, row.returned, row.transferred,
                      row.empty_minutes + running.pop(row.day, 0))
        for row in rows
    }  # fmt: skip
    flows |= {day: Flow(empty=minutes) for day, minutes in running.items()}
    others = await conn.execute(
        select(m.occurred_at, m.flow, m.flow_quantity)
        .where(m.site_id == site_id, m.item == item, m.flow.in_((COUNTED, SCRAPPED)))
        .order_by(m.position.desc())
        .limit(OTHER_LINES)
    )
    changes = by_day((calendar.day(at), quantity if flow == COUNTED else -quantity) for at, flow, quantity in others)
    body = await conn.execute(select(f.body).where(f.site_id == site_id, f.item == item, f.latest).limit(1))
    found = body.scalar_one_or_none()
    forecast = None if found is None else _forecast.decode(found)
    told = past(today, days, flows, changes, on_hand, ordered or "", site.open_minutes)
    return Past(told, ahead(forecast), forecast, site)


async def read_recommendation(conn: AsyncConnection, site_id: str, item: str) -> RecommendationRow | None:
    """The newest proposal for the item at a site that waits or is under way."""
    r = schema.recommendation.c
    states = (*UNANSWERED, *UNDER_WAY)
    wanted = query().where(r.site_id == site_id, r.state.in_(states), r.item == item)
    row = (await conn.execute(wanted.order_by(r.created_at.desc(), r.id).limit(1))).first()
    return None if row is None else of_row(row)


async def read_open_lines(conn: AsyncConnection, visited: Visit, item: str, sites: Sequence[str]) -> list[Any]:
    """Open documents' lines of the item with what was done of them."""
    line, doc, done = schema.document_line.c, schema.document.c, schema.document_done.c
    rows = await conn.execute(
        select(
            line.site_id, line.document, line.type, line.quantity, line.day, doc.partner, doc.progress, doc.announces,
            func.coalesce(done.quantity, 0).label("done"),
        )
        .select_from(schema.document_line)
        .join(schema.document, and_(doc.site_id == line.site_id, doc.id == line.document))
        .outerjoin(
            schema.document_done,
            and_(done.site_id == line.site_id, done.document == line.document, done.line == line.line),
        )
        .where(line.site_id.in_(sites), visited.person.scope(line.site_id), line.item == item, line.state == "open")
        .order_by(line.day, line.document, line.line)
        .limit(LISTED)
    )  # fmt: skip
    return list(rows)


@get("/items/{item:str}", include_in_schema=False)
async def item_page(request: HtmlRequest, item: FromPath[str]) -> Response[str]:
    """The page of an item. Raises NotFoundError."""
    visited = visit(request)
    wanted = visited.filter(ItemFilter)
    i, p = schema.item.c, schema.packaging.c
    async with reading(visited.services.engine) as conn:
        known = (await conn.execute(select(schema.item).where(i.id == item))).first()
        sites = await sites_of(conn, visited.person, visited.now)
        if known is None or not sites:
            raise NotFoundError(f"there is no item {item}")
        stock = await read_stock(conn, item, sites)
        chosen(sites, wanted.site)
        here = max(stock, key=lambda one: (one.site.id == wanted.site, one.on_hand))
        history = await read_past(conn, here.site.id, item, wanted.days, visited.now, here.on_hand)
        if wanted.format == "csv":
            return _sheet(item, history)
        packaging = await conn.execute(select(schema.packaging).where(p.item == item).order_by(p.quantity, p.gtin))
        foresight = await read_foresight(conn, history.site, item, history.forecast, wanted.change, visited.now)
        path = f"/items/{segment(item)}"
        return await page(
            visited,
            conn,
            "item.html",
            item=known,
            packaging=packaging.all(),
            stock=stock,
            here=here,
            filter=wanted,
            path_here=path,
            places=await read_places(conn, visited, item),
            zones={site.id: site for site in sites},
            history=history,
            chart=embedded_json(_chart(history, foresight)),
            foresight=foresight,
            plain=msgspec.structs.replace(wanted, site=here.site.id, campaign="", shift=0, uplift=None, out=False),
            may_plan=visited.person.may("plan", here.site.id),
            recommendation=await read_recommendation(conn, here.site.id, item),
            lines=await read_open_lines(conn, visited, item, [site.id for site in sites]),
            rows=await read_feed(conn, [here.site], FeedFilter(site=here.site.id, item=item), 20),
            names={item: known.name},
            named_lines=1,
            since=0,
            more=href("/live", FeedFilter(site=here.site.id, item=item)),
            words=CLASSES,
            model_words=model_words,
            day_of=day_of,
            today=history.site.today.toordinal(),
            choices=[(days, href(path, wanted, days=days)) for days in (30, 90, 180, 365)],
        )


def _chart(history: Past, foresight: Foresight) -> dict[str, object]:
    """Columns for the chart, the fan that is supposed beside the one that stands, and the campaigns."""
    supposed = ahead(history.forecast, foresight.what_if.after.fan) if foresight.what_if else []
    columns: dict[str, object] = {**chart(history.days, history.fan, supposed)}
    return columns | {"campaigns": chart_campaigns(foresight.campaigns)}


class BulkForm(Struct, frozen=True):
    """What the form about an order line holds."""

    site: Annotated[str, Meta(max_length=200)]
    document: Annotated[str, Meta(max_length=200)]
    line: int
    action: Literal["leave-out", "count"]
    reason: Annotated[str, Meta(max_length=500)] = ""


@post("/items/{item:str}/bulk", include_in_schema=False)
async def answer_bulk(request: HtmlRequest, item: FromPath[str]) -> Redirect:
    """Leave an order line out of the demand that is foreseen, or let it count again."""
    visited = visit(request)
    form = await read_form(request, BulkForm)
    visited.person.require("plan", form.site)
    actor, key = visited.person.actor, (form.site, form.document, form.line)
    async with writing(visited.services.engine, form.site) as conn:
        if form.action == "leave-out":
            await mark(conn, *key, form.reason, actor, visited.now)
        else:
            await unmark(conn, *key, actor, visited.now)
    return see_other(href(f"/items/{segment(item)}", ItemFilter(site=form.site)) + "#orders")


def _sheet(item: str, history: Past) -> Response[str]:
    rows: list[tuple[Any, ...]] = [
        (day.day, day.demand, day.issued, day.received, day.returned, day.stock, int(day.out)) for day in history.days
    ]
    rows += [(one.day, None, None, None, None, None, None, *one.quantiles) for one in history.fan]
    head = ("day", "demand", "issued", "received", "returned", "stock", "out", "p05", "p25", "p50", "p75", "p95")
    return sheet("".join(sign for sign in item if sign.isalnum()) or "item", head, rows)
