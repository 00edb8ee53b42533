"""Documents at headquarters: storing a revision, and following how far each is.

A purchase order is an expected receipt; the ASN behind it is another one whose `source` names the order. What arrives
against the ASN's lines counts for the order's lines of the same item too. Only its opener changes a document: what
headquarters opened, headquarters closes when it is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec import UNSET
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import ConflictError
from cloud.projections import arrivals
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import ORDERED, DailyChanges
from cloud.store import lanes, schema
from vocabulary.document import Document, Progress, progress_of

_decoder = msgspec.json.Decoder(Document)
_encoder = msgspec.json.Encoder()

#: Document.reason of one that headquarters closed because everything came.
COMPLETE = "complete"


def read_document(body: bytes) -> Document:
    """The document in the column `body`."""
    return _decoder.decode(body)


async def store_document(
    conn: AsyncConnection,
    site_id: str,
    document: Document,
    *,
    opened_by: str,
    at: int,
    days: BusinessDays,
    daily: DailyChanges,
    actor: str = "",
) -> None:
    """Store a revision of a document, whole; orders change the demand of their requested day in `daily`.

    An older or equal revision than the stored one changes nothing. Raises ConflictError where the other program opened it.
    """
    c = schema.document.c
    key = (c.site_id == site_id, c.id == document.id)
    before = (await conn.execute(select(c.revision, c.opened_by, c.opened_at).where(*key))).first()
    if before is not None:
        if before.opened_by != opened_by:
            raise ConflictError(
                f"document {document.id} was opened by the {before.opened_by}; only its opener changes it"
            )
        if before.revision >= document.revision:
            return
    opened_at = at if before is None else before.opened_at
    await _change_lines(
        conn, site_id, document, days.day(opened_at if document.due is UNSET else document.due), days, daily
    )
    source = "" if document.source is UNSET else document.source
    announced = (
        (await conn.execute(select(c.id).where(c.site_id == site_id, c.id == source))).first() if source else None
    )
    row = {
        "revision": document.revision,
        "type": document.type,
        "state": document.state,
        "partner": _text(document.partner),
        "reference": _text(document.reference),
        "source": source,
        "announces": source if announced is not None else "",
        "from_site": _text(document.from_site),
        "to_site": _text(document.to_site),
        "due": None if document.due is UNSET else document.due,
        "opened_by": opened_by,
        "opened_at": opened_at,
        "changed_at": at,
        "actor": actor,
        "body": _encoder.encode(document),
    }
    if before is None:
        await conn.execute(schema.document.insert().values(site_id=site_id, id=document.id, **row))
    else:
        await conn.execute(update(schema.document).where(*key).values(**row))
    done = await _done(conn, site_id, [document.id])
    progress = progress_of(document, done.get(document.id, {}))
    await conn.execute(update(schema.document).where(*key).values(progress=progress.state))
    if document.id in done:  # a revision may name other items, and goods may come before their document
        await arrivals.derive(conn, site_id, [document.id])


async def _change_lines(
    conn: AsyncConnection, site_id: str, document: Document, day: str, days: BusinessDays, daily: DailyChanges
) -> None:
    c = schema.document_line.c
    mine = (c.site_id == site_id, c.document == document.id)
    for line in (await conn.execute(select(schema.document_line).where(*mine))).mappings().all():
        if is_demand(line["type"], line["state"]):
            daily.add(line["item"], line["day"], ORDERED, -line["quantity"])
    await conn.execute(delete(schema.document_line).where(*mine))
    rows: list[lanes.Row] = []
    for line in document.lines:
        if is_demand(document.type, document.state):
            daily.add(line.item, day, ORDERED, line.quantity)
        rows.append(
            (
                site_id,
                document.id,
                line.line,
                document.type,
                document.state,
                line.item,
                _text(line.lot),
                line.quantity,
                day,
                0 if line.unit_cost is UNSET else line.unit_cost,
                _text(line.currency),
            )
        )
    await lanes.append(conn, schema.document_line, rows)


def is_demand(kind: str, state: str) -> bool:
    """Whether the lines of such a document are demand: orders that were not cancelled."""
    return kind == "outbound-order" and state != "cancelled"


def _text(value: str | msgspec.UnsetType) -> str:
    return "" if value is UNSET else value


@dataclass(slots=True)
class _Known:
    document: Document
    announces: str
    opened_by: str


async def advance(
    conn: AsyncConnection, site_id: str, done: Mapping[str, Mapping[int, int]], at: int, *, live: bool
) -> bool:
    """Add what was `done` (base units per document and line) and follow the progress; True where the gateway must be told."""
    known = await _documents(conn, site_id, list(done))
    orders = await _documents(
        conn, site_id, list(dict.fromkeys(one.announces for one in known.values() if one.announces))
    )
    changes: dict[tuple[str, int], int] = {}
    for name, lines in done.items():
        notice = known.get(name)
        order = orders.get(notice.announces) if notice else None
        for number, quantity in lines.items():
            changes[name, number] = changes.get((name, number), 0) + quantity
            if notice and order and (line := _same_line(notice.document, number, order.document)) is not None:
                changes[order.document.id, line] = changes.get((order.document.id, line), 0) + quantity
    await lanes.add(conn, schema.document_done, [(site_id, *key, quantity) for key, quantity in changes.items()])
    if not live:
        return False
    return await _follow(conn, site_id, known | orders, at)


def _same_line(notice: Document, number: int, order: Document) -> int | None:
    """The order's line that line `number` of the ASN answers: the same item, the same number where several have it."""
    item = next((line.item for line in notice.lines if line.line == number), None)
    numbers = [line.line for line in order.lines if line.item == item]
    return number if number in numbers else (numbers[0] if numbers else None)


async def _follow(conn: AsyncConnection, site_id: str, known: Mapping[str, _Known], at: int) -> bool:
    """Store each document's progress; close what is complete, open again what a correction took back."""
    done = await _done(conn, site_id, list(known))
    told = False
    c = schema.document.c
    for name, one in known.items():
        progress = progress_of(one.document, done.get(name, {}))
        values: dict[str, str | int | bytes] = {"progress": progress.state, "changed_at": at}
        revised = _revised(one, progress)
        if revised is not None:
            told = True
            values |= {"revision": revised.revision, "state": revised.state, "body": _encoder.encode(revised)}
            line = schema.document_line.c
            await conn.execute(
                update(schema.document_line)
                .where(line.site_id == site_id, line.document == name)
                .values(state=revised.state)
            )
            await _answer_recommendation(conn, site_id, name, revised.state, at)
        await conn.execute(update(schema.document).where(c.site_id == site_id, c.id == name).values(**values))
    return told


def _revised(one: _Known, progress: Progress) -> Document | None:
    document = one.document
    full = progress.state in ("complete", "over")
    if one.opened_by != "cloud" or document.type not in ("expected-receipt", "outbound-order", "transfer"):
        return None
    if full and document.state == "open":
        return msgspec.structs.replace(document, state="closed", reason=COMPLETE, revision=document.revision + 1)
    if not full and document.state == "closed" and document.reason == COMPLETE:
        return msgspec.structs.replace(document, state="open", reason=UNSET, revision=document.revision + 1)
    return None


async def _answer_recommendation(conn: AsyncConnection, site_id: str, document: str, state: str, at: int) -> None:
    """The proposal behind a document that is complete is fulfilled; one whose goods were taken back is under way again."""
    c = schema.recommendation.c
    old, new = ("released", "fulfilled") if state == "closed" else ("fulfilled", "released")
    open_states = (old, "accepted", "edited", "auto-accepted") if state == "closed" else (old,)
    await conn.execute(
        update(schema.recommendation)
        .where(c.site_id == site_id, c.document == document, c.state.in_(open_states))
        .values(state=new, changed_at=at)
    )


async def _documents(conn: AsyncConnection, site_id: str, names: list[str]) -> dict[str, _Known]:
    c = schema.document.c
    found = await lanes.select_in(conn, (c.id, c.body, c.announces, c.opened_by), site_id, c.id, names)
    return {row[0]: _Known(read_document(row[1]), row[2], row[3]) for row in found}


async def _done(conn: AsyncConnection, site_id: str, names: list[str]) -> dict[str, dict[int, int]]:
    c = schema.document_done.c
    done: dict[str, dict[int, int]] = {}
    for name, line, quantity in await lanes.select_in(
        conn, (c.document, c.line, c.quantity), site_id, c.document, names
    ):
        done.setdefault(name, {})[line] = quantity
    return done
