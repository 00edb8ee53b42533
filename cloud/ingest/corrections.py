"""A person says that a movement did not happen so: the gateway is told to reverse the whole event (ledger rule 8).

Headquarters never writes stock: it sends a command, and the reversal comes back as a record. At most once: an event that is
taken back, or whose correction is on its way, is refused; one that the site refused or let expire is free again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError, NotFoundError
from cloud.ingest import commands
from cloud.ingest.events import Event, EventRow, read_branches, read_event, reversed_beside
from cloud.store import audit, schema
from runtime import Runtime
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account, is_virtual
from vocabulary.records import LARGEST_INTEGER, fault_in
from vocabulary.wire import OPENING_SNAPSHOT, Command, CorrectMovement

#: Microseconds after which a gateway may have cut a row: retention keeps 35 days, a command may be executed 7 days after
#: it was sent, and the site's clock may differ by a day.
MAY_BE_CUT_US = 27 * 86_400_000_000
#: Bytes of rows that travel with a command: all of a downlink is told again at each change.
ORIGINAL_BYTES = 256 << 10
#: The rule named by what a person at headquarters says did happen.
RULE = "correction/1"

ReplacementKind = Literal[
    "receiving", "storing", "moving", "picking", "shipping", "returning", "consuming", "producing", "destroying"
]
Name = Annotated[str, Meta(max_length=200)]

_command = msgspec.json.Decoder(Command)
_encoder = msgspec.json.Encoder()


class ReplacementLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Goods that did move: base units, with their lot or (where there is none) expiry, an ISO date."""

    item: Name
    quantity: Annotated[int, Meta(ge=1, le=10**12)]
    lot: Name = ""
    expiry: Name = ""


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """What did happen, at the time of the event. Without `lines` it is the same units and goods."""

    kind: ReplacementKind
    from_: Account
    to: Account
    document: Name = ""
    lines: Annotated[tuple[ReplacementLine, ...], Meta(max_length=200)] = ()


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the event did not happen so, and what happened instead, if anything did."""

    reason: Annotated[str, Meta(max_length=500)]
    replacement: Replacement | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """An event as a person judges it: `standing`, the rows that a correction reverses; `refusal`, why there can be none."""

    event: Event
    standing: tuple[EventRow, ...]
    refusal: str


async def read_case(conn: AsyncConnection, site_id: str, epoch: int, seq: int, now: int) -> Case:
    """The event of row `seq` of `epoch`, and what a correction of it would reverse. Raises NotFoundError, BadInputError."""
    event = await read_event(conn, site_id, epoch, seq)
    if event.refusal:
        return Case(event, (), event.refusal)
    under_way, gone = await _commands(conn, event, now)
    standing = tuple(row for row in event.standing if (row.epoch, row.seq) not in gone)
    if under_way:
        refusal = "A correction of this event is on its way to the site; it counts when the site has recorded it."
    elif not standing:
        refusal = "This event was taken back already; a row is reversed at most once."
    elif any(row.movement.kind == "counting" for row in standing):
        refusal = "This comes from a count; count again to correct it."
    elif any(row.movement.rule == OPENING_SNAPSHOT for row in standing):
        refusal = "This only repeats to a new gateway what headquarters held; correct the movement behind it."
    else:
        refusal = ""
    return Case(event, standing, refusal)


async def _commands(conn: AsyncConnection, event: Event, now: int) -> tuple[bool, set[tuple[int, int]]]:
    """Whether a correction of the event is under way, and the rows that corrections took back in another ledger."""
    c = schema.command.c
    found = await conn.execute(
        select(c.body, c.result, c.expires_at).where(
            c.site_id == event.site_id,
            c.result.in_(("", "done")),
            c.created_at >= min(row.received_at for row in event.rows),
        )
    )
    mine = {(row.epoch, row.seq) for row in event.rows}
    under_way, gone = False, set[tuple[int, int]]()
    for body, result, expires_at in found:
        if b'"correct-movement"' not in body:
            continue
        order = _command.decode(body).order
        if not isinstance(order, CorrectMovement) or not order.epoch:
            continue
        epoch = int(order.epoch)
        if event.branches.stored_in(epoch, order.group) is None:
            continue
        named = {event.branches.key(epoch, seq) for seq in (order.group, *order.rows)} & mine
        if named and result == "done":
            gone |= named if order.rows else set()
        elif named:
            under_way = under_way or expires_at > now
    return under_way, gone


async def rows_taken_back(conn: AsyncConnection, site_id: str, epoch: int) -> list[int]:
    """The rows along the branch `epoch` that rows of other branches reverse, or a correction in another ledger; sorted.

    Only rows of the tails that the branch does not have are read.
    """
    branches = await read_branches(conn, site_id)
    gone = await reversed_beside(conn, site_id, branches, epoch)
    c = schema.command.c
    for body in (await conn.execute(select(c.body).where(c.site_id == site_id, c.result == "done"))).scalars():
        order = _command.decode(body).order if b'"correct-movement"' in body else None
        if isinstance(order, CorrectMovement) and order.epoch:
            gone |= {branches.key(int(order.epoch), seq) for seq in order.rows}
    return sorted({seq for stored, seq in gone if branches.holds(epoch, stored, seq)})


async def correct(
    conn: AsyncConnection, runtime: Runtime, site_id: str, epoch: int, seq: int, wanted: Correction, actor: str
) -> str:
    """Send the correction of the event of row `seq` of `epoch`, in the caller's writing transaction; the command's id.

    Raises BadInputError (reason, replacement), NotFoundError (no such movement), ConflictError (taken back, under way, a
    count, no gateway).
    """
    reason, now = wanted.reason.strip(), runtime.now()
    if not reason:
        raise BadInputError("reason: say why it did not happen so, so that it can be understood later")
    case = await read_case(conn, site_id, epoch, seq, now)
    if case.refusal:
        raise ConflictError(case.refusal)
    g = schema.gateway.c
    present = (await conn.execute(select(g.epoch).where(g.site_id == site_id, g.revoked_at.is_(None)))).first()
    if present is None:
        raise ConflictError(f"site {site_id} has no gateway that could post it; enrol one first")
    order = _order(case, int(present.epoch or 0), now, reason, actor)
    if wanted.replacement is not None:
        await _check(conn, site_id, wanted.replacement)
        order = msgspec.structs.replace(order, replacement=_movement(wanted.replacement, case.standing))
    if fault := fault_in(_encoder.encode(order)):
        raise BadInputError(f"the correction {fault}, which no ledger can hold")
    command = await commands.send(conn, runtime, site_id, order, actor)
    detail = {"command": command, "reason": reason, "rows": [row.seq for row in case.standing]}
    await audit.record(conn, now, actor, "movement.correct", site_id, f"{epoch}/{seq}", detail)
    return command


async def find_row(conn: AsyncConnection, site_id: str, position: int) -> tuple[int, int]:
    """(epoch, seq) of the row with arrival number `position` at a site. Raises NotFoundError."""
    row = schema.ledger.c
    query = select(row.epoch, row.seq).where(row.site_id == site_id, row.position == position)
    found = (await conn.execute(query)).first() if 0 < position <= LARGEST_INTEGER else None
    if found is None:
        raise NotFoundError(f"site {site_id} has no record with the arrival number {position}")
    return found.epoch, found.seq


def _order(case: Case, present: int, now: int, reason: str, actor: str) -> CorrectMovement:
    """The command: rows that the present gateway may not have travel with it. Raises ConflictError."""
    event, standing = case.event, case.standing
    elsewhere = [row for row in standing if not event.branches.holds(present, row.epoch, row.seq)]
    if not elsewhere and all(event.branches.holds(present, row.epoch, row.seq) for row in event.rows):
        order = CorrectMovement(event.group, reason, epoch=str(event.epoch), actor=actor)
        if min(row.at for row in standing) > now - MAY_BE_CUT_US:
            return order
        return _with_rows(order, standing)
    branch, group = standing[-1].epoch, standing[0]
    along = all(event.branches.key(branch, row.seq) == (row.epoch, row.seq) for row in standing)
    if len(elsewhere) < len(standing) or not along:
        raise ConflictError(
            "This event stands partly in a branch that the site's ledger has left; count the places instead."
        )
    return _with_rows(CorrectMovement(group.seq, reason, epoch=str(branch), actor=actor), standing)


def _with_rows(order: CorrectMovement, rows: Sequence[EventRow]) -> CorrectMovement:
    original = tuple(msgspec.structs.replace(row.movement, occurred_at=row.at) for row in rows)
    if sum(len(_encoder.encode(movement)) for movement in original) > ORIGINAL_BYTES:
        raise ConflictError("This event is too large to travel to the site; count the places instead.")
    return msgspec.structs.replace(order, original=original, rows=tuple(row.seq for row in rows))


async def _check(conn: AsyncConnection, site_id: str, wanted: Replacement) -> None:
    """Raises BadInputError where the replacement names what is not known."""
    p, b, i = schema.place.c, schema.balance.c, schema.item.c
    for field, account in (("from", wanted.from_), ("to", wanted.to)):
        if is_virtual(account.place):
            continue
        told = select(p.id).where(p.site_id == site_id, p.id == account.place)
        used = select(b.place).where(b.site_id == site_id, b.place == account.place).limit(1)
        if (await conn.execute(told)).first() is None and (await conn.execute(used)).first() is None:
            raise BadInputError(f"replacement.{field}: site {site_id} has no place {account.place!r}")
    if wanted.from_ == wanted.to:
        raise BadInputError("replacement.to: it is the same as from; leave the replacement out if nothing moved")
    names = {line.item for line in wanted.lines}
    known = set((await conn.execute(select(i.id).where(i.id.in_(sorted(names))))).scalars())
    if missing := sorted(names - known):
        raise BadInputError(f"replacement.lines: there is no item {missing[0]!r}")


def _movement(wanted: Replacement, standing: Sequence[EventRow]) -> Movement:
    """What did happen, for the gateway: it fills in the time, and the goods where no line is named."""
    lines = tuple(
        Line(line.item, line.quantity, line.lot or UNSET, line.expiry or UNSET if not line.lot else UNSET)
        for line in wanted.lines
    )
    seen = dict.fromkeys(entry.unit for row in standing for entry in row.movement.units)
    units = () if lines else tuple(UnitEntry(unit) for unit in seen)
    return Movement(
        wanted.kind, wanted.from_, wanted.to, standing[0].at, lines, units, document=wanted.document or UNSET, rule=RULE
    )
