"""A month without headquarters, then the link is there: how fast it catches up, and what headquarters shows meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path

from observer import query
from outcome import Outcome
from processes import until
from sites import DenseSite, Headquarters, fill_in, owner_key

from benchmarks.offline_month import write
from gateway.ledger.packing import unpack

#: Units in the building all the time.
STOCK = 20_000
#: Seconds in which headquarters must show right stock, and rows per second at which it must catch up.
ADVISORY_S, ROWS_PER_S = 10.0, 1_000
#: Seconds that a program may take to start, and rows per second that it is given time for.
START_S, PATIENCE = 120.0, 200


def play(folder: Path, seed: int, rows: int = 2_600_000) -> Outcome:
    """Write the month, enrol, connect, judge."""
    return asyncio.run(_play(folder, rows))


async def _play(folder: Path, rows: int) -> Outcome:
    outcome = Outcome({})
    async with AsyncExitStack() as stack:
        cloud = Headquarters(folder, {}, await owner_key(folder, {}))
        stack.push_async_callback(cloud.client.aclose)
        site = DenseSite("north", folder, cloud.url, {}, time.time_ns() // 1_000 - 3_600_000_000, workers=1)
        stack.push_async_callback(cloud.program.end)
        stack.push_async_callback(site.program.end)
        site.ledger.parent.mkdir()
        written = await write(site.ledger, rows, min(STOCK, rows // 10))
        head = site.head()
        size = site.ledger.stat().st_size
        await cloud.start()
        await site.enrol((await fill_in(cloud, (site.name,)))[site.name])
        began = time.monotonic()
        await site.start()
        await until(
            lambda: bool(query(cloud.database, "SELECT 1 FROM advisory")) or cloud.rows("north") >= head, START_S
        )
        advisory = time.monotonic() - began
        first, first_at = cloud.rows("north"), time.monotonic()
        await until(lambda: site.last_acknowledged >= head, rows / PATIENCE + START_S)
        rate = (head - first) / (time.monotonic() - first_at)
        await site.program.kill()
        await site.start(site.last_submitted + 2)
        status = await site.program.finished(START_S)
        checks = [await site.verify(), await cloud.verify()]
        await cloud.program.stop()
        outcome.faults += [f"the gateway ended with status {status}"] if status else []
        outcome.faults += [text[-500:] for code, text in checks if code]
        outcome.faults += _differences(site, cloud)
        outcome.counts |= {
            "rows of a month": head,
            "MiB of the ledger, largest": round(size / 2**20, 1),
            "bytes per row, largest": round(size / head, 1),
            "rows written per second": written["records_per_second"],
            "advisory after s, slowest": round(advisory, 1),
            "rows caught up per second": round(rate),
            "movements recorded meanwhile": len(site.recorded),
            "commit ms p99 meanwhile": round(sorted(site.latencies)[int(len(site.latencies) * 0.99)] / 1_000, 1),
        }
    if rate < ROWS_PER_S:
        outcome.faults.append(f"it caught up at {rate:.0f} rows a second")
    if advisory > ADVISORY_S:
        outcome.faults.append(f"headquarters showed its stock after {advisory:.1f} s")
    return outcome


def _differences(site: DenseSite, cloud: Headquarters) -> list[str]:
    """Compare the two ledgers row by row, without holding either in memory."""
    with (
        closing(sqlite3.connect(f"file:{site.ledger}?mode=ro", uri=True)) as own,
        closing(sqlite3.connect(f"file:{cloud.database}?mode=ro", uri=True)) as told,
    ):
        here = own.execute("SELECT seq, body, hash FROM ledger ORDER BY seq")
        there = told.execute("SELECT seq, body, hash FROM ledger WHERE site_id = 'north' ORDER BY position")
        try:
            for (seq, body, row_hash), other in zip(here, there, strict=True):
                if (seq, unpack(body), row_hash) != other:
                    return [f"row {seq} is another one at headquarters"]
        except ValueError:
            return ["one side holds more rows than the other"]
    return []
