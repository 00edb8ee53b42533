"""Rules 1 to 4: physical facts post, known units come from where the ledger holds them, unseen and unknown ones."""

from __future__ import annotations

from ledger_world import SSCC, World, case, shipping_notice
from msgspec import UNSET

from gateway.transactions.intents import Identified, LoosePicked, LotLearnt, SeenUnit
from vocabulary.place import QUARANTINE, Account

HOUR = 3_600_000_000


def pick(quantity: int, at: int = HOUR, place: str = "bin-1", **more: str) -> LoosePicked:
    return LoosePicked(occurred_at=at, from_place=place, to_place="customer", item="water", quantity=quantity, **more)


class TestRule1PhysicalFactsAlwaysPost:
    def test_a_pick_of_more_than_is_there_goes_negative_and_says_so(self) -> None:
        world = World()
        world.loose("bin-1", "water", 5)
        world.do(pick(8))
        assert world.at("bin-1") == -3
        assert world.exceptions() == {"negative-balance"}
        world.check()

    def test_the_exception_settles_when_enough_is_there_again(self) -> None:
        world = World()
        world.do(pick(8))
        delivery = LoosePicked(
            occurred_at=2 * HOUR, from_place="supplier", to_place="bin-1", item="water", quantity=9, kind="receiving"
        )
        world.do(delivery)
        assert world.at("bin-1") == 1
        assert "negative-balance" not in world.exceptions()

    def test_an_exception_that_is_open_is_told_again_only_when_it_changed(self) -> None:
        world = World()
        world.do(pick(1))
        assert len(world.do(pick(1, 2 * HOUR))) == 2
        assert world.at("bin-1") == -2


class TestRule2KnownUnits:
    def test_a_unit_comes_from_where_the_ledger_holds_it(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC, *map(case, range(1, 5)))
        world.move("bin-1", 2 * HOUR, SSCC)
        world.cross("out", 3 * HOUR, SSCC, door="dock-2")
        assert world.at("bin-1") == 0
        assert world.at("customer") == 96
        assert "against-ledger" not in world.exceptions()
        world.check()

    def test_a_crossing_against_the_ledger_posts_the_missing_movement_too(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.move("bin-1", 2 * HOUR, SSCC)
        records = world.cross("in", 30 * HOUR, SSCC, door="dock-2")
        implied, crossing = records[0], records[1]
        assert (implied.implied, implied.kind, implied.from_) == (True, "shipping", Account("bin-1"))
        assert (crossing.kind, crossing.to) == ("returning", Account("dock-2"))
        assert implied.group is UNSET
        assert crossing.group == 4
        assert world.at("dock-2") == 96
        assert world.at("customer") == 0
        assert "against-ledger" in world.exceptions()
        world.check()

    def test_a_unit_that_left_by_the_ledger_and_leaves_again_must_have_come_back(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.cross("out", 2 * HOUR, SSCC)
        world.cross("out", 30 * HOUR, SSCC, door="dock-2")
        assert world.at("customer") == 96
        assert world.at("dock-2") == 0
        assert [m.kind for m in world.movements()] == ["receiving", "shipping", "returning", "shipping"]
        world.check()

    def test_a_known_unit_sensed_in_the_house_while_the_ledger_holds_it_outside(self) -> None:
        world = World(shipping_notice())
        world.cross("in", HOUR, SSCC)
        world.cross("out", 2 * HOUR, SSCC)
        world.move("bin-2", 3 * HOUR, SSCC)
        assert world.at("bin-2") == 96
        assert "against-ledger" in world.exceptions()


class TestRule3UnseenSerials:
    def test_it_is_a_piece_of_the_loose_stock_at_its_place(self) -> None:
        world = World()
        world.loose("bin-1", "water", 30)
        world.move("bin-1", HOUR, case(1))
        assert world.at("bin-1") == 30
        assert world.stock.units[case(1)].account == Account("bin-1")
        assert world.exceptions() == set()
        world.check()

    def test_the_places_above_come_before_the_rest_of_the_site(self) -> None:
        world = World()
        world.loose("bin-2", "water", 24)
        world.loose("zone", "water", 24)
        world.move("bin-1", HOUR, case(1))
        assert (world.at("zone"), world.at("bin-1"), world.at("bin-2")) == (0, 24, 24)

    def test_first_to_expire_first(self) -> None:
        world = World()
        world.loose("bin-1", "juice", 6, "late", "2030-01-01")
        world.loose("bin-1", "juice", 6, "soon", "2027-01-01")
        world.cross("out", HOUR, case(7, "09506000134369"))
        assert world.at("bin-1", "juice", lot="soon") == 0
        assert world.at("customer", "juice", lot="soon") == 6

    def test_only_what_loose_stock_does_not_cover_comes_from_unknown(self) -> None:
        world = World()
        world.loose("bin-1", "water", 10)
        world.move("bin-1", HOUR, case(1), case(2))
        assert world.at("bin-1") == 48
        assert world.at("unknown") == -38
        assert "unexplained-unit" in world.exceptions()
        world.check()

    def test_two_units_do_not_take_the_same_loose_piece(self) -> None:
        world = World()
        world.loose("bin-1", "water", 24)
        world.cross("out", HOUR, case(1), case(2))
        assert world.at("customer") == 48
        assert world.at("unknown") == -24
        assert world.at("bin-1") == 0


class TestRule4UnknownGtin:
    GTIN = "04012345123456"

    def test_it_makes_a_provisional_item_on_hold(self) -> None:
        world = World()
        world.cross("in", HOUR, case(1, self.GTIN))
        assert world.at("dock-1", f"gtin:{self.GTIN}", QUARANTINE) == 1
        assert "unknown-gtin" in world.exceptions()

    def test_identifying_moves_it_to_the_item_it_is(self) -> None:
        world = World()
        world.cross("in", HOUR, case(1, self.GTIN), case(2, self.GTIN))
        world.move("bin-1", 2 * HOUR, case(2, self.GTIN))
        world.do(Identified(occurred_at=3 * HOUR, provisional=f"gtin:{self.GTIN}", item="water"))
        assert world.at("dock-1", "water", QUARANTINE) == 1
        assert world.at("bin-1", "water", QUARANTINE) == 1
        assert world.at("unknown", "water") == -2
        assert not [key for key in world.stock.balances if key.item.startswith("gtin:")]
        assert not [key for key in world.stock.balances if key.place == "identity"]
        assert "unknown-gtin" not in world.exceptions()
        world.move("bin-2", 4 * HOUR, case(1, self.GTIN))
        assert world.at("bin-2", "water", QUARANTINE) == 1
        world.check()

    def test_a_lot_learnt_later_is_identified_too(self) -> None:
        world = World()
        world.cross("in", HOUR, case(7, "09506000134369"))
        world.do(
            LotLearnt(occurred_at=2 * HOUR, item="juice", lot="L1", expiry="2027-05-01", unit=case(7, "09506000134369"))
        )
        assert world.at("dock-1", "juice", lot="L1") == 6
        assert world.stock.lots["juice", "L1"] == "2027-05-01"
        world.cross("out", 3 * HOUR, case(7, "09506000134369"))
        assert world.at("customer", "juice", lot="L1") == 6
        world.check()

    def test_a_label_with_a_lot_is_believed(self) -> None:
        world = World()
        seen = SeenUnit(case(7, "09506000134369"), lot="L9", expiry="2027-01-31")
        world.cross("in", HOUR, units=(seen,))
        assert world.at("dock-1", "juice", lot="L9") == 6
        assert world.stock.lots["juice", "L9"] == "2027-01-31"
