"""What the kinds of data are for, and how their fields are called. Pure."""

from __future__ import annotations

#: Kinds in the order in which a new customer fills them: (heading, kinds).
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The network", ("sites", "places", "lanes")),
    ("What is kept", ("items", "packaging", "stocking")),
    ("Who delivers and who buys", ("suppliers", "terms", "breaks", "customers")),
    ("What is known ahead", ("campaigns", "prices", "indicators")),
    ("What may happen by itself", ("autonomy",)),
)

#: Kinds that are brought from a file alone, once or again and again.
UPLOADS = ("demand", "stock", "purchases", "asn", "orders")

#: kind -> (title, one of it, what it is for)
KINDS: dict[str, tuple[str, str, str]] = {
    "sites": ("Sites", "site", "Warehouses: their time zone, opening hours, currency, service and limits."),
    "places": ("Places", "place", "Docks, aisles and bins of a site, so that readers know where goods are."),
    "lanes": ("Lanes", "lane", "Ways that goods can take between two sites, how long they take and what they cost."),
    "items": ("Items", "item", "What is counted, in which unit, and how it is tracked."),
    "packaging": ("Packaging", "packaging level", "GTINs on labels, and how many base units of an item each holds."),
    "stocking": (
        "Stocking", "stocking rule", "How an item is kept at a site: display stock, least service, most that fits.",
    ),
    "suppliers": ("Suppliers", "supplier", "Who delivers: where orders go, and from which value on freight is free."),
    "terms": (
        "Terms", "term",
        "What a supplier asks for an item at a site: price, pack, lead time. Without terms nothing is ordered.",
    ),
    "breaks": ("Price breaks", "price break", "Lower prices from a quantity on."),
    "customers": ("Customers", "customer", "Who buys."),
    "campaigns": ("Campaigns", "campaign row", "Promotions: when, for which items, and how much more is expected."),
    "prices": ("Price plans", "price", "What customers pay from a day on."),
    "indicators": (
        "Indicators", "indicator value", "Any dated series that may move demand; used only where it improves the forecast.",
    ),
    "demand": ("Demand history", "day of demand", "Sales or orders from before the ledger began: forecasts start from them."),
    "stock": ("Opening stock", "line of stock", "What stands where on the first day; the gateways post it."),
    "purchases": ("Purchase orders", "order line", "Open orders at suppliers, as far as they have not come."),
    "asn": ("Shipping notices", "line of a notice", "What suppliers announced, with the units it comes in."),
    "orders": ("Customer orders", "order line", "What customers ordered."),
    "autonomy": (
        "Autonomy", "autonomy rule", "Which proposals are released without anybody's answer, and which need two people.",
    ),
}  # fmt: skip

#: Columns of the lists, what tells rows apart first; the others stand in the form.
COLUMNS: dict[str, tuple[str, ...]] = {
    "sites": ("id", "name", "zone", "country", "currency", "opens", "closes", "service", "review_days", "budget_minor"),
    "places": ("id", "site_id", "kind", "parent", "name"),
    "items": (
        "id", "name", "unit", "category", "price_micro", "shelf_life_days", "successor", "discontinued_on",
    ),
    "stocking": ("item", "site_id", "display", "service_floor", "most", "fed_by"),
    "suppliers": ("id", "name", "email", "freight_free_minor", "freight_minor", "url"),
    "terms": (
        "item", "site_id", "supplier", "price_micro", "moq", "pack", "lead_time_days", "lead_time_sd", "preferred",
    ),
    "breaks": ("item", "site_id", "supplier", "quantity", "price_micro"),
    "campaigns": ("id", "name", "item", "site_id", "first_day", "last_day", "uplift"),
    "prices": ("item", "site_id", "day", "price_micro"),
    "indicators": ("name", "site_id", "item", "day", "value", "known_until"),
    "autonomy": (
        "category", "site_id", "release_minor", "daily_minor", "least_confidence", "most_cover_days", "four_eyes_minor",
    ),
}  # fmt: skip

#: What stands below a control instead of the field's own help, where a form takes another unit than a file does.
HELP: dict[str, str] = {
    "day_start": "In quarters of an hour, such as 00:00.",
    "opens": "Such as 06:00.",
    "closes": "Such as 22:00; 24:00 is midnight.",
    "unit": "Everything is counted in it; it cannot change once goods have moved.",
    "uplift": "30 for 30 % more, −20 for a fifth less.",
}

#: Values of choices, for people.
CHOICES: dict[str, str] = {
    "H87": "pieces", "GRM": "grams", "MLT": "millilitres", "MMT": "millimetres", "CMK": "square centimetres",
}  # fmt: skip

#: In what numbers of a file are, by the unit of their field.
FILE_UNITS: dict[str, str] = {
    "micro": "millionths: 1250000 is 1.25", "minor": "cents or the like: 1250 is 12.50",
    "per mille": "thousandths: 950 is 95 %", "base units": "base units", "minutes": "minutes", "days": "days",
    "seconds": "seconds", "date": "as 2026-03-31", "l": "litres", "ml": "millilitres",
}  # fmt: skip

#: What the example line of a template holds, by field or by kind and field.
EXAMPLES: dict[str, str | int | float] = {
    "id": "A-1001", "sites.id": "north", "places.id": "dock-1", "campaigns.id": "spring", "suppliers.id": "leaf-co",
    "customers.id": "cafe-9", "name": "Example", "indicators.name": "temperature", "site_id": "north",
    "from_site": "north", "to_site": "south", "item": "A-1001", "supplier": "leaf-co", "kind": "dock",
    "gtin": "04012345678901", "packaging.quantity": 24, "quantity": 100, "zone": "Europe/Berlin", "country": "DE",
    "price_micro": 1_250_000, "first_day": "2026-03-30", "last_day": "2026-04-12", "day": "2026-03-30", "uplift": 300,
    "value": 18.5, "site": "north", "place": "dock-1", "order": "SO-1001", "purchases.order": "PO-1001",
    "asn.order": "PO-1001", "asn": "ASN-77", "unit_cost": 1_250_000,
}  # fmt: skip
