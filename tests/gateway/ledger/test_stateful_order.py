"""The property of the ledger: any order of arrival of the same unit facts and counts gives the same present balances."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import SSCC, World, case, crossed, moved, shipping_notice

from gateway.transactions.intents import AnyIntent, Counted, CountedLine
from vocabulary.place import Account, is_virtual
from vocabulary.records import ClockRecord

EXAMPLES = 2_000 if os.environ.get("EVERCOUNT_LONG") else 60
MINUTE = 60_000_000
PLACES = ("dock-1", "dock-2", "bin-1", "bin-2")
SERIALS = tuple(case(number) for number in range(1, 4))


@st.composite
def facts_and_counts(draw: st.DrawFn, units: tuple[str, ...]) -> list[AnyIntent]:
    """What was sensed of known units, an hour apart, and counts of the places where they stand, between these hours."""
    facts: list[AnyIntent] = []
    for step in range(draw(st.integers(1, 5))):
        at = (step + 2) * 60 * MINUTE
        some = tuple(draw(st.lists(st.sampled_from(units), min_size=1, max_size=len(units), unique=True)))
        what = draw(st.sampled_from(("in", "out", "place", "place")))
        if what == "place":
            facts.append(moved(draw(st.sampled_from(PLACES)), at, *some))
        else:
            facts.append(crossed(what, at, *some, door=draw(st.sampled_from(PLACES[:2]))))  # type: ignore[arg-type]
    for step in draw(st.lists(st.integers(1, 6), unique=True, max_size=4)):
        at = step * 60 * MINUTE + 30 * MINUTE
        facts.append(
            Counted(
                occurred_at=at,
                account=Account(draw(st.sampled_from(PLACES))),
                scope=draw(st.sampled_from(("whole", "listed"))),
                first_scan=at - MINUTE,
                lines=(CountedLine("water", draw(st.integers(0, 100))),),
            )
        )
    return facts


def balances(receipt: AnyIntent, facts: list[AnyIntent], announced: bool) -> dict[tuple[str, str, str], int]:
    """What is in the building after the goods came in and `facts` arrived."""
    world = World(*([shipping_notice(cases=3)] if announced else []))
    world.do(receipt)
    for fact in facts:
        world.do(fact)
        world.check()
    found = world.balances().items()
    return {(key.place, key.status, key.item): quantity for key, quantity in found if not is_virtual(key.place)}


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 100)
def test_single_units_and_counts_of_their_places(data: st.DataObject) -> None:
    facts = data.draw(facts_and_counts(SERIALS))
    order = data.draw(st.permutations(facts))
    receipt = crossed("in", MINUTE, *SERIALS)
    in_time = sorted(facts, key=lambda fact: fact.occurred_at)
    assert balances(receipt, list(order), False) == balances(receipt, in_time, False)


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 100)
def test_a_pallet_and_counts_of_its_places(data: st.DataObject) -> None:
    facts = data.draw(facts_and_counts((SSCC,)))
    order = data.draw(st.permutations(facts))
    receipt = crossed("in", MINUTE, SSCC)
    in_time = sorted(facts, key=lambda fact: fact.occurred_at)
    assert balances(receipt, list(order), True) == balances(receipt, in_time, True)


def test_what_comes_after_a_clock_that_was_ahead_is_not_taken_for_late() -> None:
    """Recorded at a time that lay a day ahead, corrected, moved on at the right time: the last movement counts."""
    day = 24 * 60 * MINUTE
    world = World()
    world.cross("in", day + MINUTE, SERIALS[0])
    world.move("bin-1", day + 10 * MINUTE, SERIALS[0])
    rows = len(world.history.records)
    world.add(ClockRecord(20 * MINUTE, 1, rows, -day))
    world.move("bin-2", 30 * MINUTE, SERIALS[0])
    assert world.stock.units[SERIALS[0]].account.place == "bin-2"
    assert len(world.movements()) == 3, "nothing had to be taken back"
    world.move("bin-1", 20 * MINUTE, SERIALS[0])
    assert world.stock.units[SERIALS[0]].account.place == "bin-2", "this one was late"
    world.check()


def test_a_count_under_a_wrong_clock_holds_by_its_corrected_time() -> None:
    world = World()
    world.loose("bin-1", "water", 70)
    world.do(
        Counted(
            occurred_at=5 * MINUTE,
            account=Account("bin-1"),
            scope="listed",
            first_scan=4 * MINUTE,
            lines=(CountedLine("water", 60),),
        )
    )
    counted = len(world.history.records)
    world.add(ClockRecord(70 * MINUTE, 2, counted, 60 * MINUTE))
    world.move("bin-1", 50 * MINUTE, SERIALS[0])  # before the count by the corrected time, which saw it
    assert world.at("bin-1") == 60
    world.move("bin-1", 80 * MINUTE, SERIALS[1])
    assert world.at("bin-1") == 60, "a piece that is sensed for the first time is one of the loose ones"
    world.check()
