"""The Nth call that writes or synchronises the ledger fails, for every N of a run of fifty commits.

A preloaded library fails the call with EIO. The run must go on or end; started again, it finishes. Either way whoever was told
of a movement finds it, the failure was told to somebody, and nothing stands twice.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import observer
from mounts import command
from outcome import Outcome
from processes import ROOT, Zygote
from sites import DenseSite, paced

from gateway.ledger.check import verify_ledger

#: Commits of a run: crossings that are submitted one after the other.
COMMITS = 50
#: How many times faster the gateway's clock runs: it waits 0.2 s between two commits.
FACTOR = 50
#: Microseconds UTC of crossing 0.
BASE = 1_767_592_800_000_000
#: Seconds that a run may take.
RUN_S = 60.0
#: Runs at once.
AT_ONCE = 3


def play(
    folder: Path, seed: int, call: Literal["sync", "write"] = "sync", step: int = 1, most: int = 100_000
) -> Outcome:
    """Fail each `step`-th call, from the `seed`-th on; an even seed fails three calls in a row instead of one."""
    shim = folder / "shim.so"
    command("gcc", "-O1", "-shared", "-fPIC", "-o", shim, ROOT / "tests" / "faults" / "shim.c", "-ldl")
    return asyncio.run(_Runs(folder, call, 3 if seed % 2 == 0 else 1).play(seed, step, most))


class _Runs:
    def __init__(self, folder: Path, call: str, in_a_row: int) -> None:
        self._folder = folder
        self._call = call
        self._in_a_row = in_a_row
        self._environment = paced(FACTOR)
        self._numbers: Iterator[int] = iter(())
        self._beyond = False
        self._outcome = Outcome(
            {
                "calls failed, each in its own run": 0,
                "refusals told to the submitter": 0,
                "runs with a refusal": 0,
                "runs that ended with an error": 0,
                "runs that logged it": 0,
                "runs that met it after the last receipt": 0,
                "restarts": 0,
            }
        )

    async def play(self, first: int, step: int, most: int) -> Outcome:
        """Fail one call after the other until a run makes no such call any more."""
        self._numbers = iter(range(first, most + 1, step))
        async with AsyncExitStack() as stack:
            preload = {"LD_PRELOAD": str(self._folder / "shim.so")}
            self._zygote = Zygote(self._folder, "gateway", ("gateway.app", "traffic"), preload)
            stack.push_async_callback(self._zygote.close)
            await self._zygote.open()
            await asyncio.gather(*(self._work() for _ in range(AT_ONCE)))
        return self._outcome

    async def _work(self) -> None:
        for number in self._numbers:
            if self._beyond or not await self._fail(number):
                self._beyond = True
                return

    async def _fail(self, number: int) -> bool:
        """One run whose call `number` fails, and its judgement; False where it made fewer calls."""
        counts = self._outcome.counts
        name = f"{self._call}-{number}"
        folder = self._folder / name
        folder.mkdir()
        site = DenseSite(name, folder, None, self._environment, BASE, self._zygote, workers=1)
        failed = folder / "failed"
        shim = {
            "SHIM_CALL": self._call,
            "SHIM_PATH": "ledger.db",
            "SHIM_FIRST": str(number),
            "SHIM_LAST": str(number + self._in_a_row - 1),
            "SHIM_LOG": str(failed),
        }
        faults: list[str] = []
        try:
            await site.start(COMMITS - 1, shim)
            status = await site.program.finished(RUN_S)
            if not failed.exists():
                return False
            logged = "level=error" in site.program.last_words()
            counts["calls failed, each in its own run"] += 1
            counts["refusals told to the submitter"] += len(site.refused)
            counts["runs with a refusal"] += bool(site.refused)
            counts["runs that ended with an error"] += status != 0
            counts["runs that logged it"] += logged
            if not (site.refused or status or logged):
                counts["runs that met it after the last receipt"] += 1
            if status != 0:
                counts["restarts"] += 1
                await site.start(COMMITS - 1)
                again = await site.program.finished(RUN_S)
                faults += [f"started again it ended with status {again}"] if again else []
        except (AssertionError, TimeoutError) as error:
            faults.append(str(error))
        await site.program.end()
        faults += self._judge(site)
        if not faults:
            shutil.rmtree(folder)
        self._outcome.faults += [f"{self._call} {number} x {self._in_a_row}: {fault}" for fault in faults]
        return True

    def _judge(self, site: DenseSite) -> list[str]:
        rows = observer.gateway_rows(site.ledger)
        found = list(verify_ledger(site.ledger).faults) + site.faults(rows) + observer.doubled(observer.movements(rows))
        return found + ([] if len(site.recorded) == COMMITS else [f"{len(site.recorded)} of {COMMITS} are recorded"])
