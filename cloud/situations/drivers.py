"""Campaigns, price plans and indicators as what the forecasts take: dated values, and since when each was known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from math import log, log1p
from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.forecasts.forecast import Driver
from cloud.situations.kinship import HISTORY_DAYS
from cloud.situations.sites import SiteSetting
from cloud.store import plans

#: Names under which campaigns and price plans stand beside indicators.
CAMPAIGNS, PRICE = "campaigns", "price"
#: Days ahead that are read: no lead time is longer.
AHEAD_DAYS = 400
#: Least planned change, per mille: nine tenths less; a campaign that stops all sales is no campaign.
_LEAST_UPLIFT = -900


class Campaign(NamedTuple):
    """A campaign for an item at a site ("" all): days as ordinal dates, both inside; `uplift` per mille; the day `planned`."""

    site: str
    id: str
    item: str
    name: str
    first: int
    last: int
    uplift: int
    planned: int


async def site_drivers(conn: AsyncConnection, site: SiteSetting) -> tuple[Driver, ...]:
    """What can move demand at a site, in three queries."""
    first = site.today - timedelta(days=HISTORY_DAYS)
    last = site.today + timedelta(days=AHEAD_DAYS)
    campaigns = await read_campaigns(conn, site, first, last)
    prices = await _prices(conn, site, last)
    return (*campaign_drivers(campaigns), *prices, *await _indicators(conn, site, first, last))


async def read_campaigns(
    conn: AsyncConnection, site: SiteSetting, first: date, last: date, item: str | None = None
) -> list[Campaign]:
    """The campaigns at a site, or everywhere, of all items or those that concern `item`, with a day in first..last."""
    c = plans.campaign.c
    query = select(c.site_id, c.id, c.item, c.name, c.first_day, c.last_day, c.uplift, c.planned_at).where(
        c.site_id.in_(("", site.id)), c.last_day >= first.isoformat(), c.first_day <= last.isoformat()
    )
    if item is not None:
        query = query.where(c.item.in_(("", item)))
    rows = await conn.execute(query.order_by(c.site_id, c.item, c.first_day, c.id))
    return [
        Campaign(
            row.site_id,
            row.id,
            row.item,
            row.name or row.id,
            max(_ordinal(row.first_day), first.toordinal()),
            min(_ordinal(row.last_day), last.toordinal()),
            max(row.uplift, _LEAST_UPLIFT),
            _planned(site, row.site_id, row.planned_at),
        )
        for row in rows
    ]


def campaign_drivers(campaigns: Iterable[Campaign]) -> tuple[Driver, ...]:
    """One driver for each site and item that campaigns name: the planned log change of each day. Pure.

    Two at once multiply. A look back sees a campaign from the day it was planned on; one that was put in when it had begun
    is history, which somebody must have known in time.
    """
    by_scope: dict[tuple[str, str], dict[int, tuple[float, int]]] = {}
    for one in campaigns:
        days = by_scope.setdefault((one.site, one.item), {})
        known = one.planned if one.planned < one.first else 0
        for day in range(one.first, one.last + 1):
            change, since = days.get(day, (0.0, 0))
            days[day] = change + log1p(one.uplift / 1_000), max(since, known)
    made: list[Driver] = []
    for (site, item), days in sorted(by_scope.items()):
        dates = tuple(sorted(days))
        values, since = zip(*(days[day] for day in dates), strict=True)
        planned = (True,) * len(dates)
        made.append(Driver(CAMPAIGNS, dates, values, planned, site, item, False, since, True))
    return tuple(made)


async def _prices(conn: AsyncConnection, site: SiteSetting, last: date) -> list[Driver]:
    """The log of each item's price relative to its mean up to today; it holds until the next."""
    c = plans.price_plan.c
    query = select(c.site_id, c.item, c.day, c.price_micro, c.currency, c.planned_at).where(
        c.site_id.in_(("", site.id)), c.day <= last.isoformat(), c.price_micro > 0
    )
    found: dict[tuple[str, str], list[tuple[int, int, str, int]]] = {}
    for row in await conn.execute(query.order_by(c.site_id, c.item, c.day)):
        planned = _planned(site, row.site_id, row.planned_at)
        found.setdefault((row.site_id, row.item), []).append(
            (_ordinal(row.day), row.price_micro, row.currency, planned)
        )
    made: list[Driver] = []
    for (site_id, item), told in sorted(found.items()):
        currency = Counter(one[2] for one in told).most_common(1)[0][0]
        usable = [one for one in told if one[2] == currency]
        mean = _mean_log(usable, site.today.toordinal())
        dates = tuple(one[0] for one in usable)
        values = tuple(log(one[1]) - mean for one in usable)
        since = tuple(one[3] if one[3] < one[0] else 0 for one in usable)
        made.append(Driver(PRICE, dates, values, (True,) * len(dates), site_id, item, True, since))
    return made


def _mean_log(told: list[tuple[int, int, str, int]], today: int) -> float:
    """The mean of the log price over the days on which each held, up to today; of the first where none has begun."""
    days = total = 0.0
    for number, (day, price, _, _) in enumerate(told):
        following = told[number + 1][0] if number + 1 < len(told) else today
        held = max(0, min(following, today) - day)
        days, total = days + held, total + held * log(price)
    return total / days if days else log(told[0][1])


async def _indicators(conn: AsyncConnection, site: SiteSetting, first: date, last: date) -> list[Driver]:
    c = plans.indicator.c
    query = select(c.site_id, c.name, c.item, c.day, c.value, c.known_until).where(
        and_(c.site_id.in_(("", site.id)), c.day >= first.isoformat(), c.day <= last.isoformat())
    )
    found: dict[tuple[str, str, str], list[tuple[int, float, bool]]] = {}
    for row in await conn.execute(query.order_by(c.name, c.site_id, c.item, c.day)):
        beforehand = bool(row.known_until) and row.known_until >= row.day
        found.setdefault((row.name, row.site_id, row.item), []).append((_ordinal(row.day), row.value, beforehand))
    made: list[Driver] = []
    for (name, site_id, item), told in found.items():
        dates, values, planned = zip(*told, strict=True)
        called = f"{name} (indicator)" if name in (CAMPAIGNS, PRICE) else name
        made.append(Driver(called, dates, values, planned, site_id, item))
    return made


def _planned(site: SiteSetting, scope: str, moment: int) -> int:
    """The day on which something was planned: the site's own, UTC's for what holds everywhere, so that all sites agree."""
    return _ordinal(site.days.day(moment)) if scope else datetime.fromtimestamp(moment / 1e6, UTC).toordinal()


def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def planned_change(campaigns: Iterable[Campaign], site: str, item: str) -> Mapping[int, float]:
    """The planned log change of an item's demand at a site by ordinal date: of each day the closest scope's. Pure."""
    found: dict[int, float] = {}
    made = {(one.site, one.item): one for one in campaign_drivers(campaigns)}
    for scope in (("", ""), (site, ""), ("", item), (site, item)):
        if scope in made:
            found |= dict(zip(made[scope].dates, made[scope].values, strict=True))
    return found
