"""How kinds of movement are told to the outside: the table of the contract."""

from __future__ import annotations

from typing import get_args

from vocabulary.epcis import FORMS
from vocabulary.movement import Kind


def test_every_kind_but_identifying_has_a_form() -> None:
    assert {*get_args(Kind)} - {*FORMS} == {"identifying"}


def test_the_table() -> None:
    def form(kind: Kind) -> tuple[str, str | None, str]:
        return FORMS[kind][:3]

    assert form("receiving") == ("ObjectEvent", "OBSERVE", "receiving")
    assert form("moving") == ("ObjectEvent", "OBSERVE", "transporting")
    assert form("hold") == ("ObjectEvent", "OBSERVE", "holding")
    assert (form("release"), FORMS["release"].disposition) == (
        ("ObjectEvent", "OBSERVE", "inspecting"),
        "sellable_accessible",
    )
    assert (form("returning"), FORMS["returning"].disposition) == (("ObjectEvent", "OBSERVE", "receiving"), "returned")
    assert form("counting") == ("ObjectEvent", "OBSERVE", "cycle_counting")
    assert form("aggregating") == ("AggregationEvent", "ADD", "packing")
    assert form("disaggregating") == ("AggregationEvent", "DELETE", "unpacking")
    assert FORMS["consuming"].type == FORMS["producing"].type == "TransformationEvent"
    assert form("commissioning") == ("ObjectEvent", "ADD", "commissioning")
    assert form("destroying") == ("ObjectEvent", "DELETE", "destroying")
