"""Rules 12 and 13: transfers and what comes before its document, scans of codes without serial; holds and packing."""

from __future__ import annotations

import msgspec
import pytest
from ledger_world import CASE_GTIN, SSCC, World, case, catalogue, shipping_notice

from gateway.errors import PostingError
from gateway.transactions.documents import came_late
from gateway.transactions.intents import (
    DocumentCame,
    ExceptionDecided,
    LoosePicked,
    Packed,
    Recorded,
    Scanned,
    StatusChanged,
    TransferClosed,
    Unpacked,
)
from vocabulary.document import Document, DocumentLine, ExpectedUnit, progress_of
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content, Movement
from vocabulary.place import DAMAGED, QUARANTINE, Account
from vocabulary.records import Inspection

HOUR = 3_600_000_000


def transfer(to_site: str = "site", quantity: int = 96) -> Document:
    return Document(
        id="T-1",
        revision=1,
        type="transfer",
        state="open",
        lines=(DocumentLine(1, "water", quantity, unit_cost=300_000, currency="EUR"),),
        units=(ExpectedUnit(SSCC), *(ExpectedUnit(case(n), SSCC, (Content("water", 24),)) for n in range(1, 5))),
        from_site="other" if to_site == "site" else "site",
        to_site=to_site,
    )


class TestRule12Transfers:
    def test_the_sender_posts_to_in_transit(self) -> None:
        world = World(shipping_notice(), msgspec.structs.replace(transfer("other"), units=()))
        world.cross("in", HOUR, SSCC)
        world.cross("out", 9 * HOUR, SSCC)
        assert world.at("in-transit:T-1") == 96
        assert world.stock.done["T-1"] == {1: 96}

    def test_the_receiver_posts_from_in_transit(self) -> None:
        world = World(transfer())
        world.cross("in", HOUR, SSCC)
        assert (world.at("in-transit:T-1"), world.at("dock-1")) == (-96, 96)
        assert world.exceptions() == {"content-doubtful"}

    def test_what_comes_before_its_document_is_from_unknown_and_corrected_when_it_comes(self) -> None:
        world = World()
        world.cross("in", HOUR, *[case(n) for n in range(1, 5)], case(50))
        world.move("bin-1", 2 * HOUR, case(1))
        assert world.at("unknown") == -120
        assert "no-document" in world.exceptions()
        late = catalogue(transfer())
        (came,) = came_late(world.catalogue, late, world.stock.units, 3 * HOUR)
        world.catalogue = late
        world.do(came)
        assert (world.at("in-transit:T-1"), world.at("unknown")) == (-96, -24)
        assert (world.at("dock-1"), world.at("bin-1")) == (96, 24)
        assert world.stock.done == {"T-1": {1: 96}}
        assert world.stock.units[case(1)].account == Account("bin-1")
        world.check()
        world.do(came)
        assert world.stock.done == {"T-1": {1: 96}}

    def test_a_pallet_of_unknown_content_gets_it_from_the_document(self) -> None:
        world = World()
        world.cross("in", HOUR, SSCC)
        world.move("bin-1", 2 * HOUR, SSCC)
        world.catalogue = catalogue(shipping_notice())
        world.do(DocumentCame(occurred_at=3 * HOUR, document="ASN-1"))
        assert (world.at("supplier"), world.at("bin-1")) == (-96, 96)
        assert world.stock.done == {"ASN-1": {1: 96}}
        assert world.exceptions() == {"no-document"} or world.exceptions() == set()
        world.check()

    def test_closing_posts_the_rest_to_unknown(self) -> None:
        world = World(msgspec.structs.replace(transfer(), units=()))
        world.cross("in", HOUR, case(1), case(2))
        assert world.at("in-transit:T-1") == -48
        world.do(TransferClosed(occurred_at=9 * HOUR, transfer="T-1"))
        assert (world.at("in-transit:T-1"), world.at("unknown")) == (-96, 48)

    def test_outbound_without_a_document_goes_to_the_customer_with_an_exception(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.cross("out", 9 * HOUR, SSCC)
        assert world.at("customer") == 96
        assert "no-document" in world.exceptions()


class TestDocuments:
    def test_the_earliest_due_that_still_wants_the_item(self) -> None:
        order = Document("SO-1", 1, "outbound-order", "open", (DocumentLine(1, "water", 24),), due=9 * HOUR)
        sooner = msgspec.structs.replace(order, id="SO-2", due=5 * HOUR)
        world = World(order, sooner)
        world.loose("bin-1", "water", 100)
        for number in range(1, 4):
            world.cross("out", number * 90 * HOUR, case(number))
        assert world.stock.done == {"SO-2": {1: 24}, "SO-1": {1: 24}}
        assert "no-document" in world.exceptions()

    def test_a_shipping_notice_goes_before_its_order(self) -> None:
        order = Document("PO-1", 1, "expected-receipt", "open", (DocumentLine(1, "water", 96, unit_cost=7),), due=1)
        notice = msgspec.structs.replace(
            shipping_notice(), lines=(DocumentLine(1, "water", 96),), source="PO-1", units=(), due=9 * HOUR
        )
        world = World(order, notice)
        receipt, *_ = world.cross("in", HOUR, case(1))
        assert receipt.document == "ASN-1"
        assert receipt.lines[0].unit_cost == 7

    def test_goods_of_a_cancelled_document_post_with_an_exception(self) -> None:
        world = World(msgspec.structs.replace(shipping_notice(), state="cancelled"))
        world.cross("in", HOUR, SSCC, *[case(n) for n in range(1, 5)])
        assert world.at("dock-1") == 96
        assert world.exceptions() == {"document-cancelled"}

    def test_a_document_opened_at_the_site_is_matched_too(self) -> None:
        world = World()
        order = Document("gw-SO-1", 1, "outbound-order", "open", (DocumentLine(1, "water", 48),))
        world.do(Recorded(occurred_at=1, record=order))
        world.loose("bin-1", "water", 100)
        world.cross("out", HOUR, case(1))
        assert progress_of(order, world.stock.done["gw-SO-1"]).state == "partial"

    def test_a_mixed_pallet_fulfils_a_line_for_each_item(self) -> None:
        notice = Document(
            "ASN-3", 1, "expected-receipt", "open",
            (DocumentLine(1, "water", 24), DocumentLine(2, "juice", 6)),
            (ExpectedUnit(SSCC, holds=(Content("water", 24), Content("juice", 6, "L1", "2027-01-01"))),),
        )  # fmt: skip
        world = World(notice)
        world.cross("in", HOUR, SSCC)
        assert world.stock.done == {"ASN-3": {1: 24, 2: 6}}
        assert world.stock.lots["juice", "L1"] == "2027-01-01"
        world.check()


class TestRule13Scans:
    def scan(self, **more: object) -> Scanned:
        values = {"kind": "picking", "from_place": "bin-1", "to_place": "customer", "gtin": CASE_GTIN, **more}
        return Scanned(occurred_at=HOUR, **values)

    def test_each_scan_is_one_piece_of_its_packaging_level(self) -> None:
        world = World()
        world.loose("bin-1", "water", 100)
        world.do(self.scan())
        assert world.at("bin-1") == 76

    def test_the_only_lot_of_the_bin_is_not_inferred(self) -> None:
        world = World()
        world.loose("bin-1", "juice", 20, "L1")
        (movement,) = world.do(self.scan(gtin="09506000134369"))
        assert (movement.lines[0].lot, movement.lines[0].inferred) == ("L1", msgspec.UNSET)

    def test_else_first_to_expire_first_and_marked_inferred(self) -> None:
        world = World()
        world.loose("bin-1", "juice", 20, "late", "2030-01-01")
        world.loose("bin-1", "juice", 20, "soon", "2027-01-01")
        (movement,) = world.do(self.scan(gtin="09506000134369"))
        assert (movement.lines[0].lot, movement.lines[0].inferred) == ("soon", True)

    def test_a_pick_takes_from_the_places_above_when_the_bin_has_none(self) -> None:
        world = World()
        world.loose("aisle", "water", 24)
        world.do(self.scan())
        assert (world.at("aisle"), world.at("bin-1")) == (0, 0)

    def test_a_receipt_by_hand(self) -> None:
        world = World()
        world.do(self.scan(kind="receiving", from_place="supplier", to_place="dock-1", lot="L1", expiry="2027-01-01"))
        assert world.at("dock-1", lot="L1") == 24
        assert world.exceptions() == {"no-document"}

    def test_an_unknown_gtin_makes_a_provisional_item(self) -> None:
        world = World()
        world.do(self.scan(kind="receiving", from_place="supplier", to_place="dock-1", gtin="04012345123456", pieces=3))
        assert world.at("dock-1", "gtin:04012345123456", QUARANTINE) == 3
        assert "unknown-gtin" in world.exceptions()

    def test_a_scan_of_nothing_is_refused(self) -> None:
        with pytest.raises(PostingError, match="GTIN or an item"):
            World().do(self.scan(gtin=""))


class TestStateAndPacking:
    def test_a_unit_is_held_after_an_inspection_and_released(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        inspection = Inspection(at=2 * HOUR, item="water", result="failed", text="wet cartons")
        records = world.do(
            StatusChanged(occurred_at=2 * HOUR, kind="hold", status=QUARANTINE, units=(SSCC,), inspection=inspection)
        )
        assert isinstance(records[0], Inspection)
        assert records[1].inspection == 3
        assert world.at("dock-1", status=QUARANTINE) == 96
        world.move("bin-1", 3 * HOUR, SSCC)
        assert world.at("bin-1", status=QUARANTINE) == 96
        world.do(StatusChanged(occurred_at=4 * HOUR, kind="release", status="available", units=(SSCC,)))
        assert world.at("bin-1") == 96
        world.check()

    def test_a_loose_quantity_is_damaged(self) -> None:
        world = World()
        world.loose("bin-1", "water", 10)
        world.do(StatusChanged(occurred_at=HOUR, kind="hold", status=DAMAGED, place="bin-1", item="water", quantity=3))
        assert (world.at("bin-1"), world.at("bin-1", status=DAMAGED)) == (7, 3)

    def test_packing_and_unpacking(self) -> None:
        world = World()
        world.loose("bin-1", "water", 100)
        world.move("bin-1", HOUR, case(1), case(2))
        world.do(Packed(occurred_at=2 * HOUR, container=SSCC, units=(case(1), case(2)), goods=(Content("water", 5),)))
        assert sum(one.quantity for one in world.stock.contents(SSCC).values()) == 53
        world.cross("out", 3 * HOUR, SSCC)
        assert world.at("customer") == 53
        world.cross("in", 90 * HOUR, SSCC)
        world.do(Unpacked(occurred_at=91 * HOUR, container=SSCC))
        assert world.stock.contents(SSCC) == {}
        assert world.at("dock-1") == 53
        world.check()

    def test_a_case_is_opened(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, case(1))
        world.do(Unpacked(occurred_at=2 * HOUR, container=case(1), goods=(Content("water", 10),)))
        world.do(LoosePicked(occurred_at=3 * HOUR, from_place="dock-1", to_place="customer", item="water", quantity=10))
        world.move("bin-1", 4 * HOUR, case(1))
        assert (world.at("dock-1"), world.at("bin-1"), world.at("customer")) == (0, 14, 10)
        world.check()

    @pytest.mark.parametrize(
        ("intent", "message"),
        [
            (Packed(occurred_at=1, container=SSCC, units=(case(9),)), "not in the ledger"),
            (Packed(occurred_at=1, container=SSCC), "Nobody knows where"),
            (Unpacked(occurred_at=1, container=SSCC), "not in the ledger"),
            (StatusChanged(occurred_at=1, kind="hold", status=QUARANTINE, units=(SSCC,)), "not in the ledger"),
            (StatusChanged(occurred_at=1, kind="hold", status=QUARANTINE), "needs a unit"),
            (TransferClosed(occurred_at=1, transfer="T-9"), "not known"),
            (DocumentCame(occurred_at=1, document="T-9"), "not known"),
            (LoosePicked(occurred_at=1, from_place="a", to_place="b", item="x", quantity=0), "at least 1"),
            (Recorded(occurred_at=1, record=Movement("moving", Account("a"), Account("b"), 1)), "submit what"),
            (
                ExceptionDecided(occurred_at=1, kind="device", subject="r", state="decided", reason="", actor=""),
                "no exc",
            ),
        ],
    )
    def test_what_cannot_be_posted_is_refused_in_one_sentence(self, intent: object, message: str) -> None:
        with pytest.raises(PostingError, match=message):
            World().do(intent)  # type: ignore[arg-type]

    def test_a_person_decides_about_an_exception(self) -> None:
        world = World()
        world.cross("in", HOUR, SSCC)
        world.do(
            ExceptionDecided(
                occurred_at=2 * HOUR,
                kind="unknown-content",
                subject=SSCC,
                state="decided",
                reason="opened and counted",
                actor="ada",
            )
        )
        last = world.history.records[-1]
        assert isinstance(last, ExceptionRecord)
        assert (last.state, last.actor) == ("decided", "ada")
