"""Old rows leave the ledger once headquarters holds them; nothing that counts leaves with them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from ledger_help import AT
from ledger_world import SSCC, case, catalogue, crossed, moved, shipping_notice
from virtual import VirtualRuntime, run

from gateway.errors import LedgerDamagedError
from gateway.ledger import retention
from gateway.ledger.check import rebuild_ledger, verify_ledger
from gateway.ledger.checkpoint import snapshots, take
from gateway.ledger.file import LedgerFile, Receipt
from gateway.ledger.retention import cut, keep, retain, sweep
from gateway.ledger.store import LedgerReader
from gateway.ledger.units import has_left
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import AnyIntent, Counted, CountedLine
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.records import Checkpoint, decode
from vocabulary.stock import Amount, Key

HOUR = 3_600_000_000
DAY = 24 * HOUR
CATALOGUE = catalogue(shipping_notice())


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[LedgerWriter]:
    writer = await LedgerWriter.open(path, VirtualRuntime(7))
    writer.set_catalogue(CATALOGUE)
    try:
        yield writer
    finally:
        await writer.close()


async def old_life(writer: LedgerWriter) -> None:
    """40 days: a pallet that came and stays, one that came, was counted at its place and left; a checkpoint each 8 days."""
    await writer.submit(crossed("in", AT, SSCC, *(case(number) for number in (1, 2, 3, 4))))
    await writer.submit(moved("bin-1", AT + HOUR, SSCC))
    await writer.submit(crossed("in", AT + 2 * HOUR, case(50)))
    await writer.submit(
        Counted(
            occurred_at=AT + 3 * HOUR,
            account=Account("dock-1"),
            scope="whole",
            first_scan=AT + 3 * HOUR - 1,
            lines=(CountedLine("water", 30),),
        )
    )
    await writer.submit(crossed("out", AT + 4 * HOUR, case(50)))
    for night in (1, 9, 17, 25, 33):
        await take(writer, AT + night * DAY)
        await writer.submit(crossed("in", AT + night * DAY + HOUR, case(100 + night)))
    await writer.submit(moved("bin-2", AT + 34 * DAY, case(109)))


NOW = AT + 45 * DAY
#: checkpoint of the night 9: the newest that is more than 35 days old at NOW
BASE_NIGHT = 9


async def amounts(writer: LedgerWriter) -> tuple[dict[Key, Amount], dict[str, Any]]:
    """Balances, and the units in the building with all that is known of them."""
    return await writer.read(
        lambda state: (
            dict(state.stock.balances),
            {
                name: (unit, list(state.stock.inside(name)))
                for name, unit in state.stock.units.items()
                if not has_left(unit.account.place)
            },
        )
    )


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger with a life of 40 days; nothing of it is cut or acknowledged."""
    folder = tmp_path_factory.mktemp("grown")

    async def main() -> None:
        async with opened(folder / "ledger.db") as writer:
            await old_life(writer)

    run(main)
    return folder


@pytest.fixture
def ledger(grown: Path, tmp_path: Path) -> Path:
    shutil.copytree(grown, tmp_path / "box")
    return tmp_path / "box" / "ledger.db"


def stored(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def first_kept(path: Path) -> tuple[int, object]:
    ((seq, body),) = stored(path, "SELECT seq, body FROM ledger ORDER BY seq LIMIT 1")
    return seq, decode(body)


async def cut_whole(path: Path) -> int:
    async with opened(path) as writer:
        writer.acknowledge(writer.head.seq)
        return await retain(writer, NOW)


async def test_a_cut_begins_at_an_old_checkpoint_and_changes_nothing_that_counts(ledger: Path) -> None:
    async with opened(ledger) as writer:
        before, head = await amounts(writer), writer.head
        writer.acknowledge(head.seq)
        base = await retain(writer, NOW)
        assert base > 0
        assert (await amounts(writer), writer.head) == (before, head)
    seq, record = first_kept(ledger)
    assert seq == base + 1
    assert isinstance(record, Checkpoint)
    assert record.at == AT + BASE_NIGHT * DAY
    report = verify_ledger(ledger)
    assert (report.ok, report.faults, report.warnings) == (True, [], [])
    assert (report.base_seq, report.rows, report.last_seq) == (base, head.seq - base, head.seq)
    async with opened(ledger) as writer:
        assert (await amounts(writer), writer.head) == (before, head)


@pytest.mark.parametrize("acknowledged", [0, 1, 12])
async def test_what_headquarters_does_not_hold_is_never_cut(ledger: Path, acknowledged: int) -> None:
    async with opened(ledger) as writer:
        writer.acknowledge(acknowledged)
        checkpoints = [seq for seq in snapshots(ledger) if seq <= acknowledged]
        assert await retain(writer, NOW + 365 * DAY) == (checkpoints[-1] - 1 if checkpoints else 0)
    assert min(seq for (seq,) in stored(ledger, "SELECT seq FROM ledger")) <= max(acknowledged, 1)
    assert verify_ledger(ledger).ok


async def test_rows_younger_than_35_days_stay(ledger: Path) -> None:
    async with opened(ledger) as writer:
        writer.acknowledge(writer.head.seq)
        assert await retain(writer, AT + DAY + retention.KEPT_US - 1) == 0
        assert await retain(writer, AT + DAY + retention.KEPT_US) > 0


async def test_a_damaged_snapshot_is_never_cut_at(ledger: Path) -> None:
    newest_old = list(snapshots(ledger))[1]
    file = snapshots(ledger)[newest_old]
    file.write_bytes(file.read_bytes()[:-3])
    async with opened(ledger) as writer:
        writer.acknowledge(writer.head.seq)
        base = await retain(writer, NOW)
    assert base == next(iter(snapshots(ledger))) - 1
    assert first_kept(ledger)[0] == base + 1


class Killed(BaseException):
    """The process is gone: nobody gets to clean up."""


class Failing:
    """A connection whose process is killed before its Nth statement."""

    def __init__(self, connection: sqlite3.Connection, at: int) -> None:
        self._connection = connection
        self._left = at

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self._count()
        return self._connection.execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        self._count()
        return self._connection.executemany(*args)

    def close(self) -> None:
        self._connection.close()


def test_cut_short_at_any_statement_the_ledger_is_whole_and_the_next_night_goes_on(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is gone at the Nth statement, for every N: what is on the disk is a ledger, and the cut is done again."""
    monkeypatch.setattr(retention, "SWEEP_ROWS", 6)
    whole = LedgerFile(grown / "ledger.db")
    head = whole.open()
    balances = dict(whole.state.stock.balances)
    whole.drop()
    at, done = 0, False
    while not done:
        folder = tmp_path / str(at)
        shutil.copytree(grown, folder)
        file = LedgerFile(folder / "ledger.db")
        file.open()
        file.acknowledged = head.seq
        file._connection = Failing(file.connection, at)  # type: ignore[assignment]
        try:
            cut(file, NOW)
            while sweep(file):
                pass
            done = True
        except Killed:
            pass
        file.drop()
        again = LedgerFile(folder / "ledger.db")
        assert again.open() == head
        assert again.state.stock.balances == balances
        if done or at % 8 == 0:
            assert verify_ledger(folder / "ledger.db").ok
        again.acknowledged = head.seq
        cut(again, NOW)
        while sweep(again):
            pass
        again.close()
        assert first_kept(folder / "ledger.db")[0] == again.state.base + 1 > 1
        if at % 8 == 0:
            assert verify_ledger(folder / "ledger.db").ok
        shutil.rmtree(folder)
        at += 1
    assert at > 30


async def test_derived_tables_are_rebuilt_from_the_snapshot_of_the_first_row_kept(ledger: Path) -> None:
    async with opened(ledger) as writer:
        before = await amounts(writer)
    await cut_whole(ledger)
    with closing(sqlite3.connect(ledger)) as connection:
        for statement in (
            "DELETE FROM balance",
            "DELETE FROM unit",
            "UPDATE position SET seq = 0 WHERE name = 'applied'",
        ):
            connection.execute(statement)
        connection.commit()
    assert not verify_ledger(ledger).ok
    rebuild_ledger(ledger)
    assert verify_ledger(ledger).ok
    async with opened(ledger) as writer:
        assert await amounts(writer) == before


async def test_damaged_tables_of_a_cut_ledger_are_made_again_at_the_start(ledger: Path) -> None:
    async with opened(ledger) as writer:
        before = await amounts(writer)
    await cut_whole(ledger)
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("UPDATE position SET seq = 1 WHERE name = 'applied'")
        connection.commit()
    async with opened(ledger) as writer:
        assert await amounts(writer) == before


async def test_without_the_snapshot_the_rows_are_checked_and_it_is_said(ledger: Path) -> None:
    base = await cut_whole(ledger)
    snapshots(ledger)[base + 1].unlink()
    report = verify_ledger(ledger)
    assert report.ok
    assert f"checkpoint-{base + 1}" in report.warnings[0]
    with pytest.raises(LedgerDamagedError, match=f"checkpoint-{base + 1}"):
        rebuild_ledger(ledger)
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("UPDATE ledger SET hash = zeroblob(32) WHERE seq = ?", (base + 3,))
        connection.commit()
    assert not verify_ledger(ledger).ok


async def test_a_changed_position_of_the_base_is_found(ledger: Path) -> None:
    await cut_whole(ledger)
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("UPDATE position SET hash = zeroblob(32) WHERE name = 'base'")
        connection.commit()
    assert not verify_ledger(ledger).ok


async def test_rows_are_read_from_the_first_one_kept_on(ledger: Path) -> None:
    base = await cut_whole(ledger)
    reader = await LedgerReader.open(ledger)
    rows = await reader.rows(base + 1, 1_000, 1 << 20)
    assert rows[0].seq == base + 1
    assert await reader.hash_at(base) is not None
    assert await reader.hash_at(base - 1) is None
    with pytest.raises(LedgerDamagedError, match=f"begins at row {base + 1}"):
        await reader.rows(base, 10, 1 << 20)
    await reader.close()


async def test_a_second_cut_follows_the_first_and_the_chain_goes_on(ledger: Path) -> None:
    first = await cut_whole(ledger)
    async with opened(ledger) as writer:
        for night in (46, 54, 62):
            await writer.submit(crossed("in", AT + night * DAY, case(night)))
            await take(writer, AT + night * DAY)
        await writer.submit(moved("bin-1", AT + 63 * DAY, case(62)))
        writer.acknowledge(writer.head.seq)
        second = await retain(writer, AT + 70 * DAY)
        assert second > first
        before = await amounts(writer)
    assert verify_ledger(ledger).ok
    rebuild_ledger(ledger)
    async with opened(ledger) as writer:
        assert await amounts(writer) == before
    assert first_kept(ledger)[0] == second + 1


async def post(writer: LedgerWriter, intent: AnyIntent) -> list[Movement]:
    receipt: Receipt = await writer.submit(intent)
    return [record for record in receipt.records if isinstance(record, Movement)]


async def test_what_left_is_returning_while_its_shipment_is_held_and_new_once_it_is_cut(ledger: Path) -> None:
    shutil.copytree(ledger.parent, ledger.parent.parent / "uncut")
    async with opened(ledger.parent.parent / "uncut" / "ledger.db") as writer:
        (movement,) = await post(writer, crossed("in", NOW, case(50)))
        assert movement.kind == "returning"
    await cut_whole(ledger)
    async with opened(ledger) as writer:
        (movement,) = await post(writer, crossed("in", NOW, case(50)))
        assert (movement.kind, movement.from_.place) == ("receiving", "unknown")
        (again,) = await post(writer, crossed("out", NOW + HOUR, case(50)))
        assert [line.quantity for line in again.lines] == [24]
    assert verify_ledger(ledger).ok
    rebuild_ledger(ledger)
    assert verify_ledger(ledger).ok


async def test_a_unit_that_stays_is_known_however_old_its_rows_are(ledger: Path) -> None:
    await cut_whole(ledger)
    async with opened(ledger) as writer:
        (movement,) = await post(writer, moved("bin-2", NOW, SSCC))
        assert movement.from_.place == "bin-1"
        assert sum(line.quantity for line in movement.lines) == 4 * 24
        assert len(movement.units) == 5


async def test_each_night_takes_a_checkpoint_and_cuts_what_is_old_while_the_clock_is_trusted(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    """60 days of a gateway: a checkpoint each day, at most six weeks of rows, and few snapshot files."""
    path = tmp_path / "ledger.db"
    trusted = True
    async with opened(path) as writer:
        keeping = asyncio.create_task(keep(writer, runtime.now, lambda: trusted))
        for day in range(60):
            trusted = day < 55
            await writer.submit(crossed("in", runtime.now(), case(day)))
            await asyncio.sleep(86_400)
            writer.acknowledge(writer.head.seq)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    report = verify_ledger(path)
    assert report.faults == []
    assert report.base_seq >= 14
    assert len(snapshots(path)) <= 9
    kept = stored(path, "SELECT count(*) FROM ledger")[0][0]
    assert kept <= 3 * 48  # each day a movement, its exception and a checkpoint; none is cut on the last five


async def test_units_that_left_leave_memory_and_are_known_all_the_same(ledger: Path) -> None:
    async with opened(ledger) as writer:
        await writer.perform(lambda file: file.flush())
        assert await writer.read(lambda state: case(50) not in list(state.stock.units))
        assert await writer.read(lambda state: state.stock.units[case(50)].account.place) in ("customer", "unknown")
        assert await writer.read(lambda state: SSCC in list(state.stock.units))
