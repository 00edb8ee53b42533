"""Crossings and sightings of tags become intents; what is no stock is counted and left out."""

from __future__ import annotations

import pytest

from gateway.observations.doors import Crossing, Evidence, Member
from gateway.simulation.epc_encode import sgtin_96, sscc_96
from gateway.transactions import rules
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Crossed, Moved, Origin, Unreadable
from vocabulary.document import Document, ExpectedUnit
from vocabulary.wire import Downlink

PALLET = sscc_96("106141412345678908", 7)
CASE = sgtin_96("09506000134352", 4711, 7)
PALLET_KEY, CASE_KEY = "00/106141412345678908", "01/09506000134352/21/4711"
SGLN = "3254257BF46072000000162E"


def crossing(*identifiers: str) -> Crossing:
    members = tuple(
        Member(
            identifier=identifier,
            confidence=990 - index,
            reads=(9, 8),
            strongest=(-5000, -5100),
            moving=20.0,
            companion=9.0,
            joined=False,
        )
        for index, identifier in enumerate(identifiers)
    )
    evidence = Evidence("dock-door/1", 12.0, 900.0, 3, 3, (1, 2), 30)
    return Crossing("north", "dock-1", "in", members, 1_000, 5_000, 3_000, 9_000, 1, evidence)


def test_a_crossing_is_one_intent_with_its_evidence() -> None:
    found = rules.crossed(crossing(PALLET, CASE, CASE.lower()))
    (intent,) = found.intents
    assert isinstance(intent, Crossed)
    assert [unit.unit for unit in intent.units] == [PALLET_KEY, CASE_KEY]
    assert (intent.place, intent.direction, intent.occurred_at) == ("dock-1", "in", 5_000)
    assert intent.origin == Origin("north", (1_000, 5_000), "dock-door/1", 988, rules.evidence_hash(found.evidence))
    assert len(intent.origin.evidence) == 16


def test_the_same_evidence_has_the_same_hash() -> None:
    again = rules.crossed(crossing(PALLET))
    assert rules.crossed(crossing(PALLET)) == again


def test_places_are_counted_and_are_no_stock() -> None:
    found = rules.crossed(crossing(SGLN))
    assert (found.intents, found.units, found.no_stock, found.unreadable) == ((), 0, 1, 0)


def test_what_cannot_be_read_is_one_exception_for_each_header() -> None:
    found = rules.crossed(crossing(CASE, "FF00000000000000000000A1", "FF00000000000000000000A2", "zz"))
    assert [type(intent) for intent in found.intents] == [Crossed, Unreadable, Unreadable]
    assert (found.units, found.unreadable) == (1, 3)
    assert [intent.subject for intent in found.intents if isinstance(intent, Unreadable)] == ["FF", "ZZ"]


def test_tags_at_a_place() -> None:
    (intent,) = rules.sensed("bin-1", [CASE], 7, Origin("shelf-3"), kind="storing").intents
    assert isinstance(intent, Moved)
    assert (intent.place, intent.kind, intent.units[0].unit) == ("bin-1", "storing", CASE_KEY)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (None, "expected-in"),
        ("bin-1", "expected-out"),
        ("customer", "shipped"),
        ("in-transit:T-1", "expected-in"),
    ],
)
def test_what_one_can_expect_of_a_tag(place: str | None, expected: str) -> None:
    notice = Document("ASN", 1, "expected-receipt", "open", units=(ExpectedUnit(PALLET_KEY),))
    order = Document("SO", 1, "outbound-order", "open", units=(ExpectedUnit(PALLET_KEY),))
    catalogue = Catalogue.from_downlink(Downlink("1", documents=(notice, order)), "site")
    places = {} if place is None else {PALLET_KEY: place}
    assert rules.expectation(PALLET, places, catalogue) == expected


def test_of_a_tag_that_nobody_announced_nothing_can_be_expected() -> None:
    assert rules.expectation(CASE, {}, Catalogue()) is None
    assert rules.expectation("zz", {}, Catalogue()) is None
    assert rules.expectation(CASE, {CASE_KEY: "bin-1"}, Catalogue()) == "in-house"
