"""verify-ledger: is the file what was written, row by row, and do the balances say what the rows say?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec

from gateway.errors import LedgerDamagedError
from gateway.ledger.balances import LedgerState, load_tables, rebuild
from gateway.ledger.checkpoint import record_for, snapshots
from gateway.ledger.store import Branch
from vocabulary.chain import genesis, link
from vocabulary.records import Checkpoint, Record, decode, encode

#: Faults that a report lists at most; the rest is counted.
FAULTS_LISTED = 50
#: Rows between two calls of the progress callback.
PROGRESS_ROWS = 10_000


class Report(msgspec.Struct):
    """What verify-ledger found. `ok` is the answer; `applied_seq` the row up to which the derived tables stand."""

    path: str
    ok: bool = True
    epoch: str = ""
    rows: int = 0
    first_seq: int = 0
    last_seq: int = 0
    head_hash: str = ""
    applied_seq: int = 0
    balances: int = 0
    units: int = 0
    checkpoints: int = 0
    faults: list[str] = msgspec.field(default_factory=list[str])
    faults_not_listed: int = 0

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
    branches; checkpoint records and snapshot files; derived tables = sum of the ledger. Raises LedgerDamagedError when
    the file is no ledger at all.
    """
    if not path.is_file():
        raise LedgerDamagedError(f"{path} does not exist: name the ledger's file, such as /var/lib/evercount/ledger.db")
    report = Report(str(path))
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")  # one state of the file, however long this takes
            _verify(connection, path, report, progress)
    except Exception as error:  # damage may put anything anywhere: it is a finding, never a traceback
        report.fault(f"the file cannot be read to its end: {error}")
    return report


def rebuild_ledger(path: Path) -> None:
    """Make the derived tables of the ledger at `path` again; no gateway may be writing to it. Raises LedgerDamagedError."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            rebuild(connection)
            connection.execute("COMMIT")
    except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
        raise LedgerDamagedError(f"{path} cannot be rebuilt: {error}") from error


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
    applied = connection.execute("SELECT seq FROM position WHERE name = 'applied'").fetchone()
    report.applied_seq = applied[0] if applied else 0
    state = LedgerState()
    rows = _Rows(path, report, branches)
    if report.applied_seq == 0:
        _compare(connection, state, report)
    for seq, epoch, body, stored in connection.execute("SELECT seq, epoch, body, hash FROM ledger ORDER BY seq"):
        record = rows.check(seq, epoch, body, stored)
        if record is not None:
            if isinstance(record, Checkpoint):
                _check_checkpoint(record, seq, state, report, path)
            state.apply(seq, record)
            state.flushed()
        if seq == report.applied_seq:
            _compare(connection, state, report)
        if report.rows % PROGRESS_ROWS == 0:
            progress(report.rows)
    if report.applied_seq > report.last_seq:
        report.fault(f"the derived tables stand at row {report.applied_seq}, the ledger ends at row {report.last_seq}")
    report.balances, report.units = len(state.stock.balances), len(state.stock.units)


class _Rows:
    """Checks row after row: density, label, chain and canonical bytes."""

    def __init__(self, path: Path, report: Report, branches: list[Branch]) -> None:
        self._report = report
        self._branches = branches
        self._previous = branches[0].parent_hash

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


def _check_checkpoint(record: Checkpoint, seq: int, state: LedgerState, report: Report, path: Path) -> None:
    report.checkpoints += 1
    if record_for(state.stock, record.at)[0] != record:
        report.fault(f"the checkpoint in row {seq} does not agree with the rows before it")
    file = snapshots(path).get(seq)
    if file is not None and sha256(file.read_bytes()).hexdigest() != record.snapshot:
        report.fault(f"{file} is not the snapshot that row {seq} names")


def _compare(connection: sqlite3.Connection, state: LedgerState, report: Report) -> None:
    """Say where the derived tables differ from the ledger's rows."""
    try:
        tables = load_tables(connection)
    except sqlite3.Error:
        raise
    except Exception as error:  # whatever stands in them, it is not what was derived
        report.fault(f"the derived tables cannot be read: {error}; rebuild with --rebuild")
        return
    named: tuple[tuple[str, Iterable[tuple[object, object]], Iterable[tuple[object, object]]], ...] = (
        ("balance", tables.stock.balances.items(), state.stock.balances.items()),
        ("unit", tables.stock.units.items(), state.stock.units.items()),
        ("content", tables.stock.held.items(), state.stock.held.items()),
        ("container", _order(tables).items(), _order(state).items()),
        ("lot", tables.stock.lots.items(), state.stock.lots.items()),
        ("count", tables.stock.counts.items(), state.stock.counts.items()),
        ("document", tables.stock.documents.items(), state.stock.documents.items()),
        ("progress", tables.stock.done.items(), state.stock.done.items()),
        ("reversal", tables.reversals.items(), state.reversals.items()),
        ("command", tables.commands.items(), state.commands.items()),
        ("exception", tables.exceptions.items(), state.exceptions.items()),
    )
    for name, found, derived in named:
        told, right = dict(found), dict(derived)
        wrong = [key for key in {**told, **right} if told.get(key) != right.get(key)]
        if wrong:
            report.fault(
                f"{len(wrong)} rows of the derived table for {name} differ from the ledger, "
                f"the first for {wrong[0]}; rebuild with --rebuild"
            )


def _order(state: LedgerState) -> dict[str, list[str]]:
    return {container: list(units) for container, units in state.stock.children.items()}
