"""The one writer: what it acknowledges is on the disk, what fails is not, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_help import AT, crossing, simple_post
from virtual import VirtualRuntime, run

from gateway.errors import LedgerDamagedError, LedgerUnavailableError, PostingError
from gateway.ledger.check import verify_ledger
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import Recorded
from vocabulary.chain import genesis, head
from vocabulary.exception import ExceptionRecord
from vocabulary.records import CommandResult, encode


async def test_a_receipt_is_proof_that_the_rows_are_in_the_file(tmp_path: Path, runtime: VirtualRuntime) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    receipt = await writer.submit(crossing(1, 3), crossing(2))
    with closing(sqlite3.connect(path)) as other:
        rows = other.execute("SELECT seq, body FROM ledger ORDER BY seq").fetchall()
    assert [seq for seq, _ in rows] == [receipt.first_seq, receipt.last_seq] == [1, 2]
    assert [body for _, body in rows] == [encode(record) for record in receipt.records]
    assert writer.head.seq == 2
    assert writer.head.hash == head(genesis(writer.head.epoch), [body for _, body in rows])
    await writer.close()


async def test_what_comes_alone_is_written_at_once_and_a_stream_shares_commits(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    loop = asyncio.get_running_loop()
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    await asyncio.sleep(1)
    before = loop.time()
    await writer.submit(crossing(1))
    assert loop.time() - before < 0.01
    heads: list[int] = []

    async def watch() -> None:
        while True:
            heads.append((await writer.wait_beyond(writer.head.seq)).seq)

    watcher = asyncio.create_task(watch())
    tasks: list[asyncio.Task[object]] = []
    for number in range(2, 202):  # 100 per second for 2 s
        tasks.append(asyncio.create_task(writer.submit(crossing(number))))
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    assert len(heads) <= 12
    assert heads[-1] == 201
    watcher.cancel()
    await writer.close()


async def test_a_refused_intent_fails_alone(tmp_path: Path, runtime: VirtualRuntime) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    outcomes = await asyncio.gather(
        writer.submit(crossing(1)),
        writer.submit(crossing(2, place="nowhere")),
        writer.submit(crossing(3), crossing(4, place="nowhere")),
        writer.submit(crossing(5)),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Receipt", "PostingError", "PostingError", "Receipt"]
    assert writer.head.seq == 2
    units = await writer.read(lambda state: sorted(state.stock.units))
    assert [unit[-3:] for unit in units] == ["1-0", "5-0"]
    await writer.close()
    assert verify_ledger(tmp_path / "ledger.db").ok


@pytest.mark.parametrize(
    "record",
    [
        ExceptionRecord("device", "a\x00b", "open", AT, "text"),
        ExceptionRecord("device", "a\ud800b", "open", AT, "text"),
        ExceptionRecord("device", "a", "open", 10**17, "text"),
    ],
)
async def test_what_canonical_bytes_may_not_hold_is_refused(
    tmp_path: Path, runtime: VirtualRuntime, record: ExceptionRecord
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    with pytest.raises(PostingError):
        await writer.submit(Recorded(occurred_at=AT, record=record))
    await writer.submit(crossing(1))
    await writer.close()
    assert verify_ledger(tmp_path / "ledger.db").rows == 1


async def test_cancelled_submitters_wedge_nothing_and_take_back_nothing(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    draw = runtime.random("cancel")
    tasks = []
    for number in range(2_000):
        tasks.append(asyncio.create_task(writer.submit(crossing(number))))
        if draw.random() < 0.5:
            asyncio.get_running_loop().call_later(draw.uniform(0, 0.3), tasks[-1].cancel)
        if number % 50 == 0:
            await asyncio.sleep(0.01)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    done = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert 500 < len(done) < 2_000
    assert max(receipt.last_seq for receipt in done) <= writer.head.seq
    assert (await writer.submit(crossing(9_999))).last_seq == writer.head.seq
    await writer.close()
    assert verify_ledger(tmp_path / "ledger.db").ok


async def test_close_writes_what_was_submitted(tmp_path: Path, runtime: VirtualRuntime) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime, simple_post)
    tasks = [asyncio.create_task(writer.submit(crossing(number))) for number in range(300)]
    await asyncio.sleep(0)
    await writer.close()
    receipts = await asyncio.gather(*tasks)
    assert [receipt.last_seq for receipt in receipts] == list(range(1, 301))
    with pytest.raises(LedgerUnavailableError, match="closed"):
        await writer.submit(crossing(1))


class FailingDisk:
    """A connection whose `when`-th statement (and all of a kind) fails as a full disk or a broken one does."""

    def __init__(self, connection: sqlite3.Connection, fail: set[int], counter: list[int], text: str) -> None:
        self._connection, self._fail, self._counter, self._text = connection, fail, counter, text

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def _count(self) -> None:
        self._counter[0] += 1
        if self._counter[0] in self._fail:
            raise sqlite3.OperationalError(self._text)

    def execute(self, *args: object) -> object:
        self._count()
        return self._connection.execute(*args)  # type: ignore[arg-type]

    def executemany(self, *args: object) -> object:
        self._count()
        return self._connection.executemany(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["database or disk is full", "disk I/O error"])
async def test_every_failing_statement_acknowledges_nothing_and_heals(
    tmp_path: Path, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for failing in range(1, 40):
        path = tmp_path / f"{failing}.db"
        writer = await LedgerWriter.open(path, runtime, simple_post)
        counter = [0]
        connect = sqlite3.connect
        wrap = lambda *args, **named: FailingDisk(connect(*args, **named), {failing}, counter, text)  # noqa: E731, B023
        writer._file.drop()
        with monkeypatch.context() as patch:
            patch.setattr("gateway.ledger.file.sqlite3.connect", wrap)
            acknowledged: list[int] = []
            for number in range(6):
                try:
                    receipt = await writer.submit(crossing(number), crossing(100 + number))
                    acknowledged += range(receipt.first_seq, receipt.last_seq + 1)
                except LedgerUnavailableError as error:
                    assert text in str(error)  # noqa: PT017
        await writer.submit(crossing(999))
        await writer.close()
        with closing(sqlite3.connect(path)) as other:
            stored = [row[0] for row in other.execute("SELECT seq FROM ledger")]
        assert set(acknowledged) <= set(stored)
        assert len(acknowledged) in (10, 12)
        assert verify_ledger(path).ok, verify_ledger(path).faults


async def test_a_restart_continues_the_chain_from_tables_and_from_rows_alike(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit_many([crossing(number, 2) for number in range(10_100)])  # beyond one flush of the tables
    exception = ExceptionRecord("no-document", "dock/1", "open", AT, "Goods crossed and no document expects them.")
    await writer.submit(Recorded(occurred_at=AT, record=exception))
    await writer.submit(Recorded(occurred_at=AT, record=CommandResult("c-1", AT, "done")))
    before = await writer.read(lambda state: (dict(state.stock.balances), dict(state.stock.units), state.exceptions))
    writer._file.drop()  # as a kill does: nothing is flushed
    writer._task.cancel()
    again = await LedgerWriter.open(path, runtime, simple_post)
    assert again.head == writer.head
    assert before == await again.read(lambda state: (state.stock.balances, state.stock.units, state.exceptions))
    assert await again.was_executed("c-1")
    assert not await again.was_executed("c-2")
    await again.submit(crossing(7))
    await again.close()
    report = verify_ledger(path)
    assert (report.ok, report.rows, report.applied_seq) == (True, 10_103, 10_103)


@pytest.mark.parametrize(
    "damage", ["UPDATE unit SET body = x'7b'", "UPDATE position SET seq = 99", "DELETE FROM position"]
)
async def test_derived_tables_that_cannot_be_right_are_made_again(
    tmp_path: Path, runtime: VirtualRuntime, damage: str
) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit_many([crossing(number) for number in range(20)])
    await writer.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(damage)
        other.commit()
    again = await LedgerWriter.open(path, runtime, simple_post)
    assert await again.read(lambda state: len(state.stock.units)) == 20
    await again.submit(crossing(20))
    await again.close()
    assert verify_ledger(path).ok, verify_ledger(path).faults


async def test_a_file_that_is_no_ledger_is_refused_in_one_sentence(tmp_path: Path, runtime: VirtualRuntime) -> None:
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE note (text)")
        other.commit()
    with pytest.raises(LedgerDamagedError, match="is not a ledger"):
        await LedgerWriter.open(path, runtime, simple_post)
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(LedgerDamagedError, match=r"notes\.db holds no row of a ledger"):
        await LedgerWriter.open(path, runtime, simple_post)
    assert path.read_bytes() == b"garbage" * 1000


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, runtime: VirtualRuntime) -> None:
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerDamagedError, match="schema 99"):
        await LedgerWriter.open(path, runtime, simple_post)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=30), st.integers(0, 2**32))
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, groups: list, seed: int) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"

    async def main() -> None:
        runtime = VirtualRuntime(seed)
        writer = await LedgerWriter.open(path, runtime, simple_post)
        receipts = await asyncio.gather(
            *(writer.submit(*(crossing(number, number) for number in group)) for group in groups)
        )
        reader = await LedgerReader.open(path)
        rows = await reader.rows(1, 1_000, 1 << 20)
        assert [row.body for row in rows] == [encode(record) for receipt in receipts for record in receipt.records]
        assert await reader.head() == writer.head
        await reader.close()
        await writer.close()

    run(main)
    assert verify_ledger(path).ok


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    def ledger(name: str, seed: int) -> list[tuple[object, ...]]:
        async def main() -> None:
            runtime = VirtualRuntime(seed)
            writer = await LedgerWriter.open(tmp_path / name, runtime, simple_post)
            draw = runtime.random("test")
            for number in range(50):
                await asyncio.sleep(draw.expovariate(1))
                await writer.submit(crossing(number))
            await writer.close()

        run(main)
        with closing(sqlite3.connect(tmp_path / name)) as other:
            return other.execute("SELECT * FROM ledger ORDER BY seq").fetchall()

    assert ledger("a", 1) == ledger("b", 1) != ledger("c", 2)


def test_posting_error_is_what_posting_raises() -> None:
    with pytest.raises(PostingError, match="no such place"):
        simple_post(None, crossing(1, place="nowhere"))
