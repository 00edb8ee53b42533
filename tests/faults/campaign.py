"""Real programs under traffic, killed with SIGKILL at random instants and started again; an observer compares what it was told.

Headquarters, a site under dense traffic (`traffic.py`) and a site of the whole gateway program with emulated readers run side
by side. Told is: every receipt that the dense site printed, every push that headquarters acknowledged, and every movement
line that headquarters' API showed.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import observer
import traffic
from processes import until
from sites import DenseSite, FullSite, Headquarters

from cloud.access import accounts
from cloud.store.database import open_engine, writing
from cloud.store.migrate import migrate
from runtime import SystemRuntime
from runtime.clock import Clock
from vocabulary import epc

#: How many times faster the programs' clocks run: more traffic, commits and retries between two kills.
FACTOR = 4
DENSE, FULL = "north", "south"
#: Real seconds that a site has to bring everything to headquarters at the end.
SETTLE_S = 90.0
#: Seconds of a program's life after its first sign of work, at most, before it is killed.
LIFE_S = 0.6
#: Seconds that headquarters works on a push, about: a kill within them meets its transaction.
PUSH_S = 0.015


@dataclass
class Result:
    """What a campaign counted, and everything that is wrong at its end."""

    seed: int
    kills: dict[str, int] = field(default_factory=dict[str, int])
    #: at each kill: crossings in flight (dense), rows not yet acknowledged (cloud), 1 for a pallet in a door (full)
    in_flight: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    #: kills of headquarters while a push was open
    pushes_open: int = 0
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    faults: list[str] = field(default_factory=list[str])


class Campaign:
    """One campaign in `folder` (empty), all of it drawn from `seed` but what the machine decides."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = Random(f"{seed}:campaign")
        origin = time.time_ns() // 1_000
        self.clock = Clock(origin, origin, FACTOR)
        moment = datetime.fromtimestamp(origin / 1_000_000, UTC).isoformat()
        self.environment = {"EVERCOUNT_CLOCK": f"{moment},{FACTOR},{moment}"}
        self.result = Result(seed)
        self.base = origin - 6 * 3_600_000_000

    async def run(self, cloud_kills: int, dense_kills: int, full_kills: int) -> Result:
        """Play it; the result's `faults` are empty where nothing was lost, doubled or changed."""
        spent: dict[str, float] = {}
        async with AsyncExitStack() as stack:
            with _timed(spent, "open"):
                await self._open(stack)
            observing = asyncio.create_task(self.cloud.observe((DENSE, FULL)))
            stack.callback(observing.cancel)
            try:
                with _timed(spent, "kill"):
                    await self._kill(cloud_kills, dense_kills, full_kills)
                with _timed(spent, "settle"):
                    await self._settle()
            except (AssertionError, TimeoutError, ExceptionGroup) as error:  # judge what there is all the same
                self.result.faults.append("".join(traceback.format_exception(error))[-3_000:])
            observing.cancel()
            truth = await self.full.truth()
            await asyncio.gather(self.full.program.stop(), self.cloud.program.stop(), self.full.hardware.stop())
            with _timed(spent, "judge"):
                await self._judge(truth)
        self.result.figures["seconds"] = spent
        return self.result

    async def _open(self, stack: AsyncExitStack) -> None:
        """Migrate, start, fill in the master data and enrol, as an operator does."""
        self.cloud = Headquarters(self.folder, self.environment, await self._key())
        stack.push_async_callback(self.cloud.client.aclose)
        self.dense = DenseSite(DENSE, self.folder, self.cloud, self.environment, self.base)
        self.full = FullSite(FULL, self.folder, self.cloud, self.environment, self.random)
        for program in (self.cloud.program, self.dense.program, self.full.program, self.full.hardware):
            stack.push_async_callback(program.end)
        await self.cloud.start()
        ask = self.cloud.ask
        await ask("PUT", "/sites", [{"id": DENSE, "zone": "UTC"}, {"id": FULL, "zone": "UTC"}])
        await ask("PUT", "/items", [{"id": "tea", "name": "tea"}])
        await ask("PUT", "/packaging", [{"gtin": traffic.CASE, "item": "tea", "quantity": 6}])
        for site in (self.dense, self.full):
            rows = [{"site_id": site.name, "id": f"dock-{door}", "kind": "dock"} for door in (1, 2)]
            await ask("PUT", "/places", rows)
        codes = [(await ask("POST", f"/sites/{name}/enrolment-codes", {}))["code"] for name in (DENSE, FULL)]
        await asyncio.gather(self.dense.enrol(codes[0]), self.full.enrol(codes[1]), self.full.emulate())
        await asyncio.gather(self.dense.start(), self.full.start())

    async def _key(self) -> str:
        engine, runtime = open_engine(f"sqlite:///{self.folder / 'cloud.db'}"), SystemRuntime(self.clock)
        try:
            await migrate(engine)
            async with writing(engine) as conn:
                return await accounts.make_key(conn, runtime, "observer", accounts.role_of("owner"), "", "", "campaign")
        finally:
            await engine.dispose()

    # -------------------------------------------------------------------------------------------------------- killing

    async def _kill(self, cloud_kills: int, dense_kills: int, full_kills: int) -> None:
        """Kill all three side by side."""
        async with asyncio.TaskGroup() as killing:
            killing.create_task(self._kill_cloud(cloud_kills))
            killing.create_task(self._kill_dense(dense_kills))
            killing.create_task(self._kill_full(full_kills))

    async def _kill_cloud(self, kills: int) -> None:
        """Kill headquarters while it takes pushes."""
        for number in range(kills):
            acknowledged = len(self.dense.acknowledged)
            await until(
                lambda before=acknowledged: len(self.dense.acknowledged) > before and self.dense.behind > 0, SETTLE_S
            )
            await asyncio.sleep(self.random.uniform(0.0, LIFE_S))
            await until(lambda: self.dense.behind > 0, SETTLE_S)
            if number % 2:  # in mid-push; the others come when they come
                self.dense.push_began.clear()
                async with asyncio.timeout(SETTLE_S):
                    await self.dense.push_began.wait()
                await asyncio.sleep(self.random.uniform(0.0, PUSH_S))
                await until(lambda: self.dense.behind > 0, SETTLE_S)
            self.result.pushes_open += self.dense.pushes_open > 0
            self._count("cloud", self.dense.behind)
            await self.cloud.program.kill()
            await asyncio.sleep(self.random.uniform(0.0, LIFE_S))
            await self.cloud.start()

    async def _kill_dense(self, kills: int) -> None:
        """Kill the gateway under dense traffic, and submit again what nobody has a receipt of."""
        for _ in range(kills):
            await until(lambda: self.dense.receipts >= traffic.WORKERS, SETTLE_S)
            await asyncio.sleep(self.random.uniform(0.0, LIFE_S))
            await self.dense.program.kill()
            self._count("dense gateway", len(self.dense.in_flight))
            await self.dense.start()

    async def _kill_full(self, kills: int) -> None:
        """Send pallets, and kill the whole gateway program while one is in its door."""
        for _ in range(kills):
            await self.full.send()
            await asyncio.sleep(self.random.uniform(1.0, 2.0) / FACTOR)
            at = await self.full.send()
            middle_s = (at - self.clock.now()) / 1_000_000 / FACTOR
            await asyncio.sleep(max(0.0, middle_s + self.random.uniform(-2.0, 4.0) / FACTOR))
            self._count("whole gateway", int(abs(self.clock.now() - at) < observer.REACH_US // 2))
            await self.full.program.kill()
            await self.full.start()
        for _ in range(4):  # it still records
            await self.full.send()
            await asyncio.sleep(12.0 / FACTOR)

    def _count(self, program: str, in_flight: int) -> None:
        self.result.kills[program] = self.result.kills.get(program, 0) + 1
        self.result.in_flight.setdefault(program, []).append(in_flight)

    async def _settle(self) -> None:
        """Let the sites finish what they began, and headquarters take it all."""
        await self.dense.program.kill()
        await self.dense.start(max(self.dense.submitted) + 3 * traffic.WORKERS)
        status = await self.dense.program.finished(SETTLE_S)
        assert status == 0, self.dense.program.last_words()
        await asyncio.sleep(10.0 / FACTOR)  # the last pallet's passage is decided
        await until(lambda: self.cloud.rows(FULL) == self.full.head(), SETTLE_S)

    # -------------------------------------------------------------------------------------------------------- judging

    async def _judge(self, truth: list[dict[str, Any]]) -> None:
        faults = self.result.faults
        for site in (self.dense, self.full):
            faults += observer.compare(site.name, site.ledger, self.cloud.database)
        checks = await asyncio.gather(self.dense.verify(), self.full.verify(), self.cloud.verify())
        faults += [text for status, text in checks if status != 0]
        rows = observer.gateway_rows(self.dense.ledger)
        faults += self._receipts(rows) + self._passages(rows) + self._shown()
        passed = [
            observer.TrueCrossing(epc.decode(code).key or code, one["door"], one["direction"] == "out", one["at"])
            for one in truth
            for code in one["epcs"]
        ]
        recall = observer.recall(passed, observer.movements(observer.gateway_rows(self.full.ledger)))
        faults += recall.twice
        self.result.figures |= {
            "rows": {DENSE: len(rows), FULL: self.full.head()},
            "receipts": sum(receipt is not None for receipt in self.dense.recorded.values()),
            "recorded before their receipt was lost": sum(one is None for one in self.dense.recorded.values()),
            "pushes acknowledged": len(self.dense.acknowledged),
            "movement lines shown": len(self.cloud.told),
            "whole gateway": recall._asdict(),
        }

    def _receipts(self, rows: list[observer.Row]) -> list[str]:
        """Every row that somebody has a receipt of, or that headquarters acknowledged, is there unchanged."""
        faults: list[str] = []
        for number, receipt in self.dense.recorded.items():
            if receipt is not None:
                first, last, digest = receipt
                if sha256(b"\n".join(row.body for row in rows[first - 1 : last])).hexdigest() != digest:
                    faults.append(f"crossing {number}: its rows {first} to {last} are not those of its receipt")
        for seq, row_hash in self.dense.acknowledged.items():
            if seq > len(rows) or (seq and rows[seq - 1].hash.hex() != row_hash):
                faults.append(f"row {seq} was acknowledged by headquarters with another hash")
        return faults

    def _passages(self, rows: list[observer.Row]) -> list[str]:
        """Every crossing that was ever submitted stands exactly once, whole."""
        found: dict[tuple[str, int], int] = {}
        for passage in observer.passages(observer.movements(rows)):
            key = passage.unit, passage.first
            found[key] = found.get(key, 0) + 1
        faults: list[str] = []
        for number in range(max(self.dense.submitted) + 1):
            wanted = traffic.crossing(number, self.base)
            assert wanted.origin.interval is not None
            times = [found.pop((seen.unit, wanted.origin.interval[0]), 0) for seen in wanted.units]
            if times != [1] * len(times):
                faults.append(f"crossing {number}: its units stand {times} times")
        return faults + [f"{unit} was recorded and never submitted" for unit, _ in found]

    def _shown(self) -> list[str]:
        """Every movement line that the API showed is still what it was."""
        sql = "SELECT item, quantity, from_place, to_place, received_at FROM movement_line WHERE site_id = ?"
        stored = {
            (site, position, line): rest
            for site in (DENSE, FULL)
            for position, line, *rest in observer.query(
                self.cloud.database, sql.replace("SELECT ", "SELECT position, line, "), site
            )
        }
        names = ("item", "quantity", "from_place", "to_place", "received_at")
        return [
            f"the movement line {key} was shown and is gone or changed"
            for key, row in self.cloud.told.items()
            if stored.get(key) != [row[name] for name in names]
        ]


@contextmanager
def _timed(spent: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    spent[phase] = round(time.monotonic() - started, 1)


def play(folder: Path, seed: int, cloud_kills: int, dense_kills: int, full_kills: int) -> Result:
    """Play one campaign on an event loop of its own."""
    return asyncio.run(Campaign(folder, seed).run(cloud_kills, dense_kills, full_kills))
