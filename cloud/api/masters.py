"""Master data: sites, places, items, packaging, suppliers, customers, terms, lanes; listed, and written as a whole row.

The same rows and checks serve the API and `evercount-cloud import`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError
from cloud.ingest.downlink import touch
from cloud.projections.calendar import BusinessDays
from cloud.projections.rebuild import rebuild_daily
from cloud.store import audit, lanes, schema
from vocabulary.identifier import gtin14
from vocabulary.item import BaseUnit
from vocabulary.place import PlaceKind, is_virtual

#: An id that people type and that stands in paths: no blanks at its ends, no slash, no control character.
Id = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\s/\x00-\x1f]([^/\x00-\x1f]*[^\s/\x00-\x1f])?$")]
Text = Annotated[str, Meta(max_length=300, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Minute = Annotated[int, Meta(ge=0, le=1_440)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
Days = Annotated[float, Meta(ge=0, le=3_650)]


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A warehouse. `zone` IANA; `day_start` (a multiple of 15), `opens`, `closes` in minutes after local midnight;
    `holding_rate` per mille and year, `service` the cycle service in per mille, `count_difference` base units."""

    id: Id
    name: Text = ""
    zone: Text = "UTC"
    day_start: Annotated[int, Meta(ge=0, le=1_425, multiple_of=15)] = 0
    opens: Minute = 360
    closes: Minute = 1_320
    currency: Currency = "EUR"
    sgln: Text = ""
    holding_rate: Annotated[int, Meta(ge=0, le=10_000)] = 200
    service: Annotated[int, Meta(ge=1, le=999)] = 950
    review_days: Annotated[int, Meta(ge=1, le=365)] = 1
    count_difference: Count = 0
    travel_time_s: Annotated[int, Meta(ge=0, le=86_400)] = 60
    value_share: Annotated[int, Meta(ge=0, le=10_000)] = 0
    country: Annotated[str, Meta(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")] = ""
    budget_minor: Count | None = None
    capacity_l: Count | None = None
    undo_minutes: Annotated[int, Meta(ge=0, le=10_080)] = 15


class PlaceRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place of a site; `parent` is the place that holds it."""

    site_id: Id
    id: Id
    kind: PlaceKind
    parent: Text = ""
    name: Text = ""
    sgln: Text = ""


class ItemRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of ours. `price_micro`: what a base unit is worth where no term says it, 10^-6 of `currency`."""

    id: Id
    name: Text
    unit: BaseUnit = "H87"
    lot: bool = False
    serial: bool = False
    expiry: bool = False
    catch_weight: bool = False
    provisional: bool = False
    category: Text = ""
    price_micro: Count = 0
    currency: Currency = "EUR"
    shelf_life_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    volume_ml: Count = 0
    successor: Text = ""
    discontinued_on: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    like_item: Text = ""


class PackagingRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GTIN (8, 12, 13 or 14 digits) and how many base units of its item it holds."""

    gtin: Annotated[str, Meta(pattern=r"^[0-9]{8,14}$")]
    item: Id
    quantity: Annotated[int, Meta(ge=1, le=10**9)]
    name: Text = ""


class CustomerRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer."""

    id: Id
    name: Text = ""
    email: Text = ""


class SupplierRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A supplier. An order below `freight_free_minor` costs `freight_minor` more; `url` takes orders as webhooks."""

    id: Id
    name: Text = ""
    email: Text = ""
    freight_free_minor: Count = 0
    freight_minor: Count = 0
    currency: Currency = "EUR"
    url: Annotated[str, Meta(max_length=300, pattern=r"^(https?://[^\s\x00-\x1f]+)?$")] = ""


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On what terms a supplier delivers an item to a site. Prices 10^-6 per base unit; `moq`, `pack` base units."""

    site_id: Id
    item: Id
    supplier: Id
    price_micro: Count = 0
    currency: Currency = "EUR"
    moq: Count = 0
    pack: Annotated[int, Meta(ge=1, le=10**9)] = 1
    lead_time_days: Days = 7.0
    lead_time_sd: Days = 0.0
    order_cost_minor: Count = 0
    preferred: Annotated[int, Meta(ge=1, le=1_000)] = 1


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way goods can take between two sites."""

    from_site: Id
    to_site: Id
    lead_time_days: Days = 1.0
    lead_time_sd: Days = 0.0
    cost_minor: Count = 0
    currency: Currency = "EUR"


MasterName = Literal["sites", "places", "items", "packaging", "suppliers", "customers", "terms", "lanes"]


@dataclass(frozen=True, slots=True)
class Master:
    """A kind of master data: its rows, its table, and whether a site's gateway is told of it (and of which column's)."""

    row: type[msgspec.Struct]
    table: Table
    told: Literal["", "site", "all"] = ""
    site_column: str = ""


MASTERS: dict[MasterName, Master] = {
    "sites": Master(Site, schema.site, "site", "id"),
    "places": Master(PlaceRow, schema.place, "site", "site_id"),
    "items": Master(ItemRow, schema.item, "all"),
    "packaging": Master(PackagingRow, schema.packaging, "all"),
    "suppliers": Master(SupplierRow, schema.supplier),
    "customers": Master(CustomerRow, schema.customer),
    "terms": Master(Term, schema.term, "", "site_id"),
    "lanes": Master(Lane, schema.lane),
}


async def put_masters(
    conn: AsyncConnection, kind: MasterName, rows: Sequence[msgspec.Struct], now: int, actor: str
) -> None:
    """Insert or replace `rows` of a kind, in the caller's transaction; the gateways concerned are told.

    Raises BadInputError.
    """
    master = MASTERS[kind]
    named = [msgspec.structs.asdict(row) for row in rows]
    await _check(conn, kind, named)
    if kind == "sites":
        for row in named:
            await _put_site(conn, row, now)
    elif named:
        columns = master.table.columns.keys()
        values = [{"changed_at": now} | row for row in named]
        await lanes.put(conn, master.table, [tuple(row[name] for name in columns) for row in values])
    if master.told == "all":
        await touch(conn)
    elif master.told == "site" and kind != "sites":
        for site_id in sorted({str(row[master.site_column]) for row in named}):
            await touch(conn, site_id)
    await audit.record(conn, now, actor, f"{kind}.put", "", str(len(named)))


async def _put_site(conn: AsyncConnection, row: dict[str, Any], now: int) -> None:
    """A site keeps its counters; where its business days change, the daily figures are derived anew."""
    s = schema.site
    days = BusinessDays(row["zone"], row["day_start"], row["opens"], row["closes"])
    before = (await conn.execute(select(s).where(s.c.id == row["id"]))).mappings().first()
    if before is None:
        await conn.execute(s.insert().values(**row, created_at=now))
        return
    await conn.execute(s.update().where(s.c.id == row["id"]).values(**row, downlink=s.c.downlink + 1))
    if any(before[name] != row[name] for name in ("zone", "day_start", "opens", "closes")):
        await rebuild_daily(conn, row["id"], days)


async def _check(conn: AsyncConnection, kind: MasterName, rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows, 1):
        for name, value in row.items():
            if isinstance(value, str) and ("\x00" in value or not value.isprintable()):
                raise BadInputError(f"row {number}: {name} holds a character that cannot be printed")
        if kind == "packaging":
            gtin = gtin14(row["gtin"])
            if gtin is None:
                raise BadInputError(f"row {number}: gtin {row['gtin']} has a wrong length or check digit")
            row["gtin"] = gtin
        if kind == "places" and is_virtual(row["id"]):
            raise BadInputError(f"row {number}: id {row['id']} is the name of a virtual place; choose another")
    if kind in ("packaging", "terms"):
        await _known(conn, schema.item, "item", [row["item"] for row in rows])
    if kind in ("places", "terms"):
        await _known(conn, schema.site, "site_id", [row["site_id"] for row in rows])
    if kind == "terms":
        await _known(conn, schema.supplier, "supplier", [row["supplier"] for row in rows])


async def _known(conn: AsyncConnection, table: Table, name: str, ids: list[str]) -> None:
    wanted = list(dict.fromkeys(ids))
    known: set[str] = set()
    for start in range(0, len(wanted), lanes.IN_LIST):
        part = wanted[start : start + lanes.IN_LIST]
        known |= set((await conn.execute(select(table.c.id).where(table.c.id.in_(part)))).scalars())
    for number, one in enumerate(ids, 1):
        if one not in known:
            raise BadInputError(f"row {number}: {name} {one} is not known; add it to {table.name}s first")
