"""A purchase order as its supplier gets it: one struct, as JSON for programs and as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.recommendations.orders import find_order
from cloud.store import lanes, schema
from vocabulary.document import Document
from vocabulary.quantity import amount, exponent

#: How base units are written on paper (UN/CEFACT Recommendation 20 code: sign).
UNITS = {"H87": "pcs", "GRM": "g", "MLT": "mL", "MMT": "mm", "CMK": "cm²"}


class Party(msgspec.Struct, frozen=True):
    """A site or a supplier; `sgln` "" where it has none."""

    id: str
    name: str
    sgln: str = ""


class OrderLine(msgspec.Struct, frozen=True):
    """A line. `quantity` in base units (`unit`, UN/CEFACT); `unit_price` and `amount` decimals, "" where no price is agreed."""

    line: int
    item: str
    name: str
    gtin: str
    quantity: int
    unit: str
    unit_price: str
    amount: str
    currency: str


class OrderMessage(msgspec.Struct, frozen=True, tag_field="message", tag="purchase-order/1"):
    """What a supplier is told: the whole order in its present revision. Times are ISO, `due_day` is the site's own day."""

    order: str
    revision: int
    state: Literal["open", "closed", "cancelled"]
    site: Party
    supplier: Party
    placed_at: str
    due_day: str
    reference: str
    lines: tuple[OrderLine, ...]
    total: str
    currency: str
    answer_to: str


async def read_message(conn: AsyncConnection, site_id: str, order: str, public_url: str) -> OrderMessage | None:
    """The order as it is now, in four queries; None where there is none."""
    document = await find_order(conn, site_id, order)
    if document is None:
        return None
    s, d, p = schema.site.c, schema.document.c, schema.supplier.c
    site = (await conn.execute(select(s.id, s.name, s.sgln, s.zone).where(s.id == site_id))).one()
    opened = (await conn.execute(select(d.opened_at).where(d.site_id == site_id, d.id == order))).scalar_one()
    partner = "" if document.partner is UNSET else document.partner
    supplier = (await conn.execute(select(p.name).where(p.id == partner))).scalar()
    items = await _items(conn, document)
    total = "" if document.value is UNSET else decimal(document.value.minor, document.value.currency)
    return OrderMessage(
        order=order,
        revision=document.revision,
        state=document.state,
        site=Party(site.id, site.name or site.id, site.sgln),
        supplier=Party(partner, supplier or partner),
        placed_at=iso(opened),
        due_day="" if document.due is UNSET else day(document.due, site.zone),
        reference="" if document.reference is UNSET else document.reference,
        lines=_lines(document, items),
        total=total,
        currency="" if document.value is UNSET else document.value.currency,
        answer_to=f"{public_url}/api/v1/purchases/{site_id}/{order}/acknowledgement" if public_url else "",
    )


async def _items(conn: AsyncConnection, document: Document) -> dict[str, tuple[str, str, str]]:
    """(name, unit, GTIN of a base unit) by item."""
    wanted = sorted({line.item for line in document.lines})
    i, p = schema.item.c, schema.packaging.c
    found: dict[str, tuple[str, str, str]] = {}
    for start in range(0, len(wanted), lanes.IN_LIST):
        part = wanted[start : start + lanes.IN_LIST]
        rows = await conn.execute(
            select(i.id, i.name, i.unit, p.gtin)
            .outerjoin_from(schema.item, schema.packaging, (p.item == i.id) & (p.quantity == 1))
            .where(i.id.in_(part))
            .order_by(i.id, p.gtin.desc())
        )
        found |= {row.id: (row.name or row.id, row.unit, row.gtin or "") for row in rows}
    return found


def _lines(document: Document, items: dict[str, tuple[str, str, str]]) -> tuple[OrderLine, ...]:
    lines: list[OrderLine] = []
    for line in document.lines:
        name, unit, gtin = items.get(line.item, (line.item, "H87", ""))
        price = sum_ = currency = ""
        if line.unit_cost is not UNSET and line.currency is not UNSET:
            currency = line.currency
            price = micro(line.unit_cost, currency)
            sum_ = decimal(amount(line.unit_cost, line.quantity, currency).minor, currency)
        lines.append(OrderLine(line.line, line.item, name, gtin, line.quantity, unit, price, sum_, currency))
    return tuple(lines)


def decimal(minor: int, currency: str) -> str:
    """An amount in minor units as a decimal."""
    places = exponent(currency)
    sign, whole, rest = "-" if minor < 0 else "", *divmod(abs(minor), 10**places)
    return f"{sign}{whole}.{rest:0{places}d}" if places else f"{sign}{whole}"


def micro(price: int, currency: str) -> str:
    """A price in 10^-6 as a decimal with at least the currency's own places."""
    whole, rest = divmod(price, 1_000_000)
    fraction = f"{rest:06d}".rstrip("0").ljust(exponent(currency), "0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def iso(us: int) -> str:
    """A time, UTC."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")


def day(us: int, zone: str) -> str:
    """The site's calendar day of a time."""
    return datetime.fromtimestamp(us // 1_000_000, ZoneInfo(zone)).date().isoformat()


def encode(message: OrderMessage) -> bytes:
    """As JSON: the body of a webhook."""
    return msgspec.json.encode(message)


_HEAD = ("order", "revision", "state", "site", "supplier", "due_day", "line", "item", "name", "gtin", "quantity", "unit",
         "unit_price", "amount", "currency")  # fmt: skip


def to_csv(message: OrderMessage) -> str:
    """As CSV (RFC 4180), a row for each line. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_HEAD)
    for line in message.lines:
        texts = (message.order, message.revision, message.state, message.site.id, message.supplier.id, message.due_day)
        row = (*texts, line.line, line.item, line.name, line.gtin, line.quantity, line.unit, line.unit_price, line.amount,
               line.currency)  # fmt: skip
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def _harmless(cell: str | int) -> str | int:
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
