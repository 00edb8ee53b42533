"""What posting needs to know of rows that are already in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vocabulary.count import Count
from vocabulary.exception import ExceptionKind, ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.records import ClockRecord


class Row(NamedTuple):
    """A movement and its place in the ledger."""

    seq: int
    movement: Movement


class CountRow(NamedTuple):
    """A count and its place in the ledger."""

    seq: int
    record: Count


class History(Protocol):
    """Past rows, by what they name. Rows that retention has cut are not found; that is no error."""

    def group(self, seq: int) -> Sequence[Row]:
        """The rows of one event by seq: row `seq` itself, if it is a movement, and all movements whose group is `seq`."""
        ...

    def reversed_by(self, seq: int) -> int | None:
        """The seq of the row that takes row `seq` back, or None."""
        ...

    def movements_of(self, unit: str, since: int) -> Sequence[Row]:
        """Movements dated `since` or later that name `unit` (an entry, `out_of` or `into`), by (occurred_at, seq)."""
        ...

    def movements_at(self, account: Account, after: int) -> Sequence[Row]:
        """Movements dated later than `after` with a line from or to `account`, by seq."""
        ...

    def counts_of(self, account: Account, since: int) -> Sequence[CountRow]:
        """Counts of `account` dated `since` or later (their `occurred_at`), by (occurred_at, seq)."""
        ...

    def cut(self) -> int:
        """The last row that retention has cut; 0 where it has cut none."""
        ...

    def cut_at(self) -> int:
        """The time before which rows may be missing (microseconds UTC); 0 where none is cut."""
        ...

    def corrections(self) -> Sequence[ClockRecord]:
        """The clock records of the ledger, also those that retention has cut."""
        ...

    def exception(self, kind: ExceptionKind, subject: str) -> ExceptionRecord | None:
        """The last record of an exception, or None when it was never raised."""
        ...
