"""verify-ledger finds every kind of damage, and says yes to nothing that was changed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from ledger_help import AT, crossing, simple_post
from virtual import VirtualRuntime, run

from gateway.errors import GatewayError, LedgerDamagedError
from gateway.ledger.check import rebuild_ledger, verify_ledger
from gateway.ledger.checkpoint import snapshots, take
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import Recorded
from vocabulary.document import Document
from vocabulary.exception import ExceptionRecord
from vocabulary.records import CommandResult


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a bit of everything and one checkpoint."""
    path = tmp_path_factory.mktemp("good") / "ledger.db"

    async def main() -> None:
        writer = await LedgerWriter.open(path, VirtualRuntime(5), simple_post)
        await writer.submit_many([crossing(number, number % 5 + 1) for number in range(100)])
        for record in (
            Document("north-1", 1, "count-request", "open"),
            ExceptionRecord("device", "reader-1", "open", AT, "Reader 1 is silent."),
            CommandResult("c1", AT, "done"),
        ):
            await writer.submit(Recorded(occurred_at=AT, record=record))
        await take(writer, AT)
        await writer.submit_many([crossing(number) for number in range(100, 150)])
        await writer.close()

    run(main)
    assert verify_ledger(path).ok
    return path


@pytest.fixture
def ledger(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good.parent, tmp_path / "copy")
    return tmp_path / "copy" / "ledger.db"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM ledger WHERE seq = 40", "row 40 is missing"),
        ("DELETE FROM ledger WHERE seq = 154", "the ledger ends at row 153"),
        ("UPDATE ledger SET hash = zeroblob(32) WHERE seq = 40", "row 40 is not what was written"),
        ("UPDATE ledger SET body = CAST(replace(body, 'dock', 'rock') AS BLOB) WHERE seq = 40", "row 40 is not what"),
        ("UPDATE ledger SET body = CAST(body || ' ' AS BLOB) WHERE seq = 40", "row 40 is not in canonical form"),
        ("UPDATE ledger SET body = x'7b' WHERE seq = 40", "row 40 cannot be read"),
        ("UPDATE ledger SET body = 5 WHERE seq = 40", "row 40 is not what was written: it holds no bytes"),
        ("UPDATE ledger SET epoch = 7 WHERE seq = 40", "row 40 carries epoch 7"),
        ("UPDATE branch SET parent_hash = zeroblob(32)", "genesis"),
        ("UPDATE balance SET quantity = quantity + 1 WHERE place = 'dock'", "derived table for balance"),
        ("DELETE FROM unit WHERE unit LIKE '%/7-0'", "derived table for unit"),
        ("DELETE FROM command", "derived table for command"),
        ("UPDATE exception SET state = 'decided'", "derived table for exception"),
        ("DELETE FROM document", "derived table for document"),
    ],
)
def test_what_was_changed_is_found(ledger: Path, statement: str, words: str) -> None:
    change(ledger, statement)
    report = verify_ledger(ledger)
    assert not report.ok
    assert words in " | ".join(report.faults)


def test_a_snapshot_that_was_changed_is_found(ledger: Path) -> None:
    ((seq, file),) = snapshots(ledger).items()
    assert seq == 104
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    assert "is not the snapshot that row 104 names" in verify_ledger(ledger).faults[0]


def test_flipped_bits_and_garbage_never_pass(ledger: Path, tmp_path: Path) -> None:
    """Any flip in a row, its hash or a derived table is found, or hit a byte that means nothing (then all rows agree)."""
    draw = Random(11)
    whole = ledger.read_bytes()
    with closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute("SELECT seq, epoch, body, hash FROM ledger ORDER BY seq").fetchall()
    missed = 0
    for _ in range(150):
        bad = bytearray(whole)
        place = draw.randrange(100, len(bad))
        bad[place] ^= 1 << draw.randrange(8)
        copy = tmp_path / "bad.db"
        copy.write_bytes(bad)
        try:
            passed = verify_ledger(copy).ok
        except (GatewayError, sqlite3.Error):
            passed = False
        if passed:
            missed += 1
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("SELECT seq, epoch, body, hash FROM ledger ORDER BY seq").fetchall() == rows
    assert missed < 75


def test_derived_tables_are_rebuilt_from_the_rows(ledger: Path) -> None:
    change(ledger, "DELETE FROM balance", "DELETE FROM unit", "UPDATE position SET seq = 3 WHERE name = 'applied'")
    assert not verify_ledger(ledger).ok
    rebuild_ledger(ledger)
    assert verify_ledger(ledger).ok
    assert verify_ledger(ledger).applied_seq == 154


def test_what_is_not_there_or_no_ledger_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerDamagedError, match="does not exist"):
        verify_ledger(tmp_path / "nothing.db")
    (tmp_path / "x.db").write_bytes(b"no database at all")
    report = verify_ledger(tmp_path / "x.db")
    assert not report.ok
    assert "cannot be read" in report.faults[0]


@pytest.mark.parametrize("body", ["CAST(replace(body, 'dock', 'rock') AS BLOB)", "5"])
async def test_a_damaged_row_is_never_sent(ledger: Path, body: str) -> None:
    change(ledger, f"UPDATE ledger SET body = {body} WHERE seq = 40")
    reader = await LedgerReader.open(ledger)
    assert len(await reader.rows(1, 30, 1 << 20)) == 30
    with pytest.raises(LedgerDamagedError, match="row 40"):
        await reader.rows(30, 30, 1 << 20)
    await reader.close()


async def test_rows_come_in_pages_bounded_by_bytes(ledger: Path) -> None:
    reader = await LedgerReader.open(ledger)
    seen: list[int] = []
    while page := await reader.rows(len(seen) + 1, 1_000, 3_000):
        assert sum(len(row.body) for row in page) <= 3_000 or len(page) == 1
        seen += [row.seq for row in page]
    assert seen == list(range(1, 155))
    assert [row.seq for row in await reader.recent(3)] == [154, 153, 152]
    await reader.close()


async def test_the_first_and_the_last_two_snapshots_of_a_week_are_kept(tmp_path: Path, runtime: VirtualRuntime) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    for night in range(4):
        await writer.submit(crossing(night))
        receipt = await take(writer, AT + night)
    await writer.close()
    assert list(snapshots(path)) == [2, 6, 8]
    assert receipt.last_seq == 8
    report = verify_ledger(path)
    assert (report.ok, report.checkpoints) == (True, 4)
