"""Four eyes: above a limit the approval of one person waits for that of a second, different one, of the same quantity."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import ConflictError
from cloud.recommendations.autonomy import closest, needs_two, read_limits
from cloud.recommendations.rows import RecommendationRow
from cloud.store import lanes, plans, schema
from vocabulary.quantity import Money

#: What stands before the name of an API key among actors.
KEY = "key:"
#: Keys that made keys that made keys are followed this far.
MOST_MAKERS = 8


async def two_needed(conn: AsyncConnection, row: RecommendationRow, cost: Money) -> bool:
    """Whether an order of that cost takes two people."""
    limits = await read_limits(conn, row.site_id)
    if all(one.four_eyes_minor is None for one in limits):
        return False
    i = schema.item.c
    category = (await conn.execute(select(i.category).where(i.id == row.item))).scalar() or ""
    return needs_two(closest(limits, row.site_id, category), cost)


async def approve(
    conn: AsyncConnection, row: RecommendationRow, quantity: int, actor: str, reason: str, now: int
) -> str:
    """Note an approval; the first person's name where this is the second one's of the same quantity, "" where it waits.

    Raises ConflictError where the same person (a key counts as who made it) approved the same quantity before.
    """
    a = plans.approval.c
    mine = (a.site_id == row.site_id, a.recommendation == row.id)
    found = (await conn.execute(select(a.actor, a.quantity).where(*mine).order_by(a.at, a.actor))).all()
    me = await _persons(conn, actor)
    same = [one for one in found if one.quantity == quantity]
    for one in same:
        if not me & await _persons(conn, one.actor):
            return one.actor
    if same:
        who = "you have" if same[0].actor == actor else f"{same[0].actor}, who counts as the same person, has"
        raise ConflictError(f"{who} approved {row.id} already; a second, different person must approve it now")
    await lanes.put(conn, plans.approval, [(row.site_id, row.id, actor, now, quantity, reason)])
    return ""


async def forget_approvals(conn: AsyncConnection, site_id: str, recommendation_id: str) -> None:
    """Begin anew: earlier approvals of the proposal do not count any more. The audit log keeps them."""
    a = plans.approval.c
    await conn.execute(delete(plans.approval).where(a.site_id == site_id, a.recommendation == recommendation_id))


async def _persons(conn: AsyncConnection, actor: str) -> set[str]:
    """Who stands behind an actor: itself, and for a key all who made a key of that name."""
    k = schema.api_key.c
    found, fresh = {actor}, {actor}
    for _ in range(MOST_MAKERS):
        names = sorted(one.removeprefix(KEY) for one in fresh if one.startswith(KEY))
        if not names:
            break
        makers = set((await conn.execute(select(k.created_by).where(k.name.in_(names)))).scalars())
        fresh = makers - found
        found |= makers
    return found
