"""Vectors of the hash chain, computed here by hashlib and json alone and pinned: they are frozen with the ledger."""

from __future__ import annotations

import hashlib
import json

import pytest

from vocabulary import chain, records
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account

GENESIS = {
    0: "24662c6d9fcca37a637518fd2f24ee6d839892ff672dc7bf00533cce92b4e2f3",
    1: "b6aeb21fbd15c9efca9962171f896d1cabad52d46ca1ab3a6813bd43e4ec43af",
    2**63 - 1: "6529cf255e7b05416e0663ec285516a34c5b4d350f176c1dcc482e0d871ff236",
}


@pytest.mark.parametrize("epoch", sorted(GENESIS))
def test_genesis(epoch: int) -> None:
    by_hand = hashlib.sha256(b"evercount ledger 1" + bytes((epoch >> (8 * (7 - index))) & 255 for index in range(8)))
    assert chain.genesis(epoch).hex() == by_hand.hexdigest() == GENESIS[epoch]


def test_genesis_of_no_epoch_is_refused() -> None:
    with pytest.raises(OverflowError):
        chain.genesis(-1)


def movement(number: int) -> Movement:
    return Movement(
        kind="receiving",
        from_=Account("supplier"),
        to=Account("dock-1"),
        occurred_at=1_700_000_000_000_000 + number,
        lines=(Line(item="Jabłko 🍏", quantity=number + 1),),
        units=(UnitEntry(f"01/09506000134352/21/{number}", container=None),),
        group=number or 1,
    )


def by_hand(number: int) -> bytes:
    body = {
        "record": "movement/1",
        "kind": "receiving",
        "from": ["supplier", "available"],
        "to": ["dock-1", "available"],
        "occurred_at": 1_700_000_000_000_000 + number,
        "lines": [{"item": "Jabłko 🍏", "quantity": number + 1}],
        "units": [{"unit": f"01/09506000134352/21/{number}", "container": None}],
        "group": number or 1,
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def test_head_of_nothing_is_the_genesis() -> None:
    assert chain.head(chain.genesis(1), []) == chain.genesis(1)


def test_head_of_one_row_with_text_beyond_ascii() -> None:
    body = records.encode(movement(0))
    assert body == by_hand(0)
    assert (
        chain.link(chain.genesis(1), body).hex() == "ba1a4f9b65222f91002c154026a082cf8085529dd8c0d8017b492b0ea69c798b"
    )


def test_head_of_a_thousand_rows() -> None:
    bodies = [records.encode(movement(number)) for number in range(1_000)]
    previous = hashlib.sha256(b"evercount ledger 1" + (7).to_bytes(8, "big")).digest()
    for number, body in enumerate(bodies):
        assert body == by_hand(number)
        previous = hashlib.sha256(previous + body).digest()
    assert chain.head(chain.genesis(7), bodies) == previous
    assert previous.hex() == "c0103e33023427226ea4400798e010fac8c1caff7fb59bb5d2a675564e3a8529"


def test_any_changed_byte_changes_the_head() -> None:
    bodies = [records.encode(movement(number)) for number in range(3)]
    head = chain.head(chain.genesis(1), bodies)
    assert chain.head(chain.genesis(2), bodies) != head
    assert chain.head(chain.genesis(1), [bodies[0], bodies[1].replace(b"dock-1", b"dock-2"), bodies[2]]) != head
    assert chain.head(chain.genesis(1), [bodies[1], bodies[0], bodies[2]]) != head
