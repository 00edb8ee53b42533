"""The observer finds what it is there to find."""

from __future__ import annotations

import msgspec
from observer import Passage, TrueCrossing, doubled, passages, recall, sums

from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import CUSTOMER, SUPPLIER, Account

AT = 1_767_592_800_000_000
CASE = "01/09506000134352/21/1"
IN = Movement(
    kind="receiving",
    from_=Account(SUPPLIER),
    to=Account("dock-1"),
    occurred_at=AT,
    lines=(Line("tea", 6),),
    units=(UnitEntry(CASE),),
    read_point="dock-1",
    interval=700_000,
)
LATER = msgspec.structs.replace(IN, occurred_at=AT + 500_000)
TAKEN_BACK = msgspec.structs.replace(IN, from_=IN.to, to=IN.from_, reverses=1)


def test_a_passage_recorded_twice_is_found() -> None:
    assert doubled({1: IN, 2: LATER}) == [f"{CASE} passed dock-1 once; rows 1 and 2"]
    assert doubled({1: IN, 2: msgspec.structs.replace(IN, occurred_at=AT + 800_000)}) == []


def test_what_was_taken_back_or_implied_does_not_stand() -> None:
    assert list(passages({1: IN})) == [Passage(CASE, "dock-1", AT - 700_000, AT, "dock-1", 1)]
    assert list(passages({1: IN, 2: TAKEN_BACK})) == []
    assert doubled({1: IN, 2: TAKEN_BACK, 3: LATER}) == []
    assert list(passages({1: msgspec.structs.replace(IN, implied=True)})) == []


def test_balances_are_the_sum_of_the_lines() -> None:
    assert sums([IN, IN]) == {
        ("supplier", "available", "tea", ""): -12,
        ("dock-1", "available", "tea", ""): 12,
    }
    assert sums([IN, TAKEN_BACK]) == {}


def test_recall_counts_wrong_ways_strays_and_doubles() -> None:
    truth = [TrueCrossing(CASE, "dock-1", False, AT), TrueCrossing(CASE, "dock-1", True, AT + 60_000_000)]
    out = msgspec.structs.replace(IN, to=Account(CUSTOMER), occurred_at=AT + 60_000_000)
    assert recall(truth, {1: IN, 2: out}) == (2, 2, 0, 0, [])
    wrong = msgspec.structs.replace(out, to=Account("dock-1"))
    assert recall(truth, {1: IN, 2: wrong}) == (2, 2, 1, 0, [])
    assert recall(truth, {1: msgspec.structs.replace(IN, read_point="dock-2")}) == (2, 0, 0, 1, [])
    assert recall(truth, {1: IN, 2: LATER}).twice == [f"{CASE} crossed dock-1 once; it stands in rows [1, 2]"]
