"""Once a night: what the ledger amounts to, in a file beside it, and the file's hash in a record of the chain."""

from __future__ import annotations

import sqlite3

from gateway.errors import LedgerUnavailableError
from gateway.ledger.balances import base_of
from gateway.ledger.file import LedgerFile, Receipt
from gateway.ledger.packing import unpack
from gateway.ledger.snapshot import record_for, snapshot_beside, snapshots, write
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Recorded
from vocabulary.records import Checkpoint, decode, kind_of

__all__ = ["checkpoint_at", "snapshots", "take"]

#: Snapshot files kept beside the ledger: the newest, and one in case it is damaged.
KEPT = 2
#: Microseconds between two older ones that are kept, for retention to cut at: each is a few MB on a busy site, and rows stay
#: at most this much longer.
SPACING_US = 7 * 86_400 * 1_000_000


def checkpoint_at(connection: sqlite3.Connection, seq: int) -> Checkpoint | None:
    """The checkpoint record in row `seq`, if it is one."""
    row = connection.execute("SELECT body FROM ledger WHERE seq = ?", (seq,)).fetchone()
    body = unpack(row[0]) if row else b""
    record = decode(body) if kind_of(body) == "checkpoint" else None
    return record if isinstance(record, Checkpoint) else None


async def take(writer: LedgerWriter, now: int) -> Receipt:
    """Write a snapshot beside the ledger and record its hash; older ones that nobody needs are removed.

    Raises LedgerUnavailableError; then no checkpoint was recorded.
    """
    return await writer.perform(lambda file: _take(file, writer, now))


def _take(file: LedgerFile, writer: LedgerWriter, now: int) -> Receipt:
    file.flush()
    if file.state.flushed_seq != file.head.seq:
        raise LedgerUnavailableError(
            f"{writer.path}: the derived tables could not be written, so no checkpoint was taken"
        )
    path = snapshot_beside(writer.path, file.head.seq + 1)
    base = file.state.base
    try:
        digest = write(file.connection, base, path)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise LedgerUnavailableError(f"{path} cannot be written: {error}") from error
    checkpoint = record_for(file.connection, base, now, digest)
    (outcome,) = file.commit([[Recorded(occurred_at=now, record=checkpoint)]], Catalogue())
    if isinstance(outcome, Exception):
        path.unlink(missing_ok=True)
        raise outcome
    _tidy(file, writer)
    return outcome


def _tidy(file: LedgerFile, writer: LedgerWriter) -> None:
    """Remove snapshot files but the last ones, that of the first row kept, and one a week for retention to cut at."""
    files = snapshots(writer.path)
    first = base_of(file.connection) + 1
    last = list(files)[-KEPT:]
    spaced: int | None = None
    for seq, path in files.items():
        record = checkpoint_at(file.connection, seq) if seq >= first else None
        if record is None:
            path.unlink(missing_ok=True)  # its row is cut, or was never written
        elif seq == first or spaced is None or record.at >= spaced + SPACING_US:
            spaced = record.at
        elif seq not in last:
            path.unlink(missing_ok=True)
