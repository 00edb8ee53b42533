"""When cycles run: every so often by themselves and when somebody asks, one at a time among all processes on a database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.cycle import CycleReport, Progress, run_cycle, silent
from cloud.errors import BusyError, CloudError
from cloud.forecasters import Forecaster, close
from cloud.projections.changes import Changes
from cloud.store import leases, schema
from cloud.store.database import is_postgresql, writing
from runtime.system import Runtime

#: Seconds until sites whose history was still arriving are looked at again: a catch-up takes minutes at most.
ARRIVING_S = 10.0

#: The lease of the one cycle in work, and for how long it is taken; it is renewed in thirds of that, seconds.
_LEASE, LEASE_S = "cycle", 60


#: Seconds that somebody who started a cycle waits before being told how far it is instead.
MOMENT_S = 2.0


def _heard(task: asyncio.Task[CycleReport]) -> None:
    """The cycle's row says what became of it."""
    if not task.cancelled():
        task.exception()


class CycleState(msgspec.Struct, frozen=True):
    """The last cycle, or the one in work. `state` is running, done, failed, interrupted, or none before the first.

    While it runs, `stage` is read, forecast or decide and `done` of about `total` series have their forecast; afterwards
    `report` says what it did, or `error` why it could not. Times in µs UTC.
    """

    state: str
    trigger: str = ""
    started_at: int | None = None
    finished_at: int | None = None
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    report: CycleReport | None = None


class _Told(msgspec.Struct, frozen=True):
    """What the row of a run that is not done says."""

    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""


async def cycle_state(conn: AsyncConnection, now: int) -> CycleState:
    """The last cycle or the one in work, whichever process runs it."""
    c = schema.cycle_run.c
    query = select(schema.cycle_run).where(c.site_id == "").order_by(c.started_at.desc()).limit(1)
    row = (await conn.execute(query)).first()
    if row is None:
        return CycleState("none")
    state = row.state
    if state == "running" and not await leases.held(conn, _LEASE, now):
        state = "interrupted"
    when = (state, row.trigger, row.started_at, row.finished_at)
    if state == "done":
        report = msgspec.json.decode(row.report, type=CycleReport)
        return CycleState(*when, "done", report.series, report.series, report=report)
    told = msgspec.json.decode(row.report or "{}", type=_Told)
    return CycleState(*when, told.stage, told.done, told.total, told.error)


class Schedule:
    """Runs cycles one at a time, among all processes on the database: every so often by itself, and when somebody asks.

    A process that stopped in mid-cycle keeps the others waiting for LEASE_S at most. One that was paused for longer may
    overlap with its successor; then each site's proposals are still brought in line by one transaction at a time.
    `serving` is the process that serves; on SQLite there is one, which takes its own lease again after a crash.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        runtime: Runtime,
        forecaster: Forecaster,
        changes: Changes | None = None,
        *,
        serving: bool = True,
    ) -> None:
        self._engine, self._runtime, self._forecaster, self._changes = engine, runtime, forecaster, changes
        self._running = False
        self._begun: set[asyncio.Task[CycleReport]] = set()
        alone = serving and not is_postgresql(engine)
        self._holder = "the process" if alone else runtime.token_bytes(8).hex()

    @property
    def running(self) -> bool:
        """Whether a cycle is in work."""
        return self._running

    async def run(
        self,
        trigger: str = "request",
        sites: Sequence[str] | None = None,
        progress: Progress = silent,
        idle_s: float = 0,
    ) -> CycleReport:
        """Run one cycle. Raises BusyError while another is in work, CloudError when it fails.

        `idle_s`: BusyError also where another process ran one less than that many seconds ago.
        """
        if self._running or not await self._take(idle_s):
            raise BusyError("a decision cycle is in work; its result comes in a moment", retry_after=5)
        self._running = True
        renewing = asyncio.ensure_future(self._renew())
        try:
            return await run_cycle(
                self._engine,
                self._runtime,
                self._forecaster,
                trigger=trigger,
                sites=sites,
                progress=progress,
                changes=self._changes,
            )
        finally:
            self._running = False
            renewing.cancel()
            await asyncio.wait([renewing])
            async with writing(self._engine) as conn:
                await leases.give_back(conn, _LEASE, self._holder, self._runtime.now())

    async def begin(self, trigger: str) -> bool:
        """Start a cycle, wait for MOMENT_S and let it go on; whether it was done by then. Raises as `run` does."""
        if self._running:
            raise BusyError("a decision cycle is in work; its result comes in a moment", retry_after=5)
        task = asyncio.ensure_future(self.run(trigger))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        await asyncio.wait([task], timeout=MOMENT_S)
        if task.done():
            await task
        else:
            task.add_done_callback(_heard)
        return task.done()

    async def stop(self) -> None:
        """End the cycle that `begin` started, where it still runs; what it did stays."""
        for task in list(self._begun):
            task.cancel()
            await asyncio.wait([task])

    async def _take(self, idle_s: float = 0) -> bool:
        async with writing(self._engine) as conn:
            now = self._runtime.now()
            return await leases.take(conn, _LEASE, self._holder, now, LEASE_S * 1_000_000, int(idle_s * 1e6))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with suppress(SQLAlchemyError, OSError):  # the next third may find the database again
                await self._take()

    async def keep_running(self, every_s: float) -> None:
        """Run a cycle now and every `every_s` seconds until cancelled; one that fails is recorded and tried again.

        A site whose history is arriving is looked at again soon. The workers' memory is given back after a run that had
        nothing to forecast. Of several processes the one that ran the last goes on; another begins when it is late.
        """
        while True:
            pause = every_s
            try:
                report = await self.run("schedule", idle_s=every_s + LEASE_S)
            except BusyError:
                pause = min(every_s, LEASE_S)
            except (CloudError, SQLAlchemyError, OSError) as error:  # the cycle recorded it, where there was a database
                pause = every_s if isinstance(error, CloudError) else min(every_s, LEASE_S)
            else:
                if report.arriving:
                    pause = min(every_s, ARRIVING_S)
                elif not report.forecast:
                    await close(self._forecaster)
            await asyncio.sleep(pause)
