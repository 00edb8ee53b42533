"""READ FIRST: master data and plans by kind: what a row is, where it is kept, who may change it; written and deleted.

    fields.py         what a field may hold, its title, help and unit
    master_rows.py    rows of sites, places, items, packaging, suppliers, customers, terms, lanes
    plans.py          rows of campaigns, prices, indicators, stocking, price breaks, autonomy
    master_checks.py  what rows must satisfy beside their fields' bounds

The same rows and checks serve the API, the pages and imports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import Table, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import Permission
from cloud.errors import BadInputError, BadRowsError, ConflictError, NotFoundError
from cloud.ingest.downlink import touch
from cloud.inputs.checks import check_rows
from cloud.inputs.fields import Count, Currency, Days, Id, Minute, Text
from cloud.inputs.master_rows import CustomerRow, ItemRow, Lane, PackagingRow, PlaceRow, Site, SupplierRow, Term
from cloud.inputs.plan_rows import Autonomy, Campaign, Indicator, PriceBreak, PricePlan, Stocking
from cloud.projections.calendar import BusinessDays
from cloud.projections.rebuild import rebuild_daily
from cloud.store import audit, lanes, plans, schema
from vocabulary.identifier import gtin14

__all__ = [
    "MASTERS", "Autonomy", "Campaign", "Count", "Currency", "CustomerRow", "Days", "Id", "Indicator", "ItemRow", "Lane",
    "Master", "MasterName", "Minute", "PackagingRow", "PlaceRow", "PriceBreak", "PricePlan", "Site", "Stocking",
    "SupplierRow", "Term", "Text", "delete_masters", "put_checked", "put_masters", "tell",
]  # fmt: skip

MasterName = Literal[
    "sites", "places", "items", "packaging", "suppliers", "customers", "terms", "lanes",
    "campaigns", "prices", "indicators", "stocking", "breaks", "autonomy",
]  # fmt: skip

#: Rows whose content one entry of the audit log repeats: what people change by hand, not what they import.
_AUDITED = 20
#: Keys in one statement: PostgreSQL and SQLite both take 32,000 parameters, a key has four columns at most.
_KEYS = 200


@dataclass(frozen=True, slots=True)
class Master:
    """A kind of master data or plan: its rows, its table, and whether a site's gateway is told of it (and of which column's).

    `permission` is needed to change it; `kept` is the sentence why rows are not deleted, "" where they are.
    """

    row: type[msgspec.Struct]
    table: Table
    told: Literal["", "site", "all"] = ""
    site_column: str = ""
    permission: Permission = "plan"
    kept: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that a row is known by, in the table's order."""
        return tuple(column.name for column in self.table.primary_key)

    @property
    def deletable(self) -> bool:
        """Whether rows of this kind can be deleted."""
        return not self.kept


MASTERS: dict[MasterName, Master] = {
    "sites": Master(Site, schema.site, "site", "id", kept="a site keeps its ledger, so it cannot be deleted"),
    "places": Master(
        PlaceRow, schema.place, "site", "site_id", kept="stock may stand at a place, so it cannot be deleted; rename it"
    ),
    "items": Master(
        ItemRow, schema.item, "all", kept="the ledger names items for ever; set discontinued_on instead of deleting one"
    ),
    "packaging": Master(PackagingRow, schema.packaging, "all"),
    "suppliers": Master(
        SupplierRow, schema.supplier, kept="orders name suppliers for ever; delete the supplier's terms instead"
    ),
    "customers": Master(CustomerRow, schema.customer, kept="orders name customers for ever, so none can be deleted"),
    "terms": Master(Term, schema.term, "", "site_id"),
    "lanes": Master(Lane, schema.lane),
    "campaigns": Master(Campaign, plans.campaign, "", "site_id"),
    "prices": Master(PricePlan, plans.price_plan, "", "site_id"),
    "indicators": Master(Indicator, plans.indicator, "", "site_id"),
    "stocking": Master(Stocking, plans.stocking, "", "site_id"),
    "breaks": Master(PriceBreak, plans.price_break, "", "site_id"),
    "autonomy": Master(Autonomy, plans.autonomy, "", "site_id", "own"),
}

Key = tuple[str | int, ...]


async def put_masters(
    conn: AsyncConnection, kind: MasterName, rows: Sequence[msgspec.Struct], now: int, actor: str
) -> None:
    """Insert or replace `rows` of a kind, in the caller's transaction; the gateways concerned are told.

    Raises BadRowsError, which names every row that is wrong.
    """
    named = [msgspec.structs.asdict(row) for row in rows]
    bad = await check_rows(conn, kind, named)
    if bad:
        raise BadRowsError(bad)
    await put_checked(conn, kind, named, now)
    await tell(
        conn, kind, {str(row[MASTERS[kind].site_column]) for row in named} if MASTERS[kind].site_column else set()
    )
    detail = {"rows": named} if len(named) <= _AUDITED else None
    await audit.record(conn, now, actor, f"{kind}.put", "", str(len(named)), detail)


async def put_checked(conn: AsyncConnection, kind: MasterName, named: Sequence[dict[str, Any]], now: int) -> None:
    """Insert or replace rows that were checked before; neither gateways nor the audit log are told."""
    if kind == "sites":
        for row in named:
            await _put_site(conn, row, now)
        return
    table = MASTERS[kind].table
    columns = table.columns.keys()
    if kind == "packaging":
        named = [row | {"gtin": gtin14(row["gtin"]) or row["gtin"]} for row in named]
    values = [{"changed_at": now} | row for row in named]
    if "planned_at" in columns:
        values = await _planned(conn, table, values, now)
    await lanes.put(conn, table, [tuple(row[name] for name in columns) for row in values])


async def tell(conn: AsyncConnection, kind: MasterName, sites: set[str]) -> None:
    """Tell the gateways concerned that rows of a kind changed, those of `sites` where each is told of its own."""
    told = MASTERS[kind].told
    if told == "all":
        await touch(conn)
    elif told == "site" and kind != "sites":  # a site counts its changes where it is stored
        for site_id in sorted(sites):
            await touch(conn, site_id)


async def delete_masters(conn: AsyncConnection, kind: MasterName, keys: Sequence[Key], now: int, actor: str) -> None:
    """Delete the rows with these keys (values in the order of `Master.key`), in the caller's transaction.

    Terms take their price breaks along. Raises ConflictError where the kind's rows are kept, BadInputError for a key that
    is none, NotFoundError for one that no row has: then nothing is deleted.
    """
    master = MASTERS[kind]
    if master.kept:
        raise ConflictError(master.kept)
    columns = [master.table.c[name] for name in master.key]
    wanted = list(dict.fromkeys(tuple(key) for key in keys))
    for key in wanted:
        if len(key) != len(columns) or any(
            not isinstance(value, column.type.python_type) for value, column in zip(key, columns, strict=False)
        ):
            raise BadInputError(f"a key of {kind} holds {', '.join(master.key)}, in this order")
    found = await _rows_of(conn, master.table, wanted)
    for key in wanted:
        if key not in found:
            raise NotFoundError(f"{kind} have no row {', '.join(str(part) or 'every' for part in key)}")
    for start in range(0, len(wanted), _KEYS):
        part = wanted[start : start + _KEYS]
        await conn.execute(delete(master.table).where(tuple_(*columns).in_(part)))
        if kind == "terms":
            b = plans.price_break
            await conn.execute(delete(b).where(tuple_(b.c.site_id, b.c.item, b.c.supplier).in_(part)))
    await tell(conn, kind, {str(row[master.site_column]) for row in found.values()} if master.site_column else set())
    detail = {"rows": list(found.values())} if len(found) <= _AUDITED else None
    await audit.record(conn, now, actor, f"{kind}.delete", "", str(len(wanted)), detail)


async def _rows_of(conn: AsyncConnection, table: Table, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """The rows with these keys."""
    columns = list(table.primary_key)
    found: dict[Key, dict[str, Any]] = {}
    for start in range(0, len(keys), _KEYS):
        part = list(keys[start : start + _KEYS])
        for row in (await conn.execute(select(table).where(tuple_(*columns).in_(part)))).mappings():
            found[tuple(row[column.name] for column in columns)] = {str(name): value for name, value in row.items()}
    return found


async def _planned(
    conn: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], now: int
) -> list[dict[str, Any]]:
    """`rows` with the time since which their plan is known: `now` where it is new or another one, else as it was."""
    names = [column.name for column in table.primary_key]
    before = await _rows_of(conn, table, [tuple(row[name] for name in names) for row in rows])
    planned: list[dict[str, Any]] = []
    for row in rows:
        old = before.get(tuple(row[name] for name in names))
        same = old is not None and all(old[name] == value for name, value in row.items() if name in old)
        planned.append({"planned_at": old["planned_at"] if same and old else now} | dict(row))
    return planned


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
