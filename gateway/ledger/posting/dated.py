"""The past by the times that clock records have corrected: posting compares no other. New rows carry corrected times."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.ledger.posting.history import CountRow, History, Row
from vocabulary.count import Count, CountLine
from vocabulary.exception import ExceptionKind, ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.records import ClockRecord
from vocabulary.stock import Unit


class Dated:
    """`History` over another one whose rows say what was known when they were recorded."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._corrections = history.corrections()
        #: microseconds by which a row may be later than it says
        self._later = sum(max(0, one.shift) for one in self._corrections)

    def cut(self) -> int:
        """The last row that retention has cut."""
        return self._history.cut()

    def cut_at(self) -> int:
        """The time before which rows may be missing."""
        return self._history.cut_at()

    def corrections(self) -> Sequence[ClockRecord]:
        """The clock records of the ledger."""
        return self._corrections

    def shift(self, seq: int) -> int:
        """Microseconds by which row `seq` happened later than it says."""
        return sum(one.shift for one in self._corrections if one.first_seq <= seq <= one.last_seq)

    def group(self, seq: int) -> Sequence[Row]:
        """The rows of one event by seq."""
        return [self._row(row) for row in self._history.group(seq)]

    def reversed_by(self, seq: int) -> int | None:
        """The seq of the row that takes row `seq` back, or None."""
        return self._history.reversed_by(seq)

    def movements_of(self, unit: str, since: int) -> Sequence[Row]:
        """Movements dated `since` or later that name `unit`, by (occurred_at, seq)."""
        rows = [self._row(row) for row in self._history.movements_of(unit, since - self._later)]
        rows = [row for row in rows if row.movement.occurred_at >= since]
        return sorted(rows, key=lambda row: (row.movement.occurred_at, row.seq))

    def movements_at(self, account: Account, after: int) -> Sequence[Row]:
        """Movements dated later than `after` with a line from or to `account`, by seq."""
        rows = [self._row(row) for row in self._history.movements_at(account, after - self._later)]
        return [row for row in rows if row.movement.occurred_at > after]

    def counts_of(self, account: Account, since: int) -> Sequence[CountRow]:
        """Counts of `account` dated `since` or later, by (occurred_at, seq)."""
        rows = [self._count(row) for row in self._history.counts_of(account, since - self._later)]
        rows = [row for row in rows if row.record.occurred_at >= since]
        return sorted(rows, key=lambda row: (row.record.occurred_at, row.seq))

    def exception(self, kind: ExceptionKind, subject: str) -> ExceptionRecord | None:
        """The last record of an exception, or None when it was never raised."""
        return self._history.exception(kind, subject)

    def date(self, unit: Unit) -> Unit:
        """`unit` with the corrected times of its first and last movement; changed in place."""
        unit.at += self.shift(unit.seq)
        unit.first_at += self.shift(unit.first_seq)
        return unit

    def _row(self, row: Row) -> Row:
        shift = self.shift(row.seq)
        return Row(row.seq, _movement(row.movement, shift)) if shift else row

    def _count(self, row: CountRow) -> CountRow:
        shift = self.shift(row.seq)
        return CountRow(row.seq, _count(row.record, shift)) if shift else row


def _movement(movement: Movement, shift: int) -> Movement:
    return msgspec.structs.replace(movement, occurred_at=movement.occurred_at + shift)


def _count(count: Count, shift: int) -> Count:
    lines = tuple(_line(line, shift) for line in count.lines)
    return msgspec.structs.replace(count, occurred_at=count.occurred_at + shift, lines=lines)


def _line(line: CountLine, shift: int) -> CountLine:
    return msgspec.structs.replace(line, first_scan=line.first_scan + shift, cut_off=line.cut_off + shift)
