"""Wherever the card's tail is cut and whatever the survivor recorded: one ledger would hold the same."""

from __future__ import annotations

import random

import pytest
from takeover_help import SECOND, case_id, crossing, moving, present, truth, whereabouts
from test_opening_posting import AT, Ledger, told

from gateway.sync.salvaged import CardRow, facts_in
from gateway.transactions.intents import AnyIntent, Scanned, SeenUnit
from vocabulary.stock import Stock, apply


def life(seed: str, first_s: int, count: int, late: bool) -> list[AnyIntent]:
    """Single cases through the door and about, loose goods; with `late` some are told out of their order."""
    draw = random.Random(seed)
    made: list[AnyIntent] = []
    for number in range(count):
        at = AT + (first_s + 10 * number) * SECOND
        if late and draw.random() < 0.3:
            at -= draw.randrange(1, 8) * 7 * SECOND
        case = case_id(1, draw.randrange(4))
        place = draw.choice(("bin-1", "bin-2", "dock-1"))
        made.append(
            draw.choice(
                [
                    crossing(at, "in", (SeenUnit(case),)),
                    crossing(at, "out", (SeenUnit(case),)),
                    moving(at, place, case),
                    moving(at, place, case),
                    Scanned(occurred_at=at, kind="receiving", from_place="supplier", to_place=place, item="juice", pieces=9),
                    Scanned(
                        occurred_at=at, kind="shipping", from_place=place, to_place="customer", item="juice", pieces=4
                    ),
                ]
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_salvage_makes_up_for_what_the_card_kept(seed: int, late: bool) -> None:
    made_up_for(seed, late, None)


#: Cuts inside an event, and behind an event that the card corrected later: each of them once went wrong.
CUTS = (
    (6, 20), (15, 26), (15, 27), (27, 29), (27, 30), (31, 19), (31, 20), (31, 21), (31, 22), (49, 20), (49, 21), (49, 22),
    (50, 32), (50, 33), (59, 29), (59, 30),
)  # fmt: skip


@pytest.mark.parametrize(("seed", "cut"), CUTS)
def test_an_event_may_be_cut_in_two(seed: int, cut: int) -> None:
    made_up_for(seed, True, cut)


def made_up_for(seed: int, late: bool, cut: int | None) -> None:
    draw = random.Random(f"{seed}:cut")
    early = [crossing(AT + number * SECOND, "in", (SeenUnit(case_id(1, number)),)) for number in range(4)]
    card = Ledger()
    card.do(*early, *(old := life(f"{seed}:old", 100, 12, late)))
    cut = cut or draw.randrange(8, len(card.history.records) + 1)
    headquarters = Stock()
    for seq, record in enumerate(card.history.records[:cut], 1):
        apply(headquarters, seq, record)
    survivor = Ledger()
    survivor.do(told(headquarters), *(new := life(f"{seed}:new", 400, 8, False)))
    rows = [CardRow(seq, 77, record) for seq, record in enumerate(card.history.records, 1)]
    survivor.do(*facts_in(rows, cut))
    whole = truth([*early, *old, *new])
    assert present(survivor.stock) == present(whole)
    assert whereabouts(survivor.stock) == whereabouts(whole)
