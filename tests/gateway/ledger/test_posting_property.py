"""The property: any arrival order of the same facts gives the same present balances; a crash and replay changes nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import SSCC, World, case, crossed, moved, shipping_notice
from msgspec import UNSET

from gateway.transactions.intents import AnyIntent, Corrected, Counted, CountedLine, LoosePicked
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.stock import Key

MINUTE = 60_000_000
PLACES = ("dock-1", "dock-2", "bin-1", "bin-2")


@st.composite
def unit_facts(draw: st.DrawFn, units: tuple[str, ...]) -> list[AnyIntent]:
    """What was sensed of some units, an hour apart each: crossings in and out, and places in the house."""
    facts: list[AnyIntent] = []
    for step in range(draw(st.integers(1, 6))):
        at = (step + 1) * 60 * MINUTE
        some = tuple(draw(st.lists(st.sampled_from(units), min_size=1, max_size=len(units), unique=True)))
        what = draw(st.sampled_from(("in", "out", "place", "place")))
        if what == "place":
            facts.append(moved(draw(st.sampled_from(PLACES)), at, *some))
        else:
            facts.append(crossed(what, at, *some, door=draw(st.sampled_from(PLACES[:2]))))  # type: ignore[arg-type]
    return facts


def balances(world: World) -> dict[Key, int]:
    return world.balances()


def played(facts: list[AnyIntent], announced: bool) -> World:
    world = World(*([shipping_notice(cases=3)] if announced else []))
    for fact in facts:
        world.do(fact)
        world.check()
    return world


SERIALS = tuple(case(number) for number in range(1, 4))


@given(data=st.data(), announced=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_order_of_the_facts_of_single_units(data: st.DataObject, announced: bool) -> None:
    facts = data.draw(unit_facts(SERIALS))
    order = data.draw(st.permutations(facts))
    assert balances(played(order, announced)) == balances(played(facts, announced))


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_order_of_the_facts_of_a_pallet_whose_content_is_known(data: st.DataObject) -> None:
    """Its receipt comes first, so that its content is known; what follows comes in any order."""
    receipt = crossed("in", MINUTE, SSCC)
    facts = data.draw(unit_facts((SSCC,)))
    order = data.draw(st.permutations(facts))
    assert balances(played([receipt, *order], True)) == balances(played([receipt, *facts], True))


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_order_of_facts_counts_and_resolved_loose_movements(data: st.DataObject) -> None:
    """Loose movements and counts are of another item than the units, whose draws would depend on what was there."""
    facts = data.draw(unit_facts(SERIALS[:2]))
    for step in range(data.draw(st.integers(1, 5))):
        at = (step + 1) * 60 * MINUTE + 30 * MINUTE
        place = data.draw(st.sampled_from(PLACES[2:]))
        if data.draw(st.booleans()):
            line = CountedLine("ham", data.draw(st.integers(0, 50)))
            facts.append(
                Counted(occurred_at=at, account=Account(place), scope="listed", first_scan=at - MINUTE, lines=(line,))
            )
        else:
            facts.append(
                LoosePicked(
                    occurred_at=at,
                    from_place=place,
                    to_place=data.draw(st.sampled_from(("customer", *PLACES[2:]))),
                    item="ham",
                    quantity=data.draw(st.integers(1, 20)),
                    kind="moving",
                )
            )
    in_time = sorted(facts, key=lambda fact: fact.occurred_at)
    order = data.draw(st.permutations(facts))
    ours, theirs = balances(played(list(order), False)), balances(played(in_time, False))
    inside = {key: quantity for key, quantity in ours.items() if key.place in PLACES}
    assert inside == {key: quantity for key, quantity in theirs.items() if key.place in PLACES}


@given(data=st.data(), announced=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_replay_of_crossings_after_a_crash_posts_nothing(data: st.DataObject, announced: bool) -> None:
    facts = data.draw(unit_facts((SSCC, *SERIALS)))
    world = played(facts, announced)
    crossings = [fact for fact in facts if hasattr(fact, "direction")]
    if crossings:
        assert world.do(data.draw(st.sampled_from(crossings))) == []


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_corrections_keep_the_ledger_whole(data: st.DataObject) -> None:
    """Pallets and their cases, in any order, with events taken back: nothing is lost, no reversal is reversed."""
    facts = data.draw(st.permutations(data.draw(unit_facts((SSCC, *SERIALS)))))
    world = played(list(facts), True)
    for _ in range(2):
        events = sorted(
            {
                seq if record.group is UNSET else record.group
                for seq, record in enumerate(world.history.records, 1)
                if isinstance(record, Movement) and record.reverses is UNSET and world.history.reversed_by(seq) is None
            }
        )
        if events:
            world.do(Corrected(occurred_at=1_000 * MINUTE, group=data.draw(st.sampled_from(events)), reason="a ghost"))
            world.check()
