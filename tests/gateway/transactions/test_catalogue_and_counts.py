"""Look-ups of the downlink, the matching of documents, and helpers of counting."""

from __future__ import annotations

from gateway.transactions.catalogue import Catalogue
from gateway.transactions.counts import lines_by_account, spread
from gateway.transactions.documents import expected, outside_of, serves, wanting
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.place import Account
from vocabulary.stock import Amount, Goods, Stock
from vocabulary.wire import BalanceLine, Downlink

NOTICE = Document(
    "ASN", 1, "expected-receipt", "open", (DocumentLine(1, "A", 4),), (ExpectedUnit("c", container="00/1"),), due=9
)
CLOSED = Document("OLD", 1, "expected-receipt", "closed", (DocumentLine(1, "A", 4),), (ExpectedUnit("c"),), due=1)
ORDER = Document("SO", 1, "outbound-order", "open", (DocumentLine(1, "A", 4),), (ExpectedUnit("c"),))
COMING = Document("T-IN", 1, "transfer", "open", (DocumentLine(1, "B", 4),), from_site="east", to_site="site")
GOING = Document("T-OUT", 1, "transfer", "open", (DocumentLine(1, "B", 4),), from_site="site", to_site="east")


def catalogue(*documents: Document) -> Catalogue:
    return Catalogue.from_downlink(Downlink("1", documents=documents), "site")


def test_a_unit_is_announced_by_an_open_document_of_its_direction() -> None:
    known = catalogue(CLOSED, ORDER, NOTICE)
    inward, outward = expected(known, "c", "in"), expected(known, "c", "out")
    assert inward is not None
    assert outward is not None
    assert (inward.document.id, outward.document.id) == ("ASN", "SO")
    pallet = expected(known, "00/1", "in")
    assert pallet is not None
    assert pallet.unit.holds == ()
    assert [unit.unit for unit in known.inside["ASN", "00/1"]] == ["c"]
    assert expected(known, "nobody", "in") is None


def test_transfers_serve_one_end_each() -> None:
    assert (serves(COMING, "in", "site"), serves(COMING, "out", "site")) == (True, False)
    assert (serves(GOING, "in", "site"), serves(GOING, "out", "site")) == (False, True)
    assert (outside_of(COMING, "in"), outside_of(GOING, "out")) == ("in-transit:T-IN", "in-transit:T-OUT")
    assert (outside_of(None, "in"), outside_of(None, "out")) == ("unknown", "customer")


def test_items_are_wanted_until_a_line_is_full() -> None:
    known, stock = catalogue(NOTICE, COMING), Stock()
    found = wanting(known, stock, {}, ("A",), "in", {})
    assert found is not None
    assert found.id == "ASN"
    assert wanting(known, stock, {}, ("A",), "in", {("ASN", 1): 4}) is None
    stock.done = {"ASN": {1: 4}}
    later = wanting(known, stock, {}, ("A", "B"), "in", {})
    assert later is not None
    assert later.id == "T-IN"
    assert wanting(known, stock, {}, ("C",), "in", {}) is None


def test_opening_lines_of_the_same_goods_are_added_up() -> None:
    bin_1, bin_2 = Account("bin-1"), Account("bin-2")
    found = lines_by_account((BalanceLine(bin_1, "A", 3), BalanceLine(bin_2, "A", 1), BalanceLine(bin_1, "A", 4)))
    assert {account: [line.counted for line in lines] for account, lines in found.items()} == {bin_1: [7], bin_2: [1]}


def test_a_difference_over_lots() -> None:
    book = {Goods("A", "soon"): Amount(3), Goods("A", "late"): Amount(5)}
    lots = {("A", "soon"): "2027-01-01", ("A", "late"): "2030-01-01"}
    assert spread(book, 0, lots) == []
    assert spread(book, -4, lots) == [(Goods("A", "soon"), -3), (Goods("A", "late"), -1)]
    assert spread(book, -9, lots) == [(Goods("A", "soon"), -3), (Goods("A", "late"), -5), (Goods("A"), -1)]
    assert spread(book, 2, lots) == [(Goods("A"), 2)]
    assert spread({Goods("A", "soon"): Amount(3)}, 2, lots) == [(Goods("A", "soon"), 2)]
