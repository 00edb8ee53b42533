"""The ledger's file in its one writing thread: intents are posted, chained, stored and applied, a group per commit.

Nothing here is asynchronous and nothing here is called from two threads; `writer` is how everybody else reaches it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.errors import GatewayError, LedgerDamagedError, LedgerUnavailableError, PostingError
from gateway.ledger.balances import LedgerState, load, rebuild
from gateway.ledger.past import SqlitePast
from gateway.ledger.posting import PostingState, post
from gateway.ledger.store import BRANCH_SQL, HEAD_SQL, Branch, Head
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent
from vocabulary.chain import link
from vocabulary.records import Record, encode, fault_in

#: Rows after which the derived tables are written: bounds the work of a start (10,000 rows are applied in half a second)
#: and spreads the wear of tables that change all over.
FLUSH_ROWS = 10_000
#: Pages (1 KiB) of the write-ahead log after which it is copied into the file: rows are appended, so that a page is
#: rewritten many times in the log and once in the file; 8,000 pages are 8 MiB of disk.
CHECKPOINT_PAGES = 8_000

Post = Callable[[PostingState, AnyIntent], tuple[Record, ...]]


class Receipt(NamedTuple):
    """Proof that an intent is recorded: its rows. No records (and first = last + 1): it was recorded before."""

    first_seq: int
    last_seq: int
    records: tuple[Record, ...]


Outcome = Receipt | Exception


class _HalfPostedError(Exception):
    """An entry failed after some of its rows were applied: the group starts again without it."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.index = index
        self.cause = cause


class LedgerFile:
    """The open file with its state in memory. After any failed write the state is dropped and read again."""

    def __init__(self, path: Path, posting: Post = post) -> None:
        self._path = path
        self._post = posting
        self._connection: sqlite3.Connection | None = None
        self._state = LedgerState()
        self._past: SqlitePast | None = None
        self.head = Head(0, 0, b"")
        self.branch = Branch(0, None, 0, b"")
        #: the last row that headquarters acknowledged; written now and then, for a restart asks again
        self.acknowledged = 0
        self._acknowledged_kept = 0

    def open(self) -> Head:
        """Open the file and read its state. Raises LedgerUnavailableError, LedgerDamagedError."""
        try:
            connection = self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            if connection.execute("PRAGMA synchronous").fetchone()[0] != 2:
                raise LedgerUnavailableError(f"{self._path}: SQLite did not accept synchronous = FULL")
            self._read()
        except sqlite3.Error as error:
            self.drop()
            raise LedgerUnavailableError(f"{self._path} cannot be opened for writing: {error}") from error
        return self.head

    def _read(self) -> None:
        connection = self.connection
        self.branch = Branch(*connection.execute(BRANCH_SQL).fetchone())
        row: tuple[int, bytes] | None = connection.execute(HEAD_SQL).fetchone()
        seq, last = row or (self.branch.parent_seq, self.branch.parent_hash)
        self.head = Head(self.branch.epoch, seq, last)
        found = connection.execute("SELECT seq FROM position WHERE name = 'acknowledged'").fetchone()
        self._acknowledged_kept = found[0] if found else 0
        self.acknowledged = max(self.acknowledged, self._acknowledged_kept)
        self._state = self._load(connection)
        self._past = SqlitePast(connection, self._state)

    def _load(self, connection: sqlite3.Connection) -> LedgerState:
        """The state; made again from the rows where the derived tables cannot be right."""
        try:
            state = load(connection)
            if state.stock.applied_seq == self.head.seq:
                return state
        except sqlite3.Error:
            raise
        except Exception:  # whatever stands in the tables, the rows are what counts
            pass
        try:
            connection.execute("BEGIN IMMEDIATE")
            state = rebuild(connection)
            connection.execute("COMMIT")
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
            raise LedgerDamagedError(
                f"{self._path} holds a row that cannot be read ({error}); run evercount-gateway verify-ledger"
            ) from error
        state.flushed()
        return state

    @property
    def connection(self) -> sqlite3.Connection:
        """The writing connection, opened again after a failure. Raises LedgerUnavailableError."""
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection

    @property
    def state(self) -> LedgerState:
        """What the ledger amounts to, as posting sees it. Raises LedgerUnavailableError."""
        if self._connection is None:
            self.open()
        return self._state

    def drop(self) -> None:
        """Close the file and forget its state; the next use opens and reads it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """Write the derived tables and close."""
        if self._connection is not None:
            self.flush()
        self.drop()

    def commit(self, entries: Sequence[Sequence[AnyIntent]], catalogue: Catalogue) -> list[Outcome]:
        """Post each entry, all of its intents or none, and commit them together.

        The outcome of an entry is its receipt, or why it is not recorded; after a failed commit that is all of them.
        """
        outcomes: dict[int, Outcome] = {}
        while True:
            pending = [index for index in range(len(entries)) if not isinstance(outcomes.get(index), Exception)]
            try:
                with self._transaction():
                    for index in pending:
                        outcomes[index] = self._post_entry(index, entries[index], catalogue)
            except _HalfPostedError as error:
                outcomes[error.index] = error.cause
                continue
            except (sqlite3.Error, GatewayError) as error:
                failure = LedgerUnavailableError(f"{self._path}: nothing was recorded: {error}")
                failure.__cause__ = error
                outcomes.update(dict.fromkeys(pending, failure))
            break
        if self.head.seq - self._state.flushed_seq >= FLUSH_ROWS:
            self.flush()
        return [outcomes[index] for index in range(len(entries))]

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """One commit; whatever goes wrong inside drops the file and its state, for they may disagree."""
        connection = self.connection
        head = self.head
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self.head = head
            self.drop()  # closing rolls back
            raise

    def _post_entry(self, index: int, intents: Sequence[AnyIntent], catalogue: Catalogue) -> Outcome:
        first = self.head.seq + 1
        records: list[Record] = []
        for intent in intents:
            try:
                assert self._past is not None
                posted = self._post(PostingState(self._state.stock, catalogue, self._past), intent)
                bodies = [_canonical(record) for record in posted]
            except sqlite3.Error:
                raise
            except Exception as error:
                if not records:
                    return error
                raise _HalfPostedError(index, error) from error
            try:
                self._append(posted, bodies)
            except sqlite3.Error:
                raise
            except Exception as error:
                raise _HalfPostedError(index, error) from error
            records.extend(posted)
        return Receipt(first, self.head.seq, tuple(records))

    def _append(self, records: Sequence[Record], bodies: Sequence[bytes]) -> None:
        epoch, seq, previous = self.head
        rows: list[tuple[int, int, bytes, bytes]] = []
        for record, body in zip(records, bodies, strict=True):
            seq += 1
            previous = link(previous, body)
            rows.append((seq, epoch, body, previous))
            self._state.apply(seq, record)
        self.connection.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?)", rows)
        self.head = Head(epoch, seq, previous)

    def flush(self) -> None:
        """Write the derived tables and the cursor. A failure is no loss: they are written again by the next flush."""
        try:
            with self._transaction() as connection:
                self._state.flush(connection)
                self._write_acknowledged(connection)
            self._state.flushed()
        except (sqlite3.Error, LedgerUnavailableError):
            return  # the file is dropped; whoever writes next meets the fault and reports it

    def keep_acknowledged(self) -> None:
        """Write the cursor where it moved. Raises sqlite3.Error."""
        if self.acknowledged != self._acknowledged_kept:
            with self._transaction() as connection:
                self._write_acknowledged(connection)

    def _write_acknowledged(self, connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO position VALUES ('acknowledged', ?, NULL)", (self.acknowledged,))
        self._acknowledged_kept = self.acknowledged

    def fork(self, epoch: int, common_seq: int, common_hash: bytes) -> Head:
        """Begin the epoch `epoch` after row `common_seq`: rows behind it keep seq, bytes and hashes, their label changes."""
        parent = self.head.epoch
        with self._transaction() as connection:
            connection.execute("UPDATE ledger SET epoch = ? WHERE seq > ?", (epoch, common_seq))
            connection.execute(
                "INSERT INTO branch (epoch, parent, parent_seq, parent_hash) VALUES (?, ?, ?, ?)",
                (epoch, parent, common_seq, common_hash),
            )
        self.branch = Branch(epoch, parent, common_seq, common_hash)
        self.head = self.head._replace(epoch=epoch)
        return self.head


def _canonical(record: Record) -> bytes:
    """The canonical bytes; raises PostingError for what they may not hold, should it have come through all checks before."""
    try:
        body = encode(record)
    except UnicodeEncodeError as error:
        raise PostingError(f"a text holds half of a surrogate pair and is no valid Unicode ({error})") from error
    if fault := fault_in(body):
        raise PostingError(f"a record {fault}")
    return body
