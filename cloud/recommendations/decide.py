"""A person's answer to a proposal, in one transaction: its state, the audit entry and, when accepted, the purchase order."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import store_document
from cloud.recommendations.rows import UNANSWERED, RecommendationRow, find
from cloud.store import schema
from cloud.store.audit import record
from runtime.system import Runtime
from vocabulary.document import Document, DocumentLine
from vocabulary.quantity import amount
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

    Accepting or editing a purchase opens the document `PO-...`, which the site's gateway and the supplier are told. Raises
    NotFoundError; ConflictError when it was answered, replaced or has expired; BadInputError for an unusable answer.
    """
    now = runtime.now()
    row = await find(conn, site_id, recommendation_id)
    _check(row, decision, now)
    changed: dict[str, str | int | None] = {
        "state": _STATES[decision.action],
        "changed_at": now,
        "decided_at": now,
        "decided_by": actor,
        "reason": decision.reason.strip(),
        "snoozed_until": decision.until if decision.action == "snooze" else None,
    }
    if decision.action in ("accept", "edit"):
        quantity = row.quantity if decision.quantity is None else decision.quantity
        document = await _purchase_order(conn, row, quantity, actor, now)
        assert isinstance(document.value, msgspec.Struct)
        changed |= {"quantity": quantity, "document": document.id, "cost_minor": document.value.minor}
    table = schema.recommendation.c
    await conn.execute(
        update(schema.recommendation)
        .where(table.site_id == site_id, table.id == recommendation_id, table.state.in_(UNANSWERED))
        .values(**changed)
    )
    detail = msgspec.structs.asdict(decision) | {"item": row.item, "document": changed.get("document", "")}
    await record(conn, now, actor, f"recommendation.{decision.action}", site_id, recommendation_id, detail)
    return await find(conn, site_id, recommendation_id)


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


async def _purchase_order(
    conn: AsyncConnection, row: RecommendationRow, quantity: int, actor: str, now: int
) -> Document:
    """Open the purchase order of an accepted proposal at the supplier's present price."""
    term = schema.term.c
    price = (
        await conn.execute(
            select(term.price_micro, term.currency).where(
                term.site_id == row.site_id, term.item == row.item, term.supplier == row.partner
            )
        )
    ).first()
    if price is None:
        raise ConflictError(
            f"supplier {row.partner} has no terms for {row.item} at {row.site_id} any more; reject this and start a cycle"
        )
    site = schema.site.c
    place = (
        await conn.execute(select(site.zone, site.day_start, site.opens, site.closes).where(site.id == row.site_id))
    ).one()
    document = Document(
        id="PO-" + row.id.removeprefix("REC-"),
        revision=1,
        type="expected-receipt",
        state="open",
        lines=(DocumentLine(1, row.item, quantity, unit_cost=price.price_micro, currency=price.currency),),
        partner=row.partner,
        source=row.id,
        due=_closing(row.by_day, place.zone, place.closes),
        value=amount(price.price_micro, quantity, price.currency),
    )
    days = BusinessDays(place.zone, place.day_start, place.opens, place.closes)
    # An expected receipt is no demand: the daily figures that storing a document may change stay empty.
    await store_document(
        conn, row.site_id, document, opened_by="cloud", at=now, days=days, daily=DailyChanges(), actor=actor
    )
    await conn.execute(update(schema.site).where(site.id == row.site_id).values(downlink=site.downlink + 1))
    return document


def _closing(day: str, zone: str, closes: int) -> int:
    """When a site closes on a day, microseconds UTC: an order due that day is in time until then."""
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(zone))
    return round((midnight + timedelta(minutes=closes)).timestamp() * 1_000_000)
