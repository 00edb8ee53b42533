"""The decision cycle, end to end on a small headquarters: demand in the tables, proposals in the inbox."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cycle_store import TODAY, add_demand, add_item, add_site, add_term, empty_engine, set_stock
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.cycle import run_cycle
from cloud.errors import BusyError, CloudError
from cloud.forecasters import WorkerForecaster
from cloud.forecasts.forecast import Batch, Forecast, Forecasts
from cloud.forecasts.predict import forecast
from cloud.projections.changes import Changes
from cloud.recommendations.decide import Decision, decide
from cloud.recommendations.rows import RecommendationRow, of_row, query
from cloud.schedule import Schedule
from cloud.situations.sites import site_settings
from cloud.situations.situation import situation
from cloud.store import lanes, schema
from cloud.store.database import reading, writing


class Mean:
    """A forecaster whose every model is the mean of the last buckets; remembers the batches it was asked."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def forecast(self, batch: Batch) -> Forecasts:
        self.batches.append(batch)
        return forecast(batch)


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    """North sells screws and nuts and has few screws; south sells screws and has many."""
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        for item in ("screw", "nut"):
            await add_item(conn, item)
        for site, item, mean, stock in (
            ("north", "screw", 20, 40),
            ("north", "nut", 3, 900),
            ("south", "screw", 20, 2_000),
        ):
            if item == "screw":
                await add_site(conn, site)
            await add_term(conn, site, item)
            await add_demand(conn, site, item, mean)
            await set_stock(conn, site, item, stock)
    yield engine
    await engine.dispose()


async def inbox(engine: AsyncEngine) -> list[RecommendationRow]:
    c = schema.recommendation.c
    async with reading(engine) as conn:
        found = await conn.execute(query().where(c.state == "proposed").order_by(c.site_id, c.item))
        return [of_row(row) for row in found]


async def later(runtime: VirtualRuntime) -> VirtualRuntime:
    """The next minute: two cycles in one microsecond do not happen."""
    runtime.start_us += 60_000_000
    return runtime


async def test_what_runs_short_is_proposed_with_its_forecast(engine: AsyncEngine) -> None:
    runtime, stages = VirtualRuntime(), list[str]()
    report = await run_cycle(engine, runtime, Mean(), progress=lambda stage, done, total: stages.append(stage))
    assert (report.sites, report.series, report.forecast, report.proposals.made) == (2, 3, 3, 1)
    (row,) = await inbox(engine)
    assert (row.site_id, row.item, row.partner) == ("north", "screw", "acme")
    assert row.quantity % 10 == 0
    assert row.by_day == (TODAY + timedelta(days=5)).isoformat()
    async with reading(engine) as conn:
        stored = (
            (await conn.execute(select(schema.forecast).where(schema.forecast.c.version == row.forecast)))
            .mappings()
            .one()
        )
        run = (await conn.execute(select(schema.cycle_run))).mappings().one()
    made = msgspec.json.decode(stored["body"], type=Forecast)
    assert stored["latest"]
    assert made.rate == pytest.approx(20, rel=0.1)
    assert row.proposal.reasons[0].numbers["mean"] == made.mean
    assert (run["state"], run["trigger"]) == ("done", "request")
    assert stages[0] == "read"
    assert stages[-1] == "done"


async def test_only_changed_series_are_forecast_again(engine: AsyncEngine) -> None:
    runtime, mean = VirtualRuntime(), Mean()
    await run_cycle(engine, runtime, mean)
    again = await run_cycle(engine, await later(runtime), mean)
    assert (again.forecast, again.proposals.stayed) == (0, 1)
    async with writing(engine) as conn:  # a late fact: a day of last week
        day = (TODAY - timedelta(days=7)).isoformat()
        await lanes.add(conn, schema.daily, [("north", "nut", day, 0, 7, 0, 0, 0, 0)])
    third = await run_cycle(engine, await later(runtime), mean)
    assert third.forecast == 1
    assert [request.item for request in mean.batches[-1].requests] == ["nut"]
    async with reading(engine) as conn:
        c = schema.forecast.c
        latest = (await conn.execute(select(c.latest).where(c.item == "nut").order_by(c.created_at))).scalars().all()
    assert latest == [False, True]


async def test_a_new_day_forecasts_everything_from_a_new_origin(engine: AsyncEngine) -> None:
    runtime, mean = VirtualRuntime(), Mean()
    await run_cycle(engine, runtime, mean)
    runtime.start_us += 86_400_000_000
    report = await run_cycle(engine, runtime, mean)
    assert report.forecast == 3
    assert mean.batches[1].origin == mean.batches[0].origin + 1


async def test_an_accepted_order_is_not_proposed_again_and_the_same_run_gives_the_same_rows(
    engine: AsyncEngine,
) -> None:
    runtime = VirtualRuntime()
    await run_cycle(engine, runtime, Mean())
    (row,) = await inbox(engine)
    async with writing(engine) as conn:
        await decide(conn, runtime, "ada", row.site_id, row.id, Decision("accept"))
    report = await run_cycle(engine, await later(runtime), Mean())
    assert (report.proposals.made, report.proposals.held_back) == (0, 0)
    assert not await inbox(engine)


async def test_ordered_quantities_are_the_demand_where_there_are_orders(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await add_item(conn, "bolt")
        wanted = await add_demand(conn, "north", "bolt", 8, 100, figure="ordered")
        before = (TODAY - timedelta(days=120)).isoformat()
        day = (TODAY - timedelta(days=50)).isoformat()
        await lanes.add(
            conn,
            schema.daily,
            [("north", "bolt", before, 0, 11, 0, 0, 0, 900), ("north", "bolt", day, 0, 99, 0, 0, 0, 900)],
        )
    async with reading(engine) as conn:
        north = (await site_settings(conn, START_US, ["north"]))[0]
        request = next(one for one in (await situation(conn, north, START_US)).requests if one.item == "bolt")
    assert request.quantities == (11, *[0] * 19, *wanted)
    assert request.censored == (0,)  # the stock-out while orders were known hid nothing


async def test_a_lasting_stock_out_is_censored(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        c = schema.item_stock.c
        await conn.execute(
            update(schema.item_stock)
            .where(c.site_id == "north", c.item == "nut")
            .values(available=0, empty_since=START_US - 3 * 86_400_000_000)
        )
    async with reading(engine) as conn:
        north = (await site_settings(conn, START_US, ["north"]))[0]
        request = next(one for one in (await situation(conn, north, START_US)).requests if one.item == "nut")
    assert [len(request.quantities) - offset for offset in request.censored] == [3, 2, 1]


async def test_a_site_whose_history_is_arriving_is_left_alone(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await conn.execute(schema.advisory.insert().values(site_id="north", epoch=7, seq=50, at=0, body=b""))
    report = await run_cycle(engine, VirtualRuntime(), Mean())
    assert (report.sites, report.arriving) == (1, 1)
    assert not await inbox(engine)
    async with writing(engine) as conn:
        await conn.execute(schema.epoch.insert().values(site_id="north", epoch=7, ordinal=1, seq=50, hash=b"x"))
    report = await run_cycle(engine, await later(VirtualRuntime()), Mean())
    assert (report.sites, report.proposals.made) == (2, 1)


async def test_a_cycle_that_fails_is_recorded_and_the_next_one_works(engine: AsyncEngine) -> None:
    class Broken:
        async def forecast(self, batch: Batch) -> Forecasts:
            raise CloudError("the forecast worker ended in mid-work")

    runtime = VirtualRuntime()
    with pytest.raises(CloudError):
        await run_cycle(engine, runtime, Broken())
    async with reading(engine) as conn:
        run = (await conn.execute(select(schema.cycle_run))).mappings().one()
    assert run["state"] == "failed"
    assert "mid-work" in run["report"]
    assert (await run_cycle(engine, await later(runtime), Mean())).proposals.made == 1


async def test_two_cycles_do_not_run_at_once_and_pages_are_told(engine: AsyncEngine) -> None:
    changes = Changes()
    schedule = Schedule(engine, VirtualRuntime(), Mean(), changes)

    class Asking(Mean):
        async def forecast(self, batch: Batch) -> Forecasts:
            with pytest.raises(BusyError):
                await schedule.run()
            return await super().forecast(batch)

    schedule._forecaster = Asking()  # pyright: ignore[reportPrivateUsage]
    with changes.subscribe() as news:
        await schedule.run()
        assert [(await news.next()).kinds for _ in range(3)] == [("recommendations",), ("recommendations",), ("cycle",)]
    assert not schedule.running


@pytest.mark.sqlite
async def test_the_schedule_runs_at_once_survives_failures_and_goes_on(engine: AsyncEngine) -> None:
    class Sometimes(Mean):
        async def forecast(self, batch: Batch) -> Forecasts:
            if not self.batches:
                self.batches.append(batch)
                raise CloudError("the forecast worker ended in mid-work")
            return await super().forecast(batch)

    schedule = Schedule(engine, VirtualRuntime(), Sometimes())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3 * 600 + 60):
            await schedule.keep_running(600)
    async with reading(engine) as conn:
        c = schema.cycle_run.c
        states = (await conn.execute(select(c.state).order_by(c.started_at))).scalars().all()
    assert states == ["failed", "done", "done", "done"]


@pytest.mark.real
async def test_the_worker_process_answers_as_often_as_asked_and_ends(engine: AsyncEngine) -> None:
    worker = WorkerForecaster()
    try:
        first = await run_cycle(engine, VirtualRuntime(), worker)
        assert (first.forecast, first.proposals.made) == (3, 1)
        async with reading(engine) as conn:
            body = (await conn.execute(select(schema.forecast.c.body).limit(1))).scalar_one()
        assert msgspec.json.decode(body, type=Forecast).models[0] in ("SES", "IMAPA")
        process = worker._process  # pyright: ignore[reportPrivateUsage]
        assert process is not None
        process.kill()
        await process.wait()
        assert len((await worker.forecast(Batch(1, ()))).forecasts) == 0  # another one was started
    finally:
        await worker.close()
    assert worker._process is None  # pyright: ignore[reportPrivateUsage]


@pytest.mark.real
def test_the_web_process_never_imports_the_forecasting_libraries() -> None:
    libraries = ("statsforecast", "pandas", "scipy", "lightgbm")
    code = f"import sys, cloud.cycle, cloud.recommendations.decide; print([n for n in {libraries} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.real
def test_a_worker_whose_parent_is_gone_ends() -> None:
    ended = subprocess.run([sys.executable, "-m", "cloud.forecasts.worker"], input=b"", capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
