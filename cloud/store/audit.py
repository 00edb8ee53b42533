"""Who did what: an append-only table whose rows are chained, so that a changed or removed row shows."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import lanes, schema

_GENESIS = sha256(b"evercount audit 1").digest()
#: Row of `meta` that whoever appends holds: rows of the log itself cannot be locked before they are there.
_LOCK = "audit-writer"


async def record(
    conn: AsyncConnection,
    at: int,
    actor: str,
    action: str,
    site_id: str,
    subject: str,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Append what `actor` did, inside the caller's writing transaction. `action` is `noun.verb`; `detail` is plain data."""
    await lanes.put(conn, schema.meta, [(_LOCK, "")])  # one writer at a time, until its commit: the row is locked
    a = schema.audit.c
    last = (await conn.execute(select(a.n, a.hash).order_by(a.n.desc()).limit(1))).first()
    number, previous = (1, _GENESIS) if last is None else (last.n + 1, last.hash)
    text = msgspec.json.encode(detail or {}, order="sorted").decode()
    await conn.execute(
        schema.audit.insert().values(
            n=number,
            at=at,
            actor=actor,
            action=action,
            site_id=site_id,
            subject=subject,
            detail=text,
            hash=_hash(previous, at, actor, action, site_id, subject, text),
        )
    )


async def broken_at(conn: AsyncConnection) -> int | None:
    """The number of the first row of the audit log that does not follow from the one before it; None when all do."""
    previous, number = _GENESIS, 0
    rows = await conn.stream(select(schema.audit).order_by(schema.audit.c.n))
    async for row in rows:
        expected = _hash(previous, row.at, row.actor, row.action, row.site_id, row.subject, row.detail)
        if row.n != number + 1 or row.hash != expected:
            return number + 1
        previous, number = row.hash, row.n
    return None


def _hash(previous: bytes, *parts: int | str) -> bytes:
    return sha256(previous + msgspec.json.encode(parts)).digest()
