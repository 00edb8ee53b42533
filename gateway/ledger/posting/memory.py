"""A ledger's past in memory, for replays, simulation and tests: the plain meaning of `History`, row by row."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from gateway.ledger.posting.history import CountRow, Row
from vocabulary.count import Count
from vocabulary.exception import ExceptionKind, ExceptionRecord
from vocabulary.movement import Movement, accounts
from vocabulary.place import Account
from vocabulary.records import ClockRecord, Record


class ListHistory:
    """All rows of a ledger in a list; every question reads what it needs of them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._of_unit: dict[str, list[Row]] = {}
        self._taken_back: dict[int, int] = {}
        self._clocks: list[ClockRecord] = []
        self._exceptions: dict[tuple[ExceptionKind, str], ExceptionRecord] = {}

    def append(self, record: Record) -> int:
        """Add the next row; its seq."""
        self.records.append(record)
        seq = len(self.records)
        if isinstance(record, ExceptionRecord):
            self._exceptions[record.kind, record.subject] = record
        if isinstance(record, ClockRecord):
            self._clocks.append(record)
        if isinstance(record, Movement):
            named = {entry.unit: None for entry in record.units}
            for line in record.lines:
                named.update({unit: None for unit in (line.out_of, line.into) if unit is not UNSET})
            for unit in named:
                self._of_unit.setdefault(unit, []).append(Row(seq, record))
            if record.reverses is not UNSET:
                self._taken_back[record.reverses] = seq
        return seq

    def group(self, seq: int) -> Sequence[Row]:
        """The rows of one event by seq."""
        return [row for row in self._movements() if row.seq == seq or row.movement.group == seq]

    def reversed_by(self, seq: int) -> int | None:
        """The seq of the row that takes row `seq` back, or None."""
        return self._taken_back.get(seq)

    def movements_of(self, unit: str, since: int) -> Sequence[Row]:
        """Movements dated `since` or later that name `unit`, by (occurred_at, seq)."""
        rows = [row for row in self._of_unit.get(unit, []) if row.movement.occurred_at >= since]
        return sorted(rows, key=lambda row: (row.movement.occurred_at, row.seq))

    def movements_at(self, account: Account, after: int) -> Sequence[Row]:
        """Movements dated later than `after` with a line from or to `account`, by seq."""
        return [
            row
            for row in self._movements()
            if row.movement.occurred_at > after
            and any(account in accounts(row.movement, line) for line in row.movement.lines)
        ]

    def counts_of(self, account: Account, since: int) -> Sequence[CountRow]:
        """Counts of `account` dated `since` or later, by (occurred_at, seq)."""
        rows = [
            CountRow(seq, record)
            for seq, record in enumerate(self.records, 1)
            if isinstance(record, Count) and record.account == account and record.occurred_at >= since
        ]
        return sorted(rows, key=lambda row: (row.record.occurred_at, row.seq))

    def cut(self) -> int:
        """The last row that was cut: none ever is."""
        return 0

    def cut_at(self) -> int:
        """The time before which rows may be missing."""
        return 0

    def corrections(self) -> Sequence[ClockRecord]:
        """The clock records of the ledger."""
        return self._clocks

    def exception(self, kind: ExceptionKind, subject: str) -> ExceptionRecord | None:
        """The last record of an exception, or None when it was never raised."""
        return self._exceptions.get((kind, subject))

    def _movements(self) -> list[Row]:
        return [Row(seq, record) for seq, record in enumerate(self.records, 1) if isinstance(record, Movement)]
