"""The past as posting asks for it, looked up in the ledger's file and in what was not written to its tables yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from gateway.ledger.balances import LedgerState
from gateway.ledger.posting.history import CountRow, Row
from vocabulary.count import Count
from vocabulary.exception import ExceptionKind, ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.records import decode

_decode_exception = msgspec.json.Decoder(ExceptionRecord).decode


class SqlitePast:
    """`posting.History` over the writer's connection: it sees rows that the open transaction has inserted."""

    def __init__(self, connection: sqlite3.Connection, state: LedgerState) -> None:
        self._connection = connection
        self._state = state

    def group(self, seq: int) -> Sequence[Row]:
        stored = self._connection.execute('SELECT seq FROM group_row WHERE "group" = ?', (seq,))
        return self._movements(sorted({seq, *(row[0] for row in stored), *self._state.group_rows.get(seq, ())}))

    def reversed_by(self, seq: int) -> int | None:
        return self._state.reversals.get(seq)

    def movements_of(self, unit: str, since: int) -> Sequence[Row]:
        stored = self._connection.execute("SELECT at, seq FROM unit_row WHERE unit = ? AND at >= ?", (unit, since))
        rows = _merged(stored, self._state.unit_rows.get(unit, ()), since)
        return self._movements(seq for _, seq in sorted(rows))

    def movements_at(self, account: Account, after: int) -> Sequence[Row]:
        stored = self._connection.execute(
            "SELECT at, seq FROM account_row WHERE place = ? AND status = ? AND at > ?",
            (account.place, account.status, after),
        )
        rows = _merged(stored, self._state.account_rows.get(account, ()), after + 1)
        return self._movements(sorted(seq for _, seq in rows))

    def counts_of(self, account: Account, since: int) -> Sequence[CountRow]:
        if account not in self._state.stock.counts:
            return ()  # most accounts were never counted: no need to look
        stored = self._connection.execute(
            "SELECT at, seq FROM count_row WHERE place = ? AND status = ? AND at >= ?",
            (account.place, account.status, since),
        )
        found: list[CountRow] = []
        for _, seq in sorted(_merged(stored, self._state.count_rows.get(account, ()), since)):
            record = self._record(seq)
            if isinstance(record, Count):
                found.append(CountRow(seq, record))
        return found

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
        return decode(row[0]) if row else None


def _merged(
    stored: Iterable[tuple[int, int]], recent: Iterable[tuple[int, int]], since: int
) -> dict[tuple[int, int], None]:
    found = dict.fromkeys(stored)
    found.update({row: None for row in recent if row[0] >= since})
    return found
