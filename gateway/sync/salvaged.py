"""Which facts the rows of a dead card tell beyond the last one that headquarters holds. Pure.

Rows name each other by seq, which means nothing in another ledger. So what was taken back falls away with what took it back;
what stands is told in the order of its time, corrected by the card's clock records; and what corrected a row that
headquarters holds becomes one movement from the wrong end to the right one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from gateway.ledger.posting.draft import Entry, assemble, entries_of, flows_of
from gateway.ledger.posting.loads import as_contents
from gateway.ledger.posting.relink import ELSEWHERE
from gateway.transactions.intents import Salvaged
from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content, Movement
from vocabulary.records import Checkpoint, ClockRecord, CommandResult, Inspection, Record
from vocabulary.stock import Stock, apply
from vocabulary.wire import OPENING_SNAPSHOT


class CardRow(NamedTuple):
    """A row of a card that can be read: its seq, the label of its branch, its record."""

    seq: int
    epoch: int
    record: Record


def facts_in(rows: Sequence[CardRow], common: int) -> list[Salvaged]:
    """What the rows behind row `common` tell, in the order in which it must be posted. `rows` may begin anywhere.

    Documents first, for movements name them; then movements and counts by time; then the rest as it was recorded.
    """
    return _Card(rows, common).facts()


class _Card:
    def __init__(self, rows: Sequence[CardRow], common: int) -> None:
        self._common = common
        self._tail = {row.seq: row for row in rows if row.seq > common}
        self._kept = {row.seq: row.record for row in rows if row.seq <= common}
        self._movements = {seq: row.record for seq, row in self._tail.items() if isinstance(row.record, Movement)}
        #: row -> the row of the tail that takes it back
        self._taken_back = {one.reverses: seq for seq, one in self._movements.items() if one.reverses is not UNSET}
        self._shift = _shifts(row.record for row in self._tail.values())
        self._before = _knowledge(rows, common)
        self._told = _last_told(self._kept)
        self._used: set[int] = set()

    def facts(self) -> list[Salvaged]:
        documents = _last(row for row in self._tail.values() if isinstance(row.record, Document))
        timed = [fact for seq in sorted(self._tail) if (fact := self._timed(seq)) is not None]
        timed.sort(key=lambda fact: (fact.occurred_at, self._rank(fact.seq), fact.seq))
        exceptions = set(_last(row for row in self._tail.values() if isinstance(row.record, ExceptionRecord)))
        rest = [fact for seq in sorted(self._tail) if (fact := self._other(seq, exceptions)) is not None]
        first = timed[0].occurred_at if timed else (rest[0].occurred_at if rest else 0)
        papers = [self._fact(seq, self._tail[seq].record, first) for seq in sorted(documents)]
        return [*papers, *timed, *rest]

    def _at(self, seq: int, at: int) -> int:
        return at + self._shift.get(seq, 0)

    def _rank(self, seq: int) -> int:
        """The place of a row among others of the same time: that of the row which it takes back or stands for."""
        record = self._tail[seq].record if seq in self._tail else self._kept.get(seq)
        if not isinstance(record, Movement):
            return seq
        if record.reverses is not UNSET:
            return self._rank(record.reverses)
        return seq if record.replaces is UNSET else record.replaces

    def _fact(self, seq: int, record: Record, at: int) -> Salvaged:
        return Salvaged(occurred_at=at, epoch=str(self._tail[seq].epoch), seq=seq, record=record)

    # ------------------------------------------------------------------------------------------------ in time

    def _timed(self, seq: int) -> Salvaged | None:
        record = self._tail[seq].record
        if isinstance(record, Count) and record.rule != OPENING_SNAPSHOT:
            return self._count(seq, record)
        if not isinstance(record, Movement) or record.rule == OPENING_SNAPSHOT or seq in self._used:
            return None
        if record.compensates is not UNSET and (record.group is UNSET or record.group > self._common):
            return None  # its cause is posted again and compensated where it is posted
        if record.count is not UNSET and record.count > self._common:
            return None  # the count is posted again
        if seq in self._taken_back:
            return None
        fixed = record.completes is not UNSET or record.kind == "identifying" or record.count is not UNSET
        fixed = fixed or record.compensates is not UNSET
        if record.reverses is not UNSET:
            if record.reverses > self._common:
                return None
            corrected = self._corrected(seq, record)
            return None if corrected is None else self._movement(seq, corrected, True)
        if record.group is not UNSET and record.group <= self._common:
            fixed = True  # headquarters holds a part of its event, and this is the rest
        return self._movement(seq, record, fixed)

    def _corrected(self, at: int, reversal: Movement) -> Movement | None:
        """The reversal of a row that headquarters holds and what stands in its place, as one movement; None: no change.

        `at` is the reversal's own row. Rows of another ledger have no number: the event tells what stands for them.
        """
        event = at if reversal.group is UNSET else reversal.group
        wrong = reversal.reverses
        assert wrong is not UNSET
        before = self._kept.get(wrong)
        rank = before.replaces if isinstance(before, Movement) and before.replaces is not UNSET else wrong
        standing = [
            seq
            for seq, one in self._movements.items()
            if one.replaces == rank
            and seq not in self._taken_back
            and (wrong != ELSEWHERE or (one.group == event and seq not in self._used))
        ]
        right = self._movements[standing[-1]] if standing else None
        self._used.update(standing)
        back = {entry.unit: entry for entry in entries_of(reversal)}
        entries: list[Entry] = []
        for entry in () if right is None else entries_of(right):
            wrongly = back.pop(entry.unit, None)
            if wrongly is None or wrongly.source != entry.target:
                source = entry.source if wrongly is None else wrongly.source
                entries.append(Entry(entry.unit, source, entry.target, entry.container, entry.holds))
        entries += [Entry(entry.unit, entry.source, entry.target, entry.container) for entry in back.values()]
        flows = flows_of(reversal) + ([] if right is None else flows_of(right))
        for flow in flows:
            flow.document_line = None  # the progress of documents stays as headquarters has it
        return assemble(
            msgspec.structs.replace(right or reversal, document=UNSET, document_line=UNSET, interval=UNSET),
            flows,
            entries,
        )

    def _movement(self, seq: int, movement: Movement, fixed: bool) -> Salvaged:
        at = self._at(seq, movement.occurred_at)
        entries = entries_of(movement)
        here = at, self._rank(seq)
        for entry in entries:
            entry.past = movement.completes is not UNSET or here < self._told.get(entry.unit, here)
            before = self._before.get((seq, entry.unit))
            if before is not None:  # a ledger that never met the unit must learn what this one knew of it
                entry.holds = entry.holds or before.holds
                entry.container = before.container if entry.container == "" else entry.container
        named = movement.inspection
        inspection = self._tail[named].record if named is not UNSET and named in self._tail else None
        if named is not UNSET and inspection is not None:
            self._used.add(named)
        told = assemble(movement, flows_of(movement), entries)
        told = msgspec.structs.replace(
            movement if told is None else told,
            occurred_at=at,
            group=UNSET,
            reverses=UNSET,
            replaces=UNSET,
            completes=UNSET,
            compensates=UNSET,
            count=UNSET,
            inspection=UNSET,
        )
        found = inspection if isinstance(inspection, Inspection) else None
        return msgspec.structs.replace(self._fact(seq, told, at), fixed=fixed, inspection=found)

    def _count(self, seq: int, record: Count) -> Salvaged:
        shift = self._shift.get(seq, 0)
        lines = tuple(
            msgspec.structs.replace(line, first_scan=line.first_scan + shift, cut_off=line.cut_off + shift)
            for line in record.lines
        )
        posted = [movement for movement in self._movements.values() if movement.count == seq]
        costs = [
            (line.item, line.lot or "", "" if line.lot else line.expiry or "", line.unit_cost, line.currency or "")
            for movement in posted
            for line in movement.lines
            if line.unit_cost is not UNSET
        ]
        at = record.occurred_at + shift
        return msgspec.structs.replace(
            self._fact(seq, msgspec.structs.replace(record, occurred_at=at, lines=lines), at),
            missing=tuple(entry.unit for movement in posted for entry in movement.units),
            costs=tuple(costs),
        )

    # ------------------------------------------------------------------------------------------------ the rest

    def _other(self, seq: int, exceptions: set[int]) -> Salvaged | None:
        record = self._tail[seq].record
        if seq in self._used or isinstance(record, Movement | Count | Document | ClockRecord | Checkpoint):
            return None
        if isinstance(record, ExceptionRecord) and seq not in exceptions:
            return None
        if isinstance(record, CommandResult) and record.command.startswith("opening/"):
            return None
        at = self._at(seq, record.at)
        return self._fact(seq, msgspec.structs.replace(record, at=at), at)


def _last(rows: Iterable[CardRow]) -> list[int]:
    """The last row for each document or exception."""
    found: dict[object, int] = {}
    for row in rows:
        record = row.record
        if isinstance(record, Document):
            found[record.id] = row.seq
        elif isinstance(record, ExceptionRecord):
            found[record.kind, record.subject] = row.seq
    return list(found.values())


def _shifts(records: Iterable[Record]) -> dict[int, int]:
    """row -> microseconds by which its times were wrong."""
    found: dict[int, int] = {}
    for record in records:
        if isinstance(record, ClockRecord):
            for seq in range(record.first_seq, record.last_seq + 1):
                found[seq] = found.get(seq, 0) + record.shift
    return found


def _last_told(kept: Mapping[int, Record]) -> dict[str, tuple[int, int]]:
    """Unit -> when it last moved by the rows that headquarters holds, and the rank of that row."""
    moved = {seq: record for seq, record in kept.items() if isinstance(record, Movement)}
    gone = {record.reverses for record in moved.values()}
    found: dict[str, tuple[int, int]] = {}
    for seq, movement in moved.items():
        if seq not in gone and movement.reverses is UNSET:
            when = movement.occurred_at, seq if movement.replaces is UNSET else movement.replaces
            for entry in movement.units:
                found[entry.unit] = max(found.get(entry.unit, when), when)
    return found


class _Known(NamedTuple):
    """What was known of a unit: the container that it was in, and what it held itself."""

    container: str | None
    holds: tuple[Content, ...]


def _knowledge(rows: Sequence[CardRow], common: int) -> dict[tuple[int, str], _Known]:
    """(row, unit) -> what was known of the unit before that row, for the rows behind `common`."""
    stock = Stock()
    found: dict[tuple[int, str], _Known] = {}
    for row in rows:
        if row.seq > common and isinstance(row.record, Movement):
            for entry in row.record.units:
                known = stock.units.get(entry.unit)
                if known is not None:
                    found[row.seq, entry.unit] = _Known(known.container, as_contents(known.holds))
        apply(stock, row.seq, row.record)
    return found
