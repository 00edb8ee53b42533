"""The network's stock: items by sites, with totals, value, and how fresh each site's numbers are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.datastructures import State
from msgspec import Meta, Struct
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import schema
from cloud.store.database import reading
from cloud.web.announced import Announced, announced
from cloud.web.freshness import SiteFreshness, sites_of
from cloud.web.page import CSV_ROWS, PAGE_ROWS, HtmlRequest, Visit, href, html, page, render, sheet, visit
from cloud.web.words import from_micro

#: How many times as long as they took totals are kept, and for how many different views of the network.
KEPT_FACTOR, KEPT_SCOPES = 20, 100


class StockFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds. `after` is the item before the first one shown; `seen` what the page shows already."""

    search: Annotated[str, Meta(max_length=80)] = ""
    show: Literal["all", "out", "negative"] = "all"
    after: Annotated[str, Meta(max_length=200)] = ""
    format: Literal["html", "csv"] = "html"
    seen: Annotated[str, Meta(max_length=80)] = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """An item at a site, base units; `value` by currency in 10^-6 major units."""

    on_hand: int
    available: int
    out: bool
    micro: int
    currency: str


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item and what each site has of it."""

    id: str
    name: str
    unit: str
    cells: dict[str, Cell]

    @property
    def on_hand(self) -> int:
        """At all sites."""
        return sum(cell.on_hand for cell in self.cells.values())

    @property
    def available(self) -> int:
        """At all sites."""
        return sum(cell.available for cell in self.cells.values())

    @property
    def values(self) -> list[tuple[int, str]]:
        """What it is worth: (minor units, currency)."""
        return _values((cell.micro, cell.currency) for cell in self.cells.values())


@dataclass(frozen=True, slots=True)
class Total:
    """A site's stock in all: items with stock, items out of stock, value by currency."""

    items: int
    out: int
    values: list[tuple[int, str]]


def _values(parts: Any) -> list[tuple[int, str]]:
    sums: dict[str, int] = {}
    for micro, currency in parts:
        if micro:
            sums[currency] = sums.get(currency, 0) + micro
    return [(from_micro(micro, currency), currency) for currency, micro in sorted(sums.items())]


def _priced() -> tuple[Any, ColumnElement[int], ColumnElement[str]]:
    """item_stock with its item and the terms one orders on; price and currency: the terms', else the item's."""
    st, i = schema.item_stock.c, schema.item.c
    other = schema.term.alias("other")
    first = (
        select(other.c.supplier)
        .where(other.c.site_id == st.site_id, other.c.item == st.item)
        .order_by(other.c.preferred, other.c.price_micro, other.c.lead_time_days, other.c.supplier)
        .limit(1)
        .correlate(schema.item_stock)
        .scalar_subquery()
    )
    t = schema.term.c
    joined = schema.item_stock.outerjoin(schema.item, i.id == st.item).outerjoin(
        schema.term, and_(t.site_id == st.site_id, t.item == st.item, t.supplier == first)
    )
    return joined, func.coalesce(t.price_micro, i.price_micro, 0), func.coalesce(t.currency, i.currency, "")


def _wanted(chosen: StockFilter, visited: Visit) -> Select[Any, Any, Any]:
    """The items that the filter lets through, in order of their id, after its cursor."""
    i, st = schema.item.c, schema.item_stock.c
    query = select(i.id, i.name, i.unit).where(i.id > chosen.after).order_by(i.id)
    if chosen.search:
        query = query.where(
            or_(i.id.icontains(chosen.search, autoescape=True), i.name.icontains(chosen.search, autoescape=True))
        )
    if chosen.show != "all":
        bad = st.on_hand < 0 if chosen.show == "negative" else st.empty_since.is_not(None)
        query = query.where(i.id.in_(select(st.item).where(visited.person.scope(st.site_id), bad)))
    return query


async def read_items(
    conn: AsyncConnection, visited: Visit, chosen: StockFilter, sites: Sequence[SiteFreshness], limit: int
) -> tuple[list[ItemRow], str]:
    """At most `limit` items with their stock, and the cursor behind them ("" at the end); two queries."""
    found = (await conn.execute(_wanted(chosen, visited).limit(limit + 1))).all()
    rows = {row.id: ItemRow(row.id, row.name, row.unit, {}) for row in found[:limit]}
    st = schema.item_stock.c
    joined, price, currency = _priced()
    stock = await conn.execute(
        select(st.site_id, st.item, st.on_hand, st.available, st.empty_since, (st.on_hand * price), currency)
        .select_from(joined)
        .where(st.site_id.in_([site.id for site in sites]), st.item.in_(list(rows)))
    )
    for site_id, item, on_hand, available, empty_since, micro, unit in stock:
        rows[item].cells[site_id] = Cell(on_hand, available, empty_since is not None, micro, unit)
    return list(rows.values()), found[limit - 1].id if len(found) > limit else ""


async def read_totals(conn: AsyncConnection, visited: Visit) -> dict[str, Total]:
    """Each site's stock in all, in one query."""
    st = schema.item_stock.c
    joined, price, currency = _priced()
    found = await conn.execute(
        select(
            st.site_id,
            currency.label("unit"),
            func.count().filter(st.on_hand != 0).label("items"),
            func.count(st.empty_since).label("out"),
            func.sum(st.on_hand * price).label("micro"),
        )
        .select_from(joined)
        .where(visited.person.scope(st.site_id))
        .group_by(st.site_id, currency)
        .order_by(st.site_id)
    )
    parts: dict[str, list[Any]] = {}
    for row in found:
        parts.setdefault(row.site_id, []).append(row)
    return {
        site_id: Total(
            sum(row.items for row in rows),
            sum(row.out for row in rows),
            _values((int(row.micro or 0), row.unit) for row in rows),
        )
        for site_id, rows in parts.items()
    }


@dataclass(slots=True)
class KeptTotals:
    """Totals are kept for twenty times as long as they took, so that they never cost more than a twentieth of a core.

    In a small network that is no time at all; with 100,000 items at sites it is some seconds. Times in microseconds.
    """

    _kept: OrderedDict[tuple[str, ...] | None, tuple[int, dict[str, Total]]] = field(
        default_factory=OrderedDict["tuple[str, ...] | None", "tuple[int, dict[str, Total]]"]
    )

    async def read(self, conn: AsyncConnection, visited: Visit) -> dict[str, Total]:
        """Each site's stock in all, for what this person may see."""
        scope, clock = visited.person.sites("read"), visited.services.runtime.monotonic
        until, totals = self._kept.get(scope, (0, {}))
        start = clock()
        if start >= until:
            totals = await read_totals(conn, visited)
            self._kept[scope] = (clock() + KEPT_FACTOR * (clock() - start), totals)
            self._kept.move_to_end(scope)
            if len(self._kept) > KEPT_SCOPES:
                self._kept.popitem(last=False)
        return totals


def _kept_totals(request: HtmlRequest) -> KeptTotals:
    """The one of this application."""
    state: State = request.app.state
    if "stock_totals" not in state:
        state["stock_totals"] = KeptTotals()
    kept: KeptTotals = state["stock_totals"]
    return kept


def _announced_cells(item: ItemRow, told: dict[str, dict[str, Announced]]) -> dict[str, Cell]:
    """The item's cells at sites whose history is arriving: what they announced, at its known price."""
    cells: dict[str, Cell] = {}
    for site, items in told.items():
        one, known = items.get(item.id, Announced()), item.cells.get(site)
        micro = known.micro * one.on_hand // known.on_hand if known and known.on_hand else one.micro
        currency = known.currency if known and known.on_hand else one.currency
        cells[site] = Cell(one.on_hand, one.available, one.available <= 0, micro, currency)
    return cells


def _announced_total(items: dict[str, Announced]) -> Total:
    """The totals of a site whose history is arriving; its value at the announced cost."""
    return Total(
        sum(item.on_hand != 0 for item in items.values()),
        sum(item.available <= 0 for item in items.values()),
        _values((item.micro, item.currency) for item in items.values()),
    )


def total_values(totals: dict[str, Total]) -> list[tuple[int, str]]:
    """The values of all sites, by currency."""
    sums: dict[str, int] = {}
    for total in totals.values():
        for minor, currency in total.values:
            sums[currency] = sums.get(currency, 0) + minor
    return [(minor, currency) for currency, minor in sorted(sums.items())]


@get("/", include_in_schema=False)
async def stock_page(request: HtmlRequest) -> Response[str]:
    """The page; a script that asks again with what it has `seen` gets 204 while nothing was recorded."""
    visited = visit(request)
    chosen = visited.filter(StockFilter)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        version = f"{sum(site.position for site in sites)}.{visited.services.changes.counter}"
        if visited.partial and chosen.seen == version:
            return Response("", status_code=204)
        csv = chosen.format == "csv"
        items, last = await read_items(conn, visited, chosen, sites, CSV_ROWS if csv else PAGE_ROWS)
        told = await announced(conn, sites)
        for item in items:
            item.cells.update(_announced_cells(item, told))
        following = href("/", chosen, after=last, seen="") if last else ""
        if csv:
            return _sheet(sites, items, following)
        totals = await _kept_totals(request).read(conn, visited) | {
            site: _announced_total(mine) for site, mine in told.items()
        }
        values = total_values(totals)
        shown: dict[str, object] = {
            "filter": chosen, "sites": sites, "items": items, "totals": totals, "values": values,
            "following": following, "version": version, "again": href("/", chosen, seen=version),
        }  # fmt: skip
        if visited.partial:
            return html(render("stock_table.html", now=visited.now, **shown))
        return await page(visited, conn, "stock.html", **shown)


@get("/freshness", include_in_schema=False)
async def freshness_strip(request: HtmlRequest) -> Response[str]:
    """The strip of sites on top of the stock page."""
    visited = visit(request)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        return html(render("freshness.html", sites=sites, now=visited.now))


def _sheet(sites: Sequence[SiteFreshness], items: Sequence[ItemRow], following: str) -> Response[str]:
    seen = {site.id: site for site in sites}
    rows = [
        (item.id, item.name, item.unit, site_id, cell.on_hand, cell.available,
         from_micro(cell.micro, cell.currency), cell.currency, seen[site_id].state)
        for item in items
        for site_id, cell in sorted(item.cells.items())
    ]  # fmt: skip
    head = ("item", "name", "unit", "site", "on_hand", "available", "value_minor", "currency", "freshness")
    return sheet("stock", head, rows, following)
