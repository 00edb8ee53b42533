"""Canonical bytes: each kind of record as it is stored, byte by byte, and back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocabulary.count import Count, CountLine
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import QUARANTINE, Account
from vocabulary.quantity import Money
from vocabulary.records import (
    LARGEST_INTEGER,
    Checkpoint,
    ClockRecord,
    CommandResult,
    Inspection,
    Record,
    decode,
    encode,
    fault_in,
    kind_of,
)

#: A record of each kind, and its canonical bytes. These are frozen: ledgers hold them.
VECTORS: list[tuple[Record, str]] = [
    (
        Movement("moving", Account("a"), Account("b", QUARANTINE), 5, units=(UnitEntry("00/1"),)),
        '{"record":"movement/1","kind":"moving","from":["a","available"],"to":["b","on-hold:quarantine"],'
        '"occurred_at":5,"units":[{"unit":"00/1"}]}',
    ),
    (
        Movement(
            "receiving",
            Account("supplier"),
            Account("dock"),
            5,
            lines=(
                Line("A", 24, lot="L", expiry="2027-01-01", grams=9, unit_cost=7, currency="EUR"),
                Line("B", 1, from_=Account("x"), to=Account("y"), out_of="u", into="v", document_line=2, inferred=True),
            ),
            units=(
                UnitEntry("c", container="00/1", holds=(Content("A", 24, lot="L"),)),
                UnitEntry("d", from_=Account("x"), to=Account("y"), container=None, past=True),
            ),
            document="ASN",
            document_line=1,
            read_point="door/1",
            interval=1,
            rule="dock-door/1",
            confidence=990,
            evidence="abcdefghijklmnop",
            actor="ada",
            group=1,
            reverses=2,
            replaces=3,
            completes=4,
            compensates=5,
            count=6,
            inspection=7,
            implied=True,
        ),
        '{"record":"movement/1","kind":"receiving","from":["supplier","available"],"to":["dock","available"],'
        '"occurred_at":5,"lines":[{"item":"A","quantity":24,"lot":"L","expiry":"2027-01-01","grams":9,"unit_cost":7,'
        '"currency":"EUR"},{"item":"B","quantity":1,"from":["x","available"],"to":["y","available"],"out_of":"u",'
        '"into":"v","document_line":2,"inferred":true}],"units":[{"unit":"c","container":"00/1","holds":[{"item":"A",'
        '"quantity":24,"lot":"L"}]},{"unit":"d","from":["x","available"],"to":["y","available"],"container":null,'
        '"past":true}],"document":"ASN","document_line":1,"read_point":"door/1","interval":1,"rule":"dock-door/1",'
        '"confidence":990,"evidence":"abcdefghijklmnop","actor":"ada","group":1,"reverses":2,"replaces":3,'
        '"completes":4,"compensates":5,"count":6,"inspection":7,"implied":true}',
    ),
    (
        Count(Account("bin"), "listed", "unknown", 9, (CountLine("A", 3, 4, 7, 9, lot="L", again=True),)),
        '{"record":"count/1","account":["bin","available"],"scope":"listed","against":"unknown","occurred_at":9,'
        '"lines":[{"item":"A","counted":3,"book":4,"first_scan":7,"cut_off":9,"lot":"L","again":true}]}',
    ),
    (
        Document(
            "D", 1, "transfer", "open", (DocumentLine(1, "A", 2),), (ExpectedUnit("00/1"),), value=Money(5, "EUR")
        ),
        '{"record":"document/1","id":"D","revision":1,"type":"transfer","state":"open","lines":[{"line":1,"item":"A",'
        '"quantity":2}],"units":[{"unit":"00/1"}],"value":{"minor":5,"currency":"EUR"}}',
    ),
    (
        ExceptionRecord("device", "reader-1", "open", 3, "It is silent.", facts={"seconds": 25}),
        '{"record":"exception/1","kind":"device","subject":"reader-1","state":"open","at":3,"text":"It is silent.",'
        '"facts":{"seconds":25}}',
    ),
    (
        Inspection(3, "A", "failed", "wet", quantity=2),
        '{"record":"inspection/1","at":3,"item":"A","result":"failed","text":"wet","quantity":2}',
    ),
    (
        CommandResult("c-1", 3, "refused", "too late"),
        '{"record":"command-result/1","command":"c-1","at":3,"result":"refused","text":"too late"}',
    ),
    (ClockRecord(3, 1, 2, -4), '{"record":"clock/1","at":3,"first_seq":1,"last_seq":2,"shift":-4}'),
    (
        Checkpoint(3, 1, 2, 0, "ab"),
        '{"record":"checkpoint/1","at":3,"balances":1,"units":2,"documents":0,"snapshot":"ab"}',
    ),
]


@pytest.mark.parametrize(("record", "text"), VECTORS, ids=[kind_of(encode(record)) for record, _ in VECTORS])
def test_canonical_bytes(record: Record, text: str) -> None:
    assert encode(record) == text.encode()
    assert decode(text.encode()) == record
    assert json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False) == text


@pytest.mark.parametrize(
    "body",
    [
        b'{"record":"movement/2","kind":"moving","from":["a","b"],"to":["c","d"],"occurred_at":1}',
        b'{"record":"movement/1","kind":"flying","from":["a","b"],"to":["c","d"],"occurred_at":1}',
        b'{"record":"movement/1","kind":"moving","from":["a","b"],"to":["c","d"],"occurred_at":1,"colour":"red"}',
        b'{"record":"movement/1","kind":"moving","from":["a","b"],"to":["c","d"],"occurred_at":1.5}',
        b"{}",
        b"",
        b"\xff",
    ],
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"record":"movement/7","x":1}', "movement"),
        (b'{"record":"weather/1"}', "weather"),
        (b"{}", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_the_kind_is_read_without_decoding(body: bytes, kind: str) -> None:
    assert kind_of(body) == kind


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NUMBER = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)


@given(item=TEXT, place=TEXT, at=NUMBER, quantity=NUMBER, unit=TEXT, lot=TEXT | st.none())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text_and_number_comes_back(
    item: str, place: str, at: int, quantity: int, unit: str, lot: str | None
) -> None:
    line = Line(item, quantity) if lot is None else Line(item, quantity, lot=lot)
    movement = Movement("moving", Account(place), Account("x"), at, (line,), (UnitEntry(unit),))
    body = encode(movement)
    assert decode(body) == movement
    assert encode(decode(body)) == body
    assert json.loads(body)["lines"][0]["quantity"] == quantity


@pytest.mark.parametrize(
    ("text", "at", "end"),
    [
        ("a\x00b", 1, "U+0000"),
        ("fine 🍏", 1, None),
        ("", 2**53, None),
        ("", 10**17, "2^53"),
        ("12345678901234567890", 1, None),
    ],
)
def test_canonical_bytes_hold_no_nul_and_no_inexact_number(text: str, at: int, end: str | None) -> None:
    fault = fault_in(encode(Movement("moving", Account(text), Account("x"), at)))
    assert fault is None if end is None else fault is not None and end in fault


def test_half_a_surrogate_pair_has_no_canonical_bytes() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode(Movement("moving", Account("\ud800"), Account("x"), 1))
