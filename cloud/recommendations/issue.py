"""From proposals to rows in the inbox: unchanged ones stay, changed ones replace, needless ones expire."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Proposal
from cloud.recommendations.rows import UNANSWERED, RecommendationRow, of_row, query
from cloud.store import lanes
from cloud.store.schema import recommendation
from vocabulary.recommendation import Recommendation

DAY_US = 86_400_000_000
#: An unanswered proposal ends after this time: what it rests on is a week old.
EXPIRES_US = 7 * DAY_US
#: After a rejection the same site and item are left alone for this time, so that nobody is asked twice a day.
REST_US = 3 * DAY_US
#: A new quantity within this share of the waiting one does not replace it: nothing changes under a person's hands.
SAME_SHARE = 0.1


class Issued(msgspec.Struct, frozen=True):
    """How many proposals were made new, stayed as they were, ended unanswered, or were held back by a person's word."""

    made: int
    stayed: int
    ended: int
    held_back: int


async def issue(conn: AsyncConnection, site_id: str, proposals: Sequence[Proposal], now: int) -> Issued:
    """Bring the unanswered purchase recommendations of a site in line with `proposals`, in the caller's transaction."""
    table = recommendation.c
    relevant = (table.state.in_(UNANSWERED)) | ((table.state == "rejected") & (table.decided_at > now - REST_US))
    found = await conn.execute(
        query().where(table.site_id == site_id, table.kind == "purchase", relevant).order_by(table.id)
    )
    waiting: dict[str, list[RecommendationRow]] = {}
    for row in map(of_row, found):
        waiting.setdefault(row.item, []).append(row)
    made: list[lanes.Row] = []
    ended: list[str] = []
    stayed = held_back = 0
    for proposal in proposals:
        before = waiting.pop(proposal.item, [])
        if any(_holds_back(row, now) for row in before):
            held_back += 1
            continue
        same = [row for row in before if _same(row, proposal, now)][:1]
        stayed += len(same)
        ended += [row.id for row in before if row.state in UNANSWERED and row not in same]
        if not same:
            made.append(_row(proposal, now))
    ended += [
        row.id
        for rows in waiting.values()
        for row in rows
        if row.state == "proposed" or (row.state == "snoozed" and not _holds_back(row, now))
    ]
    await _end(conn, site_id, ended, now)
    await lanes.append(conn, recommendation, made)
    return Issued(len(made), stayed, len(ended), held_back)


def _holds_back(row: RecommendationRow, now: int) -> bool:
    """Whether a person's answer says: not now."""
    return row.state == "rejected" or (row.state == "snoozed" and (row.snoozed_until or 0) > now)


def _same(row: RecommendationRow, proposal: Proposal, now: int) -> bool:
    if row.state != "proposed" or row.partner != proposal.supplier or (row.expires_at or 0) <= now:
        return False
    return abs(row.quantity - proposal.quantity) <= SAME_SHARE * row.quantity


async def _end(conn: AsyncConnection, site_id: str, ids: Sequence[str], now: int) -> None:
    table = recommendation.c
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        await conn.execute(
            update(recommendation)
            .where(table.site_id == site_id, table.id.in_(chunk))
            .values(state="expired", changed_at=now)
        )


def _row(proposal: Proposal, now: int) -> lanes.Row:
    name = recommendation_id(proposal, now)
    body = Recommendation(
        id=name,
        kind="purchase",
        state="proposed",
        site=proposal.site,
        item=proposal.item,
        quantity=proposal.quantity,
        from_=proposal.supplier,
        to=proposal.site,
        by=proposal.by,
        cost=proposal.cost,
        confidence=proposal.confidence,
        forecast=proposal.forecast,
        reasons=proposal.reasons,
        effects=(proposal.effect,),
        worth=proposal.worth,
        basis=proposal.basis,
    )
    values: dict[str, lanes.Value] = {
        "site_id": proposal.site,
        "id": name,
        "kind": "purchase",
        "state": "proposed",
        "item": proposal.item,
        "partner": proposal.supplier,
        "quantity": proposal.quantity,
        "by_day": proposal.by,
        "cost_minor": proposal.cost.minor,
        "currency": proposal.cost.currency,
        "confidence": proposal.confidence,
        "forecast": proposal.forecast,
        "document": "",
        "created_at": now,
        "changed_at": now,
        "expires_at": now + EXPIRES_US,
        "snoozed_until": None,
        "decided_at": None,
        "decided_by": "",
        "reason": "",
        "body": msgspec.json.encode(body),
    }
    return [values[name] for name in recommendation.columns.keys()]  # noqa: SIM118 - a column collection, not a dict


def recommendation_id(proposal: Proposal, now: int) -> str:
    """An id that follows from what is proposed, where and when, so that the same run gives the same ids."""
    text = f"{proposal.site}|{proposal.item}|{proposal.supplier}|{now}"
    return "REC-" + hashlib.sha256(text.encode()).hexdigest()[:12].upper()
