"""Places, accounts and the EPCIS forms of kinds."""

from __future__ import annotations

import msgspec
import pytest

from vocabulary.place import AVAILABLE, Account, Place, ancestors, in_transit, is_virtual

TREE = {
    "site": Place("site", "site"),
    "zone": Place("zone", "zone", "site"),
    "bin": Place("bin", "bin", "zone"),
    "loop-a": Place("loop-a", "bay", "loop-b"),
    "loop-b": Place("loop-b", "bay", "loop-a"),
}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("bin", ["bin", "zone", "site"]),
        ("site", ["site"]),
        ("nowhere", ["nowhere"]),
        ("loop-a", ["loop-a", "loop-b"]),
        ("", []),
    ],
)
def test_ancestors(place: str, expected: list[str]) -> None:
    assert list(ancestors(place, TREE)) == expected


@pytest.mark.parametrize("place", ["supplier", "customer", "scrap", "opening", "identity", "unknown", "robot:7"])
def test_virtual_places(place: str) -> None:
    assert is_virtual(place)
    assert is_virtual(in_transit("T-1"))
    assert not is_virtual("dock-1")


def test_an_account_is_a_pair_on_the_wire() -> None:
    assert msgspec.json.encode(Account("dock-1")) == b'["dock-1","available"]'
    assert msgspec.json.decode(b'["dock-1"]', type=Account) == Account("dock-1", AVAILABLE)
