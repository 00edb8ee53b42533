"""A new campaign: where, when, how much more, and for which items; it becomes a row for each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE
from cloud.errors import BadRowsError
from cloud.inputs.masters import MASTERS, put_masters
from cloud.projections.changes import Change
from cloud.store import plans, schema
from cloud.store.database import reading, writing
from cloud.web.data_forms import Typed, read, with_errors
from cloud.web.data_rows import suggestions
from cloud.web.freshness import sites_of
from cloud.web.page import HtmlRequest, Visit, page, see_other, visit
from cloud.web.plans import item_names, todays

#: Items that a search lists, and that a campaign made on the page may have; files bring more.
LISTED, MOST_ITEMS = 200, 500
_FIELDS = ("site_id", "name", "first_day", "last_day", "uplift")


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """What the form says: the fields' texts, the items chosen so far, which others are looked for, and how many are meant."""

    texts: dict[str, str]
    items: tuple[str, ...]
    search: str
    category: str
    which: str

    @property
    def looks(self) -> bool:
        """Whether items are looked for."""
        return bool(self.search or self.category)


def _said(pairs: Any) -> NewCampaign:
    """Out of a query or form."""
    texts = {name: str(pairs.get(name, "")).strip()[:300] for name in (*_FIELDS, "search", "category", "which")}
    items = tuple(dict.fromkeys(str(item)[:100] for item in pairs.getall("item", [])))[:MOST_ITEMS]
    which = texts.pop("which") or "chosen"
    return NewCampaign(texts, items, texts.pop("search")[:80], texts.pop("category"), which)


async def _found(conn: AsyncConnection, said: NewCampaign, limit: int) -> list[tuple[str, str]]:
    """(id, name) of the items that are looked for."""
    if not said.looks:
        return []
    i = schema.item.c
    query = select(i.id, i.name).order_by(i.id).limit(limit)
    if said.category:
        query = query.where(i.category == said.category)
    if said.search:
        text = said.search
        query = query.where(or_(i.id.icontains(text, autoescape=True), i.name.icontains(text, autoescape=True)))
    return [(row.id, row.name) for row in await conn.execute(query)]


@get("/plans/new", include_in_schema=False)
async def new_campaign_page(request: HtmlRequest) -> Response[str]:
    """The form, with the items found so far."""
    visited = visit(request, "plan")
    said = _said(request.query_params)
    async with reading(visited.services.engine) as conn:
        return await _form(visited, conn, said, {})


async def _form(
    visited: Visit, conn: AsyncConnection, said: NewCampaign, errors: dict[str, str], status: int = 200
) -> Response[str]:
    sites = [site for site in await sites_of(conn, visited.person, visited.now) if visited.person.may("plan", site.id)]
    found = await _found(conn, said, LISTED + 1)
    names = await item_names(conn, said.items)
    answer = await page(
        visited,
        conn,
        "plans_new.html",
        said=said,
        errors=errors,
        sites=sites,
        every_site=visited.person.may("plan", EVERY_SITE),
        chosen=[(item, names.get(item, "")) for item in said.items],
        found=[one for one in found[:LISTED] if one[0] not in said.items],
        too_many=len(found) > LISTED,
        listed=LISTED,
        categories=await suggestions(conn, visited.person, "categories"),
    )
    answer.status_code = status
    return answer


@post("/plans/new", include_in_schema=False)
async def add_campaign(request: HtmlRequest) -> Response[str] | Redirect:
    """Plan a campaign, or show the form again with what is wrong."""
    visited = visit(request, "plan")
    said = _said(await request.form())
    services, site = visited.services, said.texts["site_id"]
    visited.person.require("plan", site)
    async with reading(services.engine) as conn:
        items, errors = await _meant(conn, said)
    row = read(MASTERS["campaigns"].row, said.texts | {"id": "new"})
    errors |= row.errors
    if not said.texts["name"]:
        errors["name"] = "is missing"
    if not errors:
        async with reading(services.engine) as conn:
            today = (await todays(conn, visited.now)).get(site)
        if today is not None and row.values["last_day"] < today.isoformat():
            errors["last_day"] = f"is over; today is {today}"
    if not errors:
        try:
            await _store(visited, row, items)
        except BadRowsError as error:
            errors = with_errors(MASTERS["campaigns"].row, row, error.rows).errors
        else:
            services.changes.publish(Change(site, ("master",), 0, services.runtime.now()))
            return see_other("/plans")
    async with reading(services.engine) as conn:
        return await _form(visited, conn, said, errors, 400)


async def _meant(conn: AsyncConnection, said: NewCampaign) -> tuple[Sequence[str], dict[str, str]]:
    """The items that the form means ("" = every item), and what is wrong with them."""
    if said.which == "every":
        return ("",), {}
    items = list(said.items)
    if said.which == "found":
        items = list(dict.fromkeys([*items, *(item for item, _ in await _found(conn, said, MOST_ITEMS + 1))]))
    if len(items) > MOST_ITEMS:
        return (), {"item": f"these are more than {MOST_ITEMS} items; narrow the search, or bring a file"}
    return items, {} if items else {"item": "look for items and choose some, or say that it is for every item"}


async def _store(visited: Visit, said: Typed, items: Sequence[str]) -> None:
    """Write the campaign's rows under an id that nobody has at this site. Raises BadRowsError."""
    kind, site = MASTERS["campaigns"].row, str(said.values["site_id"])
    stem = re.sub(r"[^a-z0-9]+", "-", said.values["name"].lower()).strip("-")[:60] or "campaign"
    stem = f"{stem}-{said.values['first_day']}"
    async with writing(visited.services.engine, site) as conn:
        c = plans.campaign.c
        query = select(c.id).where(c.site_id == site, c.id.startswith(stem, autoescape=True)).distinct()
        taken = set((await conn.execute(query)).scalars())
        number = 1
        while (name := stem if number == 1 else f"{stem}-{number}") in taken:
            number += 1
        rows = [kind(**(said.values | {"id": name, "item": item})) for item in items]
        await put_masters(conn, "campaigns", rows, visited.now, visited.person.actor)
