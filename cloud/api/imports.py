"""`evercount-cloud import`: rows of a CSV, XLSX or Parquet file, checked like those of the API, stored all or none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE, Principal
from cloud.api.masters import MASTERS, Currency, Id, MasterName, Text, put_masters
from cloud.api.order_entry import DocumentEntry, enter
from cloud.errors import BadInputError, CloudError
from cloud.files import Row, read_structs
from cloud.ingest import commands
from cloud.store import schema
from runtime import Runtime
from vocabulary.document import DocumentLine
from vocabulary.place import AVAILABLE, Account
from vocabulary.wire import BalanceLine, OpeningStock

#: Lines of one opening-stock command (ledger rule 11).
OPENING_LINES = 1_000
#: Who imports, in the audit log: somebody at the machine itself.
OPERATOR = Principal("command-line", "command line", {EVERY_SITE: ("owner",)})


class StockRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opening stock of one account. `unit_cost` in 10^-6 of `currency` per base unit; `expiry` an ISO date."""

    site: Id
    place: Id
    item: Id
    quantity: int
    status: Text = AVAILABLE
    lot: Text = ""
    expiry: Text = ""
    grams: int = 0
    unit_cost: int = 0
    currency: Currency = "EUR"


class OrderRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a customer's order; lines with the same site and order are one document. `due` an ISO date."""

    site: Id
    order: Id
    item: Id
    quantity: int
    customer: Text = ""
    reference: Text = ""
    due: date | None = None


KINDS: dict[str, type[msgspec.Struct]] = {
    **{name: master.row for name, master in MASTERS.items()},
    "stock": StockRow,
    "orders": OrderRow,
}


def read_rows(path: Path, kind: str) -> list[Row]:
    """The rows of a file as the structs of `kind`, with their lines.

    Raises BadInputError naming file, line, field and remedy.
    """
    return [Row(line, value) for line, value in read_structs(path, KINDS[kind])]


async def store_rows(conn: AsyncConnection, runtime: Runtime, kind: str, path: Path, rows: Sequence[Row]) -> None:
    """Store the rows of a file, in the caller's transaction. Raises BadInputError naming file, line and remedy."""
    try:
        async with conn.begin_nested():
            await _store(conn, runtime, kind, rows)
    except CloudError as refused:
        if kind == "orders":  # its sentence names the order, which may have several lines
            raise BadInputError(f"{path}: {refused}") from None
        for row in rows:  # stored alone, the one that is wrong says so
            try:
                await _store(conn, runtime, kind, [row])
            except CloudError as error:
                raise BadInputError(f"{path}:{row.line}: {error}") from None
        raise


async def _store(conn: AsyncConnection, runtime: Runtime, kind: str, rows: Sequence[Row]) -> None:
    values = [row.value for row in rows]
    if kind == "stock":
        await _send_stock(conn, runtime, cast("Sequence[StockRow]", values))
    elif kind == "orders":
        await _open_orders(conn, runtime, cast("Sequence[OrderRow]", values))
    else:
        await put_masters(conn, cast(MasterName, kind), values, runtime.now(), OPERATOR.actor)


async def _send_stock(conn: AsyncConnection, runtime: Runtime, rows: Sequence[StockRow]) -> None:
    """Opening stock goes to the gateways as commands; they post it, headquarters never writes stock."""
    by_site: dict[str, list[BalanceLine]] = {}
    for row in rows:
        line = BalanceLine(
            Account(row.place, row.status),
            row.item,
            row.quantity,
            row.lot,
            row.expiry,
            row.grams,
            row.unit_cost,
            row.currency,
        )
        by_site.setdefault(row.site, []).append(line)
    for site_id, lines in sorted(by_site.items()):
        await _zone(conn, site_id)
        for start in range(0, len(lines), OPENING_LINES):
            order = OpeningStock(tuple(lines[start : start + OPENING_LINES]), runtime.now())
            await commands.send(conn, runtime, site_id, order, OPERATOR.actor)


async def _open_orders(conn: AsyncConnection, runtime: Runtime, rows: Sequence[OrderRow]) -> None:
    orders: dict[tuple[str, str], list[OrderRow]] = {}
    for row in rows:
        orders.setdefault((row.site, row.order), []).append(row)
    for (site_id, order), lines in orders.items():
        first, zone = lines[0], ZoneInfo(await _zone(conn, site_id))
        due = None
        if first.due is not None:  # due by the end of that day, where the site is
            end = datetime(first.due.year, first.due.month, first.due.day, tzinfo=zone) + timedelta(days=1)
            due = int(end.timestamp()) * 1_000_000 - 1
        entry = DocumentEntry(
            site_id,
            "outbound-order",
            order,
            tuple(DocumentLine(number, line.item, line.quantity) for number, line in enumerate(lines, 1)),
            partner=first.customer,
            reference=first.reference,
            due=due,
        )
        try:
            await enter(conn, runtime, OPERATOR, entry)
        except CloudError as error:
            raise BadInputError(f"order {order} of site {site_id}: {error}") from None


async def _zone(conn: AsyncConnection, site_id: str) -> str:
    zone = (await conn.execute(select(schema.site.c.zone).where(schema.site.c.id == site_id))).scalar_one_or_none()
    if zone is None:
        raise BadInputError(f"site {site_id} is not known; import sites first")
    return zone
