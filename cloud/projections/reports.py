"""What sites report beside movements: counts, exceptions, inspections, and what became of commands."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import case, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import lanes, schema
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.records import CommandResult, Inspection, Record

_encoder = msgspec.json.Encoder()


def ends_command(record: Record) -> bool:
    """Whether `record` says what became of a command, which is then no longer sent."""
    return isinstance(record, CommandResult)


async def store(conn: AsyncConnection, site_id: str, position: int, record: Record, *, live: bool) -> None:
    """Store what a record other than a movement or a document reports; a checkpoint says nothing to headquarters."""
    if isinstance(record, Count):
        await lanes.append(conn, schema.count_line, _count_rows(site_id, position, record))
    elif isinstance(record, ExceptionRecord):
        await store_exception(conn, site_id, record, "gateway")
    elif isinstance(record, Inspection):
        await lanes.append(conn, schema.inspection, [_inspection_row(site_id, position, record)])
    elif isinstance(record, CommandResult) and live:
        c = schema.command.c
        await conn.execute(
            update(schema.command)
            .where(c.site_id == site_id, c.id == record.command)
            .values(result=record.result, text=_or(record.text, ""), finished_at=record.at)
        )


async def store_exception(conn: AsyncConnection, site_id: str, record: ExceptionRecord, origin: str) -> None:
    """Store the present state of an exception; `origin` (gateway or cloud) owns it. `opened_at` is its earliest time."""
    value = record.value
    row = {
        "site_id": site_id,
        "kind": record.kind,
        "subject": record.subject,
        "state": record.state,
        "origin": origin,
        "at": record.at,
        "opened_at": record.at,
        "text": record.text,
        "action": _or(record.action, ""),
        "facts": "" if record.facts is UNSET else _encoder.encode(record.facts).decode(),
        "cause": _or(record.cause, None),
        "value_minor": None if value is UNSET else value.minor,
        "currency": "" if value is UNSET else value.currency,
        "owner": _or(record.owner, ""),
        "due": _or(record.due, None),
        "reason": _or(record.reason, ""),
        "actor": _or(record.actor, ""),
    }
    c = schema.exception.c
    key = (c.site_id == site_id, c.kind == record.kind, c.subject == record.subject)
    kept = {name: value for name, value in row.items() if name not in ("site_id", "kind", "subject", "opened_at")}
    opened = case((c.opened_at > record.at, record.at), else_=c.opened_at)
    changed = await conn.execute(update(schema.exception).where(*key).values(**kept, opened_at=opened))
    if changed.rowcount == 0:
        await conn.execute(schema.exception.insert().values(**row))


def _or(value: str | int | UnsetType, otherwise: str | int | None) -> str | int | None:
    return otherwise if value is UNSET else value


def _count_rows(site_id: str, position: int, record: Count) -> list[lanes.Row]:
    return [
        (
            site_id,
            position,
            number,
            record.account.place,
            record.account.status,
            record.scope,
            line.item,
            _or(line.lot, ""),
            _or(line.expiry, ""),
            line.counted,
            line.book,
            line.first_scan,
            line.cut_off,
            line.again is True,
        )
        for number, line in enumerate(record.lines)
    ]


def _inspection_row(site_id: str, position: int, record: Inspection) -> lanes.Row:
    return (
        site_id,
        position,
        record.at,
        record.item,
        _or(record.lot, ""),
        _or(record.unit, ""),
        record.result,
        record.text,
        _or(record.quantity, None),
        _or(record.rejected, None),
        _or(record.partner, ""),
        _or(record.document, ""),
        _or(record.actor, ""),
    )
