"""READ FIRST of headquarters' decisions: demand -> forecasts -> decisions -> recommendations.

A cycle takes the sites one after the other. Series whose forecast no longer holds are forecast in chunks, several at once
where there are workers, and stored chunk by chunk; a site is decided about, with pure functions and in one transaction, when
the last of its series is. So memory does not grow with the network, a cycle that was interrupted leaves the rest to the next
one, and it changes no stock and opens no document: that takes an answer (`recommendations/decide.py`).

    demand               situations/demand.py      (what the projections hold)
    terms, positions     situations/supply.py
    which forecasts hold situations/in_force.py
    forecasts            forecasters/, forecasts/predict.py   in processes of their own, where LightGBM lives
    order or not, why    recommendations/propose.py, decisions/replenishment.py
    inbox                recommendations/issue.py
    one at a time, when  schedule.py
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.decisions.replenishment import LeftOut
from cloud.errors import CloudError
from cloud.forecasters import Forecaster, at_once
from cloud.forecasts.chunks import CHUNK, expected, heaviest, learnt, merged
from cloud.forecasts.forecast import Batch, Calibration, Effect, Forecast, Forecasts, Request, Touching
from cloud.projections.changes import Change, Changes
from cloud.projections.exceptions import report_rests
from cloud.recommendations.issue import Issued, issue
from cloud.recommendations.propose import propose
from cloud.recommendations.release import release
from cloud.situations.demand import series, wanted_items
from cloud.situations.in_force import Learnt, in_force, read_learnt, slim, store, store_learnt
from cloud.situations.sites import SiteSetting, arriving, site_settings
from cloud.situations.situation import Situation, frame
from cloud.store import schema
from cloud.store.database import reading, writing
from runtime.system import Runtime

#: Items whose demand is read at once: 60 MB of days at most.
PART = 1_000

#: Time between two notes of how far a cycle is: pages ask about as often.
TELL_US = 2_000_000
#: Orders left out that a report names: enough for a page, whatever the network.
MOST_LEFT_OUT = 100

#: Chunks of which the first learns for all: then the learning is a small part, and no chunk is far from what taught it.
TAUGHT_CHUNKS = 20

#: (stage, done, total): called as a cycle goes on; `stage` is read, forecast, decide or done, the others count series.
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """The progress nobody watches."""


class CycleReport(msgspec.Struct, frozen=True):
    """What a cycle did: sites decided about and left alone because their history is still arriving, series seen and
    forecast anew, what became of the proposals, and orders that a limit forbids (the first MOST_LEFT_OUT).
    """

    started_at: int
    finished_at: int
    sites: int
    arriving: int
    series: int
    forecast: int
    proposals: Issued
    left_out: tuple[LeftOut, ...] = ()


async def run_cycle(
    engine: AsyncEngine,
    runtime: Runtime,
    forecaster: Forecaster,
    *,
    trigger: str = "request",
    sites: Sequence[str] | None = None,
    progress: Progress = silent,
    changes: Changes | None = None,
    chunk: int = CHUNK,
) -> CycleReport:
    """Forecast and decide for all sites, or for `sites`. Times in microseconds UTC; `chunk` series are forecast together.

    Raises CloudError when the forecaster cannot work; forecasts and proposals done before stay, the run is recorded as
    failed.
    """
    started = runtime.now()
    c = schema.cycle_run.c
    async with writing(engine) as conn:  # one at a time: what still seems to run was interrupted
        await conn.execute(
            update(schema.cycle_run).where(c.site_id == "", c.state == "running").values(state="interrupted")
        )
        row = {"site_id": "", "started_at": started, "trigger": trigger, "state": "running"}
        await conn.execute(schema.cycle_run.insert().values(**row))
    run = _Run(engine, runtime, forecaster, started, progress, changes, chunk)
    try:
        report = await run.all(sites)
    except Exception as error:
        text = str(error) if isinstance(error, CloudError) else type(error).__name__
        await _note(engine, started, "failed", msgspec.json.encode({"error": text}), runtime.now())
        raise
    finally:
        await run.abandon()
    await _note(engine, started, "done", msgspec.json.encode(report), report.finished_at)
    if changes is not None:
        changes.publish(Change("", ("cycle",), 0, runtime.now()))
    return report


@dataclass(slots=True)
class _Site:
    """A site in work: its situation without histories, its slim forecasts, and how many are still being made."""

    situation: Situation
    forecasts: dict[str, Forecast]
    missing: int


@dataclass(slots=True)
class _Chunk:
    """Series that are forecast together: whose they are, their requests, and of all series the part they stand for."""

    owners: list[_Site] = field(default_factory=list[_Site])
    requests: list[Request] = field(default_factory=list[Request])
    stands_for: float = 0.0


class _Run:
    """One cycle on its way through the network."""

    def __init__(
        self,
        engine: AsyncEngine,
        runtime: Runtime,
        forecaster: Forecaster,
        started: int,
        progress: Progress,
        changes: Changes | None,
        chunk: int,
    ) -> None:
        self._engine, self._runtime, self._forecaster, self._started = engine, runtime, forecaster, started
        self._watch, self._changes, self._size = progress, changes, chunk
        self._known = Learnt()
        self._calibrations: list[dict[str, Calibration]] = []
        self._effects: list[dict[str, Effect]] = []
        self._taught_by = 0
        self._filling = _Chunk()
        self._flying: deque[tuple[_Chunk, dict[str, Calibration], asyncio.Task[Forecasts]]] = deque()
        self._teacher: asyncio.Task[Forecasts] | None = None
        self._taught = 0
        self._sites = self._series = self._made = self._done = self._total = 0
        self._told_at = 0
        self._issued = Issued(0, 0, 0, 0)
        self._left_out = list[LeftOut]()

    async def all(self, only: Sequence[str] | None) -> CycleReport:
        """Every site, or `only` these."""
        await report_rests(self._engine, self._started)
        async with reading(self._engine) as conn:
            settings = sorted(await site_settings(conn, self._started, only), key=_together)
            waiting = len(await arriving(conn))
            self._known = await read_learnt(conn)
            self._total = await _about(conn, settings)
        for number, setting in enumerate(settings):
            if number and _together(setting)[:-1] != _together(settings[number - 1])[:-1]:
                await self._send()
                self._teacher = None  # other holidays, another day
            await self._take(setting)
        await self._send()
        while self._flying:
            await self._settle()
        if self._calibrations or self._effects:
            await self._keep_learnt()
        self._watch("done", self._done, self._done)
        now = self._runtime.now()
        counts = self._sites, waiting, self._series, self._made
        return CycleReport(self._started, now, *counts, self._issued, tuple(self._left_out))

    async def abandon(self) -> None:
        """End what is still being forecast."""
        tasks = [task for _, _, task in self._flying]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, setting: SiteSetting) -> None:
        """Read a site; what holds is kept, the rest goes into chunks."""
        self._sites += 1
        async with reading(self._engine) as conn:
            one = await frame(conn, setting, self._started)
            items = await wanted_items(conn, setting, one.terms)
        site = _Site(one, {}, 1)  # one that is never forecast, so that nobody decides before all are read
        touching = Touching(one.drivers, setting.country)
        for start in range(0, len(items), PART):
            await self._tell("read")
            async with reading(self._engine) as conn:
                requests = await series(conn, setting, one.terms, self._started, items[start : start + PART])
                kept = await in_force(conn, setting, requests, touching)
            site.forecasts.update(kept)
            changed = [request for request in requests if request.item not in kept]
            site.missing += len(changed)
            self._series += len(requests)
            self._done += len(kept)
            await self._fill(site, changed, len(requests))
        site.missing -= 1
        if not site.missing:
            await self._decide_about(site)

    async def _fill(self, site: _Site, changed: Sequence[Request], among: int) -> None:
        """Put the `changed` series, of so many, into chunks."""
        for request in changed:
            self._filling.owners.append(site)
            self._filling.requests.append(request)
            self._filling.stands_for += among / len(changed)
            if len(self._filling.requests) == self._size:
                await self._send()

    async def _send(self) -> None:
        """Have the chunk forecast; wait for the oldest where enough are in work."""
        chunk, self._filling = self._filling, _Chunk()
        if not chunk.requests:
            return
        share = chunk.stands_for / self._known.series if self._known.series else 0.0
        given = expected(self._known.calibration, share)
        batch = _batch(chunk, given, self._known)
        self._taught += 1
        if self._teacher is None or self._taught >= TAUGHT_CHUNKS:
            full = len(chunk.requests) == self._size  # else there is none after it
            task = asyncio.ensure_future(self._forecaster.forecast(msgspec.structs.replace(batch, teaches=full)))
            self._teacher, self._taught = task, 0
        else:
            task = asyncio.ensure_future(self._forecast_after(self._teacher, batch))
        self._flying.append((chunk, given, task))
        while len(self._flying) > at_once(self._forecaster):
            await self._settle()

    async def _forecast_after(self, teacher: asyncio.Task[Forecasts], batch: Batch) -> Forecasts:
        """Forecast with what another chunk learns."""
        models = (await asyncio.shield(teacher)).models
        return await self._forecaster.forecast(msgspec.structs.replace(batch, models=models))

    async def _settle(self) -> None:
        """Store what the oldest chunk gave, and decide about the sites that have all now."""
        await self._tell("forecast")
        chunk, given, task = self._flying[0]
        answer = await task
        self._flying.popleft()
        by_site: dict[str, tuple[_Site, list[Forecast]]] = {}
        for site, forecast in zip(chunk.owners, answer.forecasts, strict=True):
            by_site.setdefault(forecast.site, (site, []))[1].append(forecast)
        for site_id, (site, made) in by_site.items():
            async with writing(self._engine, site_id) as conn:
                await store(conn, site_id, made, self._runtime.now())
            site.forecasts.update((forecast.item, slim(forecast)) for forecast in made)
            site.missing -= len(made)
        self._made += len(answer.forecasts)
        self._done += len(answer.forecasts)
        if new := learnt(answer.calibration, given):
            self._calibrations.append(new)
            self._taught_by += round(chunk.stands_for)
        if answer.effects:
            self._effects.append(answer.effects)
        for site, _ in by_site.values():
            if not site.missing:
                await self._decide_about(site)

    async def _decide_about(self, site: _Site) -> None:
        await self._tell("decide")
        one = site.situation
        async with writing(self._engine, one.site.id) as conn:
            issued, left_out = await _decide(conn, one, site.forecasts, self._runtime.now())
        self._left_out += left_out[: MOST_LEFT_OUT - len(self._left_out)]
        site.forecasts = {}
        if self._changes is not None:
            self._changes.publish(Change(one.site.id, ("recommendations",), 0, self._runtime.now()))
        self._issued = Issued(*(a + b for a, b in zip(_tuple(self._issued), _tuple(issued), strict=True)))

    async def _keep_learnt(self) -> None:
        effects = heaviest(self._known.effects, self._effects)
        series = self._taught_by or self._known.series
        made = Learnt(merged(self._known.calibration, self._calibrations), effects, series)
        async with writing(self._engine) as conn:
            await store_learnt(conn, made)

    async def _tell(self, stage: str) -> None:
        """Whoever watches, and once in a while the row of this run, which other processes read."""
        total = max(self._total, self._series)
        self._watch(stage, self._done, total)
        now = self._runtime.monotonic()
        if now - self._told_at < TELL_US:
            return
        self._told_at = now
        told = {"stage": stage, "done": self._done, "total": total}
        await _note(self._engine, self._started, "running", msgspec.json.encode(told), None)


def _tuple(issued: Issued) -> tuple[int, ...]:
    return issued.made, issued.stayed, issued.ended, issued.held_back


def _together(setting: SiteSetting) -> tuple[int, str, str]:
    """What sites must share for their series to be forecast together, and their id."""
    return setting.today.toordinal(), setting.country, setting.id


async def _about(conn: AsyncConnection, settings: Sequence[SiteSetting]) -> int:
    """About how many series there will be: the items that were ever in stock."""
    c = schema.item_stock.c
    rows = await conn.execute(select(c.site_id, func.count().label("items")).group_by(c.site_id))
    wanted = {setting.id for setting in settings}
    return sum(row.items for row in rows if row.site_id in wanted)


def _batch(chunk: _Chunk, given: dict[str, Calibration], known: Learnt) -> Batch:
    """The chunk as the forecaster takes it."""
    site = chunk.owners[0].situation.site
    sites = {owner.situation.site.id: owner.situation for owner in chunk.owners}
    drivers = tuple(dict.fromkeys(driver for one in sites.values() for driver in one.drivers))
    return Batch(
        site.today.toordinal(),
        tuple(chunk.requests),
        known=given,
        country=site.country,
        drivers=drivers,
        effects=known.effects,
    )


async def _decide(
    conn: AsyncConnection, one: Situation, forecasts: Mapping[str, Forecast], now: int
) -> tuple[Issued, Sequence[LeftOut]]:
    """Propose orders for the items that somebody supplies, from the positions as they are in this transaction."""
    found = await propose(conn, one, forecasts, now)
    issued = await issue(conn, one.site.id, found.proposals, now)
    await release(conn, one.site.id, one.site.days, now)
    return issued, found.left_out


async def _note(engine: AsyncEngine, started: int, state: str, report: bytes, finished: int | None) -> None:
    """What the row of this run says."""
    c = schema.cycle_run.c
    async with writing(engine) as conn:
        await conn.execute(
            update(schema.cycle_run)
            .where(c.site_id == "", c.started_at == started)
            .values(finished_at=finished, state=state, report=report.decode())
        )
