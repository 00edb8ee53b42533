"""The ledger's file as others see it: where it stands, its rows, and what they amount to. Nobody writes here."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite

from gateway.errors import LedgerDamagedError, LedgerUnavailableError
from gateway.ledger.packing import unpack
from vocabulary.chain import link

#: Seconds that a reader waits for a lock; only a schema change takes one that readers feel.
BUSY_S = 5.0


class Head(NamedTuple):
    """The last row of a ledger: its epoch, its seq (0 before the first row) and its hash."""

    epoch: int
    seq: int
    hash: bytes


class Branch(NamedTuple):
    """An epoch of the file, and the last row that it shares with the epoch it left (seq 0 and genesis for the first)."""

    epoch: int
    parent: int | None
    parent_seq: int
    parent_hash: bytes


class LedgerRow(NamedTuple):
    """A row as it travels: its place, its canonical bytes and the hash up to it."""

    seq: int
    body: bytes
    hash: bytes


HEAD_SQL = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1"
BRANCH_SQL = "SELECT epoch, parent, parent_seq, parent_hash FROM branch ORDER BY number DESC LIMIT 1"


class LedgerReader:
    """Reads a ledger beside its writer, on a connection of its own that cannot write."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    async def open(cls, path: Path) -> LedgerReader:
        """Open the ledger at `path` for reading. Raises LedgerUnavailableError."""
        try:
            connection = await aiosqlite.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise LedgerUnavailableError(f"{path} cannot be read: {error}") from error
        return cls(connection, path)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def head(self) -> Head:
        """The last committed row."""
        branch = await self.branch()
        rows = await self._rows(HEAD_SQL)
        return Head(branch.epoch, *rows[0]) if rows else Head(branch.epoch, branch.parent_seq, branch.parent_hash)

    async def branch(self) -> Branch:
        """The epoch that rows are written under now."""
        return Branch(*(await self._rows(BRANCH_SQL))[0])

    async def hash_at(self, seq: int) -> bytes | None:
        """The hash of row `seq`, or the one before the first row; None where this ledger has no such row."""
        rows = await self._rows("SELECT hash FROM ledger WHERE seq = ?", (seq,))
        if not rows:
            rows = await self._rows("SELECT parent_hash FROM branch WHERE parent_seq = ? ORDER BY number", (seq,))
        if not rows:
            rows = await self._rows("SELECT hash FROM position WHERE name = 'base' AND seq = ?", (seq,))
        return rows[0][0] if rows else None

    async def rows(self, first_seq: int, limit: int, max_bytes: int) -> list[LedgerRow]:
        """At most `limit` rows from `first_seq` on whose canonical bytes fit `max_bytes` together; always one if there is one.

        Each row is checked against the chain as it is read; raises LedgerDamagedError at the first that does not fit.
        """
        found = [
            LedgerRow(seq, _plain(body), stored)
            for seq, body, stored in await self._rows(
                "SELECT seq, body, hash FROM ledger WHERE seq >= ? ORDER BY seq LIMIT ?", (first_seq, limit)
            )
        ]
        previous = await self.hash_at(first_seq - 1)
        base = await self._rows("SELECT seq FROM position WHERE name = 'base'") if previous is None else []
        if base and first_seq <= base[0][0]:
            raise LedgerDamagedError(
                f"{self._path} begins at row {base[0][0] + 1}: what is before it was acknowledged and cut"
            )
        total = 0
        for index, row in enumerate(found):
            if row.seq != first_seq + index or previous is None or not _follows(previous, row):
                raise LedgerDamagedError(
                    f"{self._path}: row {first_seq + index} is not what was written; run evercount-gateway verify-ledger"
                )
            previous = row.hash
            total += len(row.body)
            if total > max_bytes and index:
                return found[:index]
        return found

    async def acknowledged(self) -> int:
        """The last row that headquarters had acknowledged when the cursor was last written."""
        rows = await self._rows("SELECT seq FROM position WHERE name = 'acknowledged'")
        return rows[0][0] if rows else 0

    async def recent(self, limit: int, before: int = 2**62) -> list[LedgerRow]:
        """The last `limit` rows before row `before`, newest first."""
        return [
            LedgerRow(seq, _plain(body), stored)
            for seq, body, stored in await self._rows(
                "SELECT seq, body, hash FROM ledger WHERE seq < ? ORDER BY seq DESC LIMIT ?", (before, limit)
            )
        ]

    async def _rows(self, sql: str, values: Sequence[int] = ()) -> list[tuple[Any, ...]]:
        try:
            async with self._connection.execute(sql, values) as cursor:
                return [tuple(row) for row in await cursor.fetchall()]
        except sqlite3.DatabaseError as error:
            raise LedgerUnavailableError(f"{self._path} cannot be read: {error}") from error


def _plain(body: Any) -> Any:
    """The canonical bytes; damage may change even the type, which the chain then finds."""
    return unpack(body) if isinstance(body, bytes) else body


def _follows(previous: object, row: LedgerRow) -> bool:
    """Whether `row` is what was chained behind `previous`; damage may change even the types that SQLite returns."""
    parts: tuple[object, ...] = (previous, row.body)
    return all(isinstance(part, bytes) for part in parts) and link(*parts) == row.hash  # pyright: ignore[reportArgumentType]
