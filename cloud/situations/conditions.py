"""How items are kept at a site, and what its orders must stay within: read from the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Freight, Keeping, Limits, Position
from cloud.situations.sites import SiteSetting
from cloud.store import plans, schema
from vocabulary.quantity import amount

_DAY_US = 86_400_000_000
#: Over which time a budget is given.
_BUDGET_US = 7 * _DAY_US
_LITRE = 1_000


async def keepings(conn: AsyncConnection, site_id: str) -> dict[str, Keeping]:
    """How the items are kept for which anything is set, by item; the others as `Keeping()`. Three queries.

    Of the rows of `stocking` the closest counts: the site's for the item, the site's for all, every site's for the item, every
    site's for all; a service floor is the item's own where it has one, else its category's (`autonomy`, likewise).
    """
    c, s = schema.item.c, plans.stocking.c
    rows = (
        await conn.execute(select(plans.stocking).where(s.site_id.in_(("", site_id))).order_by(s.site_id, s.item))
    ).mappings()
    stocked: dict[str, Any] = {}
    for row in rows:  # "" sorts first, so that the site's own rows come later and have the last word
        if row["item"] == "" and row["site_id"]:
            stocked = {}
        stocked[row["item"]] = row
    floors = await _floors(conn, site_id)
    special = or_(c.shelf_life_days.is_not(None), c.volume_ml > 0, c.discontinued_on != "", c.successor != "")
    everywhere = "" in stocked or "" in floors
    wanted = or_(special, c.category.in_(list(floors)), c.id.in_(select(s.item).where(s.site_id.in_(("", site_id)))))
    query = select(c.id, c.category, c.shelf_life_days, c.volume_ml, c.discontinued_on, c.successor).order_by(c.id)
    found: dict[str, Keeping] = {}
    for item in await conn.execute(query if everywhere else query.where(wanted)):
        row = stocked.get(item.id, stocked.get(""))
        floor = row["service_floor"] if row is not None else 0
        found[item.id] = Keeping(
            display=row["display"] if row is not None else 0,
            service_floor=min(floor or floors.get(item.category, floors.get("", 0)), 1_000),
            most=row["most"] if row is not None else None,
            shelf_life_days=item.shelf_life_days,
            volume_ml=item.volume_ml,
            discontinued_on=item.discontinued_on if _is_date(item.discontinued_on) else "",
            successor=item.successor,
            fed_by=row["fed_by"] if row is not None else "",
        )
    return found


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


async def _floors(conn: AsyncConnection, site_id: str) -> dict[str, int]:
    """The least cycle service, per mille, by category; "" for the others."""
    a = plans.autonomy.c
    rows = await conn.execute(
        select(a.site_id, a.category, a.service_floor)
        .where(a.site_id.in_(("", site_id)))
        .order_by(a.site_id, a.category)
    )
    floors: dict[str, int] = {}
    for row in rows:
        if row.category == "" and row.site_id:
            floors = {}
        floors[row.category] = row.service_floor
    return floors if any(floors.values()) else {}


async def limits_of(
    conn: AsyncConnection,
    site: SiteSetting,
    held: Mapping[str, Position],
    kept: Mapping[str, Keeping],
    now: int,
) -> Limits:
    """A site's budget, room and freights, with what is spent and filled; `now` in microseconds UTC. Three queries."""
    c, s = schema.site.c, schema.supplier.c
    query = select(c.currency, c.budget_minor, c.capacity_l).where(c.id == site.id)
    set_to = (await conn.execute(query)).one()
    freights = await conn.execute(
        select(s.id, s.freight_free_minor, s.freight_minor, s.currency).where(
            s.freight_free_minor > 0, s.freight_minor > 0
        )
    )
    found = Limits(
        currency=set_to.currency,
        budget_minor=set_to.budget_minor,
        capacity_ml=None if set_to.capacity_l is None else set_to.capacity_l * _LITRE,
        freight={row.id: Freight(row.freight_free_minor, row.freight_minor, row.currency) for row in freights},
    )
    if found.capacity_ml is not None:
        filled = sum(
            (max(one.on_hand, one.available, 0) + one.on_order) * kept[item].volume_ml
            for item, one in held.items()
            if item in kept
        )
        found = msgspec.structs.replace(found, filled_ml=filled)
    if found.budget_minor is None and not found.freight:
        return found
    spent, today = await _ordered(conn, site, found, now)
    return msgspec.structs.replace(found, ordered_minor=spent, ordered_today_minor=today)


async def _ordered(conn: AsyncConnection, site: SiteSetting, limits: Limits, now: int) -> tuple[int, dict[str, int]]:
    """(minor units ordered in the last seven days in the site's currency, those of today by supplier in its currency)."""
    d, line = schema.document.c, schema.document_line.c
    rows = await conn.execute(
        select(d.partner, d.opened_at, line.quantity, line.price_micro, line.currency)
        .select_from(schema.document)
        .join(schema.document_line, and_(line.site_id == d.site_id, line.document == d.id))
        .where(
            d.site_id == site.id,
            d.type == "expected-receipt",
            d.state != "cancelled",
            d.announces == "",
            d.from_site == "",
            d.opened_at > now - _BUDGET_US,
        )
    )
    spent, today = 0, dict[str, int]()
    for partner, opened_at, quantity, price_micro, currency in rows:
        if not currency:
            continue
        minor = amount(price_micro, quantity, currency).minor
        if currency == limits.currency:
            spent += minor
        freight = limits.freight.get(partner)
        if freight is not None and freight.currency == currency and site.days.day(opened_at) == site.today.isoformat():
            today[partner] = today.get(partner, 0) + minor
    return spent, today
