"""What the ledger amounts to, kept in memory by whoever follows it, and written to the derived tables now and then.

The derived tables only make a start quick: they hold the state after row `applied`, a start applies the rest, and
`rebuild` makes them again from the ledger alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from gateway.errors import LedgerDamagedError
from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement, accounts
from vocabulary.place import Account, is_virtual
from vocabulary.records import CommandResult, Record, decode
from vocabulary.stock import Amount, CountMark, Goods, Key, Stock, Unit, apply, goods_of

#: Rows read at a time while state is brought up to date: bounds memory.
PAGE_ROWS = 2_000

TABLES = (
    "balance",
    "unit",
    "unit_row",
    "account_row",
    "group_row",
    "count_row",
    "lot",
    "count_mark",
    "document",
    "document_done",
    "reversal",
    "command",
    "exception",
)


class UnitRow(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """A unit as the table `unit` keeps it. `position` orders the units of one container."""

    account: Account
    first_seq: int
    first_at: int
    first_from: Account
    seq: int
    at: int
    container: str | None = None
    position: int = 0
    holds: tuple[tuple[Goods, Amount], ...] = ()


_encode = msgspec.json.Encoder().encode
_decode_unit = msgspec.json.Decoder(UnitRow).decode
_decode_document = msgspec.json.Decoder(Document).decode
_decode_exception = msgspec.json.Decoder(ExceptionRecord).decode


class LedgerState:
    """Stock and what else posting and sync ask of the past, after `stock.applied_seq` rows.

    It also keeps which of it changed since `flush` last wrote it; dicts stand for ordered sets.
    """

    def __init__(self) -> None:
        self.stock = Stock()
        #: reversed group -> the row that reversed it
        self.reversals: dict[int, int] = {}
        #: command -> the row of its result
        self.commands: dict[str, int] = {}
        #: (kind, subject) -> an exception that is not decided
        self.exceptions: dict[tuple[str, str], ExceptionRecord] = {}
        #: exceptions whose last record came since the last flush; older ones are in the table
        self.recent_exceptions: dict[tuple[str, str], ExceptionRecord] = {}
        #: (occurred_at, seq) of the movements and counts since the last flush, by what they name; older ones are in tables
        self.unit_rows: dict[str, list[tuple[int, int]]] = {}
        self.account_rows: dict[Account, list[tuple[int, int]]] = {}
        self.count_rows: dict[Account, list[tuple[int, int]]] = {}
        self.group_rows: dict[int, list[int]] = {}
        self.flushed_seq = 0
        self._balances: dict[Key, None] = {}
        self._lots: dict[tuple[str, str], None] = {}
        self._marks: dict[Account, None] = {}
        self._documents: dict[str, None] = {}
        self._done: dict[str, None] = {}
        self._reversals: dict[int, None] = {}
        self._commands: dict[str, None] = {}

    def apply(self, seq: int, record: Record) -> None:
        """Bring everything from row `seq - 1` to row `seq`."""
        if isinstance(record, Movement):
            self._note_movement(seq, record)
        elif isinstance(record, Count):
            self._marks[record.account] = None
            self.count_rows.setdefault(record.account, []).append((record.occurred_at, seq))
        elif isinstance(record, Document):
            self._documents[record.id] = None
        elif isinstance(record, CommandResult):
            self.commands[record.command] = seq
            self._commands[record.command] = None
        elif isinstance(record, ExceptionRecord):
            key = (record.kind, record.subject)
            self.recent_exceptions[key] = record
            if record.state == "decided":
                self.exceptions.pop(key, None)
            else:
                self.exceptions[key] = record
        apply(self.stock, seq, record)

    def _note_movement(self, seq: int, movement: Movement) -> None:
        if movement.reverses is not UNSET:
            self.reversals[movement.reverses] = seq
            self._reversals[movement.reverses] = None
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
        for name in dict.fromkeys(touched_units(movement)):
            self.unit_rows.setdefault(name, []).append(row)

    # ---------------------------------------------------------------- to the tables

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write what changed since the last flush; the caller's transaction makes it whole with the position."""
        stock = self.stock
        connection.executemany(
            "DELETE FROM balance WHERE place = ? AND status = ? AND item = ? AND lot = ? AND expiry = ?", self._balances
        )
        connection.executemany(
            "INSERT INTO balance VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((*key, *stock.balances[key]) for key in self._balances if key in stock.balances),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO unit VALUES (?, ?)",
            ((name, _encode(_unit_row(stock, name))) for name in self._changed_units() if name in stock.units),
        )
        self._flush_rows(connection)
        connection.executemany(
            "INSERT OR REPLACE INTO lot VALUES (?, ?, ?)",
            ((*pair, stock.lots[pair]) for pair in self._lots if pair in stock.lots),
        )
        self._flush_papers(connection)
        connection.execute("INSERT OR REPLACE INTO position VALUES ('applied', ?, NULL)", (stock.applied_seq,))

    def _flush_rows(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT OR IGNORE INTO unit_row VALUES (?, ?, ?)",
            ((name, *row) for name, rows in self.unit_rows.items() for row in rows),
        )
        for table, index in (("account_row", self.account_rows), ("count_row", self.count_rows)):
            connection.executemany(
                f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?)",
                ((account.place, account.status, *row) for account, rows in index.items() for row in rows),
            )
        connection.executemany(
            "INSERT OR IGNORE INTO group_row VALUES (?, ?)",
            ((group, seq) for group, rows in self.group_rows.items() for seq in rows),
        )

    def _changed_units(self) -> dict[str, None]:
        """The units named since the last flush, and those beside them: a newcomer's position is relative to theirs."""
        names: dict[str, None] = {}
        for name in self.unit_rows:
            known = self.stock.units.get(name)
            names[name] = None
            if known and known.container is not None:
                names.update(self.stock.children.get(known.container, {}))
        return names

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
        connection.executemany(
            "INSERT OR REPLACE INTO reversal VALUES (?, ?)",
            ((group, self.reversals[group]) for group in self._reversals),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO command VALUES (?, ?)", ((name, self.commands[name]) for name in self._commands)
        )
        connection.executemany(
            "INSERT OR REPLACE INTO exception VALUES (?, ?, ?, ?)",
            ((*key, record.state, _encode(record)) for key, record in self.recent_exceptions.items()),
        )

    def flushed(self) -> None:
        """The transaction of the last `flush` was committed: what it wrote is no longer pending."""
        self.flushed_seq = self.stock.applied_seq
        for pending in (
            self.recent_exceptions, self.unit_rows, self.account_rows, self.count_rows, self.group_rows,
            self._balances, self._lots, self._marks, self._documents, self._done, self._reversals, self._commands,
        ):  # fmt: skip
            pending.clear()


def load(connection: sqlite3.Connection) -> LedgerState:
    """The state after the last row: the derived tables, and the rows that they do not hold yet."""
    state = load_tables(connection)
    for seq, body in rows_after(connection, state.stock.applied_seq):
        state.apply(seq, decode(body))
    return state


def load_tables(connection: sqlite3.Connection) -> LedgerState:
    """The state that the derived tables hold. Raises what reading them raises when they were damaged."""
    state = LedgerState()
    stock = state.stock
    found = connection.execute("SELECT seq FROM position WHERE name = 'applied'").fetchone()
    if found is None:
        raise LedgerDamagedError("the derived tables do not say at which row they stand")
    stock.applied_seq = state.flushed_seq = found[0]
    for *key, quantity, grams in connection.execute("SELECT * FROM balance"):
        stock.balances[Key(*key)] = Amount(quantity, grams)
    _load_units(connection, stock)
    stock.lots = {(item, lot): expiry for item, lot, expiry in connection.execute("SELECT * FROM lot")}
    for place, status, seq, at in connection.execute("SELECT * FROM count_mark"):
        stock.counts[Account(place, status)] = CountMark(seq, at)
    for name, body in connection.execute("SELECT * FROM document"):
        stock.documents[name] = _decode_document(body)
    for name, line, quantity in connection.execute("SELECT * FROM document_done"):
        stock.done.setdefault(name, {})[line] = quantity
    state.reversals = dict(connection.execute("SELECT * FROM reversal"))
    state.commands = dict(connection.execute("SELECT * FROM command"))
    for kind, subject, body in connection.execute("SELECT kind, subject, body FROM exception WHERE state <> 'decided'"):
        state.exceptions[kind, subject] = _decode_exception(body)
    return state


def rebuild(connection: sqlite3.Connection) -> LedgerState:
    """Make the derived tables again from the ledger alone, in the caller's transaction."""
    state = LedgerState()
    for seq, body in rows_after(connection, 0):
        state.apply(seq, decode(body))
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")
    state.flush(connection)
    return state


def rows_after(connection: sqlite3.Connection, seq: int) -> Iterator[tuple[int, bytes]]:
    """(seq, canonical bytes) of the rows after `seq`, in order, a page at a time."""
    while True:
        page = connection.execute(
            "SELECT seq, body FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (seq, PAGE_ROWS)
        ).fetchall()
        if not page:
            return
        yield from page
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


def _unit_row(stock: Stock, name: str) -> UnitRow:
    unit = stock.units[name]
    position = 0
    if unit.container is not None:
        position = list(stock.children[unit.container]).index(name)
    return UnitRow(
        unit.account,
        unit.first_seq,
        unit.first_at,
        unit.first_from,
        unit.seq,
        unit.at,
        unit.container,
        position,
        tuple(unit.holds.items()),
    )


def _load_units(connection: sqlite3.Connection, stock: Stock) -> None:
    inside: list[tuple[str, int, str]] = []
    for name, body in connection.execute("SELECT * FROM unit"):
        row = _decode_unit(body)
        holds = dict(row.holds)
        stock.units[name] = Unit(
            row.account, row.first_seq, row.first_at, row.first_from, row.seq, row.at, row.container, holds
        )
        for goods, amount in holds.items():
            key = Key(row.account.place, row.account.status, *goods)
            old = stock.held.get(key, Amount(0, 0))
            stock.held[key] = Amount(old.quantity + amount.quantity, old.grams + amount.grams)
        if row.container is not None:
            inside.append((row.container, row.position, name))
    for container, _, name in sorted(inside):
        stock.children.setdefault(container, {})[name] = None
