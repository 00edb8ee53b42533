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

from gateway.errors import GatewayError, LedgerCorruptError, LedgerUnavailableError, PostingError
from gateway.ledger.balances import LedgerState, load, rebuild
from gateway.ledger.migrate import DAMAGE_CODES
from gateway.ledger.pages import log_goes_on
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


class _Unsure(NamedTuple):
    """A group whose COMMIT failed: it may have reached the disk all the same."""

    after: Head
    outcomes: dict[int, Outcome]
    failure: LedgerUnavailableError


class _HalfPostedError(Exception):
    """An entry failed after some of its rows were applied: the group starts again without it."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.index = index
        self.cause = cause


class LedgerFile:
    """The open file with its state in memory. After any failed write the state is dropped and read again.

    `make_room` frees disk space that was kept for the moment when there is no other, and says whether there was any.
    """

    def __init__(self, path: Path, posting: Post = post, make_room: Callable[[], bool] = lambda: False) -> None:
        self._path = path
        self._post = posting
        self._make_room = make_room
        self._committing = False
        self._tried = Head(0, 0, b"")
        self._unsure: _Unsure | None = None
        #: why the disk takes nothing, in one sentence; empty while it does
        self.fault = ""
        #: writes that the disk refused
        self.faults = 0
        #: what was found damaged, in one sentence: nothing is written any more
        self.damage = ""
        self._connection: sqlite3.Connection | None = None
        self._state = LedgerState()
        self._past: SqlitePast | None = None
        self.head = Head(0, 0, b"")
        self.branch = Branch(0, None, 0, b"")
        #: the last row that headquarters acknowledged; written now and then, for a restart asks again
        self.acknowledged = 0
        self._acknowledged_kept = 0

    def open(self, *, anew: bool = False) -> Head:
        """Open the file and read its state; `anew`: make that from the rows, whatever the derived tables say.

        Raises LedgerUnavailableError, LedgerCorruptError.
        """
        try:
            connection = self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            if connection.execute("PRAGMA synchronous").fetchone()[0] != 2:
                raise LedgerUnavailableError(f"{self._path}: SQLite did not accept synchronous = FULL")
            if anew:
                self.doubt()
            self._read()
        except sqlite3.Error as error:
            self.drop()
            if _is_full(error) and self._make_room():
                return self.open(anew=anew)
            raise unusable(error, f"{self._path} cannot be opened for writing: {error}") from error
        except BaseException:
            self.drop()
            raise
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
            raise LedgerCorruptError(
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

    def doubt(self) -> None:
        """Let the next one who reads the state make it again from the rows."""
        self.connection.execute("DELETE FROM position WHERE name = 'applied'")

    def drop(self) -> None:
        """Close the file and forget its state; the next use opens and reads it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """Write the derived tables and close."""
        if self._connection is not None and not self.damage:
            self.flush()
        self.drop()

    def commit(self, entries: Sequence[Sequence[AnyIntent]], catalogue: Catalogue) -> list[Outcome]:
        """Post each entry, all of its intents or none, and commit them together.

        The outcome of an entry is its receipt, or why it is not recorded; after a failed commit that is all of them. While
        `unsure`, the disk does not tell whether they were recorded: `settle` does later.
        """
        outcomes: dict[int, Outcome] = {}
        made_room = False
        self._unsure = None
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
                committing, failure = self._committing, self._failed(error)
                room = _is_full(error) and not made_room and self._make_room()
                unrecorded = {**outcomes, **dict.fromkeys(pending, failure)}
                if committing:  # the rows may be on the disk all the same: look
                    self._unsure = _Unsure(self._tried, outcomes, failure)
                    outcomes = self._settled() or unrecorded
                else:
                    outcomes = unrecorded
                if room and self._unsure is None and failure in outcomes.values():
                    made_room = True
                    outcomes = {index: one for index, one in outcomes.items() if one is not failure}
                    continue
            else:
                self.fault = ""
            break
        if self._connection is not None and self.head.seq - self._state.flushed_seq >= FLUSH_ROWS:
            self.flush()
        return [outcomes[index] for index in range(len(entries))]

    @property
    def unsure(self) -> bool:
        """Whether it is not known yet if the last group was recorded."""
        return self._unsure is not None

    def settle(self) -> list[Outcome] | None:
        """What became of the group that the disk did not tell of; None while it still does not."""
        settled = self._settled()
        return None if settled is None else [settled[index] for index in sorted(settled)]

    def _settled(self) -> dict[int, Outcome] | None:
        """Compare what the file holds with what the group had made, and see that it stays so.

        Rows that are there may stand in the memory of the system only, after a failed sync: they are copied on and synced
        again. Rows that are not there may stand in the log behind its end and come to life in a crash: then another commit,
        of the cursor only, overwrites them.
        """
        unsure = self._unsure
        assert unsure is not None
        try:
            self.drop()
            self.open()
            if self.head == unsure.after:
                busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
                if busy:
                    return None
                self.fault = ""
                outcomes = unsure.outcomes
            else:
                if log_goes_on(self._path):
                    self.probe()
                    if self.fault:
                        return None
                outcomes = {
                    index: unsure.failure if isinstance(outcome, Receipt) else outcome
                    for index, outcome in unsure.outcomes.items()
                }
        except (sqlite3.Error, GatewayError) as error:
            self._failed(error)
            self.drop()
            return None
        self._unsure = None
        return outcomes

    def probe(self) -> None:
        """Try whether the disk takes a write; `fault` says so."""
        try:
            with self._transaction() as connection:
                self._write_acknowledged(connection)
        except (sqlite3.Error, GatewayError) as error:
            if _is_full(error):
                self._make_room()
            self._failed(error)
        else:
            self.fault = ""

    def _failed(self, error: Exception) -> LedgerUnavailableError:
        """Note why nothing could be written, and say it to who asked."""
        self.faults += 1
        if isinstance(error, LedgerCorruptError) or _is_damage(error):
            self.damage = str(error)
        self.fault = f"{self._path} takes nothing: {error}"
        failure = LedgerUnavailableError(f"{self._path}: nothing was recorded: {error}")
        failure.__cause__ = error
        return failure

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """One commit; whatever goes wrong inside drops the file and its state, for they may disagree."""
        if self.damage:
            raise LedgerUnavailableError(f"{self._path} is damaged and must be recovered first: {self.damage}")
        self._committing = False
        connection = self.connection
        head = self.head
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            self._tried = self.head
            self._committing = True
            connection.execute("COMMIT")
            self._committing = False
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
            except (msgspec.DecodeError, UnicodeDecodeError) as error:  # posting reads rows of the past
                raise LedgerCorruptError(f"{self._path} holds a row that cannot be read: {error}") from error
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
        except (sqlite3.Error, GatewayError) as error:
            self._failed(error)  # the file is dropped; whoever writes next meets the fault too

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


def unusable(error: Exception, text: str) -> GatewayError:
    """The error for a file that SQLite refused with `error`: damaged, or out of reach for now."""
    return LedgerCorruptError(text) if _is_damage(error) else LedgerUnavailableError(text)


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE_CODES


def _is_full(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _canonical(record: Record) -> bytes:
    """The canonical bytes; raises PostingError for what they may not hold, should it have come through all checks before."""
    try:
        body = encode(record)
    except UnicodeEncodeError as error:
        raise PostingError(f"a text holds half of a surrogate pair and is no valid Unicode ({error})") from error
    if fault := fault_in(body):
        raise PostingError(f"a record {fault}")
    return body
