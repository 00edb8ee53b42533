"""Long calculations that somebody asked for, kept in table `study`: who asked, how far it is, what came out, when.

One works in a thread of the process that was asked and tells the table every BEAT_S how far it is, so every process shows it
and can stop it. One that has not told anything for LATE_S was interrupted: its process is gone.

    started = await studies_of(request).begin(site, "replay", actor, "seeds 1 to 3", job)    # job(progress) -> JSON
    async with reading(engine) as conn: study = await last(conn, site, "replay", now)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec
from litestar.connection import ASGIConnection
from sqlalchemy import RowMapping, Select, case, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.access.services import services_of
from cloud.errors import BusyError, CloudError, ConflictError
from cloud.store import audit, plans
from cloud.store.database import reading, writing
from runtime import Runtime

#: Seconds between two signs of life of a calculation.
BEAT_S = 2.0
#: Seconds without one after which it counts as interrupted: a loaded machine delays beats, it does not lose thirty.
LATE_S = 60
#: Runs of one kind that a list holds.
LISTED = 50
INTERRUPTED = "headquarters stopped while this was calculated; start it again"
STOPPED = "stopped by request"

Kind = Literal["replay", "backtest"]
State = Literal["running", "done", "failed"]
#: (done, total): called by a job as it goes on; raises what ends the job when somebody stopped it.
Progress = Callable[[int, int], None]
#: A calculation: pure but for telling its progress; gives JSON back. Raises ValueError or CloudError in one sentence.
Job = Callable[[Progress], bytes]

#: What stands in `state` once somebody asked to stop: still running until the job notices.
_STOPPING = "stopping"
#: Place of the runner in the application's state.
_STATE = "studies"


class _Beat(msgspec.Struct, frozen=True):
    done: int
    total: int
    at: int


class Study(msgspec.Struct, frozen=True):
    """One calculation. Times in microseconds UTC. `text` says with what settings, or why it failed; `done` of `total` steps
    while it runs; `stopping` once somebody asked to stop it.
    """

    site: str
    kind: Kind
    started_at: int
    finished_at: int | None
    actor: str
    state: State
    text: str
    done: int = 0
    total: int = 0
    stopping: bool = False


async def start(conn: AsyncConnection, site: str, kind: Kind, actor: str, now: int, text: str = "") -> None:
    """Note that a calculation begins, inside a writing transaction of the site. Raises BusyError while one of its kind runs."""
    running = await last(conn, site, kind, now)
    if running is not None and running.state == "running":
        raise BusyError(
            f"a {kind} of site {site} is in work ({running.done} of {running.total}); wait for it or stop it", 30
        )
    c = plans.study.c
    late = (c.site_id == site, c.kind == kind, c.state.in_(("running", _STOPPING)))
    await conn.execute(update(plans.study).where(*late).values(state="failed", text=INTERRUPTED, finished_at=now))
    row = {"site_id": site, "kind": kind, "started_at": now, "actor": actor, "state": "running", "text": text}
    await conn.execute(plans.study.insert().values(**row, body=msgspec.json.encode(_Beat(0, 0, now))))


async def beat(
    conn: AsyncConnection, site: str, kind: Kind, started_at: int, now: int, done: int = 0, total: int = 0
) -> bool:
    """Tell how far a calculation is; False where it shall stop. Inside a writing transaction."""
    c = plans.study.c
    here = (c.site_id == site, c.kind == kind, c.started_at == started_at)
    body = msgspec.json.encode(_Beat(done, total, now))
    told = await conn.execute(update(plans.study).where(*here, c.state == "running").values(body=body))
    return told.rowcount == 1


async def finish(
    conn: AsyncConnection, site: str, kind: Kind, started_at: int, state: State, text: str, body: bytes, now: int
) -> None:
    """Keep what came out, inside a writing transaction; nothing where it is no longer running. `text` "" leaves it."""
    c = plans.study.c
    values: dict[str, Any] = {"state": state, "body": body, "finished_at": now} | ({"text": text} if text else {})
    here = (c.site_id == site, c.kind == kind, c.started_at == started_at, c.state.in_(("running", _STOPPING)))
    await conn.execute(update(plans.study).where(*here).values(**values))


async def stop(conn: AsyncConnection, site: str, kind: Kind, actor: str, now: int) -> None:
    """Ask the running calculation to stop, inside a writing transaction. Raises ConflictError where none is running."""
    c = plans.study.c
    here = (c.site_id == site, c.kind == kind, c.state == "running")
    told = await conn.execute(update(plans.study).where(*here).values(state=_STOPPING))
    if not told.rowcount:
        raise ConflictError(f"no {kind} of site {site} is running")
    await audit.record(conn, now, actor, f"{kind}.stop", site, kind)


def _listed(site: str, kind: Kind) -> Select[Any]:
    c = plans.study.c
    columns = [one for one in plans.study.columns if one.name != "body"]
    told = case((c.state.in_(("running", _STOPPING)), c.body)).label("beat")
    query: Select[Any] = select(*columns, told)
    return query.where(c.site_id == site, c.kind == kind).order_by(c.started_at.desc())


async def listing(conn: AsyncConnection, site: str, kind: Kind, now: int, most: int = LISTED) -> list[Study]:
    """The calculations of a kind, the latest first."""
    return [_study(row, now) for row in (await conn.execute(_listed(site, kind).limit(most))).mappings()]


async def last(
    conn: AsyncConnection, site: str, kind: Kind, now: int, state: State | None = None, started_at: int | None = None
) -> Study | None:
    """The latest one, or the latest `state`, or the one that began at `started_at`."""
    query = _listed(site, kind)
    if state is not None:
        query = query.where(plans.study.c.state == state)
    if started_at is not None:
        query = query.where(plans.study.c.started_at == started_at)
    row = (await conn.execute(query.limit(1))).mappings().first()
    return None if row is None else _study(row, now)


async def result(conn: AsyncConnection, study: Study) -> bytes:
    """The JSON that came out of one that is done."""
    c = plans.study.c
    query = select(c.body).where(c.site_id == study.site, c.kind == study.kind, c.started_at == study.started_at)
    return bytes((await conn.execute(query)).scalar_one())


def _study(row: RowMapping, now: int) -> Study:
    running = row["state"] in ("running", _STOPPING)
    told = msgspec.json.decode(row["beat"], type=_Beat) if running else _Beat(0, 0, now)
    late = running and now - told.at > LATE_S * 1_000_000
    state: State = "failed" if late else "running" if running else row["state"]
    return Study(
        row["site_id"],
        row["kind"],
        row["started_at"],
        told.at if late else row["finished_at"],
        row["actor"],
        state,
        INTERRUPTED if late else row["text"],
        told.done,
        told.total,
        row["state"] == _STOPPING,
    )


# ------------------------------------------------------------------------------------------------------- in work


class _StoppedError(Exception):
    """Ends a job that somebody stopped."""


class _Told:
    """How far a job is, and whether it shall stop: shared between its thread and the loop."""

    def __init__(self) -> None:
        self.done, self.total, self.stop = 0, 0, False

    def __call__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self.stop:
            raise _StoppedError


class Studies:
    """Calculates one after the other in a thread of this process."""

    def __init__(self, engine: AsyncEngine, runtime: Runtime) -> None:
        self._engine, self._runtime = engine, runtime
        self._executor = runtime.executor("study")
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, site: str, kind: Kind, actor: str, text: str, job: Job) -> int:
        """Start `job` and return when it began, microseconds UTC. Raises BusyError while one of its kind runs at the site."""
        async with writing(self._engine, site) as conn:
            started = self._runtime.now()
            await start(conn, site, kind, actor, started, text)
            await audit.record(conn, started, actor, f"{kind}.start", site, kind, {"settings": text})
        task = asyncio.ensure_future(self._work(site, kind, started, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return started

    async def settled(self) -> None:
        """Wait until nothing is in work."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self, site: str, kind: Kind, started: int, job: Job) -> None:
        told = _Told()
        beating = asyncio.ensure_future(self._beat(site, kind, started, told))
        state, text, body = "failed", "", b""
        try:
            body = await asyncio.get_running_loop().run_in_executor(self._executor, lambda: _run(job, told))
            state = "done"
        except _StoppedError:
            text = STOPPED
        except (ValueError, CloudError) as error:
            text = str(error)
        except asyncio.CancelledError:  # the process ends: its thread must, too
            told.stop = True
            raise
        except Exception as error:  # a defect: kept with the run instead of lost with the task
            text = f"{type(error).__name__}: {error}"
        finally:
            beating.cancel()
        async with writing(self._engine) as conn:
            await finish(conn, site, kind, started, state, text, body, self._runtime.now())

    async def _beat(self, site: str, kind: Kind, started: int, told: _Told) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            with suppress(SQLAlchemyError, OSError):  # the next beat may find the database again
                async with writing(self._engine) as conn:
                    goes_on = await beat(conn, site, kind, started, self._runtime.now(), told.done, told.total)
                told.stop = not goes_on


def _run(job: Job, told: _Told) -> bytes:
    told(0, 0)  # it may have been stopped while another was calculated
    return job(told)


def studies_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Studies:
    """The runner of the application that answers this request."""
    state = connection.app.state
    if _STATE not in state:
        services = services_of(connection)
        state[_STATE] = Studies(services.engine, services.runtime)
    found = state[_STATE]
    assert isinstance(found, Studies)
    return found


async def latest(engine: AsyncEngine, site: str, kind: Kind, now: int) -> tuple[Study | None, bytes]:
    """The latest one that is done, with its JSON."""
    async with reading(engine) as conn:
        found = await last(conn, site, kind, now, "done")
        return found, await result(conn, found) if found is not None else b""
