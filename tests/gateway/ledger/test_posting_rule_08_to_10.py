"""Rules 8 to 11: corrections, late facts, counts, opening stock."""

from __future__ import annotations

import pytest
from ledger_world import SSCC, World, case, shipping_notice
from msgspec import UNSET

from gateway.errors import PostingError
from gateway.transactions.intents import Corrected, Counted, CountedLine, LoosePicked, OpeningStocked
from vocabulary.count import Count
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.wire import BalanceLine

HOUR = 3_600_000_000


def counted(place: str, at: int, *lines: CountedLine, scope: str = "listed", **more: object) -> Counted:
    values = {"first_scan": at - 60_000_000, **more}
    return Counted(occurred_at=at, account=Account(place), scope=scope, lines=lines, **values)


def picked(quantity: int, at: int, from_place: str = "bin-1", to_place: str = "customer") -> LoosePicked:
    return LoosePicked(occurred_at=at, from_place=from_place, to_place=to_place, item="water", quantity=quantity)


class TestRule8Corrections:
    def test_the_whole_event_is_reversed(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.move("bin-1", 2 * HOUR, SSCC)
        world.cross("in", 30 * HOUR, SSCC, door="dock-2")
        world.do(Corrected(occurred_at=40 * HOUR, group=4, reason="it never left"))
        assert world.at("bin-1") == 96
        assert world.stock.units[SSCC].account == Account("bin-1")
        assert (world.at("customer"), world.at("dock-2")) == (0, 0)
        world.check()

    def test_reversals_swap_accounts_and_keep_the_date(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        (reversal,) = world.do(Corrected(occurred_at=5 * HOUR, group=1, reason="a ghost"))
        assert (reversal.from_, reversal.to) == (Account("dock-1"), Account("supplier"))
        assert (reversal.reverses, reversal.group, reversal.occurred_at) == (1, 1, HOUR)
        assert world.balances() == {}
        assert world.stock.done == {"ASN-1": {1: 0}}

    def test_a_replacement_says_what_did_happen(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        right = Movement(
            "receiving", Account("supplier"), Account("dock-2"), HOUR, units=(UnitEntry(SSCC),), document="ASN-1"
        )
        world.do(Corrected(occurred_at=2 * HOUR, group=1, reason="wrong door", replacement=right))
        assert (world.at("dock-1"), world.at("dock-2"), world.at("supplier")) == (0, 96, -96)
        assert world.stock.units[case(3)].account == Account("dock-2")
        world.check()

    def test_later_movements_of_the_unit_are_linked_again(self) -> None:
        world = World(shipping_notice(cases=1))
        world.cross("in", HOUR, SSCC, case(1))
        world.move("bin-1", 2 * HOUR, SSCC)
        world.move("bin-2", 3 * HOUR, SSCC)
        world.do(Corrected(occurred_at=9 * HOUR, group=2, reason="a stray read"))
        assert world.balances() == {
            ("bin-2", "available", "water", "", ""): 24,
            ("supplier", "available", "water", "", ""): -24,
        }
        assert world.stock.units[SSCC].account == Account("bin-2")
        world.check()

    def test_an_event_is_taken_back_once(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.do(Corrected(occurred_at=2 * HOUR, group=1, reason="a ghost"))
        with pytest.raises(PostingError, match="taken back already"):
            world.do(Corrected(occurred_at=3 * HOUR, group=1, reason="again"))
        with pytest.raises(PostingError, match="Row 2"):
            world.do(Corrected(occurred_at=3 * HOUR, group=2, reason="reversal of a reversal"))

    def test_a_corrected_event_can_be_corrected_again(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.do(picked(10, HOUR))
        for quantity in (8, 7):
            right = Movement("picking", Account("bin-1"), Account("customer"), HOUR, lines=_lines(quantity))
            world.do(Corrected(occurred_at=2 * HOUR, group=2, reason="miscounted", replacement=right))
        assert (world.at("bin-1"), world.at("customer")) == (43, 7)
        world.check()

    def test_a_row_that_retention_cut_comes_with_the_command(self) -> None:
        world = World()
        original = Movement("picking", Account("bin-1"), Account("customer"), HOUR, lines=_lines(4))
        world.do(Corrected(occurred_at=2 * HOUR, group=77, reason="old", original=(original,)))
        assert world.at("bin-1") == 4

    def test_what_is_not_there_is_refused(self) -> None:
        with pytest.raises(PostingError, match="no movement"):
            World().do(Corrected(occurred_at=HOUR, group=9, reason="?"))


def _lines(quantity: int) -> tuple[Line, ...]:
    return (Line("water", quantity),)


class TestRule9LateFacts:
    def test_the_next_movement_begins_where_the_late_one_ended(self) -> None:
        world = World(shipping_notice(cases=1))
        world.cross("in", HOUR, SSCC)
        world.move("bin-1", 3 * HOUR, SSCC)
        world.move("bin-2", 2 * HOUR, SSCC)
        kinds = [(m.from_.place, m.to.place, m.reverses is not UNSET) for m in world.movements()]
        assert kinds[2:] == [("dock-1", "bin-2", False), ("bin-1", "dock-1", True), ("bin-2", "bin-1", False)]
        assert world.stock.units[SSCC].account == Account("bin-1")
        assert (world.at("dock-1"), world.at("bin-2"), world.at("bin-1")) == (0, 0, 24)
        world.check()

    def test_a_receipt_that_comes_last_takes_the_place_of_what_was_unknown(self) -> None:
        world = World(shipping_notice(cases=1))
        world.move("bin-1", 3 * HOUR, case(1))
        assert world.at("unknown") == -24
        world.cross("in", HOUR, case(1))
        assert (world.at("supplier"), world.at("unknown"), world.at("bin-1")) == (-24, 0, 24)
        world.check()

    def test_an_implied_movement_gives_way_to_the_real_one(self) -> None:
        world = World(shipping_notice(cases=1))
        world.cross("in", HOUR, SSCC)
        world.cross("in", 90 * HOUR, SSCC, door="dock-2")
        world.cross("out", 50 * HOUR, SSCC)
        live = [m for seq, m in enumerate(world.history.records, 1) if isinstance(m, Movement)
                and m.reverses is UNSET and world.history.reversed_by(seq) is None]  # fmt: skip
        assert [(m.kind, m.from_.place, m.to.place) for m in live] == [
            ("receiving", "supplier", "dock-1"),
            ("returning", "customer", "dock-2"),
            ("shipping", "dock-1", "customer"),
        ]
        world.check()

    def test_only_the_late_unit_of_a_shared_movement_is_linked_again(self) -> None:
        world = World(shipping_notice(cases=2))
        world.cross("in", HOUR, case(1), case(2))
        world.cross("out", 4 * HOUR, case(1), case(2))
        world.move("bin-1", 2 * HOUR, case(1))
        assert (world.at("customer"), world.at("dock-1"), world.at("bin-1")) == (48, 0, 0)
        last = world.movements()[-1]
        assert {line.quantity for line in last.lines} == {24}
        world.check()


class TestRule10Counts:
    def test_a_difference_goes_to_unknown(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        count, movement, *_ = world.do(counted("bin-1", HOUR, CountedLine("water", 47)))
        assert isinstance(count, Count)
        assert (count.lines[0].book, movement.count, movement.kind) == (50, 2, "counting")
        assert (world.at("bin-1"), world.at("unknown")) == (47, 3)
        assert world.exceptions() == {"count-difference"}
        world.check()

    def test_no_difference_is_recorded_too(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        (count,) = world.do(counted("bin-1", HOUR, CountedLine("water", 50)))
        assert isinstance(count, Count)

    def test_a_whole_place_counts_what_was_not_listed_as_nothing(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.loose("bin-1", "juice", 7, "L1")
        world.do(counted("bin-1", HOUR, CountedLine("water", 50), scope="whole"))
        assert world.at("bin-1", "juice") == 0
        assert world.at("unknown", "juice") == 7

    def test_a_line_that_moved_while_it_was_counted_is_counted_again(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.do(picked(5, HOUR - 1_000_000))
        (count, *_) = world.do(counted("bin-1", HOUR, CountedLine("water", 50)))
        assert count.lines[0].again is True
        assert world.at("bin-1") == 45
        assert world.exceptions() == {"recount"}

    def test_an_open_passage_asks_for_another_count(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.do(counted("bin-1", HOUR, CountedLine("water", 40), busy=("water",)))
        assert world.at("bin-1") == 50

    def test_a_movement_after_the_cut_off_is_not_in_the_book(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.do(picked(5, 2 * HOUR))
        (count, *_) = world.do(counted("bin-1", HOUR, CountedLine("water", 50)))
        assert count.lines[0].book == 50
        assert world.at("bin-1") == 45

    def test_what_is_dated_before_a_count_and_recorded_after_it_is_compensated(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.loose("bin-2", "water", 10)
        world.do(counted("bin-1", 2 * HOUR, CountedLine("water", 45)))
        _, compensation = world.do(picked(5, HOUR, to_place="bin-2"))
        assert (compensation.compensates, compensation.occurred_at) == (3, 2 * HOUR)
        assert compensation.group == 6
        assert (world.at("bin-1"), world.at("bin-2"), world.at("unknown")) == (45, 15, 0)
        world.check()

    def test_a_reversal_of_a_counted_movement_is_compensated(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.do(picked(5, HOUR))
        world.do(counted("bin-1", 2 * HOUR, CountedLine("water", 50)))
        world.do(Corrected(occurred_at=3 * HOUR, group=2, reason="a ghost"))
        assert world.at("bin-1") == 50
        assert (world.at("customer"), world.at("unknown")) == (0, 0)
        world.check()

    def test_an_earlier_count_that_comes_late_changes_nothing_now(self) -> None:
        world = World()
        world.loose("bin-1", "water", 50)
        world.do(counted("bin-1", 4 * HOUR, CountedLine("water", 40)))
        world.do(counted("bin-1", 2 * HOUR, CountedLine("water", 48)))
        assert world.at("bin-1") == 40
        world.do(picked(3, HOUR))
        assert world.at("bin-1") == 40
        world.check()

    def test_a_wrong_count_is_counted_again_not_corrected(self) -> None:
        world = World()
        world.do(counted("bin-1", HOUR, CountedLine("water", 5)))
        with pytest.raises(PostingError, match="count again"):
            world.do(Corrected(occurred_at=2 * HOUR, group=2, reason="wrong"))
        world.do(counted("bin-1", 2 * HOUR, CountedLine("water", 0)))
        assert world.balances() == {}

    def test_lots_that_a_count_does_not_tell_apart(self) -> None:
        world = World()
        world.loose("bin-1", "juice", 10, "late", "2030-01-01")
        world.loose("bin-1", "juice", 10, "soon", "2027-01-01")
        world.do(counted("bin-1", HOUR, CountedLine("juice", 17)))
        assert world.at("bin-1", "juice", lot="soon") == 7
        assert world.at("bin-1", "juice", lot="late") == 10

    def test_units_that_nobody_saw_go_to_unknown_with_what_they_hold(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, *[case(number) for number in range(1, 5)])
        world.do(counted("dock-1", 3 * HOUR, scope="whole", units=(case(1), case(2), case(3))))
        assert (world.at("dock-1"), world.at("unknown")) == (72, 24)
        assert world.stock.units[case(4)].account == Account("unknown")
        world.check()
        world.move("bin-1", 5 * HOUR, case(4))
        assert (world.at("bin-1"), world.at("unknown")) == (24, 0)

    def test_units_seen_that_the_ledger_held_elsewhere_are_moved_there(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, *[case(number) for number in range(1, 5)])
        world.do(counted("bin-1", 3 * HOUR, scope="whole", units=(case(1),)))
        assert (world.at("dock-1"), world.at("bin-1")) == (72, 24)


class TestRule11OpeningStock:
    def test_a_page_is_posted_as_counts_against_opening(self) -> None:
        world = World()
        page = OpeningStocked(
            occurred_at=HOUR,
            lines=(
                BalanceLine(Account("bin-1"), "juice", 12, "L1", "2027-01-01", unit_cost=90_000, currency="EUR"),
                BalanceLine(Account("bin-1"), "water", 30),
                BalanceLine(Account("bin-2"), "water", 5),
            ),
        )
        records = world.do(page)
        assert [type(record).__name__ for record in records] == ["Count", "Movement", "Count", "Movement"]
        assert (world.at("bin-1"), world.at("bin-2"), world.at("opening")) == (30, 5, -35)
        assert world.stock.lots["juice", "L1"] == "2027-01-01"
        assert records[1].lines[0].unit_cost == 90_000
        assert world.exceptions() == set()
        world.check()

    def test_a_page_told_twice_changes_nothing(self) -> None:
        world = World()
        page = OpeningStocked(occurred_at=HOUR, lines=(BalanceLine(Account("bin-1"), "water", 30),))
        world.do(page)
        world.do(page)
        assert (world.at("bin-1"), world.at("opening")) == (30, -30)
