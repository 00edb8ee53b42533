"""The state tables as a file: all that the ledger amounts to at a checkpoint, so that the rows before it can go.

Content: frames of a length (4 bytes, big-endian) and MessagePack. The first says the format, the last row applied and the
last row cut; each other one a table and some of its rows. Equal state gives equal content, whatever was in memory, flushed
or swept. On the disk it is compressed with zstd; its SHA-256 is that of the content.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard
from msgspec import UNSET

from gateway.errors import LedgerDamagedError
from vocabulary.count import Count, CountLine
from vocabulary.records import Checkpoint, decode

FORMAT = "evercount snapshot 1"
#: Rows in a frame, and bytes of one at most: bounds memory where a file is read that somebody may have changed.
FRAME_ROWS, FRAME_BYTES = 1_000, 64 << 20
#: zstd level: a night's work, and the default is a tenth of the content already.
LEVEL = 3


class StateTable(NamedTuple):
    """A table whose content is state: `select` gives what counts of it (`:base` is the last row cut), by its key, the first
    `key` columns; `insert` puts such a row back."""

    name: str
    key: int
    select: str
    insert: str


STATE = (
    StateTable(
        "balance",
        5,
        "SELECT * FROM balance ORDER BY place, status, item, lot, expiry",
        "INSERT INTO balance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ),
    StateTable(
        "unit",
        1,
        "SELECT unit, here, seq, body, inside FROM unit WHERE here = 1 OR seq > :base ORDER BY unit",
        "INSERT INTO unit VALUES (?, ?, ?, ?, ?, x'')",
    ),
    StateTable("lot", 2, "SELECT * FROM lot ORDER BY item, lot", "INSERT INTO lot VALUES (?, ?, ?)"),
    StateTable(
        "count",
        2,
        "SELECT * FROM count_mark ORDER BY place, status",
        "INSERT INTO count_mark VALUES (?, ?, ?, ?)",
    ),
    StateTable("clock", 1, "SELECT * FROM clock_row ORDER BY seq", "INSERT INTO clock_row VALUES (?, ?)"),
    StateTable("document", 1, "SELECT * FROM document ORDER BY id", "INSERT INTO document VALUES (?, ?)"),
    StateTable(
        "progress",
        2,
        "SELECT * FROM document_done ORDER BY document, line",
        "INSERT INTO document_done VALUES (?, ?, ?)",
    ),
    StateTable(
        "reversal",
        1,
        'SELECT * FROM reversal WHERE seq > :base ORDER BY "group"',
        "INSERT INTO reversal VALUES (?, ?)",
    ),
    StateTable("command", 1, "SELECT * FROM command ORDER BY id", "INSERT INTO command VALUES (?, ?)"),
    StateTable(
        "exception",
        2,
        "SELECT * FROM exception WHERE state <> 'decided' ORDER BY kind, subject",
        "INSERT INTO exception VALUES (?, ?, ?, ?, ?)",
    ),
)
_COUNTS = "SELECT * FROM count_row ORDER BY place, status, at, seq"
_INSERTS = {table.name: table.insert for table in STATE} | {"counts": "INSERT INTO count_row VALUES (?, ?, ?, ?, ?)"}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, Any, Any]).decode


def snapshot_beside(ledger: Path, seq: int) -> Path:
    """The snapshot file of the checkpoint record in row `seq`."""
    return ledger.with_name(f"{ledger.name}.checkpoint-{seq}")


def snapshots(ledger: Path) -> dict[int, Path]:
    """The snapshot files beside a ledger, by the seq of their checkpoint record, oldest first."""
    found = ledger.parent.glob(f"{ledger.name}.checkpoint-*")
    seqs = {path.name.rpartition("-")[2]: path for path in found}
    return dict(sorted((int(seq), path) for seq, path in seqs.items() if seq.isdigit()))


def write(connection: sqlite3.Connection, base: int, path: Path) -> str:
    """Write the state in the tables of `connection` to `path`, synced to the disk; the SHA-256 (hex). Raises OSError."""
    digest = sha256()
    with path.open("wb") as file:
        with zstandard.ZstdCompressor(LEVEL).stream_writer(file, closefd=False) as out:
            for frame in _frames(connection, base):
                digest.update(frame)
                out.write(frame)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def digest_of_tables(connection: sqlite3.Connection, base: int) -> str:
    """The SHA-256 (hex) that a snapshot of these tables has."""
    digest = sha256()
    for frame in _frames(connection, base):
        digest.update(frame)
    return digest.hexdigest()


def record_for(connection: sqlite3.Connection, base: int, at: int, digest: str = "") -> Checkpoint:
    """The checkpoint record of the state in the tables of `connection` at time `at` (microseconds UTC)."""

    def count(sql: str, *values: int) -> int:
        return connection.execute(sql, values).fetchone()[0]

    return Checkpoint(
        at,
        count("SELECT count(*) FROM balance"),
        count("SELECT count(*) FROM unit WHERE body IS NOT NULL AND (here = 1 OR seq > ?)", base),
        count("SELECT count(*) FROM document"),
        digest or digest_of_tables(connection, base),
    )


def digest_of_file(path: Path) -> str:
    """The SHA-256 (hex) of the content of a snapshot file. Raises LedgerDamagedError when it cannot be read."""
    digest = sha256()
    for size, body in _read(path):
        digest.update(size + body)
    return digest.hexdigest()


def restore(connection: sqlite3.Connection, path: Path) -> int:
    """Fill the empty state tables of `connection` with a snapshot; the last row that was cut when it was taken.

    Raises LedgerDamagedError when it cannot be read.
    """
    base = applied = -1
    try:
        for _, body in _read(path):
            name, first, second = _decode(body)
            if base < 0:
                if name != FORMAT:
                    raise LedgerDamagedError(f"{path} is no snapshot that this version reads")
                applied, base = first, second
            else:
                connection.executemany(_INSERTS[name], second)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise LedgerDamagedError(f"{path} is no snapshot of a ledger: {error}") from error
    if base < 0:
        raise LedgerDamagedError(f"{path} is empty")
    connection.execute("INSERT OR REPLACE INTO position VALUES ('applied', ?, NULL)", (applied,))
    return base


def _frames(connection: sqlite3.Connection, base: int) -> Iterator[bytes]:
    (applied,) = connection.execute("SELECT seq FROM position WHERE name = 'applied'").fetchone()
    yield _frame((FORMAT, applied, base))
    for table in STATE:
        cursor = connection.execute(table.select, {"base": base} if ":base" in table.select else {})
        while rows := cursor.fetchmany(FRAME_ROWS):
            yield _frame((table.name, 0, rows))
    counts = connection.execute(_COUNTS)
    for _, rows in groupby(counts, key=lambda row: row[:2]):
        if standing := standing_counts(rows):
            yield _frame(("counts", 0, standing))


def _frame(value: tuple[str, object, object]) -> bytes:
    body = _encode(value)
    return len(body).to_bytes(4, "big") + body


def _read(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """(length, body) of each frame."""
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as content:
            while size := _exactly(content, 4):
                length = int.from_bytes(size, "big")
                body = _exactly(content, length) if length <= FRAME_BYTES else b""
                if len(size) < 4 or len(body) < length:
                    raise LedgerDamagedError(f"{path} ends in the middle")
                yield size, body
    except FileNotFoundError as error:
        raise LedgerDamagedError(f"{path} is missing: put it back from a copy") from error
    except (OSError, zstandard.ZstdError) as error:
        raise LedgerDamagedError(f"{path} cannot be read: {error}") from error


def _exactly(content: zstandard.ZstdDecompressionReader, count: int) -> bytes:
    parts: list[bytes] = []
    while count and (part := content.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def standing_counts(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of the rows of `count_row` of one account those that no later count covers whole.

    A fact that is dated before a count is compensated at it (rule 10), so a count is needed until another one saw all that
    it saw, however old it is.
    """
    kept: list[tuple[Any, ...]] = []
    later: list[Count] = []
    for row in sorted(rows, key=lambda row: (row[2], row[3]), reverse=True):
        count = decode(row[4])
        if isinstance(count, Count) and not any(_covers(other, count) for other in later):
            kept.append(row)
            later.append(count)
    return kept[::-1]


def _covers(later: Count, earlier: Count) -> bool:
    """Whether everything that `earlier` counted was counted by `later` too."""
    again = any(line.again is not UNSET for line in later.lines)
    if later.scope == "whole" and not again:
        return True
    if earlier.scope == "whole":
        return False
    counted = {_named(line) for line in later.lines if line.again is UNSET}
    return all(_named(line) in counted for line in earlier.lines if line.again is UNSET)


def _named(line: CountLine) -> tuple[object, ...]:
    return line.item, line.lot, line.expiry
