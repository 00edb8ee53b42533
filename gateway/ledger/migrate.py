"""The ledger's file is made, and brought to this version's schema, on a copy that takes its place by a rename."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from gateway.errors import LedgerDamagedError, LedgerUnavailableError
from vocabulary.chain import genesis

#: Bytes of a page. A commit of one movement writes one page to the log, and 1 KiB there touches one block of a memory card
#: where 4 KiB, misaligned by the log's frame headers, touch two (measured by benchmarks/ledger_write.py).
PAGE_BYTES = 1_024


def versions() -> list[tuple[int, str]]:
    """The schema's versions in order: (number, SQL that leads to it from the one before)."""
    found = [entry for entry in (files("gateway.ledger") / "schema").iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text()) for entry in found)


def prepare(path: Path, epoch: int) -> None:
    """See that a ledger of this version stands at `path`: make one named `epoch`, or bring an older one up to date.

    The old file is kept beside the new one as `NAME.vN`. Raises LedgerDamagedError for a file of a newer version or none of
    ours, LedgerUnavailableError when the folder cannot be written.
    """
    try:
        if not path.exists():
            _make(path, epoch)
            return
        with closing(sqlite3.connect(path)) as connection:
            present = _version(connection, path)
            latest = versions()[-1][0]
            if present > latest:
                raise LedgerDamagedError(
                    f"{path} has schema {present}, this program knows {latest}: install the newer version again"
                )
            if present < latest:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                _upgrade(connection, path, present)
    except (sqlite3.DatabaseError, OSError) as error:
        raise LedgerUnavailableError(f"{path} cannot be prepared: {error}") from error


def _version(connection: sqlite3.Connection, path: Path) -> int:
    present: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if present == 0:
        raise LedgerDamagedError(f"{path} is not a ledger: move it away, or name another file in the configuration")
    return present


def _make(path: Path, epoch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")
        _execute(connection, 0)
        connection.execute("INSERT INTO branch VALUES (1, ?, NULL, 0, ?)", (epoch, genesis(epoch)))
    _take_place(draft, path)


def _upgrade(connection: sqlite3.Connection, path: Path, present: int) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA synchronous = FULL")
        _execute(copy, present)
        if copy.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise LedgerDamagedError(f"{path} did not survive the upgrade from schema {present}: the old file was kept")
    connection.close()
    if path.with_name(path.name + "-wal").exists():
        raise LedgerUnavailableError(f"{path} is in use by another program: stop it, then start again")
    kept = path.with_name(f"{path.name}.v{present}")
    kept.unlink(missing_ok=True)
    os.link(path, kept)
    _take_place(draft, path)


def _execute(connection: sqlite3.Connection, present: int) -> None:
    """Run the steps after `present` in one transaction each."""
    for number, script in versions():
        if number > present:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: executescript would commit before it begins."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _take_place(draft: Path, path: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
