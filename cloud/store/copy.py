"""Copying headquarters' database into another one, SQLite or PostgreSQL, and proving that the copy says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, Table, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.errors import BadInputError, ConflictError
from cloud.store import lanes, processes, schema
from cloud.store.database import reading, sqlstate, writing
from cloud.store.migrate import check_version, migrate

#: Rows held in memory at a time: some 5 MB of ledger.
BATCH = 5_000

#: (table, rows done, rows in all): called as a copy goes on.
Progress = Callable[[str, int, int], None]


class Copied(NamedTuple):
    """A table that was copied: its rows, and the SHA-256 over them in the order of the key, the same at both ends."""

    table: str
    rows: int
    checksum: str


def tables() -> list[Table]:
    """What a copy takes along, by name: everything but what processes tell each other."""
    passing = (processes.change_count, processes.lease)
    return [
        table for table in sorted(schema.metadata.tables.values(), key=lambda one: one.name) if table not in passing
    ]


async def copy_database(source: AsyncEngine, target: AsyncEngine, progress: Progress) -> list[Copied]:
    """Bring every row of `source` into the empty `target`, compare both by counts and checksums, commit; all or nothing.

    A snapshot of `source` is taken: what is written there meanwhile is not in the copy. Raises ConflictError where the
    versions do not fit, `target` is not empty or the copy says something else; BadInputError for a text that `target`
    cannot hold. An interrupted copy leaves `target` empty and is begun again.
    """
    await check_version(source)
    await migrate(target)
    done: list[Copied] = []
    async with reading(source) as old, writing(target) as new:
        await _refuse_full(new)
        for table in tables():
            copied = await _copy(old, new, table, progress)
            found = await _digest(new, table)
            if found != copied:
                raise ConflictError(
                    f"table {table.name}: the copy has {found.rows} rows with checksum {found.checksum[:12]}, the source "
                    f"{copied.rows} with {copied.checksum[:12]}; nothing was kept"
                )
            done.append(copied)
    return done


async def _refuse_full(conn: AsyncConnection) -> None:
    for table in tables():
        if (await conn.execute(select(table).limit(1))).first() is not None:
            raise ConflictError(
                f"the target is not empty (table {table.name} has rows); give it an empty database of its own"
            )


async def _copy(old: AsyncConnection, new: AsyncConnection, table: Table, progress: Progress) -> Copied:
    total: int = (await old.execute(select(func.count()).select_from(table))).scalar_one()
    rows, digest = 0, sha256()
    progress(table.name, 0, total)
    async for part in (await old.stream(_ordered(table))).partitions(BATCH):
        batch = [tuple(row) for row in part]
        _update(digest, batch)
        try:
            await lanes.append(new, table, batch)
        except DBAPIError as error:
            if sqlstate(error) not in ("22021", "22P05"):
                raise
            raise BadInputError(
                f"table {table.name}: a text among rows {rows + 1} to {rows + len(batch)} holds U+0000, which PostgreSQL "
                "cannot store; take it out and copy again"
            ) from None
        rows += len(batch)
        progress(table.name, rows, total)
    return Copied(table.name, rows, digest.hexdigest())


async def _digest(conn: AsyncConnection, table: Table) -> Copied:
    rows, digest = 0, sha256()
    async for part in (await conn.stream(_ordered(table))).partitions(BATCH):
        batch = [tuple(row) for row in part]
        _update(digest, batch)
        rows += len(batch)
    return Copied(table.name, rows, digest.hexdigest())


def _ordered(table: Table) -> Select[Any]:
    return select(table).order_by(*table.primary_key)


def _update(digest: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    for row in rows:
        digest.update(msgspec.json.encode(row))
