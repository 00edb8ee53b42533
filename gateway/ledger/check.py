"""verify-ledger: is the file what was written, row by row, and do the balances say what the rows say?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import LedgerDamagedError
from gateway.ledger.balances import Follower, base_of, rebuild, rows_after
from gateway.ledger.migrate import versions
from gateway.ledger.packing import unpack
from gateway.ledger.snapshot import STATE, digest_of_file, record_for, snapshots
from gateway.ledger.store import Branch
from vocabulary.chain import genesis, link
from vocabulary.records import Checkpoint, Record, decode, encode

#: Faults that a report lists at most; the rest is counted.
FAULTS_LISTED = 50
#: Rows between two calls of the progress callback.
PROGRESS_ROWS = 10_000

_Row = tuple[Any, ...]


class Report(msgspec.Struct):
    """What verify-ledger found. `ok` is the answer; `applied_seq` the row up to which the derived tables stand, `base_seq`
    the last row that retention has cut. `warnings`: what could not be checked.
    """

    path: str
    ok: bool = True
    epoch: str = ""
    rows: int = 0
    first_seq: int = 0
    last_seq: int = 0
    head_hash: str = ""
    applied_seq: int = 0
    base_seq: int = 0
    balances: int = 0
    units: int = 0
    checkpoints: int = 0
    faults: list[str] = msgspec.field(default_factory=list[str])
    faults_not_listed: int = 0
    warnings: list[str] = msgspec.field(default_factory=list[str])

    def fault(self, text: str) -> None:
        """Add something that is wrong."""
        self.ok = False
        if len(self.faults) < FAULTS_LISTED:
            self.faults.append(text)
        else:
            self.faults_not_listed += 1


def verify_ledger(path: Path, progress: Callable[[int], None] = lambda rows: None) -> Report:
    """Check the whole ledger at `path` without changing it; a gateway may be writing to it meanwhile.

    Checked: SQLite's integrity check; seq dense; the chain; canonical bytes re-encode to themselves; labels of the
    branches; checkpoint records and snapshot files; derived tables = sum of the ledger, which begins with the snapshot of
    the first row kept where retention has cut rows. Raises LedgerDamagedError when
    the file is no ledger at all.
    """
    _must_exist(path)
    report = Report(str(path))
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")  # one state of the file, however long this takes
            _verify(connection, path, report, progress)
    except Exception as error:  # damage may put anything anywhere: it is a finding, never a traceback
        report.fault(f"the file cannot be read to its end: {error}")
    return report


def sums_fault(connection: sqlite3.Connection, path: Path) -> str:
    """Where the derived tables differ from what the rows amount to, in one sentence; else empty."""
    pages = sums_by_pages(connection, path, PROGRESS_ROWS)
    while True:
        try:
            next(pages)
        except StopIteration as ended:
            return ended.value


def sums_by_pages(connection: sqlite3.Connection, path: Path, page: int) -> Generator[None, None, str]:
    """Where the derived tables differ from what the rows amount to, in one sentence; rests after each `page` rows, while a
    gateway goes on writing. Finds nothing where retention cuts rows meanwhile.
    """
    report = Report(str(path))
    with closing(sqlite3.connect("", isolation_level=None)) as scratch:
        last = base = base_of(connection)
        derived = _Derived(connection, scratch, path, report)
        while True:
            connection.execute("BEGIN")  # the tables and the row at which they stand, as they are together
            try:
                found = connection.execute("SELECT seq FROM position WHERE name = 'applied'").fetchone()
                if found is None or base_of(connection) != base:
                    return ""
                (applied,) = found
                for seq, body in islice(rows_after(connection, last), min(page, applied - last)):
                    derived.apply(seq, decode(body))
                    last = seq
                if last >= applied:
                    derived.compare()
                    return "; ".join(report.faults)
            finally:
                connection.execute("COMMIT")
            yield


def rebuild_ledger(path: Path) -> None:
    """Make the derived tables of the ledger at `path` again; no gateway may be writing to it. Raises LedgerDamagedError."""
    _must_exist(path)
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            rebuild(connection)
            connection.execute("COMMIT")
    except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
        raise LedgerDamagedError(f"{path} cannot be rebuilt: {error}") from error


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise LedgerDamagedError(f"{path} does not exist: name the ledger's file, such as /var/lib/evercount/ledger.db")


def _verify(connection: sqlite3.Connection, path: Path, report: Report, progress: Callable[[int], None]) -> None:
    for (text,) in connection.execute(f"PRAGMA integrity_check({FAULTS_LISTED})"):
        if text != "ok":
            report.fault(f"SQLite: {text}")
    branches = [
        Branch(*row)
        for row in connection.execute("SELECT epoch, parent, parent_seq, parent_hash FROM branch ORDER BY number")
    ]
    if not branches or branches[0].parent_hash != genesis(branches[0].epoch):
        report.fault("the first epoch does not begin with its genesis hash")
        return
    report.epoch = str(branches[-1].epoch)
    positions = {name: (seq, last) for name, seq, last in connection.execute("SELECT name, seq, hash FROM position")}
    report.applied_seq = positions.get("applied", (0, None))[0]
    report.base_seq, base_hash = positions.get("base", (0, branches[0].parent_hash))
    report.last_seq = report.base_seq
    rows = _Rows(report, branches, base_hash)
    with closing(sqlite3.connect("", isolation_level=None)) as scratch:  # a temporary file, for there may be many units
        derived = _Derived(connection, scratch, path, report)
        if report.applied_seq == report.base_seq:
            derived.compare()
        for seq, epoch, body, stored in connection.execute(
            "SELECT seq, epoch, body, hash FROM ledger WHERE seq > ? ORDER BY seq", (report.base_seq,)
        ):
            record = rows.check(seq, epoch, unpack(body) if isinstance(body, bytes) else body, stored)
            if record is not None:
                derived.apply(seq, record)
            if seq == report.applied_seq:
                derived.compare()
            if report.rows % PROGRESS_ROWS == 0:
                progress(report.rows)
        derived.close()
    if report.applied_seq < report.base_seq:
        report.fault(
            f"the derived tables stand at row {report.applied_seq}, the ledger begins at row {report.base_seq + 1}; "
            "rebuild with --rebuild"
        )
    if report.applied_seq > report.last_seq:
        report.fault(f"the derived tables stand at row {report.applied_seq}, the ledger ends at row {report.last_seq}")


class _Rows:
    """Checks row after row: density, label, chain and canonical bytes."""

    def __init__(self, report: Report, branches: list[Branch], before: object) -> None:
        self._report = report
        self._branches = branches
        self._previous = before if isinstance(before, bytes) else b""

    def check(self, seq: int, epoch: int, body: object, stored: object) -> Record | None:
        """The record of a row, if it has one; what is wrong goes into the report. Damage may change even the types."""
        report = self._report
        if not report.rows:
            report.first_seq = seq
        if seq != report.last_seq + 1:
            report.fault(f"row {report.last_seq + 1} is missing; row {seq} follows row {report.last_seq}")
        report.rows += 1
        report.last_seq = seq
        for branch in self._branches[1:]:
            if branch.parent_seq == seq - 1 and branch.parent_hash != self._previous:
                report.fault(f"epoch {branch.epoch} left its parent after row {seq - 1} with another hash")
        label = next(branch.epoch for branch in reversed(self._branches) if branch.parent_seq < seq)
        if epoch != label:
            report.fault(f"row {seq} carries epoch {epoch} and belongs to {label}")
        if not isinstance(body, bytes) or not isinstance(stored, bytes):
            report.fault(f"row {seq} is not what was written: it holds no bytes")
            return None
        if link(self._previous, body) != stored:
            report.fault(f"row {seq} is not what was written: its hash does not follow from the row before it")
        self._previous = stored
        report.head_hash = stored.hex()
        try:
            record = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            report.fault(f"row {seq} cannot be read: {error}")
            return None
        if encode(record) != body:
            report.fault(f"row {seq} is not in canonical form")
        return record


class _Derived:
    """Applies the rows to tables of its own, and compares with them what the ledger's tables and checkpoints say."""

    def __init__(self, connection: sqlite3.Connection, scratch: sqlite3.Connection, path: Path, report: Report) -> None:
        self._connection = connection
        self._tables = scratch
        self._path = path
        self._report = report
        self._follower: Follower | None = None
        scratch.execute("PRAGMA synchronous = OFF")
        scratch.execute("PRAGMA journal_mode = OFF")
        for _, script in versions():
            scratch.executescript(script)
        try:
            self._follower = Follower(connection, scratch, indexed=False)
        except LedgerDamagedError as error:
            report.warnings.append(f"{error}; the rows were checked, and not what they amount to")

    def apply(self, seq: int, record: Record) -> None:
        """The next row."""
        if isinstance(record, Checkpoint):
            self._check(record, seq)
        if self._follower is not None:
            self._follower.apply(seq, record)

    def _check(self, record: Checkpoint, seq: int) -> None:
        self._report.checkpoints += 1
        if self._follower is not None:
            self._follower.write()
            if record_for(self._tables, self._follower.state.base, record.at) != record:
                self._report.fault(f"the checkpoint in row {seq} does not agree with the rows before it")
        file = snapshots(self._path).get(seq)
        try:
            if file is not None and digest_of_file(file) != record.snapshot:
                self._report.fault(f"{file} is not the snapshot that row {seq} names")
        except LedgerDamagedError:
            self._report.fault(f"{file} is not the snapshot that row {seq} names")

    def compare(self) -> None:
        """Say where the derived tables differ from the ledger's rows."""
        if self._follower is None:
            return
        self._follower.write()
        for table in STATE:
            values = {"base": self._follower.state.base} if ":base" in table.select else {}
            told = self._connection.execute(table.select, values)
            right = self._tables.execute(table.select, values)
            wrong, first = _differences(told, right, table.key)
            if wrong:
                self._report.fault(
                    f"{wrong} rows of the derived table for {table.name} differ from the ledger, "
                    f"the first for {first}; rebuild with --rebuild"
                )

    def close(self) -> None:
        """Say how much the rows amount to."""
        if self._follower is not None:
            self._follower.write()
            found = record_for(self._tables, self._follower.state.base, 0, "-")
            self._report.balances, self._report.units = found.balances, found.units


def _differences(told: Iterable[_Row], right: Iterable[_Row], key: int) -> tuple[int, _Row]:
    """How many rows differ between two lists of rows ordered by their first `key` columns, and the key of the first."""
    wrong, first = 0, ()
    ones, others = iter(told), iter(right)
    one, other = next(ones, None), next(others, None)
    while one is not None or other is not None:
        if one == other:
            one, other = next(ones, None), next(others, None)
            continue
        wrong += 1
        name = min(row[:key] for row in (one, other) if row is not None)
        first = first or name
        if one is not None and one[:key] == name:
            one = next(ones, None)
        if other is not None and other[:key] == name:
            other = next(others, None)
    return wrong, first
