"""Rows of master data: what is told once and changes seldom."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from cloud.inputs.fields import (
    Count,
    DayOrNone,
    Days,
    Id,
    IdOrNone,
    ItemId,
    Minute,
    Money,
    SiteId,
    SupplierId,
    Text,
    told,
)
from vocabulary.item import BaseUnit
from vocabulary.place import PlaceKind

_Name = Annotated[Text, told("Name")]
_Sgln = Annotated[Text, told("SGLN", "GS1 location number, where there is one")]
_Worth = "What a base unit is worth where no supplier's terms say it"
_Country = Annotated[str, Meta(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")]
_Url = Annotated[str, Meta(max_length=300, pattern=r"^(https?://[^\s\x00-\x1f]+)?$")]


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A warehouse. `zone` IANA; `day_start` (a multiple of 15), `opens`, `closes` in minutes after local midnight;
    `holding_rate` per mille and year, `service` the cycle service in per mille, `count_difference` base units."""

    id: Annotated[Id, told("Id", "Short and lasting: it stands in addresses and labels")]
    name: _Name = ""
    zone: Annotated[Text, told("Time zone", "Such as Europe/Berlin", form="an IANA name such as Europe/Berlin")] = "UTC"
    day_start: Annotated[
        int,
        Meta(ge=0, le=1_425, multiple_of=15),
        told("Business day begins", "Minutes after midnight, a multiple of 15", "minutes"),
    ] = 0
    opens: Annotated[Minute, told("Opens", "Minutes after midnight", "minutes")] = 360
    closes: Annotated[Minute, told("Closes", "Minutes after midnight", "minutes")] = 1_320
    currency: Money = "EUR"
    sgln: _Sgln = ""
    holding_rate: Annotated[
        int, Meta(ge=0, le=10_000), told("Holding cost", "Share of the stock's value in a year", "per mille")
    ] = 200
    service: Annotated[
        int, Meta(ge=1, le=999), told("Cycle service", "How sure it is that stock lasts until goods come", "per mille")
    ] = 950
    review_days: Annotated[int, Meta(ge=1, le=365), told("Days between two orders", unit="days")] = 1
    count_difference: Annotated[Count, told("Count difference", "Posted without asking up to this", "base units")] = 0
    travel_time_s: Annotated[int, Meta(ge=0, le=86_400), told("Travel time", "Between two readers", "seconds")] = 60
    value_share: Annotated[
        int,
        Meta(ge=0, le=10_000),
        told("Lost with a missed sale", "Share of the goods' own cost that unserved demand costs besides", "per mille"),
    ] = 0
    country: Annotated[
        _Country,
        told("Country", "Whose public holidays count", form="an ISO 3166 code: DE, or DE-BY for a part of it"),
    ] = ""
    budget_minor: Annotated[
        Count | None, told("Budget", "What may be ordered in seven days; empty: no limit", "minor")
    ] = None
    capacity_l: Annotated[Count | None, told("Capacity", "Litres of goods that fit; empty: no limit", "l")] = None
    undo_minutes: Annotated[
        int, Meta(ge=0, le=10_080), told("Time to undo", "An approved order waits so long before it is sent", "minutes")
    ] = 15


class PlaceRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place of a site; `parent` is the place that holds it."""

    site_id: SiteId
    id: Annotated[Id, told("Id", "As it is written at the place")]
    kind: Annotated[PlaceKind, told("Kind")]
    parent: Annotated[Text, told("Within", "The place that holds this one")] = ""
    name: _Name = ""
    sgln: _Sgln = ""


class ItemRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of ours. `price_micro`: what a base unit is worth where no term says it, 10^-6 of `currency`."""

    id: Annotated[Id, told("Id", "Your own item number (SKU)")]
    name: Annotated[Text, told("Name")]
    unit: Annotated[BaseUnit, told("Base unit", "H87 pieces, GRM g, MLT ml, MMT mm, CMK cm2")] = "H87"
    lot: Annotated[bool, told("Kept by lot")] = False
    serial: Annotated[bool, told("Has serial numbers")] = False
    expiry: Annotated[bool, told("Has an expiry date")] = False
    catch_weight: Annotated[bool, told("Weighed one by one")] = False
    provisional: Annotated[bool, told("Provisional", "Met at a door before anybody entered it")] = False
    category: Annotated[Text, told("Category")] = ""
    price_micro: Annotated[Count, told("Value", _Worth, "micro")] = 0
    currency: Money = "EUR"
    shelf_life_days: Annotated[
        Annotated[int, Meta(ge=1, le=36_500)] | None,
        told("Shelf life", "Days from its receipt on; empty: it keeps", "days"),
    ] = None
    volume_ml: Annotated[Count, told("Volume", "Of a base unit; 0: not known", "ml")] = 0
    successor: Annotated[
        IdOrNone, told("Successor", "The item that takes its demand over, from the day below on", refers="items")
    ] = ""
    discontinued_on: Annotated[DayOrNone, told("Discontinued on", "From this day on it is not bought any more")] = ""
    like_item: Annotated[
        IdOrNone, told("Sells like", "The item that a new one is expected to sell like", refers="items")
    ] = ""


class PackagingRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GTIN (8, 12, 13 or 14 digits) and how many base units of its item it holds."""

    gtin: Annotated[
        str, Meta(pattern=r"^[0-9]{8,14}$"), told("GTIN", "8, 12, 13 or 14 digits", form="8, 12, 13 or 14 digits")
    ]
    item: ItemId
    quantity: Annotated[int, Meta(ge=1, le=10**9), told("Holds", "Base units of the item", "base units")]
    name: Annotated[Text, told("Name", "Such as case or pallet")] = ""


class CustomerRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer."""

    id: Annotated[Id, told("Id")]
    name: _Name = ""
    email: Annotated[Text, told("E-mail")] = ""


class SupplierRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A supplier. An order below `freight_free_minor` costs `freight_minor` more; `url` takes orders as webhooks."""

    id: Annotated[Id, told("Id")]
    name: _Name = ""
    email: Annotated[Text, told("E-mail")] = ""
    freight_free_minor: Annotated[
        Count, told("Freight free from", "An order below this pays the freight; 0: never", "minor")
    ] = 0
    freight_minor: Annotated[Count, told("Freight", "For an order below that", "minor")] = 0
    currency: Money = "EUR"
    url: Annotated[
        _Url, told("Webhook", "Takes purchase orders; empty: a person sends them", form="an http or https address")
    ] = ""


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On what terms a supplier delivers an item to a site. Prices 10^-6 per base unit; `moq`, `pack` base units."""

    site_id: SiteId
    item: ItemId
    supplier: SupplierId
    price_micro: Annotated[Count, told("Price", "Of a base unit", "micro")] = 0
    currency: Money = "EUR"
    moq: Annotated[Count, told("Least order", "Base units", "base units")] = 0
    pack: Annotated[int, Meta(ge=1, le=10**9), told("Pack", "Orders are multiples of it", "base units")] = 1
    lead_time_days: Annotated[
        Days, told("Lead time", "Days from order to receipt, until receipts tell it better", "days")
    ] = 7.0
    lead_time_sd: Annotated[Days, told("Its spread", "Standard deviation, until receipts tell it better", "days")] = 0.0
    order_cost_minor: Annotated[Count, told("Cost of an order", "Somebody's time, paper, receipt", "minor")] = 0
    preferred: Annotated[int, Meta(ge=1, le=1_000), told("Rank", "1 is asked first")] = 1


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way goods can take between two sites."""

    from_site: Annotated[Id, told("From", refers="sites")]
    to_site: Annotated[Id, told("To", refers="sites")]
    lead_time_days: Annotated[Days, told("Lead time", "Days on the way", "days")] = 1.0
    lead_time_sd: Annotated[Days, told("Its spread", "Standard deviation", "days")] = 0.0
    cost_minor: Annotated[Count, told("Cost", "Of one trip", "minor")] = 0
    currency: Money = "EUR"
