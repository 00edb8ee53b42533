"""Applying records and searching stock: balances change by accounts, contents by out_of and into."""

from __future__ import annotations

from msgspec import UNSET

from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.records import ClockRecord, Record
from vocabulary.stock import Amount, Draw, Goods, Key, Stock, apply, covered, draw

DOCK, BIN, SUPPLIER = Account("dock"), Account("bin"), Account("supplier")


def applied(*records: Record) -> Stock:
    stock = Stock()
    for seq, record in enumerate(records, 1):
        apply(stock, seq, record)
    return stock


def moved(
    *lines: Line, source: Account = SUPPLIER, target: Account = DOCK, at: int = 1, units: tuple[UnitEntry, ...] = ()
):  # type: ignore[no-untyped-def]
    return Movement("moving", source, target, at, lines, units)


def test_lines_change_balances_by_their_accounts() -> None:
    stock = applied(moved(Line("A", 5)), moved(Line("A", 2, from_=DOCK, to=BIN)))
    assert stock.balances == {
        Key("supplier", "available", "A"): Amount(-5),
        Key("dock", "available", "A"): Amount(3),
        Key("bin", "available", "A"): Amount(2),
    }


def test_a_balance_of_nothing_is_not_kept() -> None:
    assert applied(moved(Line("A", 5)), moved(Line("A", 5), source=DOCK, target=SUPPLIER)).balances == {}


def test_expiry_is_part_of_the_key_only_without_a_lot() -> None:
    stock = applied(moved(Line("A", 1, lot="L", expiry="2027-01-01"), Line("B", 1, expiry="2027-02-02")))
    assert Key("dock", "available", "A", "L") in stock.balances
    assert Key("dock", "available", "B", "", "2027-02-02") in stock.balances
    assert stock.lots == {("A", "L"): "2027-01-01"}


def test_grams_go_with_pieces() -> None:
    stock = applied(moved(Line("ham", 2, grams=5_150)), moved(Line("ham", 1, grams=2_500), source=DOCK, target=BIN))
    assert stock.balances[Key("dock", "available", "ham")] == Amount(1, 2_650)


def test_a_unit_holds_what_it_held_when_first_met_and_takes_it_along() -> None:
    first = moved(Line("A", 24), units=(UnitEntry("c", holds=(Content("A", 24),)),))
    stock = applied(first, moved(Line("A", 24), source=DOCK, target=BIN, units=(UnitEntry("c"),), at=7))
    assert stock.loose(Key("bin", "available", "A")) == 0
    assert stock.held == {Key("bin", "available", "A"): Amount(24)}
    unit = stock.units["c"]
    assert (unit.account, unit.seq, unit.at, unit.first_seq, unit.first_from) == (BIN, 2, 7, 1, SUPPLIER)


def test_opening_a_case_and_loading_a_tote_change_contents_alone() -> None:
    first = moved(Line("A", 24), units=(UnitEntry("c", holds=(Content("A", 24),)), UnitEntry("tote")))
    stock = applied(first, moved(Line("A", 10, out_of="c", into="tote"), source=DOCK, target=DOCK))
    assert stock.balances[Key("dock", "available", "A")] == Amount(24)
    assert (stock.contents("c"), stock.contents("tote")) == ({Goods("A"): Amount(14)}, {Goods("A"): Amount(10)})
    assert stock.loose(Key("dock", "available", "A")) == 0


def test_containers_at_any_depth() -> None:
    stock = applied(
        moved(
            Line("A", 3),
            units=(
                UnitEntry("pallet"),
                UnitEntry("case", container="pallet", holds=(Content("A", 2),)),
                UnitEntry("piece", container="case", holds=(Content("A", 1),)),
            ),
        )
    )
    assert stock.inside("pallet") == ["pallet", "case", "piece"]
    assert stock.contents("pallet") == {Goods("A"): Amount(3)}
    apply(stock, 2, moved(units=(UnitEntry("case", container=None),), source=DOCK, target=DOCK))
    assert stock.inside("pallet") == ["pallet"]
    assert stock.children == {"case": {"piece": None}}


def test_containers_that_name_each_other_end() -> None:
    stock = applied(moved(units=(UnitEntry("a", container="b"), UnitEntry("b", container="a"))))
    assert stock.inside("a") == ["a", "b"]


def test_an_entry_of_the_past_does_not_move_the_unit() -> None:
    stock = applied(
        moved(units=(UnitEntry("c"),), at=9),
        moved(Line("A", 4), units=(UnitEntry("c", holds=(Content("A", 4),), past=True),), target=BIN, at=3),
    )
    unit = stock.units["c"]
    assert (unit.account, unit.at, unit.first_at, unit.first_seq) == (DOCK, 9, 3, 2)
    assert stock.held == {Key("dock", "available", "A"): Amount(4)}


def test_counts_documents_and_other_records() -> None:
    count = Count(BIN, "whole", "unknown", 9)
    earlier = Count(BIN, "whole", "unknown", 4)
    order = Document("D", 1, "outbound-order", "open")
    stock = applied(count, earlier, order, ClockRecord(1, 1, 2, 3))
    assert (stock.counts[BIN].seq, stock.counts[BIN].at) == (1, 9)
    assert stock.documents == {"D": order}
    assert stock.applied_seq == 4
    apply(stock, 5, Document("D", 2, "outbound-order", "closed"))
    assert stock.documents == {}


def test_a_draw_takes_loose_stock_first_to_expire_first() -> None:
    stock = applied(
        moved(
            Line("A", 5, lot="late", expiry="2030-01-01"),
            Line("A", 5, lot="soon", expiry="2027-01-01"),
            Line("A", 5),
            Line("A", 24, to=BIN),
            units=(UnitEntry("c", to=BIN, holds=(Content("A", 20),)),),
        )
    )
    assert draw(stock, "A", 12, (DOCK, BIN)) == [
        Draw(DOCK, Goods("A", "soon"), 5),
        Draw(DOCK, Goods("A", "late"), 5),
        Draw(DOCK, Goods("A"), 2),
    ]
    assert draw(stock, "A", 6, (BIN, DOCK), ("late",)) == [
        Draw(DOCK, Goods("A", "late"), 5),
        Draw(BIN, Goods("A", "late"), 1),
    ]
    assert covered(stock, "A", 9, (BIN,)) == [Draw(BIN, Goods("A"), 4)]
    assert covered(stock, "A", 9, (BIN,), less={Key("bin", "available", "A"): 3}) == [Draw(BIN, Goods("A"), 1)]


def test_what_is_not_there_goes_negative_in_the_named_place() -> None:
    assert draw(Stock(), "A", 3, (BIN, DOCK)) == [Draw(BIN, Goods("A"), 3)]
    stock = applied(moved(Line("A", 4, lot="L"), units=(UnitEntry("c", holds=(Content("A", 4, lot="L"),)),)))
    assert draw(stock, "A", 3, (DOCK,)) == [Draw(DOCK, Goods("A", "L"), 3)]


def test_the_index_of_an_item_follows_every_record() -> None:
    stock = applied(moved(Line("A", 5)))
    assert list(stock.keys_of("A")) == [Key("supplier", "available", "A"), Key("dock", "available", "A")]
    apply(stock, 2, moved(Line("A", 5), source=DOCK, target=BIN))
    assert set(stock.keys_of("A")) == set(stock.balances)
    assert list(stock.keys_of("B")) == []
    assert stock.by_item is not UNSET
