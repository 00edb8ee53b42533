"""The demo's master data as the rows that `PUT /api/v1/...` and `evercount-cloud import` take."""

from __future__ import annotations

from demo.catalogue import CURRENCY, CUSTOMERS, SITES, STORAGE, SUPPLIERS, DemoItem

Row = dict[str, str | int | float | bool]

#: What placing an order costs, minor units: somebody's quarter of an hour.
_ORDER_COST_MINOR = 800


def masters(catalogue: list[DemoItem]) -> dict[str, list[Row]]:
    """All rows by kind, in the order in which they can be stored."""
    return {
        "sites": [{"id": site.id, "name": site.name, "zone": site.zone, "currency": CURRENCY} for site in SITES],
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
        "suppliers": [{"id": supplier.id, "name": supplier.name} for supplier in SUPPLIERS],
        "customers": [{"id": name, "name": name.removeprefix("CUS-").title() + " stores"} for name in CUSTOMERS],
        "terms": _terms(catalogue),
        "lanes": [
            {"from_site": "central", "to_site": site, "lead_time_days": 1.0, "cost_minor": 4_500, "currency": CURRENCY}
            for site in ("north", "south")
        ],
    }


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
