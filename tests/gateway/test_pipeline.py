"""What the door rule has decided is recorded, whatever happens to the disk, to posting or to the program."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from virtual import VirtualRuntime

from gateway.errors import LedgerUnavailableError
from gateway.ledger.evidence import EvidenceStore
from gateway.ledger.writer import LedgerWriter
from gateway.observations.portal import DoorConfig
from gateway.observations.sighting import Sighting
from gateway.pipeline import DECIDED, Pipeline
from gateway.transactions.intents import AnyIntent, Moved, SeenUnit
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import Record, decode


def sensed(number: int) -> Moved:
    return Moved(occurred_at=1_767_600_000_000_000 + number, place="A-1", units=(SeenUnit(f"00/{number:018d}"),))


class FailingWriter:
    """The real writer, whose next submissions fail as told."""

    def __init__(self, writer: LedgerWriter, failures: Sequence[Exception]) -> None:
        self._writer = writer
        self._failures = list(failures)
        self.damage = ""

    async def submit(self, *intents: AnyIntent) -> Any:
        if self._failures:
            raise self._failures.pop(0)
        return await self._writer.submit(*intents)


async def recorded(writer: LedgerWriter) -> list[Record]:
    path = writer.path
    await writer.close()
    import sqlite3

    with sqlite3.connect(path) as connection:
        found = [decode(body) for (body,) in connection.execute("SELECT body FROM ledger ORDER BY seq")]
    connection.close()
    return found


@pytest.fixture
async def parts(tmp_path: Path, runtime: VirtualRuntime) -> SimpleNamespace:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)

    def pipeline(*failures: Exception) -> Pipeline:
        made = Pipeline((), (), FailingWriter(writer, failures), EvidenceStore(tmp_path / "e"), runtime)  # pyright: ignore[reportArgumentType]
        made._decided.extend(sensed(number) for number in range(3))
        return made

    return SimpleNamespace(writer=writer, pipeline=pipeline)


async def test_a_full_disk_makes_movements_wait_in_order(parts: SimpleNamespace) -> None:
    pipeline = parts.pipeline(*[LedgerUnavailableError("disk full")] * 4)  # the three together, then one that tries
    await pipeline.step()
    rows = await recorded(parts.writer)
    assert [row.units[0].unit for row in rows if isinstance(row, Movement)] == [
        f"00/{number:018d}" for number in range(3)
    ]
    assert pipeline.refused == 0
    assert not pipeline.blocked


async def test_what_posting_refuses_is_shown_and_takes_nothing_along(parts: SimpleNamespace) -> None:
    pipeline = parts.pipeline(KeyError("a defect"))
    await pipeline.step()
    rows = await recorded(parts.writer)
    assert sum(isinstance(row, Movement) for row in rows) == 2
    shown = [row for row in rows if isinstance(row, ExceptionRecord) and row.kind == "parked-record"]
    assert len(shown) == 1
    assert "could not be recorded" in shown[0].text
    assert pipeline.refused == 1


async def test_what_is_decided_when_the_program_stops_is_still_recorded(parts: SimpleNamespace) -> None:
    pipeline = parts.pipeline(LedgerUnavailableError("disk full"))
    running = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0.5)  # it waits for the disk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    rows = await recorded(parts.writer)
    assert sum(isinstance(row, Movement) for row in rows) == 3


class Reader:
    """A device as far as the pipeline holds it back."""

    def __init__(self) -> None:
        self.paused = 0

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1


def sighting(number: int, at: int) -> Sighting:
    return Sighting("reader", "reader/1", f"30{number:022x}", at, at, -5_000)


async def test_while_the_ledger_is_blocked_sightings_still_reach_the_rule_and_repeats_are_merged(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    door = DoorConfig(name="dock-1", place="dock", inside=("reader/1",), outside=("reader/2",))
    reader = Reader()
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    stuck = FailingWriter(writer, [LedgerUnavailableError("disk full")] * 1_000)
    pipeline = Pipeline((door,), (reader,), stuck, EvidenceStore(tmp_path / "e"), runtime)  # pyright: ignore[reportArgumentType]
    pipeline._decided.extend(sensed(number) for number in range(DECIDED - 1))
    running = asyncio.create_task(pipeline.run())
    for _ in range(100):  # 10 s of 40 tags that stand at the door, far more sightings than any buffer holds
        pipeline.deliver([sighting(number % 40, runtime.monotonic()) for number in range(1_000)])
        await asyncio.sleep(0.1)
    assert pipeline.blocked
    assert reader.paused == 0
    assert len(pipeline._buffer) <= 1_000
    assert len(pipeline.rule.live()) == 40  # 100,000 sightings, one passage for each tag
    pipeline._decided.append(sensed(DECIDED))  # and now there is no room for what the rule would decide
    await asyncio.sleep(0.2)
    assert (reader.paused, pipeline.held_back) == (1, 1)
    stuck._failures.clear()
    await asyncio.sleep(100)
    assert (reader.paused, pipeline.paused, pipeline.decided) == (0, False, ())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    rows = await recorded(writer)
    assert sum(isinstance(row, Movement) for row in rows) == DECIDED


async def test_a_full_disk_holds_the_devices_back_and_lets_them_go_again(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    reader = Reader()
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    pipeline = Pipeline((), (reader,), writer, EvidenceStore(tmp_path / "e"), runtime)  # pyright: ignore[reportArgumentType]
    running = asyncio.create_task(pipeline.run())
    pipeline.full = True
    pipeline.deliver([])
    assert reader.paused == 1
    pipeline.full = False
    await asyncio.sleep(1)
    assert reader.paused == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await writer.close()
