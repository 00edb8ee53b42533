"""What the decisions about a site rest on, read from the store: demand, positions, terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Policy, Position, Terms
from cloud.forecasts.forecast import Request
from cloud.projections.calendar import BusinessDays
from cloud.store import schema
from vocabulary.item import BaseUnit

#: Days of demand that are read: three years hold every season twice, and older ones describe another business.
HISTORY_DAYS = 1_096
#: Lead time assumed for the forecast of an item that nobody supplies yet, days.
UNKNOWN_LEAD_TIME_DAYS = 7.0


class SiteSetting(msgspec.Struct, frozen=True):
    """What a site is set to. `open_minutes`: opening time of a day; `today` its business day."""

    id: str
    days: BusinessDays
    open_minutes: int
    policy: Policy
    today: date


class Situation(msgspec.Struct, frozen=True):
    """What of a site changes slowly: the series to forecast, and by item its terms, base unit and number of suppliers."""

    site: SiteSetting
    requests: tuple[Request, ...]
    terms: Mapping[str, Terms]
    suppliers: Mapping[str, int]
    units: Mapping[str, BaseUnit]


class _Day(msgspec.Struct, frozen=True):
    offset: int
    ordered: int
    issued: int
    empty_minutes: int


async def arriving(conn: AsyncConnection) -> list[str]:
    """The sites whose history is still on its way: their gateway announced its stock ahead of a long catch-up."""
    told, head = schema.advisory.c, schema.epoch.c
    query = (
        select(told.site_id)
        .select_from(schema.advisory)
        .outerjoin(schema.epoch, (head.site_id == told.site_id) & (head.epoch == told.epoch))
        .where(func.coalesce(head.seq, 0) < told.seq)
        .order_by(told.site_id)
    )
    return list((await conn.execute(query)).scalars())


async def site_settings(conn: AsyncConnection, now: int, only: Sequence[str] | None = None) -> list[SiteSetting]:
    """The sites that can be decided about, or `only` these of them, by id; not those whose history is still arriving."""
    c = schema.site.c
    query = select(schema.site).where(c.id.not_in(await arriving(conn))).order_by(c.id)
    if only is not None:
        query = query.where(c.id.in_(only))
    settings: list[SiteSetting] = []
    for row in (await conn.execute(query)).mappings():
        days = BusinessDays(row["zone"], row["day_start"], row["opens"], row["closes"])
        policy = Policy(row["holding_rate"], row["service"], row["review_days"])
        today = date.fromisoformat(days.day(now))
        settings.append(SiteSetting(row["id"], days, max(row["closes"] - row["opens"], 1), policy, today))
    return settings


async def situation(conn: AsyncConnection, site: SiteSetting, now: int) -> Situation:
    """What forecasting and deciding about one site need, but for its positions, in a fixed number of queries."""
    terms, suppliers = await _terms(conn, site.id)
    demand = await _demand(conn, site)
    empty = await _empty_now(conn, site, now)
    requests: list[Request] = []
    for item in sorted(set(terms) | set(demand)):
        request = _request(site, item, demand.get(item, []), terms.get(item), empty.get(item, {}))
        if request is not None:
            requests.append(request)
    found = await conn.execute(select(schema.item.c.id, schema.item.c.unit))
    units: dict[str, BaseUnit] = {row.id: row.unit for row in found}
    return Situation(site, tuple(requests), terms, suppliers, units)


async def _terms(conn: AsyncConnection, site_id: str) -> tuple[dict[str, Terms], dict[str, int]]:
    """The terms to order on, by item: the preferred, then the cheapest, then the quickest; and how many there are."""
    c = schema.term.c
    order = (c.item, c.preferred, c.price_micro, c.lead_time_days, c.supplier)
    first: dict[str, Terms] = {}
    count: dict[str, int] = {}
    for row in (await conn.execute(select(schema.term).where(c.site_id == site_id).order_by(*order))).mappings():
        count[row["item"]] = count.get(row["item"], 0) + 1
        if row["item"] not in first:
            first[row["item"]] = Terms(**{name: row[name] for name in Terms.__struct_fields__})
    return first, count


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


async def positions(conn: AsyncConnection, site: SiteSetting, horizons: Mapping[str, float]) -> dict[str, Position]:
    """What is there, to come, owed, and booked within the item's horizon (days), by item.

    Read in the transaction that issues the proposals, so that an order placed meanwhile is not proposed again.
    """
    stock = schema.item_stock.c
    available: dict[str, int] = {
        row.item: row.available
        for row in await conn.execute(select(stock.item, stock.available).where(stock.site_id == site.id))
    }
    on_order: dict[str, int] = {}
    owed: dict[str, int] = {}
    booked: dict[str, int] = {}
    today = site.today
    for kind, item, day, left in await _open_lines(conn, site.id):
        if kind == "expected-receipt":
            on_order[item] = on_order.get(item, 0) + left
        elif day < today.isoformat():
            owed[item] = owed.get(item, 0) + left
        elif day < (today + timedelta(days=round(horizons.get(item, 0.0)))).isoformat():
            booked[item] = booked.get(item, 0) + left
    items = sorted(set(available) | set(on_order) | set(owed) | set(booked))
    return {
        item: Position(available.get(item, 0), on_order.get(item, 0), owed.get(item, 0), booked.get(item, 0))
        for item in items
    }


async def _open_lines(conn: AsyncConnection, site_id: str) -> list[tuple[str, str, str, int]]:
    """(type, item, day, base units left) of open receipts and customer orders; an ASN repeats its order, so is left out."""
    line, doc, done = schema.document_line.c, schema.document.c, schema.document_done.c
    query = (
        select(line.type, line.item, line.day, line.quantity - func.coalesce(done.quantity, 0))
        .select_from(schema.document_line)
        .join(schema.document, (doc.site_id == line.site_id) & (doc.id == line.document))
        .outerjoin(
            schema.document_done,
            (done.site_id == line.site_id) & (done.document == line.document) & (done.line == line.line),
        )
        .where(line.site_id == site_id, line.state == "open", doc.announces == "")
        .where(line.type.in_(("expected-receipt", "outbound-order")))
        .order_by(line.document, line.line)
    )
    return [(kind, item, day, left) for kind, item, day, left in await conn.execute(query) if left > 0]
