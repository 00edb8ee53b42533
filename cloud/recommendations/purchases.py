"""Purchase orders as people follow them: what was ordered, whether it went out, what was promised, what is late."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, Table, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError, NotFoundError
from cloud.recommendations.consequences import settle_unsent
from cloud.recommendations.orders import Message, find_order, last_message, set_message
from cloud.store import plans, schema
from cloud.store.audit import record
from runtime.system import Runtime
from vocabulary.document import Document

#: How far an order is on its way to its supplier; `by hand`: it waits for a person.
Sending = Literal["waiting", "by hand", "sent", "failed", "withdrawn", "none"]

#: Characters of a note on how a person sent it.
MOST_HOW = 300


class PurchaseRow(msgspec.Struct, frozen=True):
    """A purchase order in a list; times in µs UTC, money in minor units.

    `sending` waiting, by hand (a person sends it), sent, failed, or none where it does not go out from here; not before
    `not_before`. `wanted_day` is the day it was proposed for, `due_day` what counts now, `answer` the supplier's last word;
    `promised_late`: for a later day than wanted; `overdue`: open and past its due time.
    """

    site_id: str
    id: str
    revision: int
    supplier: str
    reference: str
    state: str
    progress: str
    opened_at: int
    due: int | None
    due_day: str
    wanted_day: str
    cost_minor: int | None
    currency: str
    recommendation: str
    sending: str
    not_before: int | None
    attempts: int
    sent_at: int | None
    error: str
    answer: str
    answered_at: int | None
    promised_late: bool
    overdue: bool

    @property
    def late(self) -> bool:
        """Whether it comes, or has not come, after the day it was wanted."""
        return self.promised_late or self.overdue


def purchases(now: int) -> Select[*tuple[Any, ...]]:
    """Every purchase order, with the columns of PurchaseRow; for a caller to narrow and order."""
    d, m, a, r = schema.document.c, plans.purchase_message.c, plans.acknowledgement.c, schema.recommendation.c
    due_day = func.coalesce(_of_lines(func.max(schema.document_line.c.day)), "")
    wanted = func.coalesce(r.by_day, "")
    late = and_(d.state == "open", a.n.is_not(None), wanted != "", due_day > wanted)
    return (
        select(
            d.site_id, d.id, d.revision, d.partner.label("supplier"), d.reference, d.state, d.progress, d.opened_at, d.due,
            case((d.due.is_(None), ""), else_=due_day).label("due_day"), wanted.label("wanted_day"), r.cost_minor,
            func.coalesce(r.currency, "").label("currency"), func.coalesce(r.id, "").label("recommendation"),
            sending().label("sending"), m.not_before, func.coalesce(m.attempts, 0).label("attempts"), m.sent_at,
            func.coalesce(m.error, "").label("error"), func.coalesce(a.state, "").label("answer"),
            a.at.label("answered_at"), late.label("promised_late"), overdue(now).label("overdue"),
        )
        .select_from(schema.document)
        .outerjoin(
            plans.purchase_message,
            and_(m.site_id == d.site_id, m.document == d.id, m.revision == _newest(plans.purchase_message, "revision")),
        )
        .outerjoin(
            plans.acknowledgement,
            and_(a.site_id == d.site_id, a.document == d.id, a.n == _newest(plans.acknowledgement, "n")),
        )
        .outerjoin(schema.recommendation, and_(r.site_id == d.site_id, r.id == d.source))
        .where(d.type == "expected-receipt", d.announces == "", d.opened_by == "cloud", d.partner != "")
    )  # fmt: skip


def sending() -> ColumnElement[str]:
    """A row's Sending."""
    m = plans.purchase_message.c
    by_hand = and_(m.state == "waiting", m.channel != "webhook")
    return case((m.state.is_(None), "none"), (by_hand, "by hand"), else_=m.state)


def overdue(now: int) -> ColumnElement[bool]:
    """Open and past its due time."""
    d = schema.document.c
    return and_(d.state == "open", d.due.is_not(None), d.due < now)


def _newest(table: Table, key: str) -> Any:
    """The greatest `key` of an order's rows in `table`."""
    other = table.alias().c
    d = schema.document.c
    return (
        select(func.max(other[key]))
        .where(other.site_id == d.site_id, other.document == d.id)
        .correlate(schema.document)
        .scalar_subquery()
    )


def _of_lines(value: ColumnElement[Any]) -> Any:
    line, d = schema.document_line.c, schema.document.c
    query = select(value).where(line.site_id == d.site_id, line.document == d.id)
    return query.correlate(schema.document).scalar_subquery()


def shown_to_partners(now: int) -> ColumnElement[bool]:
    """Whether a supplier may see a document: an order shows when it can no longer be taken back without their knowing."""
    m, d = plans.purchase_message.c, schema.document.c
    held = select(m.revision).where(
        m.site_id == d.site_id, m.document == d.id, m.state == "waiting", m.attempts == 0, m.not_before > now
    )
    return ~held.correlate(schema.document).exists()


async def mark_sent(
    conn: AsyncConnection, runtime: Runtime, actor: str, site_id: str, order: str, how: str = ""
) -> Document:
    """A person has sent the order: from now on it cannot be taken back. Raises NotFoundError, ConflictError, BadInputError."""
    if len(how) > MOST_HOW:
        raise BadInputError(f"how: it has {len(how)} characters, {MOST_HOW} are the most")
    document, message = await _order(conn, site_id, order)
    now = runtime.now()
    if message.state not in ("waiting", "failed"):
        raise ConflictError(f"order {order} is {message.state} already")
    await set_message(conn, message, state="sent", sent_at=now, error="")
    await settle_unsent(conn, site_id, order, now, f"{actor} sent it by hand.")
    await record(conn, now, actor, "purchase.sent-by-hand", site_id, order, {"revision": message.revision, "how": how})
    return document


async def send_again(conn: AsyncConnection, runtime: Runtime, actor: str, site_id: str, order: str) -> Document:
    """Try an order that did not get through once more, from now on. Raises NotFoundError, ConflictError."""
    document, message = await _order(conn, site_id, order)
    now = runtime.now()
    if message.state != "failed" and not (message.state == "waiting" and message.attempts):
        raise ConflictError(f"order {order} did not fail: its message is {message.state}")
    await set_message(conn, message, state="waiting", attempts=1, not_before=now, error="")
    await record(conn, now, actor, "purchase.send-again", site_id, order, {"revision": message.revision})
    return document


async def _order(conn: AsyncConnection, site_id: str, order: str) -> tuple[Document, Message]:
    document = await find_order(conn, site_id, order)
    if document is None:
        raise NotFoundError(f"site {site_id} has no purchase order {order}")
    message = await last_message(conn, site_id, order)
    if message is None:
        raise ConflictError(f"order {order} was not opened from a proposal: nothing of it goes out from here")
    return document, message
