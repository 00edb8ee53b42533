"""The policy at work: small, sure, ordinary proposals of a cycle are released in the transaction that made them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import ConflictError
from cloud.projections.calendar import BusinessDays
from cloud.recommendations.autonomy import Case, Limits, Verdict, closest, judge, read_limits
from cloud.recommendations.issue import REST_US
from cloud.recommendations.orders import Price, open_order, price_of
from cloud.recommendations.rows import RecommendationRow, change, of_row, query
from cloud.store import lanes, schema
from cloud.store.audit import record

DAY_US = 86_400_000_000


class _Known(msgspec.Struct, frozen=True):
    """What the rule asks about the new proposals: suppliers, (item, supplier) pairs ordered before, and turned down lately."""

    categories: dict[str, str]
    suppliers: frozenset[str]
    ordered: frozenset[tuple[str, str]]
    turned_down: frozenset[tuple[str, str]]


async def release(conn: AsyncConnection, site_id: str, days: BusinessDays, now: int) -> int:
    """Release what the policy allows of the proposals that were made at `now`, the most probable stock-out first.

    Runs in the caller's writing transaction of the site; how many were released. Each is `auto-accepted` by the policy, its
    order waits to be taken back as any other, and the reason stands on it and in the audit log.
    """
    limits = await read_limits(conn, site_id)
    if not any(one.release_minor > 0 for one in limits):
        return 0
    r = schema.recommendation.c
    fresh = await conn.execute(
        query()
        .where(r.site_id == site_id, r.state == "proposed", r.kind == "purchase", r.created_at == now)
        .order_by(r.id)
    )
    rows = sorted(map(of_row, fresh), key=lambda row: (-_risk(row), row.id))
    if not rows:
        return 0
    known = await _known(conn, site_id, rows, now)
    spent = {one.actor: await _spent(conn, site_id, one, days, now) for one in limits}
    count = 0
    for row in rows:
        mine = closest(limits, site_id, known.categories.get(row.item, ""))
        if mine is None or mine.release_minor <= 0:
            continue
        try:
            price = await price_of(conn, row, row.quantity)
        except ConflictError:  # the terms ended while the cycle worked: a person will see it
            continue
        verdict = judge(mine, _case(row, price, known), spent[mine.actor])
        if verdict.released:
            await _accept(conn, row, price, mine, verdict, now)
            spent[mine.actor] += price.of(row.quantity).minor
            count += 1
    return count


def _risk(row: RecommendationRow) -> int:
    return max((effect.stockout_before for effect in row.proposal.effects), default=0)


def _case(row: RecommendationRow, price: Price, known: _Known) -> Case:
    pair = (row.item, row.partner)
    return Case(
        price.of(row.quantity),
        row.confidence,
        max((effect.cover_after for effect in row.proposal.effects), default=0.0),
        row.partner in known.suppliers,
        pair in known.ordered,
        pair in known.turned_down,
    )


async def _accept(
    conn: AsyncConnection, row: RecommendationRow, price: Price, limits: Limits, verdict: Verdict, now: int
) -> None:
    document = await open_order(conn, row, row.quantity, price, limits.actor, now)
    await change(
        conn,
        row,
        state="auto-accepted",
        changed_at=now,
        decided_at=now,
        decided_by=limits.actor,
        reason=verdict.text,
        document=document.id,
        cost_minor=price.of(row.quantity).minor,
    )
    detail = {"item": row.item, "document": document.id, "quantity": row.quantity, "text": verdict.text}
    await record(conn, now, limits.actor, "recommendation.release", row.site_id, row.id, detail | verdict.numbers)


async def _spent(conn: AsyncConnection, site_id: str, limits: Limits, days: BusinessDays, now: int) -> int:
    """Minor units that this row released at the site on its present business day; what was taken back does not count."""
    r = schema.recommendation.c
    rows = await conn.execute(
        select(r.decided_at, r.cost_minor, r.currency).where(
            r.site_id == site_id,
            r.state.in_(("auto-accepted", "released", "fulfilled")),
            r.decided_by == limits.actor,
            r.decided_at > now - 2 * DAY_US,
        )
    )
    today = days.day(now)
    return sum(
        row.cost_minor or 0 for row in rows if row.currency == limits.currency and days.day(row.decided_at) == today
    )


async def _known(conn: AsyncConnection, site_id: str, rows: Sequence[RecommendationRow], now: int) -> _Known:
    items = sorted({row.item for row in rows})
    partners = sorted({row.partner for row in rows})
    i, s = schema.item.c, schema.supplier.c
    categories: dict[str, str] = {}
    suppliers: set[str] = set()
    ordered: set[tuple[str, str]] = set()
    turned_down: set[tuple[str, str]] = set()
    for start in range(0, len(partners), lanes.IN_LIST):
        part = partners[start : start + lanes.IN_LIST]
        suppliers |= set((await conn.execute(select(s.id).where(s.id.in_(part)))).scalars())
    line, d = schema.document_line.c, schema.document.c
    for start in range(0, len(items), lanes.IN_LIST):
        part = items[start : start + lanes.IN_LIST]
        for row in await conn.execute(select(i.id, i.category).where(i.id.in_(part))):
            categories[row.id] = row.category
        orders = (
            select(line.item, d.partner)
            .distinct()
            .join_from(schema.document_line, schema.document, (d.site_id == line.site_id) & (d.id == line.document))
            .where(line.site_id == site_id, line.item.in_(part), d.type == "expected-receipt", d.announces == "")
        )
        for row in await conn.execute(orders.where(d.state != "cancelled")):
            ordered.add((row.item, row.partner))
        for row in await conn.execute(orders.where(d.state == "cancelled", d.changed_at > now - REST_US)):
            turned_down.add((row.item, row.partner))
    return _Known(categories, frozenset(suppliers), frozenset(ordered), frozenset(turned_down))
