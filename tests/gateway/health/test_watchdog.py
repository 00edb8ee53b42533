"""What the gateway's watchdog takes for life: its tasks and the ledger's thread; not the disk's room, not the network."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from virtual import VirtualRuntime

from gateway.errors import LedgerUnavailableError
from gateway.health.watchdog import gateway_watchdog
from gateway.ledger.writer import LedgerWriter
from gateway.supervisor import Supervisor
from gateway.transactions.intents import Recorded
from runtime.notify import PATIENCE_S, Notify
from vocabulary.records import Inspection


class _Counted(Notify):
    pings = 0

    def alive(self) -> None:
        self.pings += 1


async def test_a_task_that_stays_down_ends_the_signs_of_life(runtime: VirtualRuntime, tmp_path: Path) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    supervisor = Supervisor(runtime)

    async def pipeline() -> None:
        await asyncio.Event().wait()

    async def page() -> None:
        raise OSError("port taken")

    supervisor.add("pipeline", pipeline)
    supervisor.add("page", page, vital=False)
    notify = _Counted(None, 30.0)
    watchdog = gateway_watchdog(notify, supervisor, writer, lambda: None, lambda: "well")
    running = asyncio.create_task(supervisor.run())
    watching = asyncio.create_task(watchdog.run())
    await asyncio.sleep(PATIENCE_S * 3)
    assert watchdog.stuck == (), "a page that cannot be shown is no reason to restart"
    assert notify.pings == PATIENCE_S * 3 / 15
    running.cancel()
    await asyncio.wait([running])
    before = notify.pings
    await asyncio.sleep(PATIENCE_S * 2)
    assert notify.pings <= before + PATIENCE_S / 15 + 1
    assert watchdog.stuck[0].startswith("task pipeline shows no life")
    watching.cancel()
    await writer.close()


async def test_a_closed_ledger_shows_no_life(runtime: VirtualRuntime, tmp_path: Path) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    watchdog = gateway_watchdog(Notify(), Supervisor(runtime), writer, lambda: None, lambda: "well")
    watching = asyncio.create_task(watchdog.run())
    await asyncio.sleep(60)
    assert watchdog.stuck == ()
    await writer.close()
    await asyncio.sleep(PATIENCE_S + 60)
    assert "the ledger's thread shows no life" in watchdog.stuck[0]
    assert "closed" in watchdog.stuck[0], "and says why"
    watching.cancel()


async def test_a_disk_that_takes_nothing_is_a_state_and_not_a_hang(
    runtime: VirtualRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)

    def dead(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    notify = _Counted(None, 30.0)
    watchdog = gateway_watchdog(notify, Supervisor(runtime), writer, lambda: None, lambda: "well")
    watching = asyncio.create_task(watchdog.run())
    with monkeypatch.context() as patch:
        patch.setattr("gateway.ledger.file.sqlite3.connect", dead)
        await writer.perform(lambda file: file.drop())
        with pytest.raises(LedgerUnavailableError):
            await writer.submit(
                Recorded(occurred_at=1, record=Inspection(at=1, item="water", result="passed", text="looked"))
            )
        assert writer.fault
        await asyncio.sleep(PATIENCE_S * 4)
        assert watchdog.stuck == ()
    watching.cancel()
    await writer.close()
    assert notify.pings >= PATIENCE_S * 4 / 15


async def test_a_movement_that_stays_unrecorded_ends_the_signs_of_life(runtime: VirtualRuntime, tmp_path: Path) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    first, second = object(), object()
    next_one: list[object | None] = [None]
    watchdog = gateway_watchdog(Notify(), Supervisor(runtime), writer, lambda: next_one[0], lambda: "well")
    watching = asyncio.create_task(watchdog.run())
    for movement in (first, second, first, None):  # each is recorded in time
        next_one[0] = movement
        await asyncio.sleep(PATIENCE_S - 30)
        assert watchdog.stuck == ()
    next_one[0] = first
    await asyncio.sleep(PATIENCE_S + 30)
    assert "recording shows no life" in watchdog.stuck[0]
    next_one[0] = None  # the disk takes nothing: a state that people see, and no reason to restart
    await asyncio.sleep(30)
    assert watchdog.stuck == ()
    watching.cancel()
    await writer.close()
