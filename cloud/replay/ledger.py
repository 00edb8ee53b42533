"""The ledger's own demand, terms, receipts and stock as a history to replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.terms import Terms
from cloud.errors import BadInputError, NotFoundError
from cloud.forecasts.panel import Values
from cloud.projections.flows import COUNTED, ISSUED, RECEIVED, RETURNED, SCRAPPED, TRANSFERRED
from cloud.replay.history import History
from cloud.replay.replay import LEAST_PERIODS
from cloud.replay.tables import ORDER_COST, Table
from cloud.situations.demand import HISTORY_DAYS
from cloud.situations.sites import site_settings
from cloud.situations.situation import Situation, situation
from cloud.store import schema
from vocabulary.quantity import exponent

#: Weeks read: what a decision cycle reads, in whole weeks that end with yesterday.
_WEEKS = HISTORY_DAYS // 7
_DAY_US = 86_400_000_000
#: How each flow changes what is in the building (`projections.flows`).
_SIGNS = {RECEIVED: 1, RETURNED: 1, COUNTED: 1, ISSUED: -1, TRANSFERRED: -1, SCRAPPED: -1}
#: Of the weeks before play begins, the share that the ledger may miss at most: the games that choose the slider begin there.
_LATEST_BEGIN = 0.1


@dataclass(frozen=True)
class Flows:
    """What crossed the building's edge and what is there: by item and week (weeks count from the first that is read) what was
    received and by how much the stock changed, base units; the stock now; the first week of the ledger.
    """

    received: dict[tuple[str, int], int]
    changed: dict[tuple[str, int], int]
    on_hand: dict[str, int]
    first: int


async def read_ledger(conn: AsyncConnection, site_id: str, now: int) -> Table:
    """Weekly demand and terms of the items that somebody supplies to a site, up to yesterday, and what came and stood there
    where the ledger reaches back; `now` microseconds UTC. In a fixed number of queries.

    Raises NotFoundError for a site that is not there or whose history is still arriving, BadInputError for too little demand.
    """
    settings = await site_settings(conn, now, [site_id])
    if not settings:
        raise NotFoundError(f"there is no site {site_id}, or its history is still arriving; try again when it is there")
    found = await situation(conn, settings[0], now)
    return table_of(found, await _flows(conn, found, now))


async def _flows(conn: AsyncConnection, found: Situation, now: int) -> Flows:
    """The site's weeks end where its business day begins; a week over a change of the clocks is an hour off, which moves
    nothing that is compared.
    """
    start = _begin_of(found, now) - _WEEKS * 7 * _DAY_US
    c, stock = schema.movement_line.c, schema.item_stock.c
    week = ((c.occurred_at - start) // (7 * _DAY_US)).label("week")
    query = (
        select(c.item, week, c.flow, func.sum(c.flow_quantity))
        .where(c.site_id == found.site.id, c.flow.in_(tuple(_SIGNS)), c.occurred_at >= start)
        .group_by(c.item, "week", c.flow)
        .order_by(c.item, "week", c.flow)
    )
    received: dict[tuple[str, int], int] = {}
    changed: dict[tuple[str, int], int] = {}
    for item, number, flow, quantity in await conn.execute(query):
        if flow == RECEIVED:
            received[item, number] = quantity
        changed[item, number] = changed.get((item, number), 0) + _SIGNS[flow] * quantity
    held = await conn.execute(select(stock.item, stock.on_hand).where(stock.site_id == found.site.id))
    on_hand: dict[str, int] = {row.item: row.on_hand for row in held}
    oldest = (await conn.execute(select(func.min(c.occurred_at)).where(c.site_id == found.site.id))).scalar()
    first = _WEEKS if oldest is None else max(0, (oldest - start) // (7 * _DAY_US))
    return Flows(received, changed, on_hand, first)


def _begin_of(found: Situation, now: int) -> int:
    """When the site's present business day began, microseconds UTC, to the hour: what an hour moves is in neither week."""
    hour = 3_600_000_000
    moment = now // hour * hour
    while found.site.days.day(moment - hour) == found.site.today.isoformat():
        moment -= hour
    return moment


def table_of(found: Situation, flows: Flows | None = None) -> Table:
    """The history of a site as a decision cycle sees it. Pure. Raises BadInputError where there is too little demand."""
    currency = Counter(terms.currency for terms in found.terms.values()).most_common(1)
    usable = {
        item: terms for item, terms in found.terms.items() if terms.price_micro > 0 and terms.currency == currency[0][0]
    }
    requests = [one for one in found.requests if one.item in usable and sum(one.quantities) > 0]
    if not requests:
        raise BadInputError(f"site {found.site.id}: no item has both demand and terms with a price; import terms first")
    start = found.site.today.toordinal() - 7 * _WEEKS
    demand = np.zeros((len(requests), 7 * _WEEKS))
    for row, one in zip(demand, requests, strict=True):
        offset = one.first - start
        known = np.asarray(one.quantities, dtype=np.float64)[max(-offset, 0) :]
        row[max(offset, 0) : max(offset, 0) + len(known)] = known[: len(row) - max(offset, 0)]
    weekly = demand.reshape(len(requests), _WEEKS, 7).sum(axis=2)
    begun = int((weekly.sum(axis=0) > 0).argmax())
    weekly = weekly[:, begun:]
    if weekly.shape[1] < LEAST_PERIODS:
        raise BadInputError(
            f"site {found.site.id}: demand is known for {weekly.shape[1]} weeks, a replay needs {LEAST_PERIODS}; "
            "replay an older demand file with evercount-cloud replay"
        )
    items = [one.item for one in requests]
    table = _with_terms(found, [usable[item] for item in items], items, weekly)
    return table if flows is None else with_own_orders(table, flows, items, begun)


def _with_terms(found: Situation, terms: list[Terms], items: list[str], weekly: Values) -> Table:
    costs = [one.order_cost_minor / 10 ** exponent(one.currency) for one in terms]
    unknown = sum(not cost for cost in costs)
    none = np.full(len(terms), np.nan)
    history = History(
        names=tuple((found.site.id, item) for item in items),
        period_days=7.0,
        demand=weekly,
        unit_cost=np.asarray([one.price_micro / 1e6 for one in terms]),
        lead_time=np.asarray([max(one.lead_time_days / 7, 0.1) for one in terms]),
        order_cost=np.asarray([cost or ORDER_COST for cost in costs]),
        holding_rate=np.full(len(terms), max(found.site.policy.holding_rate, 1) / 1_000),
        moq=np.asarray([float(one.moq) for one in terms]),
        minimum=none,
        maximum=none,
        lead_time_sd=np.asarray([one.lead_time_sd / 7 for one in terms]),
    )
    supposed = (f"an order of {unknown} items costs {ORDER_COST:g}, since their terms name no order cost",)
    return Table(history, supposed if unknown else ())


def with_own_orders(table: Table, flows: Flows, items: list[str], begun: int) -> Table:
    """What really came, and the stock at each week's begin, counted back from today's; only where the ledger is as old as
    the games that choose the slider.
    """
    weeks = table.history.periods
    missed = flows.first - begun
    if missed > _LATEST_BEGIN * weeks:
        told = (
            f"your own orders are no opponent, since the ledger knows movements of the last {weeks - missed} of {weeks} weeks",
        )
        return Table(table.history, (*table.supposed, *told))
    number = {item: row for row, item in enumerate(items)}
    received, changed = np.zeros((len(items), weeks)), np.zeros((len(items), weeks + 1))
    for (item, week), quantity in flows.changed.items():
        if item in number and week >= begun:
            changed[number[item], min(week - begun, weeks)] += quantity  # today's is the last column
            if week - begun < weeks:
                received[number[item], week - begun] += flows.received.get((item, week), 0)
    now = np.asarray([float(flows.on_hand.get(item, 0)) for item in items])
    after = np.cumsum(changed[:, ::-1], axis=1)[:, ::-1]  # changes from each week's begin until now
    opening = now[:, None] - after[:, :weeks]
    history = replace(table.history, received=np.maximum(received, 0.0), opening=opening)
    return Table(history, table.supposed)
