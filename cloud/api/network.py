"""/api/v1: sites, places, items, packaging, suppliers, customers, terms and lanes.

plan_lists.py has the same for plans: campaigns, prices, indicators, stocking, price breaks, autonomy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, put
from litestar.params import JSONBody
from msgspec import Meta
from sqlalchemy import or_, select

from cloud.api.caller import Http, caller_of
from cloud.api.paging import PAGE, Cursor, Filter, Limit, answer, page_of
from cloud.inputs.masters import (
    MASTERS,
    CustomerRow,
    ItemRow,
    Lane,
    MasterName,
    PackagingRow,
    PlaceRow,
    Site,
    SupplierRow,
    Term,
    delete_masters,
    put_masters,
)

#: Rows of one request.
MOST_ROWS = 1_000
Rows = Meta(min_length=1, max_length=MOST_ROWS)


class Sites(msgspec.Struct, frozen=True):
    """A page of sites."""

    items: list[Site]
    next: str


class Places(msgspec.Struct, frozen=True):
    """A page of places."""

    items: list[PlaceRow]
    next: str


class Items(msgspec.Struct, frozen=True):
    """A page of items."""

    items: list[ItemRow]
    next: str


class Packagings(msgspec.Struct, frozen=True):
    """A page of packaging levels."""

    items: list[PackagingRow]
    next: str


class Suppliers(msgspec.Struct, frozen=True):
    """A page of suppliers."""

    items: list[SupplierRow]
    next: str


class Customers(msgspec.Struct, frozen=True):
    """A page of customers."""

    items: list[CustomerRow]
    next: str


class Terms(msgspec.Struct, frozen=True):
    """A page of terms."""

    items: list[Term]
    next: str


class Lanes(msgspec.Struct, frozen=True):
    """A page of lanes."""

    items: list[Lane]
    next: str


class Stored(msgspec.Struct, frozen=True):
    """How many rows were stored."""

    stored: int


async def list_kind(request: Http, kind: MasterName, cursor: str, limit: int, **filters: str) -> tuple[list[Any], str]:
    """A page of a kind's rows that the caller may see; those for every site are everybody's."""
    master = MASTERS[kind]
    caller = caller_of(request, "read")
    table = master.table
    query = select(*(table.c[name] for name in master.row.__struct_fields__))
    if master.site_column:
        column = table.c[master.site_column]
        query = query.where(or_(caller.principal.scope(column), column == ""))
    for name, value in filters.items():
        if value:
            query = query.where(table.c[name] == value)
    async with caller.reading() as conn:
        return await page_of(conn, query, list(table.primary_key), master.row, cursor, limit)


async def put_kind(request: Http, kind: MasterName, rows: Sequence[msgspec.Struct]) -> Stored:
    """Create or replace rows of a kind, at sites where the caller may."""
    master = MASTERS[kind]
    caller = caller_of(request, master.permission)
    column = master.site_column
    for site_id in sorted({getattr(row, column) for row in rows}) if column and kind != "sites" else [""]:
        caller.principal.require(master.permission, site_id)
    async with caller.writing("", "master", "downlink") as conn:
        await put_masters(conn, kind, rows, caller.now, caller.actor)
    return Stored(len(rows))


async def delete_kind(request: Http, kind: MasterName, **key: str | int) -> None:
    """Delete the row with this key, at a site where the caller may."""
    master = MASTERS[kind]
    caller = caller_of(request, master.permission)
    caller.principal.require(master.permission, str(key.get(master.site_column, "")))
    async with caller.writing("", "master", "downlink") as conn:
        await delete_masters(conn, kind, [tuple(key[name] for name in master.key)], caller.now, caller.actor)


@get("/sites", operation_id="list_sites")
async def list_sites(request: Http, cursor: Cursor = "", limit: Limit = PAGE) -> Response[Sites]:
    """The sites that you may see."""
    return answer(request, Sites(*await list_kind(request, "sites", cursor, limit)))


@put("/sites", operation_id="put_sites")
async def put_sites(request: Http, data: JSONBody[Annotated[list[Site], Rows]]) -> Stored:
    """Create or replace sites; a changed zone or day start derives the daily figures anew."""
    return await put_kind(request, "sites", data)


@get("/places", operation_id="list_places")
async def list_places(request: Http, site: Filter = "", cursor: Cursor = "", limit: Limit = PAGE) -> Response[Places]:
    """Places, of one site or of all."""
    return answer(request, Places(*await list_kind(request, "places", cursor, limit, site_id=site)))


@put("/places", operation_id="put_places")
async def put_places(request: Http, data: JSONBody[Annotated[list[PlaceRow], Rows]]) -> Stored:
    """Create or replace places; the gateways are told."""
    return await put_kind(request, "places", data)


@get("/items", operation_id="list_items")
async def list_items(request: Http, category: Filter = "", cursor: Cursor = "", limit: Limit = PAGE) -> Response[Items]:
    """Items of the network."""
    return answer(request, Items(*await list_kind(request, "items", cursor, limit, category=category)))


@put("/items", operation_id="put_items")
async def put_items(request: Http, data: JSONBody[Annotated[list[ItemRow], Rows]]) -> Stored:
    """Create or replace items; all gateways are told."""
    return await put_kind(request, "items", data)


@get("/packaging", operation_id="list_packaging")
async def list_packaging(
    request: Http, item: Filter = "", cursor: Cursor = "", limit: Limit = PAGE
) -> Response[Packagings]:
    """GTINs and what they hold."""
    return answer(request, Packagings(*await list_kind(request, "packaging", cursor, limit, item=item)))


@put("/packaging", operation_id="put_packaging")
async def put_packaging(request: Http, data: JSONBody[Annotated[list[PackagingRow], Rows]]) -> Stored:
    """Create or replace packaging levels; all gateways are told."""
    return await put_kind(request, "packaging", data)


@delete("/packaging", operation_id="delete_packaging")
async def delete_packaging(request: Http, gtin: Filter) -> None:
    """Delete a packaging level, by its 14 digits; all gateways are told."""
    await delete_kind(request, "packaging", gtin=gtin)


@get("/suppliers", operation_id="list_suppliers")
async def list_suppliers(request: Http, cursor: Cursor = "", limit: Limit = PAGE) -> Response[Suppliers]:
    """Suppliers."""
    return answer(request, Suppliers(*await list_kind(request, "suppliers", cursor, limit)))


@put("/suppliers", operation_id="put_suppliers")
async def put_suppliers(request: Http, data: JSONBody[Annotated[list[SupplierRow], Rows]]) -> Stored:
    """Create or replace suppliers."""
    return await put_kind(request, "suppliers", data)


@get("/customers", operation_id="list_customers")
async def list_customers(request: Http, cursor: Cursor = "", limit: Limit = PAGE) -> Response[Customers]:
    """Customers."""
    return answer(request, Customers(*await list_kind(request, "customers", cursor, limit)))


@put("/customers", operation_id="put_customers")
async def put_customers(request: Http, data: JSONBody[Annotated[list[CustomerRow], Rows]]) -> Stored:
    """Create or replace customers."""
    return await put_kind(request, "customers", data)


@get("/terms", operation_id="list_terms")
async def list_terms(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    supplier: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Terms]:
    """On what terms suppliers deliver."""
    return answer(
        request, Terms(*await list_kind(request, "terms", cursor, limit, site_id=site, item=item, supplier=supplier))
    )


@put("/terms", operation_id="put_terms")
async def put_terms(request: Http, data: JSONBody[Annotated[list[Term], Rows]]) -> Stored:
    """Create or replace terms."""
    return await put_kind(request, "terms", data)


@delete("/terms", operation_id="delete_term")
async def delete_term(request: Http, site: Filter, item: Filter, supplier: Filter) -> None:
    """Delete the terms of a supplier for an item at a site, with their price breaks."""
    await delete_kind(request, "terms", site_id=site, item=item, supplier=supplier)


@get("/lanes", operation_id="list_lanes")
async def list_lanes(request: Http, cursor: Cursor = "", limit: Limit = PAGE) -> Response[Lanes]:
    """Ways between sites."""
    return answer(request, Lanes(*await list_kind(request, "lanes", cursor, limit)))


@put("/lanes", operation_id="put_lanes")
async def put_lanes(request: Http, data: JSONBody[Annotated[list[Lane], Rows]]) -> Stored:
    """Create or replace lanes."""
    return await put_kind(request, "lanes", data)


@delete("/lanes", operation_id="delete_lane")
async def delete_lane(request: Http, from_site: Filter, to_site: Filter) -> None:
    """Delete a way between two sites."""
    await delete_kind(request, "lanes", from_site=from_site, to_site=to_site)


NETWORK = [
    list_sites, put_sites, list_places, put_places, list_items, put_items, list_packaging, put_packaging,
    delete_packaging, list_suppliers, put_suppliers, list_customers, put_customers, list_terms, put_terms, delete_term,
    list_lanes, put_lanes, delete_lane,
]  # fmt: skip
