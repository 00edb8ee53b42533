"""Taking an approved proposal back, as long as its order has not gone out."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError
from cloud.projections.documents import read_document
from cloud.recommendations.approvals import forget_approvals
from cloud.recommendations.decide import MOST_REASON
from cloud.recommendations.orders import Message, last_message, set_message, store_revision
from cloud.recommendations.rows import RecommendationRow, change, find
from cloud.store import schema
from cloud.store.audit import record
from runtime.system import Runtime

#: States of a proposal whose order can be taken back.
APPROVED = ("accepted", "edited", "auto-accepted")


def can_undo(row: RecommendationRow, message: Message | None) -> bool:
    """Whether the order of an approved proposal is still here: nobody sent it, and nobody has begun to."""
    return row.state in APPROVED and message is not None and message.state == "waiting" and not message.attempts


async def take_back(
    conn: AsyncConnection, runtime: Runtime, actor: str, site_id: str, recommendation_id: str, reason: str = ""
) -> RecommendationRow:
    """Cancel the order and let the proposal wait again, in the caller's writing transaction.

    An outdated proposal expires instead. Raises NotFoundError, and ConflictError where the order has gone out, was announced
    or has come.
    """
    if len(reason) > MOST_REASON:
        raise BadInputError(f"reason: it has {len(reason)} characters, {MOST_REASON} are the most")
    now = runtime.now()
    row = await find(conn, site_id, recommendation_id)
    if row.state not in APPROVED:
        raise ConflictError(f"recommendation {row.id} is {row.state}: there is no order of it to take back")
    message = await last_message(conn, site_id, row.document)
    if message is None or not can_undo(row, message):
        raise ConflictError(f"order {row.document} {_why_not(message)}; cancel the order, and {row.partner} is told")
    await _cancel(conn, row, actor, now)
    await set_message(conn, message, state="withdrawn")
    await forget_approvals(conn, site_id, row.id)
    told = f"taken back by {actor}" + (f": {reason.strip()}" if reason.strip() else "")
    cost = row.proposal.cost
    await change(
        conn,
        row,
        state="expired" if row.expires_at is not None and row.expires_at <= now else "proposed",
        changed_at=now,
        decided_at=None,
        decided_by="",
        reason=told,
        quantity=row.proposal.quantity,
        cost_minor=None if cost is None else cost.minor,
        document="",
    )
    detail = {"item": row.item, "document": row.document, "was": row.state, "reason": reason.strip()}
    await record(conn, now, actor, "recommendation.undo", site_id, row.id, detail)
    return await find(conn, site_id, row.id)


async def _cancel(conn: AsyncConnection, row: RecommendationRow, actor: str, now: int) -> None:
    d = schema.document.c
    found = (await conn.execute(select(d.body, d.progress).where(d.site_id == row.site_id, d.id == row.document))).one()
    notices = await conn.execute(
        select(d.id).where(d.site_id == row.site_id, d.announces == row.document).order_by(d.id).limit(1)
    )
    if (notice := notices.scalar()) is not None:
        raise ConflictError(f"order {row.document} was announced already by {notice}; cancel the order instead")
    document = read_document(found.body)
    if found.progress != "waiting" or document.state != "open":
        raise ConflictError(f"order {row.document} is {document.state}, {found.progress}: it cannot be taken back")
    cancelled = msgspec.structs.replace(
        document, revision=document.revision + 1, state="cancelled", reason=f"taken back by {actor}"[:300]
    )
    await store_revision(conn, row.site_id, cancelled, actor, now)


def _why_not(message: Message | None) -> str:
    if message is None:
        return "was not opened to go out from here"
    if message.state == "sent":
        return f"has gone out to {message.supplier}"
    if message.state == "withdrawn":
        return "was cancelled already"
    return f"is on its way to {message.supplier}, who may have it"
