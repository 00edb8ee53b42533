"""A COMMIT that failed may have reached the disk all the same: whatever it did, everything is recorded exactly once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_help import AT, crossing, simple_post
from virtual import VirtualRuntime, run

from gateway.errors import LedgerUnavailableError
from gateway.ledger.check import verify_ledger
from gateway.ledger.evidence import EvidenceStore
from gateway.ledger.packing import unpack
from gateway.ledger.writer import GROUP_ENTRIES, LedgerWriter
from gateway.pipeline import Pipeline
from gateway.transactions.intents import AnyIntent, LoosePicked, Scanned
from vocabulary.movement import Movement
from vocabulary.records import decode

CONNECT = sqlite3.connect


class Disk:
    """What every writing connection does with its COMMITs, one word for each in turn, then all is well.

    lost: it fails and nothing was written. late: it fails and everything was. full: as a full disk. dead: so is the next open.
    """

    def __init__(self) -> None:
        self.words: list[str] = []
        self.dead = 0
        self.checkpoints = 0

    def connect(self, *args: Any, **named: Any) -> Any:
        if self.dead and not named.get("uri"):
            self.dead -= 1
            raise sqlite3.OperationalError("unable to open database file")
        return Connection(CONNECT(*args, **named), self)


class Connection:
    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        self._connection, self._disk = connection, disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *args: Any) -> Any:
        self._disk.checkpoints += "wal_checkpoint(FULL)" in sql
        if sql != "COMMIT" or not self._disk.words:
            return self._connection.execute(sql, *args)
        word = self._disk.words.pop(0)
        if word == "well":
            return self._connection.execute(sql)
        self._connection.execute("COMMIT" if word == "late" else "ROLLBACK")
        error = sqlite3.OperationalError("database or disk is full" if word == "full" else "disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL if word == "full" else sqlite3.SQLITE_IOERR
        if word == "dead":
            self._disk.dead = 3
        raise error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr("gateway.ledger.file.sqlite3.connect", made.connect)
    return made


async def insist(writer: LedgerWriter, intent: AnyIntent) -> None:
    """What every submitter does: again, until it is recorded."""
    while True:
        try:
            await writer.submit(intent)
            return
        except LedgerUnavailableError:
            await asyncio.sleep(0.3)


def intent(number: int) -> AnyIntent:
    """Kinds that posting would post again every time, for they carry no passage."""
    if number % 2:
        return Scanned(
            occurred_at=AT + number, kind="moving", from_place="A", to_place="B", item="water", pieces=1 + number
        )
    return LoosePicked(occurred_at=AT + number, from_place="B", to_place="C", item="water", quantity=1 + number)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["lost", "late", "full", "dead", "well"]), max_size=8), st.integers(0, 2**16))
def test_every_intent_is_recorded_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], seed: int
) -> None:
    path = tmp_path_factory.mktemp("commit") / "ledger.db"
    disk = Disk()

    async def main() -> None:
        writer = await LedgerWriter.open(path, VirtualRuntime(seed))
        disk.words = list(words)
        await asyncio.gather(*(insist(writer, intent(number)) for number in range(6)))
        await insist(writer, intent(6))
        disk.words = []
        await writer.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.ledger.file.sqlite3.connect", disk.connect)
        run(main)
    report = verify_ledger(path)
    assert report.ok, report.faults
    with CONNECT(path) as connection:
        rows = [decode(unpack(body)) for (body,) in connection.execute("SELECT body FROM ledger")]
    connection.close()
    quantities = Counter(line.quantity for row in rows if isinstance(row, Movement) for line in row.lines)
    assert quantities == dict.fromkeys(range(1, 8), 1)


async def test_rows_that_a_failed_commit_left_are_synced_before_anybody_is_told(
    tmp_path: Path, runtime: VirtualRuntime, disk: Disk
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    disk.words = ["late"]
    receipt = await writer.submit(crossing(1, 3))
    assert (receipt.first_seq, receipt.last_seq, writer.head.seq) == (1, 1, 1)
    assert disk.checkpoints == 1
    assert writer.faults == 1
    await writer.close()


async def test_nobody_is_answered_while_nobody_knows_and_others_still_are(
    tmp_path: Path, runtime: VirtualRuntime, disk: Disk
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    disk.words = ["dead"]
    submitting = asyncio.create_task(writer.submit(crossing(1)))
    await asyncio.sleep(1.5)
    assert not submitting.done()
    assert "disk I/O error" in writer.fault or "unable to open" in writer.fault
    begun = asyncio.get_running_loop().time()
    await writer.perform(lambda file: None)  # the watchdog's question
    assert asyncio.get_running_loop().time() - begun <= 1.0
    with pytest.raises(LedgerUnavailableError, match="nothing was recorded"):
        await submitting
    assert (await writer.submit(crossing(1))).last_seq == 1
    assert writer.fault == ""
    await writer.close()


async def test_a_full_disk_gets_its_reserve_and_the_commit_goes_on_at_once(
    tmp_path: Path, runtime: VirtualRuntime, disk: Disk
) -> None:
    asked: list[int] = []

    def make_room() -> bool:
        asked.append(1)
        return len(asked) == 1

    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post, make_room=make_room)
    disk.words = ["full"]
    assert (await writer.submit(crossing(1))).last_seq == 1
    assert asked == [1]
    disk.words = ["full"] * 2
    with pytest.raises(LedgerUnavailableError, match="full"):
        await writer.submit(crossing(2))
    assert writer.head.seq == 1
    await asyncio.sleep(10)  # it tries by itself
    assert writer.fault == ""
    await writer.close()


async def test_a_dead_disk_is_tried_seldom_and_found_alive_by_itself(
    tmp_path: Path, runtime: VirtualRuntime, disk: Disk
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    writer._file.drop()
    disk.dead = 1_000_000
    hammering = [asyncio.create_task(writer.submit(crossing(number))) for number in range(200)]
    outcomes = await asyncio.gather(*hammering, return_exceptions=True)
    assert all(isinstance(one, LedgerUnavailableError) for one in outcomes)
    before, begun = disk.dead, asyncio.get_running_loop().time()
    await asyncio.sleep(60)
    assert before - disk.dead <= (asyncio.get_running_loop().time() - begun) * 2
    disk.dead = 0
    await asyncio.sleep(5)
    assert writer.fault == ""
    assert (await writer.submit(crossing(1))).last_seq == 1
    await writer.close()


async def test_a_close_while_nobody_knows_ends_and_says_so(tmp_path: Path, runtime: VirtualRuntime, disk: Disk) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    disk.words = ["dead"]
    submitting = asyncio.create_task(writer.submit(crossing(1)))
    await asyncio.sleep(0.1)
    disk.dead = 1_000_000
    behind = [asyncio.create_task(writer.submit(crossing(number))) for number in range(2, 300)]
    await asyncio.sleep(0.1)
    begun = asyncio.get_running_loop().time()
    await writer.close()
    assert asyncio.get_running_loop().time() - begun < 10
    with pytest.raises(LedgerUnavailableError, match="nobody knows"):
        await submitting
    outcomes = await asyncio.gather(*behind, return_exceptions=True)
    assert {str(one).rpartition(" ")[2] for one in outcomes} == {"closed"}


async def test_movements_keep_their_order_where_only_the_first_of_their_groups_fails(
    tmp_path: Path, runtime: VirtualRuntime, disk: Disk
) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    decided = [crossing(number) for number in range(20)]
    pipeline = Pipeline((), (), writer, EvidenceStore(tmp_path / "evidence"), runtime, decided=decided)
    others = [asyncio.create_task(insist(writer, crossing(1_000 + number))) for number in range(GROUP_ENTRIES - 10)]
    disk.words = ["lost"]
    await asyncio.sleep(0)  # the others are in the queue: ten crossings share their group, ten come behind it
    await pipeline.step()
    await asyncio.gather(*others)
    await writer.close()
    with CONNECT(path) as connection:
        rows = [decode(unpack(body)) for (body,) in connection.execute("SELECT body FROM ledger ORDER BY seq")]
    connection.close()
    times = [row.occurred_at - AT for row in rows if isinstance(row, Movement)]
    assert [time for time in times if time < 1_000] == list(range(20))
    assert len(times) == GROUP_ENTRIES + 10
