"""Headquarters' tables: SQLAlchemy Core, SQL that runs on SQLite and PostgreSQL alike.

`site_id` is the first key column of everything that belongs to a site. Times are integer microseconds UTC, days ISO
dates (the site's business day), quantities integer base units, prices integer 10^-6 major units per base unit, hashes
32 raw bytes. "" stands for "none" in key columns. Rows of the group *facts* are what gateways sent and people decided;
rows of the group *projections* can be dropped and rebuilt from the ledger and the documents (`evercount-cloud verify`).
"""

from __future__ import annotations

from sqlalchemy import Index

from cloud.store import plans
from cloud.store.columns import bytes_column, flag_column, float_column, int_column, keyed_table, metadata, text_column
from cloud.store.decided import cycle_run, forecast, recommendation
from cloud.store.people import api_key, audit, meta, session, sign_in_link, user, user_role
from cloud.store.processes import change_count, lease

#: Stands for the kind of a record that is kept without effect, of a salvaged card or recorded twice: nothing that is derived
#: from records sees it.
SALVAGED = "salvaged"

# --------------------------------------------------------------------------------------------------- network: facts

#: `zone` IANA; `day_start`, `opens`, `closes` minutes after local midnight; `position` the arrival number of its last
#: record; `downlink` counts changes of what the gateway is told; `holding_rate` per mille and year, `service` the cycle
#: service in per mille that replenishment aims at, `review_days` the time between two orders; `value_share` the part of the
#: goods' own cost, per mille, that an unserved demand costs besides; `country` (ISO 3166, DE or DE-BY) whose holidays count;
#: `budget_minor` what may be ordered in seven days, `capacity_l` litres that fit, null no limit; `undo_minutes` an approved
#: order can be taken back before it is sent.
site = keyed_table(
    "site",
    text_column("id", key=True),
    text_column("name"),
    text_column("zone", default="UTC"),
    int_column("day_start"),
    int_column("opens", default=360),
    int_column("closes", default=1_320),
    text_column("currency", default="EUR"),
    text_column("sgln"),
    int_column("position"),
    int_column("downlink", default=1),
    int_column("holding_rate", default=200),
    int_column("service", default=950),
    int_column("review_days", default=1),
    int_column("count_difference"),
    int_column("travel_time_s", default=60),
    int_column("created_at"),
    int_column("value_share"),
    text_column("country"),
    int_column("budget_minor", null=True),
    int_column("capacity_l", null=True),
    int_column("undo_minutes", default=15),
)

#: `price_micro` is what a base unit is worth where no term says it; `shelf_life_days` from its receipt on, null while it
#: keeps; `volume_ml` of a base unit; `successor` takes its demand over from `discontinued_on` (ISO date) on; `like_item` is
#: what a new item is expected to sell like.
item = keyed_table(
    "item",
    text_column("id", key=True),
    text_column("name"),
    text_column("unit", default="H87"),
    flag_column("lot"),
    flag_column("serial"),
    flag_column("expiry"),
    flag_column("catch_weight"),
    flag_column("provisional"),
    text_column("category"),
    int_column("price_micro"),
    text_column("currency", default="EUR"),
    int_column("changed_at"),
    int_column("shelf_life_days", null=True),
    int_column("volume_ml"),
    text_column("successor"),
    text_column("discontinued_on"),
    text_column("like_item"),
)
packaging = keyed_table(
    "packaging", text_column("gtin", key=True), text_column("item"), int_column("quantity"), text_column("name")
)
#: An order below `freight_free_minor` costs `freight_minor` more (0: never); `url` takes purchase orders as webhooks.
supplier = keyed_table(
    "supplier",
    text_column("id", key=True),
    text_column("name"),
    text_column("email"),
    int_column("freight_free_minor"),
    int_column("freight_minor"),
    text_column("currency", default="EUR"),
    text_column("url"),
)
customer = keyed_table("customer", text_column("id", key=True), text_column("name"), text_column("email"))

place = keyed_table(
    "place",
    text_column("site_id", key=True),
    text_column("id", key=True),
    text_column("kind"),
    text_column("parent"),
    text_column("name"),
    text_column("sgln"),
)

#: Who supplies an item to a site and on what terms; `preferred` 1 is asked first. Lead time in days, with its standard
#: deviation; `pack` base units in the smallest orderable pack; `order_cost_minor` for one order, minor units.
term = keyed_table(
    "term",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("supplier", key=True),
    int_column("price_micro"),
    text_column("currency", default="EUR"),
    int_column("moq"),
    int_column("pack", default=1),
    float_column("lead_time_days", 7.0),
    float_column("lead_time_sd", 0.0),
    int_column("order_cost_minor"),
    int_column("preferred", default=1),
)

#: A way goods can take between two sites.
lane = keyed_table(
    "lane",
    text_column("from_site", key=True),
    text_column("to_site", key=True),
    float_column("lead_time_days", 1.0),
    float_column("lead_time_sd", 0.0),
    int_column("cost_minor"),
    text_column("currency", default="EUR"),
)

# --------------------------------------------------------------------------------------------------- gateways: facts

#: `public_key` hex; `revoked_at` null while it may speak; `status` the last wire.Status as JSON; `behind` rows it said
#: to have recorded beyond what has arrived; `clock_us` how far its clock was ahead of ours at its last push.
gateway = keyed_table(
    "gateway",
    text_column("site_id", key=True),
    text_column("id", key=True),
    text_column("public_key"),
    text_column("epoch"),
    text_column("hardware"),
    int_column("enrolled_at"),
    int_column("revoked_at", null=True),
    int_column("seen_at"),
    int_column("behind"),
    text_column("status"),
    int_column("clock_us"),
)
#: Processes that spoke for a gateway lately: `spoke_at` when it last took over from another one, `returns` how often it did
#: so after it had been succeeded itself, which one machine alone cannot do.
gateway_process = keyed_table(
    "gateway_process",
    text_column("site_id", key=True),
    text_column("gateway", key=True),
    text_column("instance", key=True),
    int_column("first_at"),
    int_column("spoke_at"),
    int_column("returns"),
)
enrolment_code = keyed_table(
    "enrolment_code",
    bytes_column("code_hash", key=True),
    text_column("site_id"),
    int_column("created_at"),
    int_column("expires_at"),
    flag_column("replaces"),
    int_column("used_at", null=True),
    text_column("created_by"),
)

#: One branch of a site's ledger: `ordinal` by first receipt; `seq`, `hash` its head here; parent as it was told. `salvaged`:
#: the last rows of a dead card, kept without effect, as `gateway` found them; what they tell comes in its own rows.
epoch = keyed_table(
    "epoch",
    text_column("site_id", key=True),
    int_column("epoch", key=True),
    int_column("ordinal"),
    text_column("gateway"),
    int_column("seq"),
    bytes_column("hash"),
    text_column("parent_epoch"),
    int_column("parent_seq"),
    bytes_column("parent_hash", null=True),
    int_column("first_at"),
    int_column("last_at"),
    flag_column("salvaged"),
)

#: The records as they arrived: `body` the bytes received, `hash` the chain's, `position` the site's arrival number over
#: all epochs, `occurred_at` corrected by later clock records. `kind` is SALVAGED where a row is kept without effect.
ledger = keyed_table(
    "ledger",
    text_column("site_id", key=True),
    int_column("epoch", key=True),
    int_column("seq", key=True),
    int_column("position"),
    text_column("kind"),
    int_column("occurred_at"),
    int_column("received_at"),
    bytes_column("body"),
    bytes_column("hash"),
)

#: Records that this version could not digest; they stay in the ledger and are applied when it can.
parked = keyed_table(
    "parked",
    text_column("site_id", key=True),
    int_column("epoch", key=True),
    int_column("seq", key=True),
    text_column("reason"),
    int_column("at"),
)

#: The balances a gateway announced before a long catch-up (wire.Advisory as JSON); shown until `seq` has arrived.
advisory = keyed_table(
    "advisory",
    text_column("site_id", key=True),
    int_column("epoch"),
    int_column("seq"),
    int_column("at"),
    bytes_column("body"),
)

#: Parts of an advisory whose others have not come yet.
advisory_part = keyed_table(
    "advisory_part",
    text_column("site_id", key=True),
    int_column("part", key=True),
    int_column("epoch"),
    int_column("at"),
    bytes_column("body"),
)

#: Orders to a gateway: `body` wire.Command as JSON; `result` is "" until its record came back.
command = keyed_table(
    "command",
    text_column("site_id", key=True),
    text_column("id", key=True),
    int_column("created_at"),
    text_column("created_by"),
    int_column("expires_at"),
    bytes_column("body"),
    text_column("result"),
    text_column("text"),
    int_column("finished_at", null=True),
)

# --------------------------------------------------------------------------------------------- documents: facts

#: `body` the whole vocabulary Document as JSON; the columns repeat it for queries. `opened_by` is `cloud` or `site`;
#: `announces` is the purchase order behind an ASN, "" on an order itself (so: on order = open expected receipts that
#: announce nothing); `progress` waiting, partial, complete, over; `actor` who changed it last.
document = keyed_table(
    "document",
    text_column("site_id", key=True),
    text_column("id", key=True),
    int_column("revision"),
    text_column("type"),
    text_column("state"),
    text_column("partner"),
    text_column("reference"),
    text_column("source"),
    text_column("announces"),
    text_column("from_site"),
    text_column("to_site"),
    int_column("due", null=True),
    text_column("opened_by", default="cloud"),
    text_column("progress", default="waiting"),
    int_column("opened_at"),
    int_column("changed_at"),
    text_column("actor"),
    bytes_column("body"),
    int_column("arrived_at", null=True),
)

#: The lines of all documents. `day` is the business day of the document's due time, else of its opening: outbound
#: orders are demand on that day. `type` and `state` repeat the document's.
document_line = keyed_table(
    "document_line",
    text_column("site_id", key=True),
    text_column("document", key=True),
    int_column("line", key=True),
    text_column("type"),
    text_column("state"),
    text_column("item"),
    text_column("lot"),
    int_column("quantity"),
    text_column("day"),
    int_column("price_micro"),
    text_column("currency"),
)

# --------------------------------------------------------------------------------------------------- projections

#: Base units that moved against a document's line. What an ASN's line received counts for its purchase order too.
document_done = keyed_table(
    "document_done",
    text_column("site_id", key=True),
    text_column("document", key=True),
    int_column("line", key=True),
    int_column("quantity"),
)

#: `held`: the part that units there hold. A row may stand at zero; sums are not changed by it. Virtual places too.
balance = keyed_table(
    "balance",
    text_column("site_id", key=True),
    text_column("place", key=True),
    text_column("status", key=True),
    text_column("item", key=True),
    text_column("lot", key=True),
    text_column("expiry", key=True),
    int_column("quantity"),
    int_column("grams"),
    int_column("held"),
    int_column("held_grams"),
)

#: What is in the building (places and robots): `on_hand` all statuses, `available` the status available.
#: `empty_since` since when available <= 0, null otherwise.
item_stock = keyed_table(
    "item_stock",
    text_column("site_id", key=True),
    text_column("item", key=True),
    int_column("on_hand"),
    int_column("available"),
    int_column("empty_since", null=True),
    int_column("changed_at"),
)

#: `holds` JSON list of [item, lot, expiry, quantity, grams]; `item` the only item in it, else "". `seq`, `at`, `epoch` are
#: those of its last movement.
unit = keyed_table(
    "unit",
    text_column("site_id", key=True),
    text_column("unit", key=True),
    text_column("place"),
    text_column("status"),
    text_column("container"),
    text_column("item"),
    text_column("holds"),
    int_column("first_seq"),
    int_column("first_at"),
    text_column("first_place"),
    text_column("first_status"),
    int_column("seq"),
    int_column("at"),
    int_column("epoch"),
)
lot = keyed_table(
    "lot",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("lot", key=True),
    text_column("expiry"),
)

#: One row per line of a movement, in order of arrival. `flow` says how it crossed the building's edge: issued (to
#: customers or consumed), received, returned, transferred (to another site), counted (unknown or opening), scrapped, "" inside;
#: `flow_quantity` is signed: a reversal takes back, counted is what was found less what was lost.
movement_line = keyed_table(
    "movement_line",
    text_column("site_id", key=True),
    int_column("position", key=True),
    int_column("line", key=True),
    text_column("kind"),
    int_column("occurred_at"),
    int_column("received_at"),
    text_column("item"),
    text_column("lot"),
    text_column("expiry"),
    int_column("quantity"),
    int_column("grams"),
    text_column("from_place"),
    text_column("from_status"),
    text_column("to_place"),
    text_column("to_status"),
    text_column("document"),
    text_column("flow"),
    int_column("flow_quantity"),
    int_column("price_micro"),
    text_column("currency"),
)
Index("ix_movement_line_site_id_item_position", movement_line.c.site_id, movement_line.c.item, movement_line.c.position)

#: A business day of an item at a site, base units. `ordered` is by requested day and may lie ahead; `empty_minutes`
#: opening time with available <= 0, up to the last change (the running one is item_stock.empty_since).
daily = keyed_table(
    "daily",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("day", key=True),
    int_column("ordered"),
    int_column("issued"),
    int_column("received"),
    int_column("returned"),
    int_column("transferred"),
    int_column("empty_minutes"),
)
Index("ix_daily_site_id_day", daily.c.site_id, daily.c.day)

count_line = keyed_table(
    "count_line",
    text_column("site_id", key=True),
    int_column("position", key=True),
    int_column("line", key=True),
    text_column("place"),
    text_column("status"),
    text_column("scope"),
    text_column("item"),
    text_column("lot"),
    text_column("expiry"),
    int_column("counted"),
    int_column("book"),
    int_column("first_scan"),
    int_column("cut_off"),
    flag_column("again"),
)

#: `origin` says who owns its state: `gateway` (decide by command) or `cloud`. `facts` JSON.
exception = keyed_table(
    "exception",
    text_column("site_id", key=True),
    text_column("kind", key=True),
    text_column("subject", key=True),
    text_column("state"),
    text_column("origin", default="gateway"),
    int_column("at"),
    int_column("opened_at"),
    text_column("text"),
    text_column("action"),
    text_column("facts"),
    int_column("cause", null=True),
    int_column("value_minor", null=True),
    text_column("currency"),
    text_column("owner"),
    int_column("due", null=True),
    text_column("reason"),
    text_column("actor"),
)
inspection = keyed_table(
    "inspection",
    text_column("site_id", key=True),
    int_column("position", key=True),
    int_column("at"),
    text_column("item"),
    text_column("lot"),
    text_column("unit"),
    text_column("result"),
    text_column("text"),
    int_column("quantity", null=True),
    int_column("rejected", null=True),
    text_column("partner"),
    text_column("document"),
    text_column("actor"),
)

Index("ix_document_site_id_type_state", document.c.site_id, document.c.type, document.c.state)
Index("ix_document_site_id_state_changed_at", document.c.site_id, document.c.state, document.c.changed_at)
Index("ix_document_state_changed_at", document.c.state, document.c.changed_at)
Index("ix_document_opened_at", document.c.opened_at)
Index("ix_document_partner", document.c.partner, document.c.type)
Index("ix_document_site_id_announces", document.c.site_id, document.c.announces)
Index("ix_document_line_site_id_item", document_line.c.site_id, document_line.c.item)
Index("ix_document_line_state_site_id_item", document_line.c.state, document_line.c.site_id, document_line.c.item)
Index("ix_balance_item", balance.c.item, balance.c.site_id)
Index("ix_unit_site_id_place", unit.c.site_id, unit.c.place)
Index("ix_unit_site_id_container", unit.c.site_id, unit.c.container)
Index("ix_movement_line_received_at", movement_line.c.received_at)
Index("ix_ledger_site_id_position", ledger.c.site_id, ledger.c.position, unique=True)

Index("ix_exception_state", exception.c.state)

__all__ = [
    "advisory", "advisory_part", "api_key", "audit", "balance", "change_count", "command", "count_line", "customer",
    "cycle_run", "daily", "document", "document_done", "document_line", "enrolment_code", "epoch", "exception", "forecast",
    "gateway", "gateway_process", "inspection", "item", "item_stock", "lane", "lease", "ledger", "lot", "meta", "metadata",
    "movement_line", "packaging", "parked", "place", "plans", "recommendation", "session", "sign_in_link", "site",
    "supplier", "term", "unit", "user", "user_role",
]  # fmt: skip
