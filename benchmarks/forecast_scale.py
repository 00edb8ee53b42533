"""A decision cycle over many series: seconds per 1,000 by stage, peak memory, and a night on which few changed.

    python -m benchmarks.forecast_scale [--series 10000] [--items 5000] [--workers 1] [--ray local] [--nights 1]
    python -m benchmarks.forecast_scale --database URL of an empty database

Sites of `--items` items each, 731 days of drawn demand: 45 % intermittent, 35 % lumpy, 15 % erratic, 5 % smooth. The demand
is written straight into the tables; then the whole cycle runs as it does at headquarters: read, forecast in worker processes,
store, decide. Read, store and decide overlap with the workers' forecasting; `wall_s` is what somebody waits, `worker_cpu_s`
what the workers used, with their start. Then, on the same day, the demand of a tenth of the series changes; then nights pass.
Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud import cycle
from cloud.config import Forecasting
from cloud.forecasters import Workers, open_forecaster
from cloud.forecasts.forecast import Batch, Forecasts
from cloud.store import lanes, schema
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import migrate
from runtime import SystemRuntime
from runtime.clock import Clock

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
DAYS = 731
DAY_US = 86_400_000_000
#: class, share of the series, probability of demand on a day, coefficient of variation of its size
CLASSES = (
    ("intermittent", 0.45, 0.09, 0.4),
    ("lumpy", 0.35, 0.07, 1.3),
    ("erratic", 0.15, 0.55, 1.5),
    ("smooth", 0.05, 1.0, 0.3),
)


class Stages:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def timed(self, stage: str, job: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`job`, its time counted for `stage`."""

        async def run(*values: Any) -> Any:
            began = time.perf_counter()
            try:
                return await job(*values)
            finally:
                self.spent[stage] = self.spent.get(stage, 0.0) + time.perf_counter() - began

        return run


class Timed:
    """A forecaster whose batches are timed; workers that work beside each other count each for itself."""

    def __init__(self, forecaster: Workers, stages: Stages) -> None:
        self._forecaster, self._ask = forecaster, stages.timed("waiting for forecasts", forecaster.forecast)

    @property
    def at_once(self) -> int:
        return self._forecaster.at_once

    async def forecast(self, batch: Batch) -> Forecasts:
        return await self._ask(batch)

    async def close(self) -> None:
        await self._forecaster.close()


def clock_at(days: float) -> SystemRuntime:
    """A runtime that began so many days after START."""
    start = int(START.timestamp() * 1e6) + int(days * DAY_US)
    return SystemRuntime(Clock(start, time.time_ns() // 1_000, 1.0))


def demand(drawn: np.random.Generator, number: int, first: int, days: int) -> Iterator[tuple[str, int]]:
    """(day, quantity) of one series; its class follows from its number."""
    at = (number * 0.6180339887) % 1
    ends = np.cumsum([share for _, share, _, _ in CLASSES])
    _, _, chance, cv = CLASSES[min(int(np.searchsorted(ends, at, side="right")), len(CLASSES) - 1)]
    sigma = (np.log1p(cv**2)) ** 0.5
    sizes = np.maximum(1, np.round(drawn.lognormal(1.5, sigma, days))).astype(int)
    for offset in np.flatnonzero(drawn.random(days) < chance).tolist():
        yield (START.date() + timedelta(days=first + offset)).isoformat(), int(sizes[offset])


async def fill(engine: AsyncEngine, series: int, items: int) -> int:
    """Sites, items, terms, stock and demand; returns the rows of demand."""
    drawn = np.random.default_rng(1)
    count = 0
    async with writing(engine) as conn:
        names = [f"SKU-{item:06}" for item in range(items)]
        await conn.execute(schema.item.insert(), [{"id": name, "name": name} for name in names])
    for start in range(0, series, items):
        site = f"site-{start // items:03}"
        async with writing(engine, site) as conn:
            await conn.execute(schema.site.insert().values(id=site, zone="UTC"))
            await _fill_site(conn, site, start, min(items, series - start), drawn)
            count += await _demand_rows(conn, site, start, min(items, series - start), -DAYS, DAYS, drawn)
    return count


async def _fill_site(conn: Any, site: str, start: int, items: int, drawn: np.random.Generator) -> None:
    names = [f"SKU-{number:06}" for number in range(items)]
    term: dict[str, Any] = {"site_id": site, "price_micro": 2_500_000, "moq": 5, "pack": 5, "order_cost_minor": 2_000}
    term |= {"lead_time_days": 7.0, "lead_time_sd": 2.0}
    await conn.execute(schema.term.insert(), [term | {"item": name, "supplier": f"s{name[-2:]}"} for name in names])
    stock = drawn.integers(0, 120, items).tolist()
    await lanes.append(
        conn, schema.item_stock, [(site, name, there, there, None, 0) for name, there in zip(names, stock, strict=True)]
    )


async def _demand_rows(
    conn: Any, site: str, start: int, items: int, first: int, days: int, drawn: np.random.Generator
) -> int:
    rows: list[lanes.Row] = []
    count = 0
    for number in range(items):
        name = f"SKU-{number:06}"
        rows += [
            (site, name, day, 0, quantity, 0, 0, 0, 0) for day, quantity in demand(drawn, start + number, first, days)
        ]
        if len(rows) > 100_000 or number == items - 1:
            await lanes.append(conn, schema.daily, rows)
            count, rows = count + len(rows), []
    return count


async def change(engine: AsyncEngine, share: float) -> None:
    """One more unit on a day of last week, for a share of the series."""
    day = (START.date() - timedelta(days=5)).isoformat()
    drawn = random.Random(7)
    async with reading(engine) as conn:
        known = [
            tuple(row) for row in await conn.execute(select(schema.item_stock.c.site_id, schema.item_stock.c.item))
        ]
    rows: list[lanes.Row] = [(site, item, day, 0, 1, 0, 0, 0, 0) for site, item in known if drawn.random() < share]
    for site in sorted({str(row[0]) for row in rows}):
        async with writing(engine, site) as conn:
            await lanes.add(conn, schema.daily, [row for row in rows if row[0] == site])


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _rss(who: int) -> int:
    return round(resource.getrusage(who).ru_maxrss / 1024)


async def one_cycle(engine: AsyncEngine, forecaster: Workers, days: float, name: str) -> dict[str, Any]:
    """Run a cycle and say what it took."""
    stages = Stages()
    plain = cycle.series, cycle.in_force, cycle.store, cycle._decide  # pyright: ignore[reportPrivateUsage]
    cycle.series = stages.timed("read demand", plain[0])
    cycle.in_force = stages.timed("read forecasts that hold", plain[1])
    cycle.store = stages.timed("store", plain[2])
    cycle._decide = stages.timed("decide", plain[3])  # pyright: ignore[reportPrivateUsage]
    began, cpu, worked = time.perf_counter(), time.process_time(), _cpu(resource.RUSAGE_CHILDREN)
    try:
        report = await cycle.run_cycle(engine, clock_at(days), Timed(forecaster, stages))
    finally:
        cycle.series, cycle.in_force, cycle.store, cycle._decide = plain  # pyright: ignore[reportPrivateUsage]
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    await forecaster.close()  # what ended workers used can be read
    worked = _cpu(resource.RUSAGE_CHILDREN) - worked
    of = {"read demand": report.series, "read forecasts that hold": report.series, "decide": report.series}
    per = {
        stage: round(1_000 * spent / max(1, of.get(stage, report.forecast)), 3) for stage, spent in stages.spent.items()
    }
    told = {
        "run": name, "series": report.series, "forecast": report.forecast, "proposals": report.proposals.made,
        "wall_s": round(wall, 1), "wall_s_per_1000_series": round(1_000 * wall / max(1, report.series), 3),
        "own_cpu_s": round(cpu, 1), "worker_cpu_s": round(worked, 1), "s_per_1000_by_stage": per,
        "own_peak_rss_mb": _rss(resource.RUSAGE_SELF),
    }  # fmt: skip
    print(json.dumps(told), flush=True)
    return told


def _megabytes(folder: str) -> int:
    return round(sum(one.stat().st_size for one in Path(folder).iterdir()) / 1e6)


async def run(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        engine = open_engine(args.database or f"sqlite:///{folder}/scale.db")
        forecaster = open_forecaster(Forecasting(args.workers, args.ray))
        try:
            await migrate(engine)
            rows = await fill(engine, args.series, args.items)
            print(
                json.dumps({"series": args.series, "sites": -(-args.series // args.items), "rows_of_demand": rows}),
                flush=True,
            )
            await one_cycle(engine, forecaster, 0, "first")
            await one_cycle(engine, forecaster, 0.01, "nothing changed")
            await change(engine, 0.1)
            await one_cycle(engine, forecaster, 0.02, "a tenth changed, same day")
            drawn = np.random.default_rng(2)
            for night in range(args.nights):
                for start in range(0, args.series, args.items):
                    async with writing(engine, f"site-{start // args.items:03}") as conn:
                        await _demand_rows(
                            conn,
                            f"site-{start // args.items:03}",
                            start,
                            min(args.items, args.series - start),
                            night,
                            1,
                            drawn,
                        )
                await one_cycle(engine, forecaster, night + 1, f"night {night + 1}")
            async with reading(engine) as conn:
                sizes = select(func.count(), func.avg(func.length(schema.forecast.c.body)))
                count, size = (await conn.execute(sizes)).one()
        finally:
            await forecaster.close()
            await engine.dispose()
        told = {
            "forecasts_stored": count,
            "bytes_each": round(size),
            "largest_worker_peak_rss_mb": _rss(resource.RUSAGE_CHILDREN),
        }
        told["database_mb"] = 0 if args.database else _megabytes(folder)
        print(json.dumps(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=5_000, help="items of each site")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ray", default="", help='"local", "auto" or ray://...; needs the extra ray')
    parser.add_argument("--nights", type=int, default=1)
    parser.add_argument(
        "--database", default="", help="URL of an empty database, instead of an SQLite file made for the run"
    )
    parser.add_argument("--folder", default=None, help="where that file is made")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
