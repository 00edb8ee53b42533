"""The posting rules under any sequence of facts, counts, corrections, restarts and cuts, on a real file.

A few hundred steps in a normal run; EVERCOUNT_LONG=1 takes some minutes and looks further.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_world import SSCC, case, catalogue, crossed, moved, shipping_notice
from msgspec import UNSET
from msgspec.structs import replace

from gateway.errors import PostingError
from gateway.health.timekeeping import Correction, dated_since, floor_of
from gateway.ledger.check import verify_ledger
from gateway.ledger.checkpoint import _take
from gateway.ledger.file import LedgerFile, Receipt
from gateway.ledger.migrate import prepare
from gateway.ledger.retention import KEPT_US, cut, sweep
from gateway.ledger.units import has_left
from gateway.transactions.intents import (
    AnyIntent,
    Corrected,
    Counted,
    CountedLine,
    Identified,
    LoosePicked,
    LotLearnt,
    Packed,
    Recorded,
    StatusChanged,
    Unpacked,
)
from gateway.transactions.rules import redated
from vocabulary.count import Count
from vocabulary.movement import Content, Movement, accounts
from vocabulary.place import AVAILABLE, Account
from vocabulary.records import ClockRecord, Record
from vocabulary.stock import Goods, Key, goods_of

LONG = bool(os.environ.get("EVERCOUNT_LONG"))
MINUTE = 60_000_000
START = 1_767_592_800_000_000
UNKNOWN_GTIN = "08012345678901"
UNITS = (*(case(number) for number in range(1, 5)), case(9, UNKNOWN_GTIN), SSCC)
PLACES = ("bin-1", "bin-2", "dock-1", "dock-2")
COUNTED = ("bin-1", "bin-2", "dock-1")

units = st.lists(st.sampled_from(UNITS), min_size=1, max_size=3, unique=True)
places = st.sampled_from(PLACES)


class Ledger(RuleBasedStateMachine):
    """One site's ledger, and beside it what an accountant would write down of its rows."""

    def __init__(self) -> None:
        super().__init__()
        shm = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=shm if shm.is_dir() else None))
        self.path = self.folder / "ledger.db"
        prepare(self.path, 77)
        self.file = LedgerFile(self.path)
        self.file.open()
        self.catalogue = catalogue()
        self.now = START
        self.records: list[Record] = []
        #: how far the clock of this boot is ahead of the truth, and its first row; None while it is right
        self.wrong: tuple[int, int] | None = None
        self.booted = START
        self.crossings: list[AnyIntent] = []

    def teardown(self) -> None:
        self.file.close()
        report = verify_ledger(self.path)
        assert report.ok, report.faults
        shutil.rmtree(self.folder)

    # ---------------------------------------------------------------- doing

    def do(self, intent: AnyIntent) -> tuple[Record, ...] | None:
        """Commit an intent; None where posting refuses it, which changes nothing."""
        (outcome,) = self.file.commit([[intent]], self.catalogue)
        if isinstance(outcome, PostingError):
            return None
        if not isinstance(outcome, Receipt):
            raise outcome
        self.records += outcome.records
        return outcome.records

    def moment(self, back: int) -> int:
        """A time of its own: now, or so many minutes back, between the facts that were there."""
        self.now += 10 * MINUTE
        ahead = self.wrong[0] if self.wrong else 0
        if not back:
            return self.now + ahead
        return max(self.booted, self.now - back * MINUTE) + len(self.records) % 59 + ahead

    backs = st.sampled_from((0, 0, 0, 15, 25, 45, 105))

    @initialize(announced=st.booleans(), loose=st.booleans())
    def begin(self, announced: bool, loose: bool) -> None:
        if announced:
            self.catalogue = catalogue(shipping_notice())
        if loose:
            for place, item, lot, quantity in (
                ("bin-1", "water", "", 60),
                ("bin-2", "juice", "L1", 20),
                ("bin-2", "juice", "L2", 7),
                ("bin-1", "ham", "", 500),
            ):
                self.count(place, [CountedLine(item, quantity, lot)], "listed", 0, None)

    @rule(direction=st.sampled_from(("in", "out")), some=units, door=st.sampled_from(("dock-1", "dock-2")), back=backs)
    def cross(self, direction: Any, some: list[str], door: str, back: int) -> None:
        intent = crossed(direction, self.moment(back), *some, door=door)
        self.do(intent)
        self.crossings.append(intent)

    @precondition(lambda self: self.crossings)
    @rule(data=st.data())
    def replay_a_passage(self, data: st.DataObject) -> None:
        intent = data.draw(st.sampled_from(self.crossings[-3:]))
        posted = self.do(intent)
        assert not [one for one in posted or () if isinstance(one, Movement)]

    @rule(some=units, place=st.sampled_from((*PLACES, "scrap")), back=backs)
    def move(self, some: list[str], place: str, back: int) -> None:
        self.do(moved(place, self.moment(back), *some))

    @rule(
        item=st.sampled_from(("water", "juice", "ham")),
        source=places,
        goal=st.sampled_from(("customer", "bin-1", "bin-2")),
        quantity=st.integers(1, 40),
        back=backs,
    )
    def pick(self, item: str, source: str, goal: str, quantity: int, back: int) -> None:
        kind = "picking" if goal != "customer" else "shipping"
        self.do(
            LoosePicked(
                occurred_at=self.moment(back),
                from_place=source,
                to_place=goal,
                item=item,
                quantity=quantity,
                kind=kind,  # type: ignore[arg-type]
            )
        )

    def count(
        self, place: str, lines: list[CountedLine], scope: Any, back: int, seen: tuple[str, ...] | None, window: int = 1
    ) -> None:
        at = self.moment(back)
        self.do(
            Counted(
                occurred_at=at,
                account=Account(place),
                scope=scope,
                first_scan=at - window * MINUTE,
                lines=tuple(lines),
                units=seen,
            )
        )

    @rule(
        place=st.sampled_from(COUNTED),
        water=st.integers(0, 100),
        juice=st.dictionaries(st.sampled_from(("L1", "L2")), st.integers(0, 30), max_size=2),
        scope=st.sampled_from(("whole", "listed")),
        back=backs,
        window=st.sampled_from((0, 1, 12)),
    )
    def count_goods(self, place: str, water: int, juice: dict[str, int], scope: str, back: int, window: int) -> None:
        lines = [CountedLine("water", water), *(CountedLine("juice", number, lot) for lot, number in juice.items())]
        self.count(place, lines, scope, back, None, window)

    @rule(place=st.sampled_from(COUNTED), seen=st.lists(st.sampled_from(UNITS), max_size=3, unique=True), back=backs)
    def count_units(self, place: str, seen: list[str], back: int) -> None:
        self.count(place, [], "whole", back, tuple(seen))

    @precondition(lambda self: self.events())
    @rule(data=st.data(), replaced=st.booleans(), goal=places)
    def correct(self, data: st.DataObject, replaced: bool, goal: str) -> None:
        """Any event: of a movement, of a replacement, one that was taken back already, a count's."""
        group = data.draw(st.sampled_from(self.events()))
        rows = self.live_of(group)
        replacement = None
        if replaced and rows and rows[0].units:
            first = rows[0]
            replacement = Movement(
                kind="moving", from_=first.from_, to=Account(goal), occurred_at=0, units=first.units[:1]
            )
        head = self.file.head
        self.now += MINUTE
        at = self.now + (self.wrong[0] if self.wrong else 0)
        posted = self.do(Corrected(occurred_at=at, group=group, reason="it was not so", replacement=replacement))
        if posted is None:
            assert self.file.head == head
        else:
            assert rows, "an event that does not count any more was corrected again"

    @rule(container=st.sampled_from((SSCC,)), some=units, place=places, back=backs)
    def pack(self, container: str, some: list[str], place: str, back: int) -> None:
        inside = tuple(unit for unit in some if unit != container)
        self.do(Packed(occurred_at=self.moment(back), container=container, units=inside, place=place))

    @rule(back=backs, goods=st.booleans())
    def unpack(self, back: int, goods: bool) -> None:
        taken = (Content("water", 5),) if goods else ()
        self.do(Unpacked(occurred_at=self.moment(back), container=case(1) if goods else SSCC, goods=taken))

    @rule(back=backs)
    def load_goods(self, back: int) -> None:
        self.do(Packed(occurred_at=self.moment(back), container=case(2), goods=(Content("water", 3),)))

    @rule()
    def identify(self) -> None:
        self.do(Identified(occurred_at=self.moment(0), provisional=f"gtin:{UNKNOWN_GTIN}", item="water"))

    @rule(place=places, quantity=st.integers(1, 10))
    def learn_a_lot(self, place: str, quantity: int) -> None:
        self.do(
            LotLearnt(occurred_at=self.moment(0), item="juice", lot="L1", account=Account(place), quantity=quantity)
        )

    @rule(some=units, status=st.sampled_from((AVAILABLE, "quarantine", "damaged")))
    def hold(self, some: list[str], status: str) -> None:
        kind = "release" if status == AVAILABLE else "hold"
        self.do(StatusChanged(occurred_at=self.moment(0), kind=kind, status=status, units=tuple(some)))

    @rule(quietly=st.booleans())
    def restart(self, quietly: bool) -> None:
        """Close and open, or die without a word: the state is the same."""
        before = self.held_in_memory()
        if quietly:
            self.file.close()
        else:
            self.file.drop()
        self.file = LedgerFile(self.path)
        self.file.open()
        assert self.held_in_memory() == before

    def held_in_memory(self) -> dict[str, Any]:
        """What the state answers; what left the site is read when it is asked for."""
        state = self.file.state
        stock = state.stock
        return {
            "seq": stock.applied_seq,
            "balances": dict(stock.balances),
            "held": {key: one for key, one in stock.held.items() if not has_left(key.place)},
            "units": {unit: stock.units.get(unit) for unit in UNITS},
            "children": {unit: stock.children.get(unit) for unit in UNITS},
            "lots": dict(stock.lots),
            "counts": dict(stock.counts),
            "reversals": {seq: state.reversals.get(seq) for seq in range(1, len(self.records) + 1)},
            "exceptions": dict(state.exceptions),
            "clocks": list(state.clocks),
        }

    @precondition(lambda self: self.wrong is None and len(self.records) > 0)
    @rule()
    def cut_old_rows(self) -> None:
        """A checkpoint that headquarters has, and five weeks without a word; readers hold no report for so long."""
        self.now += MINUTE
        receipt = _take(self.file, SimpleNamespace(path=self.path), self.now)  # type: ignore[arg-type]
        self.records += receipt.records
        self.file.acknowledged = self.file.head.seq
        self.now += KEPT_US + 60 * MINUTE
        before = self.held_in_memory()
        assert cut(self.file, self.now) == receipt.first_seq - 1
        while sweep(self.file):
            pass
        after = self.held_in_memory()
        assert [after[name] for name in ("seq", "balances", "lots", "clocks")] == [
            before[name] for name in ("seq", "balances", "lots", "clocks")
        ]
        self.booted = self.now
        self.crossings.clear()

    @precondition(lambda self: self.wrong is None and len(self.records) > 0)
    @rule(ahead=st.sampled_from((3 * 60, 400 * 24 * 60, -1)), quietly=st.booleans())
    def boot_with_a_wrong_clock(self, ahead: int, quietly: bool) -> None:
        """Ahead by minutes, or (-1) without a battery: time begins at the last recorded one after half a day."""
        self.restart(quietly)
        self.now += 12 * 60 * MINUTE
        self.booted = self.now
        floor = floor_of([*reversed(self.records)])
        self.wrong = (max(floor - self.now, -12 * 60 * MINUTE) if ahead < 0 else ahead * MINUTE), len(self.records) + 1

    @precondition(lambda self: self.wrong is not None)
    @rule()
    def the_clock_is_synchronised(self) -> None:
        assert self.wrong is not None
        ahead, first = self.wrong
        wrong = Correction(first, len(self.records), -ahead)
        for run in dated_since(self.file.connection, wrong):
            self.do(Recorded(occurred_at=self.now, record=ClockRecord(self.now, *run, -ahead)))
        for number, crossing in enumerate(self.crossings):
            if crossing.occurred_at >= self.booted + ahead:
                self.crossings[number] = redated(crossing, -ahead)
        self.wrong = None

    # ---------------------------------------------------------------- looking

    def dated(self) -> list[tuple[int, Record]]:
        """The rows, with times as corrected so far; those of a boot whose clock is wrong as on its timeline."""
        clocks = [one for one in self.records if isinstance(one, ClockRecord)]
        found: list[tuple[int, Record]] = []
        for seq, record in enumerate(self.records, 1):
            shift = sum(one.shift for one in clocks if one.first_seq <= seq <= one.last_seq)
            if shift and isinstance(record, Movement):
                record = replace(record, occurred_at=record.occurred_at + shift)
            elif shift and isinstance(record, Count):
                lines = (
                    replace(one, first_scan=one.first_scan + shift, cut_off=one.cut_off + shift) for one in record.lines
                )
                record = replace(record, occurred_at=record.occurred_at + shift, lines=tuple(lines))
            found.append((seq, record))
        return found

    def movements(self) -> list[tuple[int, Movement]]:
        return [(seq, one) for seq, one in self.dated() if isinstance(one, Movement)]

    def events(self) -> list[int]:
        return sorted({seq if one.group is UNSET else one.group for seq, one in self.movements()})

    def reversed_rows(self) -> list[int]:
        return [one.reverses for _, one in self.movements() if one.reverses is not UNSET]

    def live_of(self, group: int) -> list[Movement]:
        gone = set(self.reversed_rows())
        return [
            one
            for seq, one in self.movements()
            if group in (seq, one.group) and one.reverses is UNSET and one.compensates is UNSET and seq not in gone
        ]

    @invariant()
    def all_holds(self) -> None:
        self.books_balance()
        self.contents_fit()
        self.a_row_is_reversed_once()
        self.units_are_where_they_went_last()
        self.a_count_stands()

    def books_balance(self) -> None:
        """Balances are the sum of all movements, and what is somewhere came from somewhere."""
        sums: dict[Key, int] = defaultdict(int)
        for _, movement in self.movements():
            for line in movement.lines:
                assert line.quantity > 0
                for account, sign in zip(accounts(movement, line), (-1, 1), strict=True):
                    sums[Key(account.place, account.status, *goods_of(line))] += sign * line.quantity
        stock = self.file.state.stock
        assert {key: one.quantity for key, one in stock.balances.items()} == {k: v for k, v in sums.items() if v}
        per_item: dict[str, int] = defaultdict(int)
        for key, quantity in sums.items():
            per_item[key.item] += quantity
        assert not any(per_item.values())

    def contents_fit(self) -> None:
        held: dict[Key, int] = defaultdict(int)
        stock = self.file.state.stock
        for unit in UNITS:
            known = stock.units.get(unit)
            if known is not None and not has_left(known.account.place):
                for goods, amount in known.holds.items():
                    held[Key(known.account.place, known.account.status, *goods)] += amount.quantity
        told = {key: one.quantity for key, one in stock.held.items() if one.quantity and not has_left(key.place)}
        assert told == {key: quantity for key, quantity in held.items() if quantity}

    def a_row_is_reversed_once(self) -> None:
        taken_back = self.reversed_rows()
        assert len(taken_back) == len(set(taken_back))
        rows = dict(self.movements())
        for _, reversal in self.movements():
            if reversal.reverses is not UNSET:
                original = rows[reversal.reverses]
                assert original.reverses is UNSET
                assert original.occurred_at == reversal.occurred_at

    def units_are_where_they_went_last(self) -> None:
        """By time, not by arrival; what stands for another row stands at its place."""
        gone = set(self.reversed_rows())
        last: dict[str, tuple[int, int, Account]] = {}
        for seq, movement in self.movements():
            if movement.reverses is not UNSET or seq in gone:
                continue
            rank = seq if movement.replaces is UNSET else movement.replaces
            for entry in movement.units:
                known = last.get(entry.unit)
                if known is None or (movement.occurred_at, rank) >= known[:2]:
                    last[entry.unit] = movement.occurred_at, rank, accounts(movement, entry)[1]
        stock = self.file.state.stock
        for unit, (_, _, account) in last.items():
            known = stock.units.get(unit)
            if known is None:
                assert has_left(account.place), unit
                assert self.file.state.base, "nothing is forgotten before rows are cut"
            else:
                assert known.account == account, unit

    def a_count_stands(self) -> None:
        """Rule 10: by the lines dated up to its cut-off, an account holds what was counted, whatever came later."""
        latest: dict[tuple[Account, Goods | str, int], int] = {}
        for _, record in self.dated():
            if not isinstance(record, Count):
                continue
            lots = {line.item for line in record.lines if line.lot is not UNSET or line.expiry is not UNSET}
            for line in record.lines:
                what = Goods(line.item, line.lot or "", "") if line.item in lots else line.item
                key = (record.account, what, line.cut_off)
                if line.again is UNSET:
                    latest[key] = line.counted
        for (account, what, cut_off), counted in latest.items():
            if not self._counted_both_ways(account, what, cut_off):
                assert self._book(account, what, cut_off) == counted, (account, what, cut_off)

    def _counted_both_ways(self, account: Account, what: Goods | str, cut_off: int) -> bool:
        """Whether the item was counted at that very time by lot and without."""
        item = what if isinstance(what, str) else what.item
        ways = {
            (line.lot is UNSET)
            for _, record in self.dated()
            if isinstance(record, Count) and record.account == account
            for line in record.lines
            if line.item == item and line.cut_off == cut_off
        }
        return len(ways) > 1

    def _book(self, account: Account, what: Goods | str, cut_off: int) -> int:
        total = 0
        for _, movement in self.movements():
            if movement.occurred_at <= cut_off:
                for line in movement.lines:
                    goods = goods_of(line)
                    if what in (goods, goods.item):
                        source, target = accounts(movement, line)
                        total += line.quantity * ((target == account) - (source == account))
        return total


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=1_500 if LONG else 25,
    stateful_step_count=60 if LONG else 25,
    deadline=None,
    derandomize=not LONG,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
