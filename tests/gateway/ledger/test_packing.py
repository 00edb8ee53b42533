"""Older rows are stored packed; what they say, and everything that reads them, stays the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_help import AT
from ledger_world import case, catalogue, crossed, moved
from virtual import VirtualRuntime

from gateway.ledger import file as ledger_file
from gateway.ledger import packing
from gateway.ledger.check import verify_ledger
from gateway.ledger.packing import MARK, WORDS_1, pack, unpack
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from vocabulary.movement import Movement
from vocabulary.records import decode


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=300).map(lambda text: b'{"record":"' + text.encode())))
def test_what_is_packed_comes_out_as_it_went_in(body: bytes) -> None:
    stored = pack(body)
    assert len(stored) <= len(body)
    if not body.startswith(MARK):
        assert unpack(stored) == body


def test_a_long_row_comes_out_whole() -> None:
    body = (
        b'{"record":"movement/1","units":[' + b",".join(b'{"unit":"01/%d"}' % number for number in range(5_000)) + b"]}"
    )
    assert unpack(pack(body)) == body
    assert len(pack(body)) < len(body) / 4


def test_damage_is_left_for_the_chain_to_find() -> None:
    stored = bytearray(pack(b'{"record":"movement/1","kind":"receiving","from":["supplier","available"]}'))
    stored[-2] ^= 0xFF
    assert unpack(bytes(stored)) != b'{"record":"movement/1","kind":"receiving","from":["supplier","available"]}'
    assert unpack(MARK) == MARK or unpack(MARK) == b""


def test_the_words_are_frozen() -> None:
    """Rows on disks were packed with them: other words are another dictionary with another number."""
    assert sha256(WORDS_1).hexdigest()[:16] == "817ffc9f462be341"


async def test_rows_that_are_no_longer_new_are_packed_and_read_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FRESH_ROWS", 20)
    monkeypatch.setattr(packing, "PACK_ROWS", 30)
    monkeypatch.setattr(ledger_file, "FLUSH_ROWS", 40)
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, VirtualRuntime(3))
    writer.set_catalogue(catalogue())
    for number in range(60):
        await writer.submit(crossed("in", AT + number * 1_000_000, case(number)))
    head = writer.head
    await writer.close()
    with closing(sqlite3.connect(path)) as connection:
        packed = [seq for seq, body in connection.execute("SELECT seq, body FROM ledger") if body.startswith(MARK)]
    assert packed
    assert packed == list(range(1, packed[-1] + 1))
    assert packed[-1] <= head.seq - 20
    assert verify_ledger(path).ok
    reader = await LedgerReader.open(path)
    rows = await reader.rows(1, 1_000, 1 << 20)
    assert [row.seq for row in rows] == list(range(1, head.seq + 1))
    assert all(row.body.startswith(b'{"record":"') for row in rows)
    await reader.close()
    again = await LedgerWriter.open(path, VirtualRuntime(4))
    again.set_catalogue(catalogue())
    receipt = await again.submit(moved("bin-1", AT + 1, case(2)))  # a late fact looks packed rows up
    assert any(isinstance(record, Movement) for record in receipt.records)
    await again.close()
    assert verify_ledger(path).ok
    assert isinstance(decode(rows[0].body), Movement)
