"""A person's answer to a proposal, in one transaction: its state, the audit entry and, when accepted, the purchase order."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError
from cloud.recommendations.approvals import approve, two_needed
from cloud.recommendations.orders import open_order, price_of
from cloud.recommendations.rows import UNANSWERED, RecommendationRow, change, find
from cloud.store.audit import record
from runtime.system import Runtime
from vocabulary.recommendation import RecommendationState

#: Base units that one order may ask for: far beyond any truck, far below what an integer column holds.
MOST_QUANTITY = 1_000_000_000
#: Characters of a reason.
MOST_REASON = 500
#: A proposal sleeps for a year at most, microseconds.
MOST_SNOOZE = 365 * 86_400_000_000

_STATES: dict[str, RecommendationState] = {
    "accept": "accepted",
    "edit": "edited",
    "reject": "rejected",
    "snooze": "snoozed",
}


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An answer. `quantity` (base units) with `edit`; `until` (microseconds UTC) with `snooze`; `reject` gives a reason."""

    action: Literal["accept", "edit", "reject", "snooze"]
    quantity: int | None = None
    until: int | None = None
    reason: str = ""


async def decide(
    conn: AsyncConnection, runtime: Runtime, actor: str, site_id: str, recommendation_id: str, decision: Decision
) -> RecommendationRow:
    """Answer a waiting proposal inside the caller's writing transaction, and return it as it stands afterwards.

    Accepting or editing a purchase opens the document `PO-...`, which the site's gateway is told at once and the supplier
    when it can no longer be taken back; above the policy's limit the first approval leaves it waiting for a second person.
    Raises NotFoundError; ConflictError when it was answered, replaced or has expired; BadInputError for an unusable answer.
    """
    now = runtime.now()
    row = await find(conn, site_id, recommendation_id)
    _check(row, decision, now)
    if decision.action in ("accept", "edit"):
        return await _approve(conn, row, decision, actor, now)
    changed: dict[str, str | int | None] = {
        "state": _STATES[decision.action],
        "changed_at": now,
        "decided_at": now,
        "decided_by": actor,
        "reason": decision.reason.strip(),
        "snoozed_until": decision.until if decision.action == "snooze" else None,
    }
    await change(conn, row, **changed)
    await record(conn, now, actor, f"recommendation.{decision.action}", site_id, row.id, _detail(row, decision))
    return await find(conn, site_id, recommendation_id)


async def _approve(
    conn: AsyncConnection, row: RecommendationRow, decision: Decision, actor: str, now: int
) -> RecommendationRow:
    """Open the order, or note the first of two approvals: then the proposal waits on, and says for whom."""
    quantity = row.quantity if decision.quantity is None else decision.quantity
    price = await price_of(conn, row, quantity)
    detail, reason = _detail(row, decision), decision.reason.strip()
    if await two_needed(conn, row, price.of(quantity)):
        first = await approve(conn, row, quantity, actor, reason, now)
        if not first:
            told = f"approved by {actor} for {quantity}, waits for a second person" + (f": {reason}" if reason else "")
            await change(conn, row, reason=told, changed_at=now, state="proposed", snoozed_until=None)
            await record(conn, now, actor, "recommendation.approve", row.site_id, row.id, detail)
            return await find(conn, row.site_id, row.id)
        detail["first_approval"] = first
        reason = f"{reason} (first approved by {first})" if reason else f"first approved by {first}"
    document = await open_order(conn, row, quantity, price, actor, now)
    await change(
        conn,
        row,
        state=_STATES[decision.action],
        changed_at=now,
        decided_at=now,
        decided_by=actor,
        reason=reason,
        snoozed_until=None,
        quantity=quantity,
        document=document.id,
        cost_minor=price.of(quantity).minor,
    )
    detail["document"] = document.id
    await record(conn, now, actor, f"recommendation.{decision.action}", row.site_id, row.id, detail)
    return await find(conn, row.site_id, row.id)


def _detail(row: RecommendationRow, decision: Decision) -> dict[str, object]:
    return {**msgspec.structs.asdict(decision), "item": row.item, "document": ""}


def _check(row: RecommendationRow, decision: Decision, now: int) -> None:
    if row.state not in UNANSWERED:
        told = f" by {row.decided_by}" if row.decided_by else ", because a newer proposal or the stock made it needless"
        raise ConflictError(
            f"recommendation {row.id} is already {row.state}{told}; look at the newest one of {row.item}"
        )
    if row.expires_at is not None and row.expires_at <= now:
        raise ConflictError(f"recommendation {row.id} has expired; wait for the next decision cycle or start one")
    if row.kind != "purchase" and decision.action in ("accept", "edit"):
        raise ConflictError(f"recommendation {row.id} is of kind {row.kind}, for which there is no document yet")
    if (decision.action == "edit") != (decision.quantity is not None):
        raise BadInputError("quantity: give it with the action edit, and with no other")
    if decision.quantity is not None and not 0 < decision.quantity <= MOST_QUANTITY:
        raise BadInputError(f"quantity: {decision.quantity} is not between 1 and {MOST_QUANTITY} base units")
    if (decision.action == "snooze") != (decision.until is not None):
        raise BadInputError("until: give it with the action snooze, and with no other")
    if decision.until is not None and not now < decision.until <= now + MOST_SNOOZE:
        raise BadInputError("until: it must be a time ahead, within a year, in microseconds UTC")
    if decision.action == "reject" and not decision.reason.strip():
        raise BadInputError("reason: say why it is rejected, so that the next proposal can be better")
    if len(decision.reason) > MOST_REASON:
        raise BadInputError(f"reason: it has {len(decision.reason)} characters, {MOST_REASON} are the most")
