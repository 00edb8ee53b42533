"""What people know of what comes, on what conditions headquarters may act, and what went out to suppliers: facts.

`site_id` "" is every site, `item` "" every item, `category` "" every category; the closest row has the last word. `schema`
holds these tables with all others.
"""

from __future__ import annotations

from sqlalchemy import Index

from cloud.store.columns import bytes_column, flag_column, float_column, int_column, keyed_table, text_column

# ------------------------------------------------------------------------------------------------- what is known ahead

#: A campaign: from `first_day` to `last_day`, planned to change demand by `uplift` per mille (300: 30 % more). Known since
#: `planned_at`.
campaign = keyed_table(
    "campaign",
    text_column("site_id", key=True),
    text_column("id", key=True),
    text_column("item", key=True),
    text_column("name"),
    text_column("first_day"),
    text_column("last_day"),
    int_column("uplift"),
    int_column("planned_at"),
)

#: What customers pay for a base unit from `day` on, 10^-6 of `currency`; known since `planned_at`.
price_plan = keyed_table(
    "price_plan",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("day", key=True),
    int_column("price_micro"),
    text_column("currency", default="EUR"),
    int_column("planned_at"),
)

#: Any dated series. `known_until`: an ISO date; a value whose day is not after it was planned beforehand.
indicator = keyed_table(
    "indicator",
    text_column("site_id", key=True),
    text_column("name", key=True),
    text_column("item", key=True),
    text_column("day", key=True),
    float_column("value", 0.0),
    text_column("known_until"),
)

#: Demand from before the ledger, brought from elsewhere, base units; `empty`: stock was out, so more may have been wanted.
demand_history = keyed_table(
    "demand_history",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("day", key=True),
    int_column("quantity"),
    flag_column("empty"),
)

#: Lines of customer orders that will not come again (a project, a clearance): left out of the demand that is foreseen.
bulk_order = keyed_table(
    "bulk_order",
    text_column("site_id", key=True),
    text_column("document", key=True),
    int_column("line", key=True),
    int_column("at"),
    text_column("actor"),
    text_column("reason"),
)

# ------------------------------------------------------------------------------------------------- terms and limits

#: The price from `quantity` base units an order on, 10^-6 of the term's currency per base unit.
price_break = keyed_table(
    "price_break",
    text_column("site_id", key=True),
    text_column("item", key=True),
    text_column("supplier", key=True),
    int_column("quantity", key=True),
    int_column("price_micro"),
)

#: How an item is kept at a site. `display` base units always stand on show; `service_floor` the least cycle service, per
#: mille, 0 none; `most` base units that may be there at once, null no limit; `fed_by` the site that it comes from, "" a
#: supplier.
stocking = keyed_table(
    "stocking",
    text_column("site_id", key=True),
    text_column("item", key=True),
    int_column("display"),
    int_column("service_floor"),
    int_column("most", null=True),
    text_column("fed_by"),
)

#: What headquarters may do by itself with a category's proposals. A proposal is released without anybody's answer when it
#: costs at most `release_minor` (0: never), its confidence is at least `least_confidence` per mille, it covers at most
#: `most_cover_days`, and the day's releases stay within `daily_minor`. Above `four_eyes_minor` (null: never) two people
#: approve.
autonomy = keyed_table(
    "autonomy",
    text_column("site_id", key=True),
    text_column("category", key=True),
    int_column("release_minor"),
    int_column("daily_minor"),
    int_column("least_confidence", default=900),
    int_column("most_cover_days", default=60),
    int_column("four_eyes_minor", null=True),
    int_column("service_floor"),
    text_column("currency", default="EUR"),
)

# ------------------------------------------------------------------------------------------------- approvals and orders

#: The first of two people's approval of a proposal; the second one's is its decision.
approval = keyed_table(
    "approval",
    text_column("site_id", key=True),
    text_column("recommendation", key=True),
    text_column("actor", key=True),
    int_column("at"),
    int_column("quantity"),
    text_column("reason"),
)

#: Revisions of purchase orders on their way to suppliers. `state` waiting, sent, failed, withdrawn; not before `not_before`,
#: until which the order can be taken back; `channel` webhook, or file where a person sends it.
purchase_message = keyed_table(
    "purchase_message",
    text_column("site_id", key=True),
    text_column("document", key=True),
    int_column("revision", key=True),
    text_column("supplier"),
    text_column("channel"),
    text_column("state", default="waiting"),
    int_column("not_before"),
    int_column("attempts"),
    int_column("sent_at", null=True),
    text_column("error"),
)

Index("ix_purchase_message_state_not_before", purchase_message.c.state, purchase_message.c.not_before)

#: What a supplier answered to an order: `state` accepted, changed or refused; `body` the lines as JSON.
acknowledgement = keyed_table(
    "acknowledgement",
    text_column("site_id", key=True),
    text_column("document", key=True),
    int_column("n", key=True),
    int_column("revision"),
    int_column("at"),
    text_column("actor"),
    text_column("state"),
    text_column("text"),
    bytes_column("body"),
)

# ------------------------------------------------------------------------------------------------- studies

#: Long calculations somebody asked for, kept: `kind` replay or backtest; `state` running, done, failed; `body` JSON.
study = keyed_table(
    "study",
    text_column("site_id", key=True),
    text_column("kind", key=True),
    int_column("started_at", key=True),
    int_column("finished_at", null=True),
    text_column("actor"),
    text_column("state"),
    text_column("text"),
    bytes_column("body"),
)
