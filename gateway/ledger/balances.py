"""What the ledger amounts to, kept in memory by whoever follows it, and written to the derived tables now and then.

The derived tables make a start quick and hold what is asked too rarely to stay in memory: units that left the site, done
lines of documents, commands, reversals. They stand at row `applied`, a start applies the rest, and `rebuild` makes them again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import UNSET

from gateway.errors import LedgerDamagedError
from gateway.ledger.packing import pack_older, unpack
from gateway.ledger.snapshot import digest_of_file, restore, snapshot_beside
from gateway.ledger.units import (
    Stored,
    decode_inside,
    decode_unit,
    encode_inside,
    encode_rows,
    encode_unit,
    has_left,
)
from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement, accounts
from vocabulary.place import Account, is_virtual
from vocabulary.records import Checkpoint, ClockRecord, CommandResult, Record, decode, encode
from vocabulary.stock import NOTHING, Amount, CountMark, Key, Stock, Unit, apply, goods_of

#: Rows read at a time while state is brought up to date: bounds memory.
PAGE_ROWS = 2_000
#: Rows after which the state that `follow` brings up to date is written to its tables: bounds memory.
FOLLOW_ROWS = 10_000
#: Last rows whose units are in memory after a start, wherever they are: what has just left is still read at the doors.
RECENT_ROWS = 3_600

TABLES = (
    "balance",
    "unit",
    "account",
    "account_row",
    "group_row",
    "count_row",
    "clock_row",
    "lot",
    "count_mark",
    "document",
    "document_done",
    "reversal",
    "command",
    "exception",
)

_encode = msgspec.json.Encoder().encode
_decode_document = msgspec.json.Decoder(Document).decode
_decode_exception = msgspec.json.Decoder(ExceptionRecord).decode
_decode_clock = msgspec.json.Decoder(ClockRecord).decode

#: What is forgotten with the rows up to the last one cut.
FORGET = (
    "DELETE FROM unit WHERE here = 0 AND seq <= ?",
    "DELETE FROM reversal WHERE seq <= ?",
    "DELETE FROM exception WHERE state = 'decided' AND seq <= ?",
)

_PUT_UNIT = """
INSERT INTO unit VALUES (:unit, :here, :seq, :body, :inside, :rows)
ON CONFLICT (unit) DO UPDATE SET here = excluded.here, seq = max(seq, excluded.seq), body = excluded.body,
    inside = excluded.inside,
    rows = CASE WHEN here = 0 AND seq <= :base THEN excluded.rows ELSE CAST(rows || excluded.rows AS BLOB) END
"""


class LedgerState:
    """Stock and what else posting and sync ask of the past, after `stock.applied_seq` rows.

    It reads from the tables of `connection` what is not in memory, and keeps what changed since `flush` last wrote to
    them; dicts stand for ordered sets. Without `indexed` the tables by which posting looks up rows stay empty.
    """

    def __init__(self, connection: sqlite3.Connection | None = None, indexed: bool = True) -> None:
        self._connection = connection
        self._indexed = indexed
        self.stock = Stock()
        #: the last row that retention cut: units that left before it are forgotten
        self.base = 0
        self.stock.units = self._units = Stored(self._find_unit)
        self.stock.children = self._children = Stored(self._find_inside)
        self.stock.done = self._progress = Stored(self._find_done)
        #: reversed row -> the row that reversed it
        self.reversals: Stored[int, int] = Stored(self._find_reversal)
        #: command -> the row of its result
        self.commands: Stored[str, int] = Stored(self._find_command)
        #: (kind, subject) -> an exception that is not decided
        self.exceptions: dict[tuple[str, str], ExceptionRecord] = {}
        #: exceptions whose last record came since the last flush; older ones are in the table
        self.recent_exceptions: dict[tuple[str, str], ExceptionRecord] = {}
        #: (occurred_at, seq) of the movements and counts since the last flush, by what they name; older ones are in tables
        self.unit_rows: dict[str, list[tuple[int, int]]] = {}
        self.account_rows: dict[Account, list[tuple[int, int]]] = {}
        self.count_rows: dict[Account, list[tuple[int, int, bytes]]] = {}
        self.group_rows: dict[int, list[int]] = {}
        #: (seq, record): what corrects the times of earlier rows, all of it
        self.clocks: list[tuple[int, ClockRecord]] = []
        self.flushed_seq = 0
        self._balances: dict[Key, None] = {}
        self._containers: dict[str, None] = {}
        self._lots: dict[tuple[str, str], None] = {}
        self._marks: dict[Account, None] = {}
        self._documents: dict[str, None] = {}
        self._done: dict[str, None] = {}
        self._exception_rows: dict[tuple[str, str], int] = {}
        self._new_reversals: dict[int, int] = {}
        self._new_commands: dict[str, int] = {}

    # ---------------------------------------------------------------- from the tables

    def _one(self, sql: str, *values: str | int) -> tuple[object, ...] | None:
        return None if self._connection is None else self._connection.execute(sql, values).fetchone()

    def _find_unit(self, unit: str) -> Unit | None:
        row = self._one("SELECT body FROM unit WHERE unit = ? AND (here = 1 OR seq > ?)", unit, self.base)
        return decode_unit(row[0]) if row and isinstance(row[0], bytes) else None

    def _find_inside(self, container: str) -> dict[str, None] | None:
        row = self._one("SELECT inside FROM unit WHERE unit = ? AND (here = 1 OR seq > ?)", container, self.base)
        if not row or not isinstance(row[0], bytes):
            return None
        return {unit: None for unit in decode_inside(row[0]) if unit in self._units} or None

    def _find_done(self, document: str) -> dict[int, int] | None:
        if self._connection is None:
            return None
        sql = "SELECT line, quantity FROM document_done WHERE document = ?"
        return dict(self._connection.execute(sql, (document,))) or None

    def _find_reversal(self, seq: int) -> int | None:
        row = self._one('SELECT seq FROM reversal WHERE "group" = ?', seq)
        return row[0] if row and isinstance(row[0], int) else None

    def _find_command(self, command: str) -> int | None:
        row = self._one("SELECT seq FROM command WHERE id = ?", command)
        return row[0] if row and isinstance(row[0], int) else None

    # ---------------------------------------------------------------- row by row

    def apply(self, seq: int, record: Record) -> None:
        """Bring everything from row `seq - 1` to row `seq`."""
        if isinstance(record, Movement):
            names = self._note_movement(seq, record)
            apply(self.stock, seq, record)
            self._note_contents(names)
            return
        if isinstance(record, Count):
            self._marks[record.account] = None
            self.count_rows.setdefault(record.account, []).append((record.occurred_at, seq, encode(record)))
        elif isinstance(record, ClockRecord):
            self.clocks.append((seq, record))
        elif isinstance(record, Document):
            self._documents[record.id] = None
        elif isinstance(record, CommandResult):
            self.commands[record.command] = self._new_commands[record.command] = seq
        elif isinstance(record, ExceptionRecord):
            key = (record.kind, record.subject)
            self.recent_exceptions[key] = record
            self._exception_rows[key] = seq
            if record.state == "decided":
                self.exceptions.pop(key, None)
            else:
                self.exceptions[key] = record
        apply(self.stock, seq, record)

    def _note_movement(self, seq: int, movement: Movement) -> dict[str, None]:
        """Note what a movement is about to change; the units that it names."""
        if movement.reverses is not UNSET:
            self.reversals[movement.reverses] = self._new_reversals[movement.reverses] = seq
        if movement.document is not UNSET:
            self._done[movement.document] = None
        if movement.group is not UNSET:
            self.group_rows.setdefault(movement.group, []).append(seq)
        row = (movement.occurred_at, seq)
        places: dict[Account, None] = {}
        for key in touched_balances(movement):
            self._balances[key] = None
            if key.lot:
                self._lots[key.item, key.lot] = None
            places[Account(key.place, key.status)] = None
        for account in places:
            if not is_virtual(account.place):
                self.account_rows.setdefault(account, []).append(row)
        for entry in movement.units:
            for content in entry.holds:
                if content.lot is not UNSET:
                    self._lots[content.item, content.lot] = None
            if entry.container is not UNSET:
                self._note_containers(entry.unit, entry.container)
        names = dict.fromkeys(touched_units(movement))
        for name in names:
            self.unit_rows.setdefault(name, []).append(row)
        self._note_contents(names)
        return names

    def _note_containers(self, unit: str, container: str | None) -> None:
        known = self._units.get(unit)
        for name in (container, known.container if known else None):
            if name is not None:
                self._containers[name] = None

    def _note_contents(self, names: dict[str, None]) -> None:
        """The part of a balance that units hold changes where they are and where they go."""
        for name in names:
            unit = self._units.get(name)
            if unit is not None:
                for goods in unit.holds:
                    self._balances[Key(unit.account.place, unit.account.status, *goods)] = None

    # ---------------------------------------------------------------- to the tables

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write what changed since the last flush; the caller's transaction makes it whole with the position."""
        stock = self.stock
        connection.executemany(
            "DELETE FROM balance WHERE place = ? AND status = ? AND item = ? AND lot = ? AND expiry = ?", self._balances
        )
        connection.executemany(
            "INSERT INTO balance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (*key, *stock.balances.get(key, NOTHING), *self._held(key))
                for key in self._balances
                if key in stock.balances or self._held(key) != NOTHING
            ),
        )
        self._flush_units(connection)
        if self._indexed:
            self._flush_index(connection)
            pack_older(connection)
        connection.executemany(
            "INSERT OR REPLACE INTO count_row VALUES (?, ?, ?, ?, ?)",
            ((account.place, account.status, *row) for account, rows in self.count_rows.items() for row in rows),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO clock_row VALUES (?, ?)",
            ((seq, encode(record)) for seq, record in self.clocks if seq > self.flushed_seq),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO lot VALUES (?, ?, ?)",
            ((*pair, stock.lots[pair]) for pair in self._lots if pair in stock.lots),
        )
        self._flush_papers(connection)
        connection.execute("INSERT OR REPLACE INTO position VALUES ('applied', ?, NULL)", (stock.applied_seq,))

    def _held(self, key: Key) -> Amount:
        return NOTHING if has_left(key.place) else self.stock.held.get(key, NOTHING)

    def _flush_units(self, connection: sqlite3.Connection) -> None:
        empty: list[tuple[str]] = []
        for name in {**self.unit_rows, **self._containers}:
            unit = self._units.get(name)
            inside = self._children.get(name)
            if unit is None and not inside:
                empty.append((name,))
                continue
            rows = self.unit_rows.get(name, []) if unit else []
            row = {
                "unit": name,
                "here": int(unit is None or not has_left(unit.account.place)),
                "seq": max((seq for _, seq in rows), default=0),
                "body": encode_unit(unit) if unit else None,
                "inside": encode_inside(inside) if inside else None,
                "rows": encode_rows(rows),
                "base": self.base,
            }
            connection.execute(_PUT_UNIT, row)
        connection.executemany("DELETE FROM unit WHERE unit = ? AND body IS NULL", empty)

    def _flush_index(self, connection: sqlite3.Connection) -> None:
        for account, rows in self.account_rows.items():
            pair = (account.place, account.status)
            connection.execute("INSERT OR IGNORE INTO account (place, status) VALUES (?, ?)", pair)
            (number,) = connection.execute("SELECT id FROM account WHERE place = ? AND status = ?", pair).fetchone()
            connection.executemany(
                "INSERT OR IGNORE INTO account_row VALUES (?, ?, ?)", ((number, *row) for row in sorted(rows))
            )
        connection.executemany(
            "INSERT OR IGNORE INTO group_row VALUES (?, ?)",
            ((group, seq) for group, rows in self.group_rows.items() for seq in rows),
        )

    def _flush_papers(self, connection: sqlite3.Connection) -> None:
        stock = self.stock
        connection.executemany(
            "INSERT OR REPLACE INTO count_mark VALUES (?, ?, ?, ?)",
            ((key.place, key.status, *stock.counts[key]) for key in self._marks),
        )
        connection.executemany("DELETE FROM document WHERE id = ?", ((name,) for name in self._documents))
        connection.executemany(
            "INSERT INTO document VALUES (?, ?)",
            ((name, _encode(stock.documents[name])) for name in self._documents if name in stock.documents),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO document_done VALUES (?, ?, ?)",
            ((name, line, number) for name in self._done for line, number in stock.done.get(name, {}).items()),
        )
        connection.executemany("INSERT OR REPLACE INTO reversal VALUES (?, ?)", self._new_reversals.items())
        connection.executemany("INSERT OR REPLACE INTO command VALUES (?, ?)", self._new_commands.items())
        connection.executemany(
            "INSERT OR REPLACE INTO exception VALUES (?, ?, ?, ?, ?)",
            (
                (*key, record.state, self._exception_rows[key], _encode(record))
                for key, record in self.recent_exceptions.items()
            ),
        )

    def flushed(self) -> None:
        """The transaction of the last `flush` was committed: what it wrote is no longer pending, what left leaves memory."""
        self.flushed_seq = self.stock.applied_seq
        self._units.put_away([name for name, unit in self._units.items() if has_left(unit.account.place)])
        for key in [key for key in self.stock.held if has_left(key.place)]:
            del self.stock.held[key]
        for table in (self._children, self._progress, self.reversals, self.commands):
            table.clear()
        for pending in (
            self.recent_exceptions, self.unit_rows, self.account_rows, self.count_rows, self.group_rows,
            self._balances, self._containers, self._lots, self._marks, self._documents, self._done,
            self._exception_rows, self._new_reversals, self._new_commands,
        ):  # fmt: skip
            pending.clear()


def load(connection: sqlite3.Connection) -> LedgerState:
    """The state after the last row: the derived tables, and the rows that they do not hold yet.

    Raises LedgerDamagedError when the tables lack rows that retention has cut.
    """
    state = load_tables(connection)
    state.base = base_of(connection)
    if state.stock.applied_seq < state.base:
        raise LedgerDamagedError(f"the derived tables stand before row {state.base + 1}, the oldest that is kept")
    for seq, body in rows_after(connection, state.stock.applied_seq):
        state.apply(seq, decode(body))
    for _, body in rows_after(connection, max(state.base, state.stock.applied_seq - RECENT_ROWS)):
        record = decode(body)
        for name in touched_units(record) if isinstance(record, Movement) else ():
            state.stock.units.get(name)
    return state


def load_tables(connection: sqlite3.Connection, indexed: bool = True) -> LedgerState:
    """The state that the derived tables hold. Raises what reading them raises when they were damaged."""
    state = LedgerState(connection, indexed)
    stock = state.stock
    found = connection.execute("SELECT seq FROM position WHERE name = 'applied'").fetchone()
    if found is None:
        raise LedgerDamagedError("the derived tables do not say at which row they stand")
    stock.applied_seq = state.flushed_seq = found[0]
    for *names, quantity, grams, held, held_grams in connection.execute("SELECT * FROM balance"):
        key = Key(*names)
        if quantity or grams:
            stock.balances[key] = Amount(quantity, grams)
        if held or held_grams:
            stock.held[key] = Amount(held, held_grams)
    for name, body in connection.execute("SELECT unit, body FROM unit WHERE here = 1 AND body IS NOT NULL"):
        stock.units[name] = decode_unit(body)
    stock.lots = {(item, lot): expiry for item, lot, expiry in connection.execute("SELECT * FROM lot")}
    for place, status, seq, at in connection.execute("SELECT * FROM count_mark"):
        stock.counts[Account(place, status)] = CountMark(seq, at)
    for name, body in connection.execute("SELECT * FROM document"):
        stock.documents[name] = _decode_document(body)
    for kind, subject, body in connection.execute("SELECT kind, subject, body FROM exception WHERE state <> 'decided'"):
        state.exceptions[kind, subject] = _decode_exception(body)
    for seq, body in connection.execute("SELECT seq, body FROM clock_row ORDER BY seq"):
        state.clocks.append((seq, _decode_clock(body)))
    return state


def rows_after(connection: sqlite3.Connection, seq: int) -> Iterator[tuple[int, bytes]]:
    """(seq, canonical bytes) of the rows after `seq`, in order, a page at a time."""
    while True:
        page = connection.execute(
            "SELECT seq, body FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (seq, PAGE_ROWS)
        ).fetchall()
        if not page:
            return
        for row, body in page:
            yield row, unpack(body)
        seq = page[-1][0]


def touched_balances(movement: Movement) -> Iterator[Key]:
    """The balances that a movement may change."""
    for line in movement.lines:
        goods = goods_of(line)
        for account in accounts(movement, line):
            yield Key(account.place, account.status, *goods)


def touched_units(movement: Movement) -> Iterator[str]:
    """The units whose place, container or content a movement may change."""
    for entry in movement.units:
        yield entry.unit
    for line in movement.lines:
        if line.out_of is not UNSET:
            yield line.out_of
        if line.into is not UNSET:
            yield line.into


class Follower:
    """Applies rows one after the other and writes what they amount to into the tables of `tables`, now and then, so that it
    needs little memory. It forgets where retention did: at the rows that the table `retention` of `ledger` names.
    """

    def __init__(self, ledger: sqlite3.Connection, tables: sqlite3.Connection, indexed: bool) -> None:
        """Begin with empty tables, or with the snapshot of the first row kept. Raises LedgerDamagedError without it."""
        self._tables = tables
        self._cuts: dict[int, int] = dict(ledger.execute("SELECT head, base FROM retention"))
        self.state = LedgerState(tables, indexed)
        if base := base_of(ledger):
            path = snapshot_beside(Path(ledger.execute("PRAGMA database_list").fetchone()[2]), base + 1)
            body = ledger.execute("SELECT body FROM ledger WHERE seq = ?", (base + 1,)).fetchone()
            first = decode(unpack(body[0])) if body else None
            if not isinstance(first, Checkpoint) or digest_of_file(path) != first.snapshot:
                raise LedgerDamagedError(f"{path} is not the snapshot that row {base + 1}, the first one kept, names")
            forgotten = restore(tables, path)
            self.state = load_tables(tables, indexed)
            self.state.base = forgotten
            self.forget()

    def apply(self, seq: int, record: Record) -> None:
        """The next row."""
        self.state.apply(seq, record)
        if seq in self._cuts or seq - self.state.flushed_seq >= FOLLOW_ROWS:
            self.write()
        if seq in self._cuts:
            self.state.base = self._cuts[seq]
            self.forget()

    def write(self) -> None:
        """Bring the tables up to the last row."""
        self.state.flush(self._tables)
        self.state.flushed()

    def forget(self) -> None:
        """Delete what retention had forgotten by now."""
        for sql in FORGET:
            self._tables.execute(sql, (self.state.base,))


def rebuild(connection: sqlite3.Connection) -> LedgerState:
    """Make the derived tables again, in the caller's transaction: from the rows, and where retention has cut rows from the
    snapshot of the first one kept. Raises LedgerDamagedError where that is not there.
    """
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")
    connection.execute("INSERT OR REPLACE INTO position VALUES ('applied', 0, NULL)")
    follower = Follower(connection, connection, True)
    for seq, body in rows_after(connection, follower.state.stock.applied_seq):
        follower.apply(seq, decode(body))
    follower.write()
    return follower.state


def base_of(connection: sqlite3.Connection) -> int:
    """The last row that retention has cut; 0 when it has cut none."""
    found: tuple[int] | None = connection.execute("SELECT seq FROM position WHERE name = 'base'").fetchone()
    return found[0] if found else 0
