"""Rules 5 to 7: logistic units and what they hold, identities in two places, passages told twice."""

from __future__ import annotations

import msgspec
from ledger_world import SSCC, World, case, shipping_notice

from gateway.transactions.intents import ContentLearnt, Packed, SeenUnit
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.movement import Content
from vocabulary.place import Account
from vocabulary.wire import Thresholds

HOUR = 3_600_000_000
SECOND = 1_000_000
CASES = [case(number) for number in range(1, 5)]


def unnamed_notice() -> Document:
    """A pallet of four cases whose serials the shipper does not tell."""
    return Document(
        id="ASN-2",
        revision=1,
        type="expected-receipt",
        state="open",
        lines=(DocumentLine(1, "water", 96),),
        units=(ExpectedUnit(SSCC, holds=(Content("water", 96),)),),
    )


class TestRule5LogisticUnits:
    def test_what_it_is_believed_to_hold_crosses_whole_whichever_cases_were_read(self) -> None:
        world = World(shipping_notice())
        receipt, *_ = world.cross("in", HOUR, SSCC, *CASES[:2])
        assert world.at("dock-1") == 96
        assert world.stock.units[CASES[3]].container == SSCC
        assert world.stock.done == {"ASN-1": {1: 96}}
        assert (receipt.lines[0].unit_cost, receipt.lines[0].currency) == (250_000, "EUR")
        assert world.exceptions() == set()
        world.check()

    def test_under_half_read_asks_for_a_count(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, CASES[0])
        assert world.at("dock-1") == 96
        assert world.exceptions() == {"content-doubtful"}

    def test_a_case_that_was_not_declared_posts_too(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *CASES, case(99))
        assert world.at("dock-1") == 120
        assert world.exceptions() == {"content-undeclared", "over-receipt"}
        world.check()

    def test_cases_whose_pallet_was_not_read_post_alone_and_are_subtracted_when_it_comes(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, *CASES[:3])
        assert world.at("dock-1") == 72
        world.move("bin-1", 2 * HOUR, CASES[0])
        world.cross("in", 3 * HOUR, SSCC)
        assert (world.at("dock-1"), world.at("bin-1")) == (72, 24)
        assert world.stock.done == {"ASN-1": {1: 96}}
        assert "against-ledger" not in world.exceptions()
        world.check()

    def test_the_same_where_the_shipper_did_not_name_the_cases(self) -> None:
        world = World(unnamed_notice())
        world.cross("in", HOUR, SSCC, CASES[0])
        assert world.at("dock-1") == 96
        assert world.stock.units[SSCC].holds != {}
        assert world.exceptions() == set()
        world.move("bin-1", 2 * HOUR, SSCC, CASES[0], CASES[1])
        assert world.at("bin-1") == 96
        assert world.stock.contents(SSCC)[("water", "", "")].quantity == 96
        assert world.stock.units[CASES[1]].container == SSCC
        world.check()

    def test_unknown_content_moves_without_lines_and_asks(self) -> None:
        world = World()
        receipt, *_ = world.cross("in", HOUR, SSCC)
        assert receipt.lines == ()
        assert "unknown-content" in world.exceptions()
        assert world.stock.units[SSCC].account == Account("dock-1")

    def test_content_learnt_later_posts_one_movement_that_completes_the_first(self) -> None:
        world = World()
        world.cross("in", HOUR, SSCC)
        world.move("bin-1", 2 * HOUR, SSCC)
        (learnt, *_) = world.do(ContentLearnt(occurred_at=5 * HOUR, unit=SSCC, units=tuple((one, ()) for one in CASES)))
        assert (learnt.completes, learnt.occurred_at) == (1, HOUR)
        assert world.at("bin-1") == 96
        assert "unknown-content" not in world.exceptions()
        world.cross("out", 6 * HOUR, SSCC)
        assert world.at("customer") == 96
        world.check()

    def test_a_label_is_believed_where_no_notice_says_otherwise(self) -> None:
        world = World()
        world.cross("in", HOUR, units=(SeenUnit(SSCC, label=(Content("water", 48),)),))
        assert world.at("dock-1") == 48

    def test_sources_that_disagree_are_an_exception(self) -> None:
        world = World(unnamed_notice())
        world.cross("in", HOUR, units=(SeenUnit(SSCC, label=(Content("water", 48),)),))
        assert world.at("dock-1") == 96
        assert world.exceptions() == {"content-conflict"}

    def test_a_case_that_moves_alone_leaves_its_pallet(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *CASES)
        world.move("bin-1", 2 * HOUR, CASES[0])
        world.cross("out", 3 * HOUR, SSCC)
        assert (world.at("bin-1"), world.at("customer")) == (24, 72)
        world.check()


class TestRule6Identities:
    def test_a_shipped_unit_that_comes_in_returns(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.cross("out", 2 * HOUR, SSCC)
        records = world.cross("in", 90 * HOUR, SSCC)
        assert records[0].kind == "returning"
        assert records[0].from_ == Account("customer")
        assert world.at("dock-1") == 96

    def test_one_identity_in_two_places_within_travel_time(self) -> None:
        world = World(shipping_notice(), thresholds=Thresholds(travel_time_s=60))
        world.cross("in", HOUR, SSCC)
        world.cross("in", HOUR + 30 * SECOND, SSCC, door="dock-2")
        assert "possible-clone" in world.exceptions()
        assert world.at("dock-2") == 96

    def test_not_when_there_was_time_to_travel(self) -> None:
        world = World(shipping_notice(), thresholds=Thresholds(travel_time_s=60))
        world.cross("in", HOUR, SSCC)
        world.cross("out", HOUR + 20 * SECOND, SSCC, door="dock-2")
        assert "possible-clone" not in world.exceptions()

    def test_a_returnable_asset_that_comes_back_is_empty(self) -> None:
        tote = "8003/009506000134352A1"
        world = World()
        world.loose("bin-1", "water", 10)
        world.do(Packed(occurred_at=HOUR, container=tote, goods=(Content("water", 10),), place="bin-1"))
        world.cross("out", 2 * HOUR, tote)
        assert world.at("customer") == 10
        world.cross("in", 9 * HOUR, tote)
        assert world.at("customer") == 10
        assert world.at("dock-1") == 0
        assert world.stock.contents(tote) == {}
        world.check()


class TestRule7PassagesToldTwice:
    def test_a_replay_posts_nothing(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *CASES)
        assert world.cross("in", HOUR, SSCC, *CASES) == []
        assert world.cross("in", HOUR + SECOND, *CASES[:2]) == []

    def test_the_part_that_is_new_posts(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *CASES)
        world.cross("in", HOUR + SECOND, *CASES, case(77))
        assert world.at("dock-1") == 120

    def test_overlapping_passages_at_two_doors_are_one(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *CASES)
        assert world.cross("in", HOUR + SECOND, SSCC, door="dock-2") == []

    def test_after_the_unit_moved_on_it_is_still_the_same_passage(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *CASES)
        world.move("bin-1", 2 * HOUR, SSCC)
        assert world.cross("in", HOUR, SSCC) == []

    def test_an_intent_can_be_written_down_and_replayed(self) -> None:
        from ledger_world import crossed

        from gateway.transactions.intents import AnyIntent

        intent = crossed("in", HOUR, SSCC)
        assert msgspec.json.decode(msgspec.json.encode(intent), type=AnyIntent) == intent
