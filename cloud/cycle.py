"""READ FIRST of headquarters' decisions: demand -> forecasts -> decisions -> recommendations.

A cycle reads each site's demand and terms, has the series forecast that changed since they were last, decides with
pure functions, and brings the inbox in line; everything it writes for a site is one transaction. It changes no stock and
opens no document: that takes an answer (`recommendations/decide.py`).

    demand               recommendations/demand.py      (what the projections hold)
    terms, positions     recommendations/supply.py
    forecasts            forecasters.py, forecasts/predict.py   in a process of its own, where LightGBM lives
    order or not, why    decisions/replenishment.py
    inbox                recommendations/issue.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.decisions.replenishment import Candidate, Position, replenish
from cloud.errors import BusyError, CloudError
from cloud.forecasters import Forecaster, WorkerForecaster
from cloud.forecasts.forecast import CODE_VERSION, Batch, Calibration, Forecast, Forecasts, Request, inputs_hash
from cloud.projections.changes import Change, Changes
from cloud.projections.exceptions import report_rests
from cloud.recommendations.issue import Issued, issue
from cloud.recommendations.sites import SiteSetting, arriving, site_settings
from cloud.recommendations.situation import Situation, situation
from cloud.recommendations.supply import positions
from cloud.store import lanes, leases, schema
from cloud.store.database import is_postgresql, reading, writing
from runtime.system import Runtime

#: Row of `meta` in which the last calibration of each class is kept; another version of the forecast makes its own.
_CALIBRATION = f"forecast-calibration {CODE_VERSION}"

#: Seconds until sites whose history was still arriving are looked at again: a catch-up takes minutes at most.
ARRIVING_S = 10.0

#: The lease of the one cycle in work, and for how long it is taken; it is renewed in thirds of that, seconds.
_LEASE, LEASE_S = "cycle", 60

#: (stage, done, total): called as a cycle goes on.
Progress = Callable[[str, int, int], None]


def _silent(stage: str, done: int, total: int) -> None:
    """The progress nobody watches."""


class CycleReport(msgspec.Struct, frozen=True):
    """What a cycle did: sites decided about and left alone because their history is still arriving, series seen and
    forecast anew, and what became of the proposals.
    """

    started_at: int
    finished_at: int
    sites: int
    arriving: int
    series: int
    forecast: int
    proposals: Issued


async def run_cycle(
    engine: AsyncEngine,
    runtime: Runtime,
    forecaster: Forecaster,
    *,
    trigger: str = "request",
    sites: Sequence[str] | None = None,
    progress: Progress = _silent,
    changes: Changes | None = None,
) -> CycleReport:
    """Forecast and decide for all sites, or for `sites`. Times in microseconds UTC.

    Raises CloudError when the forecaster cannot work; forecasts and proposals of sites done before stay, the run is
    recorded as failed.
    """
    started = runtime.now()
    async with writing(engine) as conn:
        row = {"site_id": "", "started_at": started, "trigger": trigger, "state": "running"}
        await conn.execute(schema.cycle_run.insert().values(**row))
    try:
        report = await _run(engine, runtime, forecaster, started, sites, progress, changes)
    except Exception as error:
        text = str(error) if isinstance(error, CloudError) else type(error).__name__
        await _finish(engine, started, runtime.now(), "failed", msgspec.json.encode({"error": text}))
        raise
    await _finish(engine, started, report.finished_at, "done", msgspec.json.encode(report))
    if changes is not None:
        changes.publish(Change("", ("cycle",), 0, runtime.now()))
    return report


async def _run(
    engine: AsyncEngine,
    runtime: Runtime,
    forecaster: Forecaster,
    started: int,
    only: Sequence[str] | None,
    progress: Progress,
    changes: Changes | None,
) -> CycleReport:
    await report_rests(engine, started)
    async with reading(engine) as conn:
        settings = await site_settings(conn, started, only)
        waiting = len(await arriving(conn))
        situations: list[Situation] = []
        for number, setting in enumerate(settings):
            progress("read", number, len(settings))
            situations.append(await situation(conn, setting, started))
        kept = {one.site.id: await _in_force(conn, one) for one in situations}
        calibration = await _calibration(conn)
    made = await _forecast(forecaster, situations, kept, calibration, progress)
    total = Issued(0, 0, 0, 0)
    for number, one in enumerate(situations):
        progress("decide", number, len(situations))
        new = {forecast.item: forecast for forecast in made.forecasts if forecast.site == one.site.id}
        async with writing(engine, one.site.id) as conn:
            await _store(conn, one.site.id, list(new.values()), runtime.now())
            issued = await _decide(conn, one, kept[one.site.id] | new, runtime.now())
        if changes is not None:
            changes.publish(Change(one.site.id, ("recommendations",), 0, runtime.now()))
        total = Issued(*(a + b for a, b in zip(msgspec.structs.astuple(total), _tuple(issued), strict=True)))
    if made.forecasts:
        async with writing(engine) as conn:
            await lanes.put(conn, schema.meta, [(_CALIBRATION, msgspec.json.encode(made.calibration).decode())])
    progress("done", len(situations), len(situations))
    series = sum(len(one.requests) for one in situations)
    return CycleReport(started, runtime.now(), len(situations), waiting, series, len(made.forecasts), total)


def _tuple(issued: Issued) -> tuple[int, ...]:
    return issued.made, issued.stayed, issued.ended, issued.held_back


async def _in_force(conn: AsyncConnection, one: Situation) -> dict[str, Forecast]:
    """The stored forecasts of a site whose inputs are still the same, by item."""
    origin = one.site.today.toordinal()
    wanted = {request.item: inputs_hash(origin, 1, request) for request in one.requests}
    c = schema.forecast.c
    rows = await conn.execute(
        select(c.item, c.inputs_hash, c.body).where(c.site_id == one.site.id, c.latest, c.origin_day == _day(one.site))
    )
    return {
        row.item: msgspec.json.decode(row.body, type=Forecast)
        for row in rows
        if wanted.get(row.item) == row.inputs_hash
    }


def _day(site: SiteSetting) -> str:
    return site.today.isoformat()


async def _calibration(conn: AsyncConnection) -> dict[str, Calibration]:
    row = (await conn.execute(select(schema.meta.c.value).where(schema.meta.c.key == _CALIBRATION))).first()
    return msgspec.json.decode(row.value, type=dict[str, Calibration]) if row else {}


async def _forecast(
    forecaster: Forecaster,
    situations: Sequence[Situation],
    kept: Mapping[str, Mapping[str, Forecast]],
    calibration: dict[str, Calibration],
    progress: Progress,
) -> Forecasts:
    """Forecast the changed series; sites with the same business day together, so that their classes learn together."""
    changed: dict[int, list[Request]] = {}
    for one in situations:
        for request in one.requests:
            if request.item not in kept[one.site.id]:
                changed.setdefault(one.site.today.toordinal(), []).append(request)
    made: list[Forecast] = []
    total = sum(len(requests) for requests in changed.values())
    for origin in sorted(changed):
        progress("forecast", len(made), total)
        answer = await forecaster.forecast(Batch(origin, tuple(changed[origin]), known=calibration))
        made += answer.forecasts
        calibration = answer.calibration
    return Forecasts(tuple(made), calibration)


async def _store(conn: AsyncConnection, site_id: str, forecasts: Sequence[Forecast], now: int) -> None:
    """Write new versions and put them in force; a version that stands already holds the same, as it names its inputs."""
    c = schema.forecast.c
    items = [forecast.item for forecast in forecasts]
    for start in range(0, len(items), 500):
        chunk = items[start : start + 500]
        await conn.execute(
            update(schema.forecast).where(c.site_id == site_id, c.item.in_(chunk), c.latest).values(latest=False)
        )
    rows: list[lanes.Row] = [
        (
            site_id,
            forecast.item,
            forecast.version,
            now,
            forecast.origin,
            forecast.demand_class,
            forecast.inputs,
            True,
            msgspec.json.encode(forecast),
        )
        for forecast in forecasts
    ]
    await lanes.put(conn, schema.forecast, rows)


async def _decide(conn: AsyncConnection, one: Situation, forecasts: Mapping[str, Forecast], now: int) -> Issued:
    """Propose orders for the items that somebody supplies, from the positions as they are in this transaction."""
    horizons = {item: forecast.horizon for item, forecast in forecasts.items()}
    held = await positions(conn, one.site, horizons)
    candidates = [
        Candidate(
            forecasts[item],
            one.terms[item],
            held.get(item, Position(0)),
            one.units.get(item, "H87"),
            one.suppliers[item],
        )
        for item in sorted(one.terms)
        if item in forecasts
    ]
    return await issue(conn, one.site.id, replenish(candidates, one.site.policy, one.site.today), now)


async def _finish(engine: AsyncEngine, started: int, now: int, state: str, report: bytes) -> None:
    c = schema.cycle_run.c
    async with writing(engine) as conn:
        await conn.execute(
            update(schema.cycle_run)
            .where(c.site_id == "", c.started_at == started)
            .values(finished_at=now, state=state, report=report.decode())
        )


class Schedule:
    """Runs cycles one at a time, among all processes on the database: every so often by itself, and when somebody asks.

    A process that stopped in mid-cycle keeps the others waiting for LEASE_S at most. One that was paused for longer may
    overlap with its successor; then each site's proposals are still brought in line by one transaction at a time.
    """

    def __init__(
        self, engine: AsyncEngine, runtime: Runtime, forecaster: Forecaster, changes: Changes | None = None
    ) -> None:
        self._engine, self._runtime, self._forecaster, self._changes = engine, runtime, forecaster, changes
        self._running = False
        #: who takes the lease; SQLite has one serving process, which takes its own again after a crash
        self._holder = runtime.token_bytes(8).hex() if is_postgresql(engine) else "the process"

    @property
    def running(self) -> bool:
        """Whether a cycle is in work."""
        return self._running

    async def run(
        self,
        trigger: str = "request",
        sites: Sequence[str] | None = None,
        progress: Progress = _silent,
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

        A site whose history is arriving is looked at again soon. The worker's memory is given back after a run that had
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
                elif not report.forecast and isinstance(self._forecaster, WorkerForecaster):
                    await self._forecaster.close()
            await asyncio.sleep(pause)
