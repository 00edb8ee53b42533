"""Whether the gateway that had the ledger open last closed it: a small file beside the ledger that stands while it is open."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.ledger.migrate import sync_folder
from gateway.ledger.packing import unpack
from gateway.ledger.pages import log_is_torn_inside
from gateway.ledger.store import HEAD_SQL
from vocabulary.chain import link

#: Rows checked at once after a stop that was none: what a crash can have touched is among the last ones. The whole is checked
#: in the background.
TAIL_ROWS = 2_000
#: Bytes of a file whose pages are all checked at once then: 40 ms of work, and less than a second of a slow card's reading.
WHOLE_BYTES = 16 << 20


class RunMarker:
    """The file `NAME.running`. It is empty while a gateway runs, and until the whole ledger was checked after a stop that
    was none; it holds a sentence once damage was found.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._path = ledger.with_name(ledger.name + ".running")

    def left(self) -> str | None:
        """None where the ledger was closed in order, nothing in doubt; else why it was damaged, as far as known ("" if not)."""
        try:
            return self._path.read_text(errors="replace").strip()
        except FileNotFoundError:
            return None

    def set(self, damage: str = "") -> None:
        """The ledger is open now, or was found damaged. Raises OSError."""
        with self._path.open("w") as file:
            file.write(damage)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)

    def clear(self) -> None:
        """The ledger is closed, and nothing of it is in doubt. Raises OSError."""
        self._path.unlink(missing_ok=True)


def tail_fault(ledger: Path) -> str:
    """What is wrong with the end of a ledger that was not closed, in one sentence; else empty. Raises sqlite3.Error."""
    if log_is_torn_inside(ledger):
        return "its write-ahead log is damaged before its last commit"
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, isolation_level=None)) as connection:
        row = connection.execute(HEAD_SQL).fetchone()
        fault = chain_fault(connection, row[0] - TAIL_ROWS, None, TAIL_ROWS + 1)[1] if row else ""
        return fault or (pages_fault(connection) if ledger.stat().st_size <= WHOLE_BYTES else "")


def pages_fault(connection: sqlite3.Connection) -> str:
    """What SQLite's own check finds in pages, trees and indexes, in one sentence. Raises sqlite3.Error."""
    with closing(connection.execute("PRAGMA integrity_check(1)")) as told:
        (text,) = told.fetchone()
    return "" if text == "ok" else f"SQLite finds {text}"


def chain_fault(
    connection: sqlite3.Connection, after: int, previous: bytes | None, limit: int
) -> tuple[tuple[int, bytes] | None, str]:
    """Check `limit` rows behind row `after`, whose hash is `previous` (None: the first row found is believed).

    Answers the last row checked and its hash (None: there are no more rows), and what is wrong, in one sentence.
    """
    rows = connection.execute(
        "SELECT seq, body, hash FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    ).fetchall()
    last: tuple[int, bytes] | None = None
    for seq, body, stored in rows:
        if not isinstance(body, bytes) or not isinstance(stored, bytes):
            return last, f"row {seq} holds no bytes"
        if previous is not None:
            if last is not None and seq != last[0] + 1:
                return last, f"row {last[0] + 1} is missing"
            if link(previous, unpack(body)) != stored:
                return last, f"row {seq} is not what was written"
        previous, last = stored, (seq, stored)
    return last, ""
