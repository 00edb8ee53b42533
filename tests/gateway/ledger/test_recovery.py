"""A damaged ledger: found before a row of it is sent, moved aside, and every row that can be read goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest
from damage import Variant, variants, wal
from ledger_help import AT, crossing, simple_post
from virtual import VirtualRuntime, run

from gateway.errors import LedgerDamagedError, LedgerUnavailableError
from gateway.ledger.check import verify_ledger
from gateway.ledger.checkpoint import take
from gateway.ledger.packing import unpack
from gateway.ledger.pages import MARK
from gateway.ledger.recheck import LedgerCheck
from gateway.ledger.recovery import Recovery, complete_recovery, readable_rows, recover
from gateway.ledger.retention import retain
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import AnyIntent, Recorded
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Line, Movement
from vocabulary.place import Account
from vocabulary.records import ClockRecord, CommandResult, Record, decode, encode
from vocabulary.wire import OPENING_SNAPSHOT

EPOCH = 4_711


def stored(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(path)) as connection:
        return [unpack(body) for (body,) in connection.execute("SELECT body FROM ledger ORDER BY seq")]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger that was killed: half of its rows are in the file, half in the write-ahead log."""
    folder = tmp_path_factory.mktemp("killed")

    async def main() -> None:
        writer = await LedgerWriter.open(folder / "live" / "ledger.db", VirtualRuntime(5), simple_post)
        await writer.submit_many([crossing(number, number % 5 + 1) for number in range(150)])
        await writer.perform(lambda file: file.flush())
        await writer.perform(lambda file: file.connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall())
        for number in range(150, 250):
            await writer.submit(crossing(number, number % 5 + 1))
        shutil.copytree(folder / "live", folder / "killed")
        await writer.close()

    run(main)
    return folder / "killed"


@pytest.fixture(scope="module")
def truth(killed: Path) -> list[tuple[bytes, bytes]]:
    """(body, body and hash as the file holds them) of every row that was acknowledged."""
    with closing(sqlite3.connect(killed.parent / "live" / "ledger.db")) as connection:
        bodies = connection.execute("SELECT body, hash FROM ledger ORDER BY seq").fetchall()
    with closing(sqlite3.connect(f"file:{killed / 'ledger.db'}?mode=ro", uri=True)) as connection:
        raw = connection.execute("SELECT body, hash FROM ledger ORDER BY seq").fetchall()
    assert len(bodies) == len(raw) == 250
    return [(unpack(body), cell + told) for (body, told), (cell, _) in zip(bodies, raw, strict=True)]


@pytest.mark.parametrize("variant", list(variants(seed=3, count=40)), ids=lambda variant: variant.name)
def test_damage_is_found_before_anything_is_sent_and_every_readable_row_recovered(
    variant: Variant, killed: Path, truth: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "copy" / "ledger.db"
    shutil.copytree(killed, path.parent)
    variant.apply(path)
    raw = path.read_bytes() + wal(path).read_bytes()
    written = [body for body, _ in truth]
    sent: list[bytes] = []

    async def main() -> None:
        writer = await LedgerWriter.open(path, VirtualRuntime(1), simple_post)
        reader = await LedgerReader.open(path)
        try:
            while page := await reader.rows(len(sent) + 1, 100, 1 << 20):
                sent.extend(row.body for row in page)
            found = False
        except (LedgerDamagedError, LedgerUnavailableError):
            found = True
        assert await LedgerCheck(writer, VirtualRuntime(1)).check() is not (found or bool(writer.damage))
        await reader.close()
        await writer.close()
        if writer.damage:
            again = await LedgerWriter.open(path, VirtualRuntime(2), simple_post)
            assert again.recovery is not None
            await again.submit(crossing(9_999))
            await again.close()

    run(main)
    assert all(body in written or b"ledger-damaged" in body for body in sent)
    report = verify_ledger(path)
    assert report.ok, report.faults
    rows = stored(path)
    readable = [body for body, cell in truth if cell in raw]
    assert [body for body in readable if body not in rows] == []
    assert [body for body in rows if body not in written and b"ledger-damaged" not in body] == [] or rows[
        -1
    ] not in written


def test_the_rows_of_a_damaged_file_can_be_read_without_changing_it(killed: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy" / "ledger.db"
    shutil.copytree(killed, path.parent)
    assert len(list(readable_rows(path))) == 250
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.write(b"\xff" * 1_024)
    damaged = path.read_bytes()
    assert len(list(readable_rows(path))) == 250
    assert path.read_bytes() == damaged != before


# ---------------------------------------------------------------- rows behind the damage


def make(path: Path, records: Sequence[Record], acknowledged: int = 0) -> None:
    async def main() -> None:
        writer = await LedgerWriter.open(path, VirtualRuntime(7), simple_post)
        intents: list[AnyIntent] = [Recorded(occurred_at=AT, record=record) for record in records]
        await writer.submit_many(intents)
        writer.acknowledge(acknowledged)
        await writer.keep_acknowledged()
        await writer.close()

    run(main)


def destroy(path: Path, *seqs: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for seq in seqs:
            connection.execute("UPDATE ledger SET body = zeroblob(9), hash = zeroblob(32) WHERE seq = ?", (seq,))
        connection.commit()
        connection.execute("VACUUM")  # no older copy of the row stays in a free page


def moved(quantity: int, **more: object) -> Movement:
    lines = (Line("water", quantity),)
    return Movement("moving", Account("A"), Account("B"), AT + quantity, lines, **more)  # type: ignore[arg-type]


def recovered(path: Path, held: int | None = None) -> tuple[Recovery, list[Record]]:
    recovery = recover(path, EPOCH, AT, held)
    return recovery, [decode(body) for body in stored(path)]


def test_rows_behind_a_lost_one_are_recorded_again_with_their_references(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    make(
        path,
        [
            moved(1),
            moved(2),  # lost
            moved(3),
            moved(4, group=3),
            moved(5, reverses=3, group=3),
            moved(6, reverses=2),  # takes back what is lost: both or neither
            moved(7, group=2),  # its group's first row is lost: it leads what is left
            moved(8, group=2, compensates=2),
            ExceptionRecord("negative-balance", "A", "open", AT, "Less than nothing.", cause=8),
            ClockRecord(AT, 1, 8, 5),
        ],
    )
    destroy(path, 2)
    recovery, rows = recovered(path)
    assert (recovery.new_epoch, recovery.kept, recovery.lost) == (True, 1, ((2, 2),))
    assert (recovery.again, recovery.dropped, recovery.reconcile) == (7, (6,), False)
    assert rows[:-1] == [
        moved(1),
        moved(3),  # now row 2
        moved(4, group=2),
        moved(5, reverses=2, group=2),
        moved(7),  # now row 5
        moved(8, group=5),
        ExceptionRecord("negative-balance", "A", "open", AT, "Less than nothing.", cause=6),
        ClockRecord(AT, 1, 6, 5),
    ]
    told = rows[-1]
    assert isinstance(told, ExceptionRecord)
    assert (told.kind, told.state, told.facts["lost"]) == ("ledger-damaged", "open", 1)
    assert "Lost here: 1 rows (2)" in told.text
    with closing(sqlite3.connect(path)) as connection:
        branches = connection.execute("SELECT epoch, parent, parent_seq FROM branch ORDER BY number").fetchall()
    assert branches[-1] == (EPOCH, branches[0][0], 1)
    assert (tmp_path / recovery.moved_to).exists()


def test_what_headquarters_holds_is_recorded_again_as_no_movement_for_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    count = Count(Account("A"), "whole", "unknown", AT)
    make(path, [moved(1), moved(2), moved(3), count, CommandResult("c", AT, "done"), moved(6)], acknowledged=5)
    destroy(path, 2)
    recovery, rows = recovered(path)
    assert (recovery.again, recovery.held, recovery.reconcile) == (4, 3, True)
    assert [getattr(row, "rule", None) == OPENING_SNAPSHOT for row in rows[:-1]] == [False, True, True, False, False]
    with closing(sqlite3.connect(path)) as connection:
        positions = dict(connection.execute("SELECT name, seq FROM position"))
    assert (positions["acknowledged"], positions["reconcile"]) == (1, 1)


def test_headquarters_knows_better_than_the_file_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    make(path, [moved(number) for number in range(1, 6)], acknowledged=2)
    destroy(path, 2)
    recovery, _ = recovered(path, held=9)  # and rows that are lost here without a trace
    assert recovery.held == 3
    assert recovery.lost == ((2, 2), (6, 9))
    assert "5 of them are at headquarters" in recovery.text


@pytest.mark.parametrize("column", ["body", "hash"])
def test_one_flipped_bit_is_put_right(tmp_path: Path, column: str) -> None:
    path = tmp_path / "ledger.db"
    make(path, [moved(number) for number in range(1, 6)])
    good = stored(path)
    with closing(sqlite3.connect(path)) as connection:
        (value,) = connection.execute(f"SELECT {column} FROM ledger WHERE seq = 5").fetchone()
        bad = value[:20] + bytes([value[20] ^ 8]) + value[21:]
        connection.execute(f"UPDATE ledger SET {column} = ? WHERE seq = 5", (bad,))
        connection.commit()
        connection.execute("VACUUM")
    recovery, _ = recovered(path)
    assert (recovery.new_epoch, recovery.mended, recovery.lost) == (False, 1, ())
    assert stored(path)[:-1] == good


def test_damage_to_derived_tables_alone_begins_no_epoch(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    make(path, [moved(number) for number in range(1, 6)])
    good = stored(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE balance")
        connection.commit()

    async def main() -> None:
        writer = await LedgerWriter.open(path, VirtualRuntime(8), simple_post)
        assert await writer.read(lambda state: len(state.stock.balances)) > 0
        await writer.close()

    recovery, _ = recovered(path)
    run(main)
    assert not recovery.new_epoch
    assert stored(path)[:-1] == good
    assert verify_ledger(path).ok


@pytest.mark.parametrize("step", range(1, 9))
def test_a_recovery_that_is_cut_short_is_finished_or_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "ledger.db"
    make(path, [moved(number) for number in range(1, 6)])
    destroy(path, 2)
    left = [step]

    def failing(real: object) -> object:
        def call(*args: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt  # as a kill: nothing of ours runs after it
            return real(*args, **named)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        patch.setattr("gateway.ledger.recovery.os.link", failing(__import__("os").link))
        patch.setattr("gateway.ledger.recovery.os.fsync", failing(__import__("os").fsync))
        patch.setattr(Path, "replace", failing(Path.replace))
        patch.setattr(Path, "unlink", failing(Path.unlink))
        with suppress(KeyboardInterrupt):
            recover(path, EPOCH, AT)
    complete_recovery(path)
    if not any(b"ledger-damaged" in body for body in stored(path)):
        recover(path, EPOCH, AT + 1)
    rows = [decode(body) for body in stored(path)]
    assert rows[:-1] == [moved(1), moved(3), moved(4), moved(5)]


@pytest.mark.parametrize("first_page", [False, True])
def test_a_ledger_that_retention_has_cut_is_recovered_from_its_base(tmp_path: Path, first_page: bool) -> None:
    path = tmp_path / "ledger.db"
    day = 86_400_000_000

    async def live() -> tuple[object, int]:
        writer = await LedgerWriter.open(path, VirtualRuntime(7), simple_post)
        for night in range(4):
            await writer.submit_many([crossing(100 * night + number) for number in range(40)])
            await take(writer, AT + night * day)
        writer.acknowledge(writer.head.seq)
        base = await retain(writer, AT + 37 * day)
        amounts = await writer.read(lambda state: dict(state.stock.balances))
        await writer.close()
        return amounts, base

    async def again() -> object:
        writer = await LedgerWriter.open(path, VirtualRuntime(8), simple_post)
        amounts = await writer.read(lambda state: dict(state.stock.balances))
        await writer.submit(crossing(9_999))
        await writer.close()
        return amounts

    before, base = run(live)
    assert base == 122  # the checkpoint of the third night is the first row kept
    if first_page:
        with path.open("r+b") as file:
            file.write(b"\x77" * 1_024)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE ledger SET hash = zeroblob(32) WHERE seq = 140")
            connection.commit()
    recovery = recover(path, EPOCH, AT)
    assert (recovery.lost, recovery.new_epoch) == ((), False)
    assert run(again) == before
    report = verify_ledger(path)
    assert report.ok, report.faults
    assert report.first_seq == base + 1


# ---------------------------------------------------------------- a commit that never was


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten commits in the log of a ledger; the last, 40 rows that belong together, is cut in its middle."""
    folder = tmp_path_factory.mktemp("torn")

    async def main() -> None:
        writer = await LedgerWriter.open(folder / "live" / "ledger.db", VirtualRuntime(5), simple_post)
        for number in range(9):
            await writer.submit(crossing(number))
        log = wal(writer.path).stat().st_size
        done = Recorded(occurred_at=AT, record=CommandResult("move-them", AT, "done"))
        await writer.submit(*(crossing(number) for number in range(100, 139)), done)
        shutil.copytree(folder / "live", folder / "torn")
        os.truncate(wal(folder / "torn" / "ledger.db"), (log + wal(writer.path).stat().st_size) // 2)
        await writer.close()

    run(main)
    return folder / "torn"


@pytest.mark.parametrize("damaged", [False, True])
def test_half_a_commit_is_never_taken_back(torn: Path, tmp_path: Path, damaged: bool) -> None:
    path = tmp_path / "copy" / "ledger.db"
    shutil.copytree(torn, path.parent)
    assert wal(path).read_bytes().count(b"13435") > 15  # there are whole rows of it
    if damaged:  # elsewhere, so that rows are looked for in all pages
        path.with_name("ledger.db.running").write_text("a page is not what was written")

    async def main() -> None:
        writer = await LedgerWriter.open(path, VirtualRuntime(6), simple_post)
        assert (writer.recovery is not None) is damaged
        assert writer.head.seq == 9 + damaged
        assert not await writer.was_executed("move-them")
        await writer.submit(crossing(500))
        await writer.close()

    run(main)
    assert sum(isinstance(decode(body), Movement) for body in stored(path)) == 10
    assert verify_ledger(path).ok


# ---------------------------------------------------------------- the check beside the writer


def test_after_a_stop_that_was_none_no_page_of_zeros_is_left(killed: Path, tmp_path: Path) -> None:
    whole = (killed / "ledger.db").read_bytes()
    pages = [at // 1_024 for at in range(1_024, len(whole), 1_024) if not MARK.search(whole[at : at + 1_024])]
    for page in pages[::12]:  # those with rows are damaged by the variants above
        path = tmp_path / str(page) / "ledger.db"
        shutil.copytree(killed, path.parent)
        with path.open("r+b") as file:
            file.seek(page * 1_024)
            file.write(bytes(1_024))

        async def main(path: Path = path) -> None:
            writer = await LedgerWriter.open(path, VirtualRuntime(1), simple_post)
            await writer.close()

        run(main)
        report = verify_ledger(path)
        assert report.ok, (page, report.faults)


async def test_a_large_ledger_stays_in_doubt_until_all_of_it_was_checked(
    killed: Path, tmp_path: Path, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ledger.marker.WHOLE_BYTES", 0)
    path = tmp_path / "copy" / "ledger.db"
    shutil.copytree(killed, path.parent)
    for _ in range(2):  # stopped in order before the check came to an end
        writer = await LedgerWriter.open(path, runtime, simple_post)
        assert writer.unclean
        await writer.close()
    writer = await LedgerWriter.open(path, runtime, simple_post)
    assert await LedgerCheck(writer, runtime).check()
    await writer.close()
    writer = await LedgerWriter.open(path, runtime, simple_post)
    assert not writer.unclean
    await writer.close()


async def test_a_kill_makes_the_next_start_check_everything_and_a_close_does_not(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit_many([crossing(number) for number in range(1_200)])
    writer._file.drop()
    writer._task.cancel()
    writer = await LedgerWriter.open(path, runtime, simple_post)
    assert writer.unclean
    check = LedgerCheck(writer, runtime)
    running = asyncio.create_task(check.run())
    await asyncio.sleep(30)
    assert check.checked_at > 0
    assert check.fault == ""
    running.cancel()
    await writer.close()
    writer = await LedgerWriter.open(path, runtime, simple_post)
    assert not writer.unclean
    assert LedgerCheck(writer, runtime).checked_at == check.checked_at
    await writer.close()


async def test_damage_in_the_middle_stops_the_writer_and_the_next_open_recovers(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit_many([crossing(number) for number in range(1_200)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE ledger SET body = x'7b7d' WHERE seq = 700")
        other.commit()
    check = LedgerCheck(writer, runtime)
    assert not await check.check()
    assert "row 700" in check.fault
    assert writer.damaged.is_set()
    with pytest.raises(LedgerUnavailableError, match="must be recovered"):
        await writer.submit(crossing(5_000))
    await writer.close()
    writer = await LedgerWriter.open(path, runtime, simple_post)
    assert writer.recovery is not None
    assert writer.recovery.again == 500
    assert await writer.read(lambda state: len(state.exceptions)) == 1
    await writer.submit(crossing(5_000))
    await writer.close()
    assert verify_ledger(path).ok


@pytest.mark.parametrize("killed_before", [False, True])
async def test_a_flipped_bit_in_a_sum_is_found_and_the_sums_are_made_again(
    tmp_path: Path, runtime: VirtualRuntime, killed_before: bool
) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit_many([crossing(number) for number in range(1_200)])
    await writer.close()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("UPDATE balance SET quantity = quantity + 64 WHERE place = 'dock'").rowcount
        other.commit()
    if killed_before:
        path.with_name("ledger.db.running").touch()
    writer = await LedgerWriter.open(path, runtime, simple_post)
    if not killed_before:  # a clean stop is believed until the next check
        assert not verify_ledger(path).ok
        assert not await LedgerCheck(writer, runtime).check()
        assert writer.damaged.is_set()
        with pytest.raises(LedgerUnavailableError, match="derived table for balance"):
            await writer.submit(crossing(5_000))
        await writer.close()
        writer = await LedgerWriter.open(path, runtime, simple_post)
    assert writer.recovery is None  # not a row is moved, nothing begins a new epoch
    assert await LedgerCheck(writer, runtime).check()
    await writer.submit(crossing(5_000))
    await writer.close()
    assert verify_ledger(path).ok


def test_canonical_bytes_are_what_is_compared(killed: Path, truth: list[tuple[bytes, bytes]]) -> None:
    assert all(encode(decode(body)) == body for body, _ in truth)
