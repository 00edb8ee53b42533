"""The past as posting asks for it, looked up in the ledger's file and in what was not written to its tables yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from gateway.ledger.balances import LedgerState
from gateway.ledger.packing import unpack
from gateway.ledger.posting.history import CountRow, Row
from gateway.ledger.units import decode_rows
from vocabulary.count import Count
from vocabulary.exception import ExceptionKind, ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.records import Checkpoint, ClockRecord, decode

_decode_exception = msgspec.json.Decoder(ExceptionRecord).decode


class SqlitePast:
    """`posting.History` over the writer's connection: it sees rows that the open transaction has inserted."""

    def __init__(self, connection: sqlite3.Connection, state: LedgerState) -> None:
        self._connection = connection
        self._state = state

    def group(self, seq: int) -> Sequence[Row]:
        stored = self._connection.execute('SELECT seq FROM group_row WHERE "group" = ?', (seq,))
        seqs = {seq, *(row[0] for row in stored), *self._state.group_rows.get(seq, ())}
        return self._movements(sorted(one for one in seqs if one > self._state.base))

    def reversed_by(self, seq: int) -> int | None:
        return self._state.reversals.get(seq)

    def movements_of(self, unit: str, since: int) -> Sequence[Row]:
        base = self._state.base
        stored = self._connection.execute(
            "SELECT rows FROM unit WHERE unit = ? AND (here = 1 OR seq > ?)", (unit, base)
        ).fetchone()
        rows = dict.fromkeys((*(decode_rows(stored[0]) if stored else ()), *self._state.unit_rows.get(unit, ())))
        return self._movements(seq for at, seq in sorted(rows) if at >= since and seq > base)

    def movements_at(self, account: Account, after: int) -> Sequence[Row]:
        stored = self._connection.execute(
            "SELECT at, seq FROM account_row"
            " WHERE account = (SELECT id FROM account WHERE place = ? AND status = ?) AND at > ?",
            (account.place, account.status, after),
        )
        recent = (row for row in self._state.account_rows.get(account, ()) if row[0] > after)
        rows = dict.fromkeys((*stored, *recent))
        return self._movements(sorted(seq for _, seq in rows if seq > self._state.base))

    def counts_of(self, account: Account, since: int) -> Sequence[CountRow]:
        if account not in self._state.stock.counts:
            return ()  # most accounts were never counted: no need to look
        stored = self._connection.execute(
            "SELECT at, seq, body FROM count_row WHERE place = ? AND status = ? AND at >= ?",
            (account.place, account.status, since),
        )
        recent = (row for row in self._state.count_rows.get(account, ()) if row[0] >= since)
        found = ((seq, decode(body)) for _, seq, body in sorted(dict.fromkeys((*stored, *recent))))
        return [CountRow(seq, record) for seq, record in found if isinstance(record, Count)]

    def cut(self) -> int:
        return self._state.base

    def cut_at(self) -> int:
        first = self._record(self._state.base + 1) if self._state.base else None
        return first.at if isinstance(first, Checkpoint) else 0

    def corrections(self) -> Sequence[ClockRecord]:
        return [record for _, record in self._state.clocks]

    def exception(self, kind: ExceptionKind, subject: str) -> ExceptionRecord | None:
        key = (kind, subject)
        known = self._state.exceptions.get(key) or self._state.recent_exceptions.get(key)
        if known is not None:
            return known
        row = self._connection.execute("SELECT body FROM exception WHERE kind = ? AND subject = ?", key).fetchone()
        return _decode_exception(row[0]) if row else None

    def _movements(self, seqs: Iterable[int]) -> list[Row]:
        found: list[Row] = []
        for seq in seqs:
            record = self._record(seq)
            if isinstance(record, Movement):
                found.append(Row(seq, record))
        return found

    def _record(self, seq: int) -> object:
        row = self._connection.execute("SELECT body FROM ledger WHERE seq = ?", (seq,)).fetchone()
        return decode(unpack(row[0])) if row else None
