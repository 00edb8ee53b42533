"""A running gateway whose ledger is damaged under it: closes it, recovers it, opens it again, and goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger_help import AT

from gateway.app import Gateway
from gateway.config import Config, LedgerConfig, StationConfig
from gateway.ledger.check import verify_ledger
from gateway.transactions.intents import Moved, SeenUnit
from runtime import SystemRuntime


def seen(number: int) -> Moved:
    return Moved(occurred_at=AT + number, place="A-1", units=(SeenUnit(f"00/{number:018d}"),))


@pytest.mark.real
async def test_a_running_gateway_recovers_its_ledger_and_loses_nothing_decided(tmp_path: Path) -> None:
    config = Config(ledger=LedgerConfig(str(tmp_path)), station=StationConfig(port=0))
    gateway = Gateway(config, SystemRuntime())
    running = asyncio.create_task(gateway.run())
    async with asyncio.timeout(20):
        while not hasattr(gateway, "supervisor"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        first = gateway.writer
        await first.submit_many([seen(number) for number in range(200)])
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
            other.execute("UPDATE ledger SET body = x'7b7d' WHERE seq = 60")
            other.commit()
        assert gateway.health.status().chain == ""
        assert not await gateway.check.check()
        assert "row 60" in gateway.health.status().chain
        gateway.pipeline._decided.append(seen(1_000))  # decided just now: it waits for the recovered ledger
        while gateway.writer is first or gateway.pipeline.decided or not gateway.writer.head.seq:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert gateway.writer.recovery is not None
    assert gateway.writer.recovery.lost == ((60, 60),)
    units = await gateway.writer.read(lambda state: sorted(state.stock.units))
    assert units[-1].endswith("1000")
    status = gateway.health.status()
    assert (status.chain, status.disk) == ("", "good")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    report = verify_ledger(tmp_path / "ledger.db")
    assert report.ok, report.faults
    # what the disk wrote just now was not read back yet: the next start does
    assert (tmp_path / "ledger.db.running").read_text() == ""
