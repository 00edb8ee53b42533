"""What can be imported beside master data and plans: opening stock, orders, purchases, shipping notices, past demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from cloud.inputs.fields import (
    Count,
    Currency,
    Day,
    DayOrNone,
    Id,
    IdOrNone,
    ItemId,
    Money,
    SiteId,
    SupplierId,
    Text,
    told,
)
from cloud.inputs.masters import MASTERS
from vocabulary.place import AVAILABLE

_Quantity = Annotated[int, Meta(ge=1, le=10**12), told("Quantity", "Base units", "base units")]
_Lot = Annotated[Text, told("Lot")]
_Expiry = Annotated[DayOrNone, told("Expiry")]
_Cost = Annotated[Count, told("Unit cost", "Of a base unit; 0: not known", "micro")]
_Supplier = Annotated[IdOrNone, told("Supplier", refers="suppliers")]
_Reference = Annotated[Text, told("Reference", "The partner's own number for it")]
_Due = Annotated[DayOrNone, told("Due", "Expected by the end of this day")]


class StockRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opening stock of one account. `unit_cost` in 10^-6 of `currency` per base unit; `expiry` an ISO date."""

    site: SiteId
    place: Annotated[Id, told("Place")]
    item: ItemId
    quantity: Annotated[int, Meta(ge=-(10**12), le=10**12), told("Quantity", "Base units", "base units")]
    status: Annotated[Text, told("Status", "available, damaged or on-hold:quarantine")] = AVAILABLE
    lot: _Lot = ""
    expiry: _Expiry = ""
    grams: Annotated[int, Meta(ge=-(10**12), le=10**12), told("Net grams", "Of catch-weight items")] = 0
    unit_cost: _Cost = 0
    currency: Money = "EUR"


class OrderRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a customer's order; lines with the same site and order are one document. `due` an ISO date."""

    site: SiteId
    order: Annotated[Id, told("Order")]
    item: ItemId
    quantity: _Quantity
    customer: Annotated[IdOrNone, told("Customer", refers="customers")] = ""
    reference: _Reference = ""
    due: _Due = ""


class PurchaseRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of an open purchase order, as far as it has not come; lines with the same site and order are one document."""

    site: SiteId
    order: Annotated[Id, told("Order")]
    item: ItemId
    quantity: _Quantity
    supplier: SupplierId
    due: _Due = ""
    ordered: Annotated[DayOrNone, told("Ordered on", "Lead times are learned from it; empty: today")] = ""
    unit_cost: _Cost = 0
    currency: Money = "EUR"
    reference: _Reference = ""


class NoticeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a shipping notice (ASN) announces; lines with the same site and asn are one document.

    `order` is the purchase order behind it; `unit` what it comes in (an SSCC, or another unit's key), within `container`.
    """

    site: SiteId
    asn: Annotated[Id, told("Notice", "The notice's own number")]
    item: ItemId
    quantity: _Quantity
    order: Annotated[IdOrNone, told("Order", "The purchase order behind it")] = ""
    lot: _Lot = ""
    expiry: _Expiry = ""
    unit: Annotated[Text, told("Unit", "SSCC, 18 digits, or another unit's key")] = ""
    container: Annotated[Text, told("Within", "The unit that this one stands in")] = ""
    supplier: _Supplier = ""
    due: _Due = ""
    reference: _Reference = ""


class DemandRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was wanted of an item at a site on a day, before Evercount; rows of one day add up.

    A `price` (major units of the site's currency) becomes a price plan, a `promotion` an indicator of that name. The stock
    was out where `on_hand` is not above 0, or where `empty` says so.
    """

    site_id: SiteId
    item: ItemId
    day: Annotated[Day, told("Day", "Of a week or month: one day of it, always the same")]
    quantity: Annotated[Count, told("Quantity", "Base units; returns left out", "base units")]
    price: Annotated[
        Annotated[float, Meta(ge=0, le=10**6)] | None, told("Price", "What customers paid for a base unit")
    ] = None
    promotion: Annotated[
        Annotated[float, Meta(ge=-1e15, le=1e15)] | None, told("Promotion", "0 without one, else 1 or its strength")
    ] = None
    on_hand: Annotated[
        Annotated[float, Meta(ge=-1e15, le=1e15)] | None, told("On hand", "Stock when the day began")
    ] = None
    empty: Annotated[bool, told("Stock was out")] = False


@dataclass(frozen=True, slots=True)
class ImportKind:
    """A kind of file: its rows, other names of their columns, and whether further columns are passed over."""

    row: type[msgspec.Struct]
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    others: bool = False


#: Names that ERP exports and demand files give to our columns, and ours between kinds.
_ALIASES = {"site": "site_id", "sku": "item", "date": "day"}
_DOCUMENT_ALIASES = {"site_id": "site", "sku": "item"}

KINDS: dict[str, ImportKind] = {
    **{name: ImportKind(master.row, _ALIASES) for name, master in MASTERS.items()},
    "sites": ImportKind(MASTERS["sites"].row, {"site": "id"}),
    "items": ImportKind(MASTERS["items"].row, {"item": "id", "sku": "id"}),
    "stock": ImportKind(StockRow, _DOCUMENT_ALIASES),
    "orders": ImportKind(OrderRow, _DOCUMENT_ALIASES),
    "purchases": ImportKind(PurchaseRow, _DOCUMENT_ALIASES),
    "asn": ImportKind(NoticeRow, _DOCUMENT_ALIASES),
    "demand": ImportKind(DemandRow, _ALIASES, others=True),
}

#: Kinds that become documents or commands, one by one.
DOCUMENTS = ("stock", "orders", "purchases", "asn")

__all__ = [
    "DOCUMENTS", "KINDS", "Currency", "DemandRow", "ImportKind", "NoticeRow", "OrderRow", "PurchaseRow", "StockRow",
]  # fmt: skip
