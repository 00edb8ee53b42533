"""The demand of a site's items as series to forecast: ordered where order lines exist, issued before, stock-outs marked.

From the ledger, and for the time before it from history that was brought from elsewhere (`demand_history`). Orders marked as
not coming again (`bulk.py`) are left out; returns and transfers are no demand. What an item takes over from another one is
said by `kinship.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
from sqlalchemy import TextClause, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Terms
from cloud.forecasts.forecast import Request
from cloud.situations.bulk import bulk_demand
from cloud.situations.kinship import HISTORY_DAYS, Past, heritage, read_kin
from cloud.situations.sites import SiteSetting
from cloud.store import plans, schema

__all__ = ["HISTORY_DAYS", "UNKNOWN_LEAD_TIME_DAYS", "Past", "pasts", "series"]

#: Lead time assumed for the forecast of an item that nobody supplies yet, days.
UNKNOWN_LEAD_TIME_DAYS = 7.0


class _Day(msgspec.Struct, frozen=True):
    offset: int
    ordered: int
    issued: int
    empty_minutes: int


async def wanted_items(conn: AsyncConnection, site: SiteSetting, terms: Mapping[str, Terms]) -> list[str]:
    """The items that may have a series at a site, in order: supplied, ever wanted, or taking the place of others."""
    found = set(terms) | set((await read_kin(conn)).replaces)
    for table in ("daily", "demand_history"):
        found |= set((await conn.execute(_items_of(table), {"site": site.id})).scalars())
    return sorted(found)


def _items_of(table: str) -> TextClause:
    """From one item to the next by the key: a table of millions of days is not read for thousands of items."""
    first = f"SELECT min(item) FROM {table} WHERE site_id = :site"
    return text(
        f"WITH RECURSIVE found(item) AS ({first} UNION ALL SELECT ({first} AND item > found.item) FROM found "
        "WHERE found.item IS NOT NULL) SELECT item FROM found WHERE item IS NOT NULL"
    )


async def series(
    conn: AsyncConnection,
    site: SiteSetting,
    terms: Mapping[str, Terms],
    now: int,
    items: Sequence[str] | None = None,
) -> tuple[Request, ...]:
    """The series of the items that are or will be wanted at a site, all or of `items`, by item; in a fixed number of
    queries.
    """
    kin = await read_kin(conn)
    own = await pasts(conn, site, now, None if items is None else sorted(kin.kin_of(items)))
    today = site.today.toordinal()
    found: list[Request] = []
    for item in sorted(set(terms) | set(own) | kin.heirs(own)) if items is None else items:
        supply = terms.get(item)
        lead_time, spread = (supply.lead_time_days, supply.lead_time_sd) if supply else (UNKNOWN_LEAD_TIME_DAYS, 0.0)
        review = float(site.policy.review_days)
        one = heritage(item, own, kin, today, lead_time + review)
        if one is None:
            continue
        if one.horizon < lead_time + review:  # it ends, or begins, within its lead time
            review = min(review, one.horizon)
            lead_time, spread = one.horizon - review, 0.0
        past = one.past
        first = today - HISTORY_DAYS + past.begins
        found.append(Request(site.id, item, first, past.quantities, lead_time, spread, review, past.censored, one.lent))
    return tuple(found)


async def pasts(
    conn: AsyncConnection, site: SiteSetting, now: int, items: Sequence[str] | None = None
) -> dict[str, Past]:
    """What was wanted of each item up to yesterday, of its own; of all items or of `items`; those that ever were."""
    days = await _ledger(conn, site, items)
    before = await _before(conn, site, days, items)
    empty = await _empty_now(conn, site, now, items)
    bulk = await bulk_demand(conn, site.id)
    start = site.today.toordinal() - HISTORY_DAYS
    found: dict[str, Past] = {}
    for item in days.keys() | before.keys():
        taken = [(date.fromisoformat(day).toordinal() - start, quantity) for day, quantity in bulk.get(item, ())]
        told = days.get(item, [])
        past = _past(site, told, before.get(item, {}), empty.get(item, {}), taken)
        if past is not None:
            found[item] = past
    return found


async def _ledger(conn: AsyncConnection, site: SiteSetting, items: Sequence[str] | None) -> dict[str, list[_Day]]:
    """The days before today on which anything happened, by item; offsets count from the first day that is read."""
    c = schema.daily.c
    first = site.today - timedelta(days=HISTORY_DAYS)
    query = (
        select(c.item, c.day, c.ordered, c.issued, c.empty_minutes)
        .where(c.site_id == site.id, c.day >= first.isoformat(), c.day < site.today.isoformat())
        .order_by(c.item, c.day)
    )
    if items is not None:
        query = query.where(c.item.in_(items))
    found: dict[str, list[_Day]] = {}
    start = first.toordinal()
    for item, day, ordered, issued, empty in await conn.execute(query):
        found.setdefault(item, []).append(_Day(date.fromisoformat(day).toordinal() - start, ordered, issued, empty))
    return found


async def _before(
    conn: AsyncConnection, site: SiteSetting, ledger: Mapping[str, Sequence[_Day]], items: Sequence[str] | None
) -> dict[str, dict[int, tuple[int, bool]]]:
    """What was brought from the time before the site's ledger, (quantity, stock was out) by item and offset.

    A day on which the ledger knows demand of the item is the ledger's.
    """
    d, c = schema.daily.c, plans.demand_history.c
    if (await conn.execute(select(c.item).where(c.site_id == site.id).limit(1))).first() is None:
        return {}
    moved = or_(d.issued != 0, d.received != 0, d.returned != 0, d.transferred != 0)
    began = select(d.day).where(d.site_id == site.id, moved).order_by(d.day).limit(1)
    first = (await conn.execute(began)).scalar_one_or_none() or site.today.isoformat()
    oldest = site.today - timedelta(days=HISTORY_DAYS)
    query = select(c.item, c.day, c.quantity, c.empty).where(
        c.site_id == site.id, c.day >= oldest.isoformat(), c.day < min(first, site.today.isoformat())
    )
    if items is not None:
        query = query.where(c.item.in_(items))
    start = oldest.toordinal()
    known = {item: {day.offset for day in days if day.ordered or day.issued} for item, days in ledger.items()}
    found: dict[str, dict[int, tuple[int, bool]]] = {}
    for item, day, quantity, empty in await conn.execute(query):
        offset = date.fromisoformat(day).toordinal() - start
        if offset not in known.get(item, ()):
            found.setdefault(item, {})[offset] = max(quantity, 0), empty
    return found


async def _empty_now(
    conn: AsyncConnection, site: SiteSetting, now: int, items: Sequence[str] | None
) -> dict[str, dict[int, int]]:
    """Opening minutes of the stock-outs that still last, by item and offset: their days do not know of them yet."""
    c = schema.item_stock.c
    start = site.today.toordinal() - HISTORY_DAYS
    oldest = now - HISTORY_DAYS * 86_400_000_000
    query = select(c.item, c.empty_since).where(c.site_id == site.id, c.empty_since.is_not(None)).order_by(c.item)
    if items is not None:
        query = query.where(c.item.in_(items))
    rows = await conn.execute(query)
    return {
        item: {
            date.fromisoformat(day).toordinal() - start: minutes
            for day, minutes in site.days.open_minutes(max(since, oldest), now).items()
        }
        for item, since in rows
    }


def _past(
    site: SiteSetting,
    days: Sequence[_Day],
    before: Mapping[int, tuple[int, bool]],
    empty: Mapping[int, int],
    bulk: Sequence[tuple[int, int]],
) -> Past | None:
    """The past of an item. Demand is what was ordered from the first order line on; before that, what was issued.

    A day counts as a stock-out, and only where demand is what was issued, when stock was out for over half of it. What the
    ledger tells stands above what was brought `before` it; `bulk` are (offset, quantity) of orders that are left out.
    """
    ordered = {day.offset: day.ordered for day in days}
    for offset, quantity in bulk:
        ordered[offset] = ordered.get(offset, 0) - quantity
    first_order = min((offset for offset, quantity in ordered.items() if quantity > 0), default=HISTORY_DAYS)
    wanted = {offset: quantity for offset, (quantity, _) in before.items()}
    issued = {day.offset: day.issued for day in days if day.offset < first_order}
    for offset, quantity in bulk:
        _take_off(issued, offset, quantity)
    wanted |= {offset: quantity for offset, quantity in issued.items() if quantity or offset not in wanted}
    wanted |= {offset: quantity for offset, quantity in ordered.items() if offset >= first_order}
    begins = min((offset for offset, quantity in wanted.items() if quantity > 0), default=None)
    if begins is None:
        return None
    quantities = [0] * (HISTORY_DAYS - begins)
    for offset, quantity in wanted.items():
        if begins <= offset < HISTORY_DAYS:
            quantities[offset - begins] = max(quantity, 0)
    out = dict(empty)
    for day in days:
        out[day.offset] = out.get(day.offset, 0) + day.empty_minutes
    censored = {offset for offset, minutes in out.items() if offset < first_order and 2 * minutes > site.open_minutes}
    censored |= {offset for offset, (_, was_out) in before.items() if was_out}
    known = sorted(offset - begins for offset in censored if begins <= offset < HISTORY_DAYS)
    return Past(begins, tuple(quantities), tuple(known))


def _take_off(issued: dict[int, int], offset: int, quantity: int) -> None:
    """Take an order that is left out off what was issued from its day on: it left the building some time after."""
    for day in sorted(day for day in issued if day >= offset):
        taken = min(max(issued[day], 0), quantity)
        issued[day] -= taken
        quantity -= taken
