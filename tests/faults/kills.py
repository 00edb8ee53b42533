"""Real programs under traffic, killed with SIGKILL at random instants and started again; an observer compares what it was told.

Headquarters, sites under dense traffic (`traffic.py`) and a site of the whole gateway program with emulated readers run side
by side. Told is: every receipt that a dense site printed, every push that headquarters acknowledged, and every movement
line that headquarters' API showed. A kill counts only where something was in flight.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import observer
import traffic
from processes import Zygote, until
from sites import DenseSite, FullSite, Headquarters, fill_in, owner_key

from runtime.clock import Clock
from vocabulary import epc

#: How many times faster the programs' clocks run: more traffic, commits and retries between two kills.
FACTOR = 4
#: Names of the densely used sites, as many of them as a campaign has, and of the one with readers.
DENSE, FULL = ("north", "west", "east"), "south"
#: Real seconds that a site has to bring everything to headquarters at the end.
SETTLE_S = 90.0
#: Seconds of a program's life after its first sign of work, at most, before it is killed.
LIFE_S = 0.3
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


Forked = Literal["traffic", "all"]


class Campaign:
    """One campaign in `folder` (empty), all of it drawn from `seed` but what the machine decides.

    What is `forked` comes from processes that have imported the programs already: the traffic, or headquarters and the whole
    gateway program too.
    """

    def __init__(self, folder: Path, seed: int, dense: int, forked: Forked) -> None:
        self.folder = folder
        self.random = Random(f"{seed}:campaign")
        origin = time.time_ns() // 1_000
        self.clock = Clock(origin, origin, FACTOR)
        moment = datetime.fromtimestamp(origin / 1_000_000, UTC).isoformat()
        self.environment = {"EVERCOUNT_CLOCK": f"{moment},{FACTOR},{moment}"}
        self.result = Result(seed)
        self.base = origin - 6 * 3_600_000_000
        self.names = DENSE[:dense]
        self.forked = forked
        modules = {"traffic": ("gateway.__main__", "gateway.app", "traffic")}
        if forked == "all":
            modules["cloud"] = ("cloud.__main__", "cloud.app", "cloud.serving")
        self.zygotes = {name: Zygote(folder, name, those, self.environment) for name, those in modules.items()}

    async def run(self, cloud_kills: int, dense_kills: int, full_kills: int) -> Result:
        """Play it; the result's `faults` are empty where nothing was lost, doubled or changed."""
        spent: dict[str, float] = {}
        async with AsyncExitStack() as stack:
            with _timed(spent, "open"):
                await self._open(stack)
            observing = asyncio.create_task(self.cloud.observe((*self.names, FULL)))
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
        for zygote in self.zygotes.values():
            stack.push_async_callback(zygote.close)
        await asyncio.gather(*(zygote.open() for zygote in self.zygotes.values()))
        key = await owner_key(self.folder, self.environment)
        gateway = self.zygotes["traffic"]
        self.cloud = Headquarters(self.folder, self.environment, key, self.zygotes.get("cloud"))
        stack.push_async_callback(self.cloud.client.aclose)
        url = self.cloud.url
        self.dense = [DenseSite(name, self.folder, url, self.environment, self.base, gateway) for name in self.names]
        self.full = FullSite(
            FULL, self.folder, url, self.environment, self.random, gateway if self.forked == "all" else None
        )
        programs = [self.cloud.program, self.full.program, self.full.hardware, *(site.program for site in self.dense)]
        for program in programs:
            stack.push_async_callback(program.end)
        await self.cloud.start()
        codes = await fill_in(self.cloud, (*self.names, FULL))
        for site in (*self.dense, self.full):
            await site.enrol(codes[site.name])
        await self.full.emulate()
        await asyncio.gather(self.full.start(), *(site.start() for site in self.dense))

    # -------------------------------------------------------------------------------------------------------- killing

    async def _kill(self, cloud_kills: int, dense_kills: int, full_kills: int) -> None:
        """Kill all of them side by side, each dense site its share."""
        async with asyncio.TaskGroup() as killing:
            killing.create_task(self._kill_cloud(cloud_kills))
            killing.create_task(self._kill_full(full_kills))
            for number, site in enumerate(self.dense):
                killing.create_task(self._kill_dense(site, (dense_kills + number) // len(self.dense)))

    async def _kill_cloud(self, kills: int) -> None:
        """Kill headquarters while it takes pushes."""
        for number in range(kills):
            site = self.dense[number % len(self.dense)]
            await site.pushed_again(SETTLE_S)
            await asyncio.sleep(self.random.uniform(0.0, LIFE_S))
            if number % 2:  # in mid-push; the others come when they come
                site.push_began.clear()
                async with asyncio.timeout(SETTLE_S):
                    await site.push_began.wait()
                await asyncio.sleep(self.random.uniform(0.0, PUSH_S))
            await site.rows_behind(SETTLE_S)
            self.result.pushes_open += any(one.pushes_open > 0 for one in self.dense)
            self._count("cloud", site.behind)
            await self.cloud.program.kill()
            await asyncio.sleep(self.random.uniform(0.0, LIFE_S))
            await self.cloud.start()

    async def _kill_dense(self, site: DenseSite, kills: int) -> None:
        """Kill the gateway under dense traffic, and submit again what nobody has a receipt of. Every third life lasts until
        headquarters has acknowledged something: on a busy machine a push takes longer than an ordinary life."""
        done = 0
        while done < kills:
            await until(lambda: site.receipts >= site.workers, SETTLE_S)
            if done % 3 == 0:
                await site.pushed_again(2 * SETTLE_S)
            await asyncio.sleep(self.random.uniform(0.0, LIFE_S))
            await site.program.kill()
            if site.in_flight:
                self._count("dense gateway", len(site.in_flight))
                done += 1
            await site.start()

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
        for site in self.dense:
            await site.program.kill()
            await site.start(site.last_submitted + 3 * traffic.WORKERS)
        for site in self.dense:
            status = await site.program.finished(SETTLE_S)
            assert status == 0, site.program.last_words()
        await asyncio.sleep(10.0 / FACTOR)  # the last pallet's passage is decided
        await until(lambda: self.cloud.rows(FULL) == self.full.head(), SETTLE_S)

    # -------------------------------------------------------------------------------------------------------- judging

    async def _judge(self, truth: list[dict[str, Any]]) -> None:
        faults = self.result.faults
        for site in (*self.dense, self.full):
            faults += observer.compare(site.name, site.ledger, self.cloud.database)
        for check in (*(site.verify() for site in (*self.dense, self.full)), self.cloud.verify()):
            status, text = await check
            faults += [text] if status else []
        for site in self.dense:
            faults += site.faults(observer.gateway_rows(site.ledger))
        faults += self._shown()
        passed = [
            observer.TrueCrossing(epc.decode(code).key or code, one["door"], one["direction"] == "out", one["at"])
            for one in truth
            for code in one["epcs"]
        ]
        recall = observer.recall(passed, observer.movements(observer.gateway_rows(self.full.ledger)))
        faults += recall.twice
        receipts = [receipt for site in self.dense for receipt in site.recorded.values()]
        self.result.figures |= {
            "rows": {site.name: site.head() for site in (*self.dense, self.full)},
            "receipts": sum(receipt is not None for receipt in receipts),
            "recorded before their receipt was lost": sum(receipt is None for receipt in receipts),
            "pushes acknowledged": sum(len(site.acknowledged) for site in self.dense),
            "movement lines shown": len(self.cloud.told),
            "whole gateway": recall._asdict(),
        }

    def _shown(self) -> list[str]:
        """Every movement line that the API showed is still what it was."""
        sql = "SELECT item, quantity, from_place, to_place, received_at FROM movement_line WHERE site_id = ?"
        stored = {
            (site, position, line): rest
            for site in (*self.names, FULL)
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


def play(
    folder: Path,
    seed: int,
    cloud_kills: int,
    dense_kills: int,
    full_kills: int,
    dense: int = 1,
    forked: Forked = "traffic",
) -> Result:
    """Play one campaign on an event loop of its own."""
    return asyncio.run(Campaign(folder, seed, dense, forked).run(cloud_kills, dense_kills, full_kills))
