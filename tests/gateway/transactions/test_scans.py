"""Rule 13: what a scan means depends on the scanner and on what was scanned there before."""

from __future__ import annotations

from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Crossed, Moved, Origin, Scanned
from gateway.transactions.scans import CODE_LIFE, FRESH, REPEAT_WITHIN, Scan, ScannerRule, ScannerState, scanned
from vocabulary.barcode import read
from vocabulary.document import Document
from vocabulary.item import Item, PackagingLevel
from vocabulary.movement import Content
from vocabulary.place import Place
from vocabulary.wire import Downlink

CATALOGUE = Catalogue.from_downlink(
    Downlink(
        "1",
        items=(Item("water", "Water"), Item("ham", "Ham", "GRM"), Item("goose", "Goose", catch_weight=True)),
        packaging=(
            PackagingLevel("09506000134352", "water", 24),
            PackagingLevel("09506000134369", "ham", 1),
            PackagingLevel("09506000134376", "goose", 1),
        ),
        places=(Place("site", "site"), Place("bin-1", "bin", "site", sgln="950600013437.0"), Place("dock-1", "dock")),
        documents=(Document("SO-1", 1, "outbound-order", "open"),),
    ),
    "site",
)
PICKING = ScannerRule("picking", to_place="customer")
STORING = ScannerRule("storing", from_place="dock-1")


def scan(text: str, state: ScannerState = FRESH, rule: ScannerRule = PICKING, at: int = 0) -> Scan:
    return scanned(state, rule, read(text), CATALOGUE, {}, at, 1_000 + at, Origin("scanner-1"))


def test_a_place_code_fills_what_the_scanner_leaves_open() -> None:
    placed = scan("bin-1")
    assert placed.outcome == "place"
    found = scan("(01)09506000134352(10)L1(17)270131", placed.state, at=1_000_000)
    (intent,) = found.intents
    assert isinstance(intent, Scanned)
    assert (intent.kind, intent.from_place, intent.to_place) == ("picking", "bin-1", "customer")
    assert (intent.gtin, intent.pieces, intent.lot, intent.expiry) == ("09506000134352", 1, "L1", "2027-01-31")
    (stored,) = scan("(01)09506000134352", placed.state, STORING, 1_000_000).intents
    assert isinstance(stored, Scanned)
    assert (stored.from_place, stored.to_place) == ("dock-1", "bin-1")


def test_a_place_is_known_by_its_gln_too() -> None:
    assert scan("(414)9506000134376").state.place == "bin-1"


def test_a_place_or_document_code_lives_sixty_seconds() -> None:
    state = scan("bin-1").state
    state = scan("SO-1", state, at=10).state
    soon = scan("(01)09506000134352", state, at=CODE_LIFE - 1)
    assert isinstance(soon.intents[0], Scanned)
    assert soon.intents[0].document == "SO-1"
    assert scan("(01)09506000134352", state, at=CODE_LIFE + 11).outcome == "no-place"


def test_a_repeat_within_300_ms_is_dropped_and_counted() -> None:
    state = scan("bin-1").state
    first = scan("(01)09506000134352", state, at=1_000_000)
    again = scan("(01)09506000134352", first.state, at=1_000_000 + REPEAT_WITHIN - 1)
    assert (again.outcome, again.intents) == ("repeat", ())
    held = scan("(01)09506000134352", again.state, at=1_000_000 + 2 * REPEAT_WITHIN - 2)
    assert held.outcome == "repeat"
    assert scan("(01)09506000134352", held.state, at=1_000_000 + 9 * REPEAT_WITHIN).outcome == "posted"


def test_an_item_kept_by_weight_counts_what_its_label_weighs() -> None:
    state = scan("bin-1").state
    (intent,) = scan("(01)09506000134369(3103)001250", state, at=1).intents
    assert isinstance(intent, Scanned)
    assert (intent.gtin, intent.item, intent.pieces, intent.grams) == ("", "ham", 1_250, None)


def test_a_catch_weight_item_is_one_piece_with_its_grams() -> None:
    state = scan("bin-1").state
    (intent,) = scan("(01)09506000134376(3103)004200", state, at=1).intents
    assert isinstance(intent, Scanned)
    assert (intent.gtin, intent.pieces, intent.grams) == ("09506000134376", 1, 4_200)


def test_a_serialised_code_is_a_unit() -> None:
    (out,) = scan("(01)09506000134352(21)4711").intents
    assert isinstance(out, Crossed)
    assert (out.direction, out.units[0].unit) == ("out", "01/09506000134352/21/4711")
    rule = ScannerRule("receiving", "supplier", "dock-1")
    (came,) = scan("(00)106141412345678908(02)09506000134352(37)40", rule=rule).intents
    assert isinstance(came, Crossed)
    assert (came.direction, came.place, came.units[0].label) == ("in", "dock-1", (Content("water", 960),))
    (put,) = scan("(01)09506000134352(21)4711", scan("bin-1", rule=STORING).state, STORING, 1).intents
    assert isinstance(put, Moved)
    assert (put.place, put.kind) == ("bin-1", "storing")


def test_what_says_nothing_is_told_apart() -> None:
    assert scan("hello").outcome == "unreadable"
    assert scan("(01)09506000134352").outcome == "no-place"
