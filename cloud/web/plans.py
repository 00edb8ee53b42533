"""What is planned, on one time axis: campaigns and price changes of the next 26 weeks; moved by a week, ended, called off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Meta, Struct
from sqlalchemy import Table, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE, Principal
from cloud.errors import BadInputError, ConflictError, NotFoundError
from cloud.inputs.masters import MASTERS, delete_masters, put_masters
from cloud.projections.calendar import BusinessDays
from cloud.projections.changes import Change
from cloud.store import plans, schema
from cloud.store.database import reading, writing
from cloud.store.lanes import IN_LIST
from cloud.web.data_lacks import mine
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.page import HtmlRequest, Visit, page, read_form, see_other, visit
from cloud.web.plan_calendar import Axis, axis_of, campaign_lines, price_lines, state_of

#: Rows of campaigns and of prices on the page; more are a link away.
MOST_ROWS = 2_000


class PlanFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds: the site whose plans are shown, those for every site among them ("" = all)."""

    site: Annotated[str, Meta(max_length=200)] = ""


class CampaignForm(Struct, frozen=True):
    """What shall become of a campaign, which stood at these days when the page was made."""

    id: Annotated[str, Meta(max_length=200)]
    first_day: str
    last_day: str
    action: Literal["earlier", "later", "end", "call off"]
    site_id: Annotated[str, Meta(max_length=200)] = ""


@get("/plans", include_in_schema=False)
async def plans_page(request: HtmlRequest) -> Response[str]:
    """The page."""
    visited = visit(request)
    wanted = visited.filter(PlanFilter)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        chosen(sites, wanted.site)
        today = await todays(conn, visited.now)
        axis = axis_of(today[EVERY_SITE])
        campaigns, prices, before = await _read(conn, visited.person, axis, wanted.site)
        names = await item_names(conn, [row["item"] for row in (*campaigns, *prices) if row["item"]])
        r = schema.cycle_run.c
        last = await conn.execute(select(func.max(r.finished_at)).where(r.state == "done"))
        return await page(
            visited,
            conn,
            "plans.html",
            filter=wanted,
            sites=sites,
            site_names={site.id: site.name for site in sites} | {"": "Every site"},
            axis=axis,
            today=axis.place(today[EVERY_SITE]),
            campaigns=_by_site(campaign_lines(campaigns[:MOST_ROWS], names, axis, today)),
            prices=_by_site(price_lines(prices[:MOST_ROWS], before, names, axis)),
            more=len(campaigns) > MOST_ROWS or len(prices) > MOST_ROWS,
            decided_at=last.scalar(),
            may_plan=_may_plan(visited, sites),
            may_add=visited.person.may_somewhere("plan"),
        )


def _by_site(lines: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for line in lines:
        found.setdefault(line.site_id, []).append(line)
    return found


def _may_plan(visited: Visit, sites: Sequence[SiteFreshness]) -> set[str]:
    """The sites whose plans this one may change, "" among them for those of every site."""
    return {site for site in ("", *(one.id for one in sites)) if visited.person.may("plan", site)}


async def todays(conn: AsyncConnection, now: int) -> dict[str, date]:
    """The business day of each site; of "", every site, the day in UTC."""
    s = schema.site.c
    found = {EVERY_SITE: datetime.fromtimestamp(now // 1_000_000, UTC).date()}
    for row in await conn.execute(select(s.id, s.zone, s.day_start, s.opens, s.closes)):
        found[row.id] = date.fromisoformat(BusinessDays(row.zone, row.day_start, row.opens, row.closes).day(now))
    return found


async def item_names(conn: AsyncConnection, items: Iterable[str]) -> dict[str, str]:
    """The names of items."""
    i, wanted, found = schema.item.c, sorted(set(items)), dict[str, str]()
    for start in range(0, len(wanted), IN_LIST):
        rows = await conn.execute(select(i.id, i.name).where(i.id.in_(wanted[start : start + IN_LIST])))
        found |= {row.id: row.name for row in rows}
    return found


async def _read(
    conn: AsyncConnection, person: Principal, axis: Axis, site: str
) -> tuple[list[Any], list[Any], dict[tuple[str, str], int]]:
    """Rows of campaigns and of prices on the axis, and the prices that held before it; three queries."""
    c, p = plans.campaign.c, plans.price_plan.c
    first, last = axis.first.isoformat(), axis.last.isoformat()

    def here(table: Table) -> list[Any]:
        return [or_(table.c.site_id == site, table.c.site_id == "")] if site else []

    campaigns = await conn.execute(
        select(plans.campaign)
        .where(c.last_day >= first, c.first_day <= last, *mine("campaigns", person), *here(plans.campaign))
        .order_by(c.site_id, c.first_day, c.id, c.item)
        .limit(MOST_ROWS + 1)
    )
    held = [*mine("prices", person), *here(plans.price_plan)]
    prices = await conn.execute(
        select(plans.price_plan)
        .where(p.day >= first, p.day <= last, *held)
        .order_by(p.day, p.site_id, p.item)
        .limit(MOST_ROWS + 1)
    )
    changed = select(p.item).where(p.day >= first, p.day <= last, *held)
    newest = (
        select(p.site_id, p.item, func.max(p.day).label("day"))
        .where(p.day < first, p.item.in_(changed), *held)
        .group_by(p.site_id, p.item)
        .subquery()
    )
    known = await conn.execute(
        select(p.site_id, p.item, p.price_micro).join_from(
            plans.price_plan,
            newest,
            (p.site_id == newest.c.site_id) & (p.item == newest.c.item) & (p.day == newest.c.day),
        )
    )
    before = {(row.site_id, row.item): int(row.price_micro) for row in known}
    return list(campaigns.mappings()), list(prices.mappings()), before


# ------------------------------------------------------------------------------------------------- what becomes of it


@get("/plans/call-off", include_in_schema=False)
async def call_off_page(request: HtmlRequest) -> Response[str]:
    """Ask whether a campaign shall be called off. Raises NotFoundError."""
    visited = visit(request)
    site, name = request.query_params.get("site_id", ""), request.query_params.get("id", "")
    visited.person.require("plan", site)
    async with reading(visited.services.engine) as conn:
        today = await todays(conn, visited.now)
        rows = await read_campaign(conn, site, name)
        names = await item_names(conn, [row["item"] for row in rows if row["item"]])
        line = campaign_lines(rows, names, axis_of(today[EVERY_SITE]), today)[0]
        return await page(visited, conn, "plans_call_off.html", line=line)


async def read_campaign(conn: AsyncConnection, site: str, name: str) -> list[Any]:
    """The rows of a campaign. Raises NotFoundError."""
    c = plans.campaign.c
    query = select(plans.campaign).where(c.site_id == site, c.id == name).order_by(c.item)
    rows = list((await conn.execute(query)).mappings())
    if not rows:
        raise NotFoundError(f"there is no campaign {name} {'at site ' + site if site else 'for every site'}")
    return rows


@post("/plans/change", include_in_schema=False)
async def change_campaign(request: HtmlRequest) -> Redirect:
    """Move a campaign by a week, end it today, or call it off. Raises ConflictError where it was changed meanwhile."""
    visited = visit(request)
    form = await read_form(request, CampaignForm)
    visited.person.require("plan", form.site_id)
    services, actor = visited.services, visited.person.actor
    async with writing(services.engine, form.site_id) as conn:
        rows = await read_campaign(conn, form.site_id, form.id)
        first, last = min(row["first_day"] for row in rows), max(row["last_day"] for row in rows)
        if (first, last) != (form.first_day, form.last_day):
            raise ConflictError(f"somebody changed campaign {form.id} meanwhile; look at /plans again")
        today = (await todays(conn, visited.now)).get(form.site_id)
        if today is None:
            raise NotFoundError(f"there is no site {form.site_id}")
        if form.action == "call off":
            _check_planned(rows, today)
            keys = [(row["site_id"], row["id"], row["item"]) for row in rows]
            await delete_masters(conn, "campaigns", keys, visited.now, actor)
        else:
            moved = [_moved(row, form.action, today) for row in rows]
            kind = MASTERS["campaigns"].row
            await put_masters(conn, "campaigns", [kind(**row) for row in moved], visited.now, actor)
    services.changes.publish(Change(form.site_id, ("master",), 0, services.runtime.now()))
    return see_other("/plans")


def _check_planned(rows: Sequence[Any], today: date) -> None:
    """Raises ConflictError where a campaign has begun: what it did to demand is to stay explained."""
    if any(date.fromisoformat(row["first_day"]) <= today for row in rows):
        raise ConflictError("this campaign has begun, so it is not called off; end it instead")


def _moved(row: Any, action: Literal["earlier", "later", "end", "call off"], today: date) -> dict[str, Any]:
    """A campaign's row, moved; of one that has begun the last day alone. Pure. Raises BadInputError."""
    first, last = date.fromisoformat(row["first_day"]), date.fromisoformat(row["last_day"])
    state = state_of(first, last, today)
    if state == "over":
        raise BadInputError("this campaign is over; its days stay as they were")
    if action == "end":
        if state == "planned":
            raise BadInputError("this campaign has not begun; call it off instead")
        last = today
    else:
        by = timedelta(weeks=1 if action == "later" else -1)
        first, last = (first + by if state == "planned" else first), last + by
        if state == "planned" and first < today:
            raise BadInputError("a week earlier it would begin in the past; give it other days")
        if last < today:
            raise BadInputError("a week earlier it would be over; end it instead")
    fields = MASTERS["campaigns"].row.__struct_fields__
    return {name: row[name] for name in fields} | {"first_day": first.isoformat(), "last_day": last.isoformat()}
