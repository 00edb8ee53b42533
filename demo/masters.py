"""The demo's master data as the rows that `PUT /api/v1/...` and `evercount-cloud import` take."""

from __future__ import annotations

from datetime import date, timedelta

from demo.catalogue import CURRENCY, CUSTOMERS, SITES, STORAGE, SUPPLIERS, DemoItem
from demo.history import DAYS, campaigns

Row = dict[str, str | int | float | bool]

#: What placing an order costs, minor units: somebody's quarter of an hour.
_ORDER_COST_MINOR = 800
#: What a truck costs, minor units, where an order is too small for the supplier to pay it.
_FREIGHT_MINOR = 6_000
#: Minutes of the demo's clock that an approved order can be taken back.
_UNDO_MINUTES = 1
#: What headquarters orders by itself, minor units an order and a day at a site, and from where two people approve.
_RELEASE_MINOR, _DAILY_MINOR, _FOUR_EYES_MINOR = 100_000, 250_000, 1_500_000
#: Planners think in halves: a campaign is planned at the nearest half of what it is going to do, per mille.
_HALF = 500


def masters(catalogue: list[DemoItem], seed: int, today: date) -> dict[str, list[Row]]:
    """All rows by kind, in the order in which they can be stored; `today` is the first day after the history."""
    return {
        "sites": [
            {
                "id": site.id,
                "name": site.name,
                "zone": site.zone,
                "country": site.country,
                "currency": CURRENCY,
                "undo_minutes": _UNDO_MINUTES,
            }
            for site in SITES
        ],
        "places": _places(),
        "items": [
            {
                "id": item.id,
                "name": item.name,
                "category": item.category,
                "price_micro": item.price_micro,
                "currency": CURRENCY,
            }
            for item in catalogue
        ],
        "packaging": [
            {"gtin": gtin, "item": item.id, "quantity": quantity, "name": name}
            for item in catalogue
            for gtin, quantity, name in (
                (item.gtin, 1, "each"),
                (item.case_gtin, item.case, "case"),
                (item.pallet_gtin, item.pallet, "pallet"),
            )
        ],
        "suppliers": [
            {
                "id": supplier.id,
                "name": supplier.name,
                "freight_free_minor": supplier.freight_free_minor,
                "freight_minor": _FREIGHT_MINOR if supplier.freight_free_minor else 0,
                "currency": CURRENCY,
            }
            for supplier in SUPPLIERS
        ],
        "customers": [{"id": name, "name": name.removeprefix("CUS-").title() + " stores"} for name in CUSTOMERS],
        "terms": _terms(catalogue),
        "lanes": [
            {"from_site": "central", "to_site": site, "lead_time_days": 1.0, "cost_minor": 4_500, "currency": CURRENCY}
            for site in ("north", "south")
        ],
        "autonomy": [_autonomy()],
        "campaigns": _campaigns(catalogue, seed, today - timedelta(days=DAYS)),
    }


def _autonomy() -> Row:
    """What headquarters orders by itself, of anything anywhere."""
    return {
        "site_id": "",
        "category": "",
        "release_minor": _RELEASE_MINOR,
        "daily_minor": _DAILY_MINOR,
        "least_confidence": 800,
        "four_eyes_minor": _FOUR_EYES_MINOR,
        "currency": CURRENCY,
    }


def _campaigns(catalogue: list[DemoItem], seed: int, first: date) -> list[Row]:
    """The year's promotions as they were planned."""
    return [
        {
            "site_id": site.id,
            "id": f"promo-{number:03d}",
            "item": item.id,
            "name": f"{item.name} on offer",
            "first_day": (first + timedelta(days=campaign.start)).isoformat(),
            "last_day": (first + timedelta(days=campaign.start + campaign.days - 1)).isoformat(),
            "uplift": round((campaign.uplift - 1) * 1_000 / _HALF) * _HALF,
        }
        for site in SITES
        for number, (item, campaign) in enumerate(campaigns(seed, site, catalogue), 1)
    ]


def _places() -> list[Row]:
    rows: list[Row] = []
    for site in SITES:
        rows.append({"site_id": site.id, "id": site.id, "kind": "site", "name": site.name})
        rows.append({"site_id": site.id, "id": STORAGE, "kind": "zone", "parent": site.id, "name": "Storage"})
        for door in site.doors:
            rows.append({"site_id": site.id, "id": door, "kind": "dock", "parent": site.id, "name": door})
    return rows


def _terms(catalogue: list[DemoItem]) -> list[Row]:
    by_name = {supplier.id: supplier for supplier in SUPPLIERS}
    return [
        {
            "site_id": site.id,
            "item": item.id,
            "supplier": item.supplier,
            "price_micro": item.price_micro,
            "currency": CURRENCY,
            "moq": item.moq,
            "pack": item.case,
            "lead_time_days": by_name[item.supplier].lead_time_days,
            "lead_time_sd": by_name[item.supplier].lead_time_sd,
            "order_cost_minor": _ORDER_COST_MINOR,
        }
        for site in SITES
        for item in catalogue
    ]
