"""Rows of plans: what people know of what comes, on what conditions headquarters buys, and what it may do by itself.

`site_id` "" is every site, `item` "" every item, `category` "" every category; the closest row has the last word.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from cloud.inputs.fields import (
    Count,
    Day,
    DayOrNone,
    Id,
    IdOrNone,
    ItemId,
    ItemOrEvery,
    Money,
    SiteId,
    SiteOrEvery,
    SupplierId,
    Text,
    told,
)

_Floor = Annotated[int, Meta(ge=0, le=999)]
_Category = Annotated[
    str, Meta(max_length=300, pattern=r"^[^\x00]*$"), told("Category", "Of items; empty: every category")
]


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A campaign from `first_day` to `last_day`, planned to change demand by `uplift` per mille (300: 30 % more)."""

    id: Annotated[Id, told("Id", "The same for all items of a campaign")]
    site_id: SiteOrEvery = ""
    item: ItemOrEvery = ""
    name: Annotated[Text, told("Name")] = ""
    first_day: Annotated[Day, told("First day")]
    last_day: Annotated[Day, told("Last day", "The campaign's last one, included")]
    uplift: Annotated[
        int, Meta(ge=-1_000, le=100_000), told("Planned uplift", "How much more is expected to be sold", "per mille")
    ] = 0


class PricePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What customers pay for a base unit from `day` on, 10^-6 of `currency`."""

    site_id: SiteOrEvery = ""
    item: ItemId
    day: Annotated[Day, told("From", "The first day of this price")]
    price_micro: Annotated[Count, told("Price", "What customers pay for a base unit", "micro")]
    currency: Money = "EUR"


class Indicator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value of a dated series; it was planned or known beforehand where `known_until` is not before `day`."""

    name: Annotated[Id, told("Indicator", "Such as temperature or footfall")]
    site_id: SiteOrEvery = ""
    item: ItemOrEvery = ""
    day: Annotated[Day, told("Day")]
    value: Annotated[float, Meta(ge=-1e15, le=1e15), told("Value")]
    known_until: Annotated[
        DayOrNone, told("Known until", "Values up to this day were known beforehand; empty: only afterwards")
    ] = ""


class Stocking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an item is kept at a site. `display` base units always stand on show; `service_floor` the least cycle service."""

    site_id: SiteOrEvery = ""
    item: ItemOrEvery = ""
    display: Annotated[Count, told("On show", "Base units that always stand there", "base units")] = 0
    service_floor: Annotated[_Floor, told("Least service", "Cycle service not to go below; 0: none", "per mille")] = 0
    most: Annotated[
        Count | None, told("At most", "Base units that may be there at once; empty: no limit", "base units")
    ] = None
    fed_by: Annotated[IdOrNone, told("Fed by", "The site that it comes from; empty: a supplier", refers="sites")] = ""


class PriceBreak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The price from `quantity` base units an order on, 10^-6 of the term's currency per base unit."""

    site_id: SiteId
    item: ItemId
    supplier: SupplierId
    quantity: Annotated[int, Meta(ge=1, le=10**12), told("From", "Base units in an order", "base units")]
    price_micro: Annotated[Count, told("Price", "Of a base unit, in the currency of the terms", "micro")]


class Autonomy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What headquarters may release by itself, and from what amount on two people approve."""

    site_id: SiteOrEvery = ""
    category: _Category = ""
    release_minor: Annotated[
        Count, told("Released up to", "A proposal that costs no more goes out by itself; 0: none does", "minor")
    ] = 0
    daily_minor: Annotated[Count, told("In a day", "What these releases may cost together", "minor")] = 0
    least_confidence: Annotated[
        int, Meta(ge=0, le=1_000), told("Least confidence", "Of the forecast behind the proposal", "per mille")
    ] = 900
    most_cover_days: Annotated[
        int, Meta(ge=0, le=3_650), told("Most cover", "Days that stock may last after the release", "days")
    ] = 60
    four_eyes_minor: Annotated[
        Count | None, told("Two people from", "Two people approve what costs more; empty: one is enough", "minor")
    ] = None
    service_floor: Annotated[_Floor, told("Least service", "Cycle service not to go below; 0: none", "per mille")] = 0
    currency: Money = "EUR"
