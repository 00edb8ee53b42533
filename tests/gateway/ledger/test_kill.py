"""kill -9 at random instants: what an outside observer saw acknowledged is in the file, once, and the chain holds."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.ledger.check import verify_ledger

CHILD = """
import asyncio, sys
from pathlib import Path
from ledger_help import crossing, simple_post
from runtime import SystemRuntime
from gateway.ledger.writer import LedgerWriter
from gateway.ledger.checkpoint import take
from gateway.ledger import file, writer

file.FLUSH_ROWS, writer.GROUP_S = 40, 0.002

async def one(ledger, number):
    receipt = await ledger.submit(crossing(number, 3), crossing(number + 500_000))
    sys.stdout.write(f"{number} {receipt.first_seq} {receipt.last_seq}\\n")
    sys.stdout.flush()

async def main():
    ledger = await LedgerWriter.open(Path(sys.argv[1]), SystemRuntime(), simple_post)
    number = ledger.head.seq
    while True:
        await asyncio.gather(*(one(ledger, number + index) for index in range(8)))
        number += 16
        if number % 128 == 0:
            await take(ledger, 1)

asyncio.run(main())
"""


@pytest.mark.real
def test_no_acknowledged_row_is_lost_or_doubled(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    draw = random.Random(9)
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"}
    acknowledged: dict[int, tuple[int, int]] = {}
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = [child.stdout.readline()]  # it has started to write
        time.sleep(draw.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().split("\n")
        child.stdout.close()
        child.wait()
        for line in lines:
            if len(parts := line.split()) == 3:
                acknowledged[int(parts[0])] = (int(parts[1]), int(parts[2]))
        report = verify_ledger(path)
        assert report.ok, report.faults
        rows = sorted(seq for pair in acknowledged.values() for seq in pair)
        assert len(set(rows)) == len(rows)
        assert rows[-1] <= report.last_seq
    assert len(acknowledged) > 50


@pytest.mark.real
async def test_a_real_thread_is_no_different(tmp_path: Path) -> None:
    from ledger_help import crossing, simple_post

    from gateway.ledger.store import LedgerReader
    from gateway.ledger.writer import LedgerWriter
    from runtime import SystemRuntime

    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, SystemRuntime(), simple_post)
    reader = await LedgerReader.open(path)
    tasks = [asyncio.create_task(writer.submit(crossing(number))) for number in range(500)]
    await asyncio.sleep(0.01)
    for task in tasks[::3]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) >= 300
    assert await reader.head() == writer.head
    await reader.close()
    await writer.close()
    assert verify_ledger(path).ok
