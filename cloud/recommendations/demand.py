"""The demand of a site's items as series to forecast: ordered where order lines exist, issued before, stock-outs marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Terms
from cloud.forecasts.forecast import Request
from cloud.recommendations.sites import SiteSetting
from cloud.store import schema

#: Days of demand that are read: three years hold every season twice, and older ones describe another business.
HISTORY_DAYS = 1_096
#: Lead time assumed for the forecast of an item that nobody supplies yet, days.
UNKNOWN_LEAD_TIME_DAYS = 7.0


class _Day(msgspec.Struct, frozen=True):
    offset: int
    ordered: int
    issued: int
    empty_minutes: int


async def series(conn: AsyncConnection, site: SiteSetting, terms: Mapping[str, Terms], now: int) -> tuple[Request, ...]:
    """The series of the items that were ever wanted at a site, by item."""
    demand = await _demand(conn, site)
    empty = await _empty_now(conn, site, now)
    found: list[Request] = []
    for item in sorted(set(terms) | set(demand)):
        request = _request(site, item, demand.get(item, []), terms.get(item), empty.get(item, {}))
        if request is not None:
            found.append(request)
    return tuple(found)


async def _demand(conn: AsyncConnection, site: SiteSetting) -> dict[str, list[_Day]]:
    """The days before today on which anything happened, by item; offsets count from the first day that is read."""
    c = schema.daily.c
    first = site.today - timedelta(days=HISTORY_DAYS)
    rows = await conn.execute(
        select(c.item, c.day, c.ordered, c.issued, c.empty_minutes)
        .where(c.site_id == site.id, c.day >= first.isoformat(), c.day < site.today.isoformat())
        .order_by(c.item, c.day)
    )
    found: dict[str, list[_Day]] = {}
    start = first.toordinal()
    for item, day, ordered, issued, empty in rows:
        found.setdefault(item, []).append(_Day(date.fromisoformat(day).toordinal() - start, ordered, issued, empty))
    return found


async def _empty_now(conn: AsyncConnection, site: SiteSetting, now: int) -> dict[str, dict[int, int]]:
    """Opening minutes of the stock-outs that still last, by item and offset: their days do not know of them yet."""
    c = schema.item_stock.c
    start = site.today.toordinal() - HISTORY_DAYS
    oldest = now - HISTORY_DAYS * 86_400_000_000
    rows = await conn.execute(
        select(c.item, c.empty_since).where(c.site_id == site.id, c.empty_since.is_not(None)).order_by(c.item)
    )
    return {
        item: {
            date.fromisoformat(day).toordinal() - start: minutes
            for day, minutes in site.days.open_minutes(max(since, oldest), now).items()
        }
        for item, since in rows
    }


def _request(
    site: SiteSetting, item: str, days: Sequence[_Day], terms: Terms | None, empty: Mapping[int, int]
) -> Request | None:
    """The series of an item. Demand is what was ordered from the first order line on; before that, what was issued.

    A day counts as a stock-out, and only where demand is what was issued, when stock was out for over half of it.
    """
    first_order = next((day.offset for day in days if day.ordered), HISTORY_DAYS)
    begins = next((day.offset for day in days if day.ordered > 0 or day.issued > 0), None)
    if begins is None:
        return None
    quantities = [0] * (HISTORY_DAYS - begins)
    out: dict[int, int] = {offset: minutes for offset, minutes in empty.items() if begins <= offset < HISTORY_DAYS}
    for day in days:
        if day.offset >= begins:
            quantities[day.offset - begins] = max(0, day.ordered if day.offset >= first_order else day.issued)
            out[day.offset] = out.get(day.offset, 0) + day.empty_minutes
    censored = sorted(
        offset - begins for offset, minutes in out.items() if offset < first_order and 2 * minutes > site.open_minutes
    )
    first = site.today.toordinal() - HISTORY_DAYS + begins
    lead_time, spread = (terms.lead_time_days, terms.lead_time_sd) if terms else (UNKNOWN_LEAD_TIME_DAYS, 0.0)
    review = float(site.policy.review_days)
    return Request(site.id, item, first, tuple(quantities), lead_time, spread, review, tuple(censored))
