"""What a supplier answers to an order: kept as it came, the order revised to what is promised, and people told what it means.

A refused order is cancelled and a shortened one counts for less, so the next cycle proposes anew for what is missing.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError, NotFoundError
from cloud.projections.documents import COMPLETE
from cloud.recommendations.consequences import raise_answer, settle_answer, settle_unsent
from cloud.recommendations.orders import closing_at, find_order, last_message, set_message, store_revision
from cloud.recommendations.rows import UNDER_WAY
from cloud.store import plans, schema
from cloud.store.audit import record
from runtime.system import Runtime
from vocabulary.document import Document, DocumentLine, progress_of
from vocabulary.quantity import Money, amount

#: Lines of one answer at most, as many as an order has.
MOST_LINES = 2_000
#: Answers to one order at most: a supplier's program that has gone wild fills no disk.
MOST_ANSWERS = 200

Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is promised of an order's line: base units (0: it will not come), and the day it arrives (ISO; else as ordered)."""

    line: int
    quantity: Annotated[int, Meta(ge=0, le=10**12)]
    day: Day | None = None


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A supplier's answer. `changed` names the lines that differ from the order; `reference` is their number for it."""

    state: Literal["accepted", "changed", "refused"]
    text: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")] = ""
    reference: Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")] = ""
    lines: Annotated[tuple[Promise, ...], Meta(max_length=MOST_LINES)] = ()


class Kept(msgspec.Struct, frozen=True):
    """The body of an acknowledgement: the answer, the lines as they were ordered, and until when (µs UTC)."""

    answer: Answer
    ordered: tuple[DocumentLine, ...]
    due: int | None


class Acknowledgement(msgspec.Struct, frozen=True):
    """A row of the table; `revision` is the order's that the answer made."""

    n: int
    revision: int
    at: int
    actor: str
    state: str
    text: str
    kept: Kept


_kept = msgspec.json.Decoder(Kept)


async def answers_to(conn: AsyncConnection, site_id: str, order: str) -> list[Acknowledgement]:
    """Every answer to an order, in their order."""
    a = plans.acknowledgement.c
    rows = await conn.execute(
        select(a.n, a.revision, a.at, a.actor, a.state, a.text, a.body)
        .where(a.site_id == site_id, a.document == order)
        .order_by(a.n)
    )
    return [
        Acknowledgement(row.n, row.revision, row.at, row.actor, row.state, row.text, _kept.decode(row.body))
        for row in rows
    ]


async def acknowledge(
    conn: AsyncConnection, runtime: Runtime, actor: str, partner: str, site_id: str, order: str, answer: Answer
) -> Document:
    """Store an answer inside the caller's writing transaction; the order as it is afterwards.

    `partner` limits it to that supplier's orders, "" for a buyer who enters it. The last answer again changes nothing.
    Raises NotFoundError, ConflictError for an order that has ended, BadInputError naming what cannot be promised.
    """
    now = runtime.now()
    before = await find_order(conn, site_id, order)
    if before is None or (partner and before.partner != partner):
        raise NotFoundError(f"site {site_id} has no order {order} that you may see")
    earlier = await answers_to(conn, site_id, order)
    last = earlier[-1] if earlier else None
    if last is not None and last.kept.answer == answer and last.revision == before.revision:
        return before
    if before.state != "open":
        raise ConflictError(f"order {order} is {before.state} already; a new need becomes a new order")
    if len(earlier) >= MOST_ANSWERS:
        raise ConflictError(f"order {order} was answered {len(earlier)} times; speak with each other")
    asked = Kept(answer, before.lines, None if before.due is UNSET else before.due)
    if last is not None and last.revision == before.revision:  # the buyer changed nothing since
        asked = msgspec.structs.replace(last.kept, answer=answer)
    document = await _promised(conn, site_id, before, asked)
    await store_revision(conn, site_id, document, actor, now)
    await conn.execute(
        plans.acknowledgement.insert().values(
            site_id=site_id,
            document=order,
            n=len(earlier) + 1,
            revision=document.revision,
            at=now,
            actor=actor,
            state=answer.state,
            text=answer.text,
            body=msgspec.json.encode(asked),
        )
    )
    await _follow(conn, site_id, document, asked, actor, now)
    detail = msgspec.to_builtins(answer) | {"revision": document.revision}
    await record(conn, now, actor, f"purchase.{answer.state}", site_id, order, detail)
    return document


async def _follow(conn: AsyncConnection, site_id: str, document: Document, asked: Kept, actor: str, now: int) -> None:
    """Who answers has the order, so its message went out; a refused proposal ends; people learn what is missing or late."""
    message = await last_message(conn, site_id, document.id)
    if message is not None and message.state in ("waiting", "failed"):
        await set_message(conn, message, state="sent", sent_at=now, error="")
        await settle_unsent(conn, site_id, document.id, now, "The supplier has answered it.")
    r = schema.recommendation.c
    if document.state == "cancelled":
        told = f"{_partner(document)} refused the order" + (f": {asked.answer.text}" if asked.answer.text else "")
        await conn.execute(
            schema.recommendation.update()
            .where(r.site_id == site_id, r.document == document.id)
            .values(state="expired", changed_at=now, reason=told[:500])
        )
    if document.state == "closed":
        await conn.execute(
            schema.recommendation.update()
            .where(r.site_id == site_id, r.document == document.id, r.state.in_(UNDER_WAY))
            .values(state="fulfilled", changed_at=now)
        )
    ended = document.state == "cancelled"
    promised = {} if ended else {line.line: line.quantity for line in document.lines}
    missing: dict[str, int] = {}
    for line in asked.ordered:
        if short := line.quantity - promised.get(line.line, 0):
            missing[line.item] = missing.get(line.item, 0) + short
    due = None if document.due is UNSET else document.due
    late_us = due - asked.due if not ended and due is not None and asked.due is not None else 0
    if missing or late_us > 0:
        await raise_answer(conn, site_id, document, missing, late_us, asked.answer.text, now)
    else:
        await settle_answer(conn, site_id, document.id, now, f"{actor}: it comes as ordered.")


async def _promised(conn: AsyncConnection, site_id: str, before: Document, asked: Kept) -> Document:
    """The next revision of the order: what `asked.answer` promises of what was ordered."""
    answer = asked.answer
    revision = before.revision + 1
    reference = answer.reference or before.reference
    if (answer.state == "changed") != bool(answer.lines):
        raise BadInputError("lines: give them with the state changed, and with no other")
    promises = {promise.line: promise for promise in answer.lines}
    await _check(conn, site_id, before, asked, promises)
    refused = answer.state == "refused" or all(
        line.line in promises and not promises[line.line].quantity for line in asked.ordered
    )
    if refused and asked.ordered:
        if (await _done(conn, site_id, before.id)).values():
            raise ConflictError(
                f"goods came against order {before.id} already; promise what comes instead of refusing it"
            )
        return msgspec.structs.replace(
            before,
            revision=revision,
            state="cancelled",
            reason=f"refused by {_partner(before)}"[:300],
            reference=reference,
        )
    lines = tuple(
        msgspec.structs.replace(line, quantity=promises[line.line].quantity) if line.line in promises else line
        for line in asked.ordered
        if line.line not in promises or promises[line.line].quantity
    )
    days = [promise.day for promise in answer.lines if promise.day and promise.quantity]
    due: int | None = await closing_at(conn, site_id, max(days)) if days else asked.due
    if days and asked.due is not None and due is not None and len(lines) > len(days):
        due = max(due, asked.due)  # lines without a word come when they were ordered for
    promised = msgspec.structs.replace(
        before,
        revision=revision,
        lines=lines,
        due=UNSET if due is None else due,
        reference=reference,
        value=_value(lines),
    )
    if lines and progress_of(promised, await _done(conn, site_id, before.id)).state in ("complete", "over"):
        return msgspec.structs.replace(promised, state="closed", reason=COMPLETE)
    return promised


async def _check(
    conn: AsyncConnection, site_id: str, before: Document, asked: Kept, promises: dict[int, Promise]
) -> None:
    ordered = {line.line: line for line in asked.ordered}
    if len(promises) != len(asked.answer.lines):
        raise BadInputError("lines: promise each line once")
    done = await _done(conn, site_id, before.id) if promises else {}
    for number, promise in promises.items():
        if number not in ordered:
            raise BadInputError(f"lines: order {before.id} has no line {number}")
        if promise.quantity > ordered[number].quantity:
            raise BadInputError(
                f"lines: line {number}: {promise.quantity} is more than the {ordered[number].quantity} ordered"
            )
        if promise.quantity < done.get(number, 0):
            raise BadInputError(f"lines: line {number}: {done[number]} have come already, so fewer cannot be promised")
        if promise.day is not None:
            if not is_day(promise.day):
                raise BadInputError(f"lines: line {number}: day: {promise.day} is no date")
            if not "2000-01-01" <= promise.day < "2100-01-01":
                raise BadInputError(f"lines: line {number}: day: {promise.day} is not between 2000 and 2100")


def is_day(text: str) -> bool:
    """Whether a text is a day of the calendar, as ISO writes it."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


async def _done(conn: AsyncConnection, site_id: str, order: str) -> dict[int, int]:
    """Base units that came against an order, by line."""
    done = schema.document_done.c
    rows = await conn.execute(
        select(done.line, done.quantity).where(done.site_id == site_id, done.document == order, done.quantity != 0)
    )
    return {row.line: row.quantity for row in rows}


def _value(lines: tuple[DocumentLine, ...]) -> Money | msgspec.UnsetType:
    total, currencies = 0, {line.currency for line in lines}
    if len(currencies) != 1 or UNSET in currencies:
        return UNSET
    currency = lines[0].currency
    for line in lines:
        if line.unit_cost is UNSET or currency is UNSET:
            return UNSET
        total += amount(line.unit_cost, line.quantity, currency).minor
    return UNSET if currency is UNSET else Money(total, currency)


def _partner(document: Document) -> str:
    return "the supplier" if document.partner is UNSET else document.partner
