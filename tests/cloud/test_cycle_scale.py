"""The cycle over more series than fit at once: in chunks, beside each other, interrupted, watched, and only what changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from cycle_store import TODAY, add_demand, add_item, add_site, add_term, empty_engine, set_stock
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US, VirtualRuntime

import cloud.cycle
from cloud.__main__ import main
from cloud.cycle import run_cycle
from cloud.errors import BusyError, CloudError
from cloud.forecasts.forecast import Batch, Forecasts
from cloud.forecasts.predict import forecast
from cloud.schedule import Schedule, cycle_state
from cloud.situations.demand import series, wanted_items
from cloud.situations.in_force import LONGEST_DAYS
from cloud.situations.sites import site_settings
from cloud.situations.situation import situation
from cloud.store import lanes, leases, schema
from cloud.store.columns import metadata
from cloud.store.database import open_engine, reading, writing

ITEMS = ("bolt", "nut", "pin", "screw", "washer")
DAY_US = 86_400_000_000


class Counting:
    """Each series from its own past, without libraries; `at_once` batches in work, which end in another order."""

    def __init__(self, at_once: int = 1, fail_at: int = 0) -> None:
        self.at_once, self.fail_at = at_once, fail_at
        self.batches: list[Batch] = []
        self.now = self.most = 0
        self._free = asyncio.Semaphore(at_once)

    async def forecast(self, batch: Batch) -> Forecasts:
        async with self._free:
            self.batches.append(batch)
            number = len(self.batches)
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.01 * (3 - number % 3))
            self.now -= 1
            if number == self.fail_at:
                raise CloudError("the forecast worker ended in mid-work")
            made = forecast(msgspec.structs.replace(batch, models=b""))
            return msgspec.structs.replace(made, models=b"learnt" if batch.teaches else b"")

    async def close(self) -> None: ...


async def fill(engine: AsyncEngine) -> None:
    """Two sites with five items each; of bolts and pins somebody wants one in a while, of the others some every day."""
    async with writing(engine) as conn:
        for item in ITEMS:
            await add_item(conn, item)
        for site in ("north", "south"):
            await add_site(conn, site)
            for item in ITEMS:
                await add_term(conn, site, item)
                await set_stock(conn, site, item, 30)
                if item in ("bolt", "pin"):
                    days = [(TODAY - timedelta(days=back)).isoformat() for back in range(20, 360, 23)]
                    await lanes.put(conn, schema.daily, [(site, item, day, 0, 4, 0, 0, 0, 0) for day in days])
                else:
                    await add_demand(conn, site, item, 12, 300)


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    engine = await empty_engine(database)
    await fill(engine)
    yield engine
    await engine.dispose()


async def stored(engine: AsyncEngine) -> list[tuple[str, str, str, bytes]]:
    c = schema.forecast.c
    async with reading(engine) as conn:
        query = select(c.site_id, c.item, c.version, c.body).where(c.latest).order_by(c.site_id, c.item)
        return [tuple(row) for row in await conn.execute(query)]


async def proposals(engine: AsyncEngine) -> list[tuple[str, str, int]]:
    c = schema.recommendation.c
    async with reading(engine) as conn:
        query = select(c.site_id, c.item, c.quantity).where(c.state == "proposed").order_by(c.site_id, c.item)
        return [tuple(row) for row in await conn.execute(query)]


async def emptied(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        for table in (schema.forecast, schema.recommendation, schema.meta, schema.cycle_run):
            await conn.execute(table.delete())


@pytest.mark.sqlite
async def test_the_number_of_workers_shows_in_no_number(engine: AsyncEngine) -> None:
    one = Counting()
    report = await run_cycle(engine, VirtualRuntime(), one, chunk=3)
    assert (report.series, report.forecast, report.sites) == (10, 10, 2)
    alone = await stored(engine), await proposals(engine)
    assert len(alone[0]) == 10
    assert alone[1]
    await emptied(engine)
    many = Counting(at_once=4)
    await run_cycle(engine, VirtualRuntime(), many, chunk=3)
    assert many.most > 1
    assert (await stored(engine), await proposals(engine)) == alone
    assert sorted([r.item for r in batch.requests] for batch in many.batches) == sorted(
        [r.item for r in batch.requests] for batch in one.batches
    )


@pytest.mark.sqlite
async def test_chunks_are_bounded_fill_up_over_sites_and_the_first_one_teaches(engine: AsyncEngine) -> None:
    counting = Counting()
    await run_cycle(engine, VirtualRuntime(), counting, chunk=4)
    assert [[(r.site, r.item) for r in batch.requests] for batch in counting.batches] == [
        [("north", item) for item in ITEMS[:4]],
        [("north", "washer"), ("south", "bolt"), ("south", "nut"), ("south", "pin")],
        [("south", "screw"), ("south", "washer")],
    ]
    assert [(batch.teaches, batch.models) for batch in counting.batches] == [
        (True, b""), (False, b"learnt"), (False, b"learnt"),
    ]  # fmt: skip


@pytest.mark.sqlite
async def test_demand_is_read_in_parts_and_kin_finds_each_other_across_them(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with writing(engine) as conn:
        item = schema.item.c
        await conn.execute(schema.item.insert().values(id="aglet", name="aglet"))
        await conn.execute(
            schema.item.update().where(item.id == "screw").values(successor="aglet", discontinued_on=TODAY.isoformat())
        )
    async with reading(engine) as conn:
        (north,) = await site_settings(conn, START_US, ["north"])
        whole = await situation(conn, north, START_US)
        items = await wanted_items(conn, north, whole.terms)
        parts = [await series(conn, north, whole.terms, START_US, [item]) for item in items]
    assert items == ["aglet", *ITEMS]
    assert [one for part in parts for one in part] == list(whole.requests)
    assert "aglet" in [one.item for one in whole.requests]
    monkeypatch.setattr(cloud.cycle, "PART", 2)
    counting = Counting()
    report = await run_cycle(engine, VirtualRuntime(), counting, sites=["north"])
    assert report.forecast == len(whole.requests)
    assert [r for batch in counting.batches for r in batch.requests] == list(whole.requests)


async def test_an_interrupted_cycle_keeps_what_it_did_and_the_next_does_the_rest(engine: AsyncEngine) -> None:
    runtime = VirtualRuntime()
    with pytest.raises(CloudError):
        await run_cycle(engine, runtime, Counting(fail_at=4), chunk=2)
    assert len(await stored(engine)) == 6
    assert {site for site, *_ in await proposals(engine)} == {"north"}  # south was not through
    runtime.start_us += 60_000_000
    counting = Counting()
    report = await run_cycle(engine, runtime, counting, chunk=2)
    assert (report.series, report.forecast) == (10, 4)
    assert {r.site for batch in counting.batches for r in batch.requests} == {"south"}
    assert {site for site, *_ in await proposals(engine)} == {"north", "south"}


@pytest.mark.sqlite
async def test_a_cycle_whose_process_died_is_called_interrupted(engine: AsyncEngine) -> None:
    runtime = VirtualRuntime()
    async with writing(engine) as conn:
        assert await leases.take(conn, "cycle", "the process", runtime.now(), 60_000_000)
        told = '{"stage": "forecast", "done": 3, "total": 10}'
        row = {"site_id": "", "started_at": runtime.now(), "trigger": "request", "state": "running", "report": told}
        await conn.execute(schema.cycle_run.insert().values(**row))
    async with reading(engine) as conn:
        seen = await cycle_state(conn, runtime.now())
        later = await cycle_state(conn, runtime.now() + 61_000_000)
    assert (seen.state, seen.stage, seen.done, seen.total) == ("running", "forecast", 3, 10)
    assert later.state == "interrupted"
    runtime.start_us += 61_000_000
    await run_cycle(engine, runtime, Counting())
    async with reading(engine) as conn:
        states = (
            await conn.execute(select(schema.cycle_run.c.state).order_by(schema.cycle_run.c.started_at))
        ).scalars()
        assert list(states) == ["interrupted", "done"]
        seen = await cycle_state(conn, runtime.now())
    assert seen.report is not None
    assert (seen.state, seen.done, seen.report.forecast) == ("done", 10, 10)


@pytest.mark.sqlite
async def test_how_far_it_is_can_be_seen_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.cycle, "TELL_US", 0)
    engine = open_engine(f"sqlite:///{tmp_path}/cloud.db")  # somebody else's connection looks
    async with writing(engine) as conn:
        await conn.run_sync(metadata.create_all)
    await fill(engine)
    seen: list[tuple[str, int, int]] = []

    class Looking(Counting):
        async def forecast(self, batch: Batch) -> Forecasts:
            async with reading(engine) as conn:
                state = await cycle_state(conn, runtime.now())
            assert state.state == "running"
            seen.append((state.stage, state.done, state.total))
            return await super().forecast(batch)

    runtime = VirtualRuntime()
    schedule = Schedule(engine, runtime, Looking())
    await schedule.run()
    assert seen == [("forecast", 0, 10)]
    await engine.dispose()


async def night(engine: AsyncEngine, runtime: VirtualRuntime, counting: Counting) -> list[str]:
    """The next day's cycle; which items of north it forecast anew."""
    runtime.start_us += DAY_US
    before = len(counting.batches)
    await run_cycle(engine, runtime, counting, sites=["north"])
    return sorted(r.item for batch in counting.batches[before:] for r in batch.requests)


@pytest.mark.sqlite
async def test_sparse_series_on_which_nothing_happened_are_forecast_once_a_week(engine: AsyncEngine) -> None:
    runtime, counting = VirtualRuntime(), Counting()
    await run_cycle(engine, runtime, counting, sites=["north"])
    classes = {one.item: one.demand_class for batch in counting.batches for one in forecast(batch).forecasts}
    assert {classes["bolt"], classes["pin"]} <= {"intermittent", "lumpy"}
    nights = [await night(engine, runtime, counting) for _ in range(2 * LONGEST_DAYS)]
    assert all({"nut", "screw", "washer"} <= set(items) for items in nights)  # a day without demand is news to them
    for item in ("bolt", "pin"):
        turns = [number for number, items in enumerate(nights) if item in items]
        assert len(turns) == 2
        assert turns[1] - turns[0] == LONGEST_DAYS


@pytest.mark.sqlite
async def test_a_sparse_series_is_forecast_when_something_happened(engine: AsyncEngine) -> None:
    runtime, counting = VirtualRuntime(), Counting()
    await run_cycle(engine, runtime, counting, sites=["north"])
    while not {"bolt", "pin"}.isdisjoint(await night(engine, runtime, counting)):
        pass  # a day that is neither one's turn
    today = date.fromisoformat((await _origins(engine))[0])
    async with writing(engine, "north") as conn:
        await lanes.add(conn, schema.daily, [("north", "pin", today.isoformat(), 0, 4, 0, 0, 0, 0)])
    assert "pin" in await night(engine, runtime, counting)


async def _origins(engine: AsyncEngine) -> list[str]:
    c = schema.forecast.c
    async with reading(engine) as conn:
        return list((await conn.execute(select(c.origin_day).distinct().order_by(c.origin_day.desc()))).scalars())


@pytest.mark.sqlite
async def test_one_who_starts_a_long_cycle_does_not_wait_for_its_end(engine: AsyncEngine) -> None:
    class Slow(Counting):
        async def forecast(self, batch: Batch) -> Forecasts:
            await asyncio.sleep(10)
            return await super().forecast(batch)

    runtime = VirtualRuntime()
    quick, slow = Schedule(engine, runtime, Counting()), Schedule(engine, runtime, Slow())
    assert await quick.begin("request")
    await emptied(engine)
    assert not await slow.begin("request")
    with pytest.raises(BusyError):
        await slow.begin("request")
    await asyncio.sleep(12)
    assert not slow.running
    assert len(await stored(engine)) == 10
    await emptied(engine)
    assert not await slow.begin("request")
    await slow.stop()
    assert not slow.running


def test_the_command_runs_one_and_says_what_came_of_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/cloud.db"
    runner = CliRunner()
    assert runner.invoke(main, ["--database", url, "migrate"]).exit_code == 0
    told = runner.invoke(main, ["--database", url, "cycle", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["series"] == 0
    assert "0 series at 0 sites" in runner.invoke(main, ["--database", url, "cycle"]).stdout
