"""The ledger's file is made, and brought to this version's schema, on a copy that takes its place by a rename."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from gateway.errors import LedgerCorruptError, LedgerDamagedError, LedgerUnavailableError
from vocabulary.chain import genesis

#: Bytes of a page. A commit of one movement writes one page to the log, and 1 KiB there touches one block of a memory card
#: where 4 KiB, misaligned by the log's frame headers, touch two (measured by benchmarks/ledger_write.py).
PAGE_BYTES = 1_024


#: SQLite's codes (the low byte of what it says) of a file whose pages are not what was written.
DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


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
        text = f"{path} cannot be prepared: {error}"
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE_CODES
        raise (LedgerCorruptError(text) if damaged else LedgerUnavailableError(text)) from error


def _version(connection: sqlite3.Connection, path: Path) -> int:
    present: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if present == 0:
        raise LedgerDamagedError(f"{path} is not a ledger: move it away, or name another file in the configuration")
    return present


def _make(path: Path, epoch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    make(draft, epoch)
    _take_place(draft, path)


def make(path: Path, epoch: int) -> None:
    """Make an empty ledger named `epoch` at `path`, where there is no file. Raises sqlite3.Error."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")
        _execute(connection, 0)
        connection.execute("INSERT INTO branch VALUES (1, ?, NULL, 0, ?)", (epoch, genesis(epoch)))


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
    _refuse_in_use(path)
    kept = path.with_name(f"{path.name}.v{present}")
    kept.unlink(missing_ok=True)
    os.link(path, kept)
    _take_place(draft, path)


def restore_previous(path: Path) -> str:
    """Put back the file that the last upgrade kept, with the rows that were written since; answers with one sentence.

    No gateway may be running. Rows are canonical bytes in every schema, so that they come along; derived tables follow from
    them. Raises LedgerUnavailableError where no older file is kept, one is in use or the rows do not fit; nothing was changed.
    """
    kept = max(_kept(path), default=None)
    if kept is None:
        raise LedgerUnavailableError(f"{path}: no older ledger is kept beside it: there is nothing to put back")
    draft, newer = path.with_name(path.name + ".older"), path.with_name(path.name + ".newer")
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _refuse_in_use(path)
        shutil.copyfile(kept[1], draft)
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            came = _bring_along(connection, path)
        newer.unlink(missing_ok=True)
        os.link(path, newer)
        _take_place(draft, path)
        kept[1].unlink()
    except (sqlite3.DatabaseError, OSError) as error:
        raise LedgerUnavailableError(f"{path} cannot be put back to schema {kept[0]}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return (
        f"{path} is back at schema {kept[0]} with {came} rows that were written since; {newer.name} is the newer file"
    )


def _kept(path: Path) -> Iterator[tuple[int, Path]]:
    for file in path.parent.glob(path.name + ".v*"):
        number = file.name.rpartition(".v")[2]
        if number.isdecimal():
            yield int(number), file


def _bring_along(connection: sqlite3.Connection, newer: Path) -> int:
    """Append the rows of `newer` that the older file lacks; how many. Raises LedgerUnavailableError where they do not fit."""
    connection.execute("ATTACH ? AS newer", (str(newer),))
    last = connection.execute("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1").fetchone() or (0, None)
    same = connection.execute("SELECT hash FROM newer.ledger WHERE seq = ?", (last[0],)).fetchone()
    first = connection.execute("SELECT parent_hash FROM branch UNION SELECT parent_hash FROM newer.branch").fetchall()
    if (same is None or same[0] != last[1]) if last[0] else len(first) != 1:
        raise LedgerUnavailableError(
            f"{newer} does not hold row {last[0]} of the older file, so that its rows do not fit behind it: "
            "keep the newer version, or salvage the newer file"
        )
    connection.execute("BEGIN IMMEDIATE")
    came = connection.execute(
        "INSERT INTO ledger SELECT seq, epoch, body, hash FROM newer.ledger WHERE seq > ? ORDER BY seq", (last[0],)
    ).rowcount
    connection.execute(
        "INSERT INTO branch SELECT number, epoch, parent, parent_seq, parent_hash FROM newer.branch AS other "
        "WHERE other.epoch NOT IN (SELECT epoch FROM branch)"
    )
    connection.execute(
        "UPDATE ledger SET epoch = (SELECT epoch FROM newer.ledger AS other WHERE other.seq = ledger.seq) "
        "WHERE seq IN (SELECT seq FROM ledger AS mine JOIN newer.ledger AS other USING (seq) WHERE mine.epoch <> other.epoch)"
    )
    connection.execute(
        "INSERT OR REPLACE INTO position SELECT name, seq, hash FROM newer.position WHERE name NOT IN ('applied', 'base')"
    )
    connection.execute("COMMIT")
    connection.execute("DETACH newer")
    return came


def _refuse_in_use(path: Path) -> None:
    """The last connection that closes removes the log: where it stays, another program has the file open."""
    if path.with_name(path.name + "-wal").exists():
        raise LedgerUnavailableError(f"{path} is in use by another program: stop it, then start again")


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
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See that names made or changed in `folder` are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
