"""A campaign that somebody enters moves the fan and the proposals the same night; what-if tells it beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from math import log
from pathlib import Path

import msgspec
import pytest
from cycle_store import TODAY, add_demand, add_item, add_site, add_term, empty_engine, set_stock
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.cycle import run_cycle
from cloud.errors import BadInputError, NotFoundError
from cloud.forecasters import InlineForecaster
from cloud.forecasts.forecast import Driver, Forecast
from cloud.situations.drivers import PRICE, site_drivers
from cloud.situations.sites import site_settings
from cloud.situations.whatif import Change, WhatIf, what_if
from cloud.store import lanes, plans, schema
from cloud.store.database import reading, writing

DAY_US = 86_400_000_000


def day(ahead: int) -> str:
    return (TODAY + timedelta(days=ahead)).isoformat()


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    """North sells tea and cups, south tea; half a year of demand."""
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        for item in ("tea", "cup"):
            await add_item(conn, item)
        for site, item in (("north", "tea"), ("north", "cup"), ("south", "tea")):
            if item == "tea":
                await add_site(conn, site)
            await add_term(conn, site, item, lead_time_days=6.0, lead_time_sd=0.0)
            await add_demand(conn, site, item, 30, 180)
            await set_stock(conn, site, item, 330)
    yield engine
    await engine.dispose()


async def plan(
    conn: AsyncConnection, first: int, last: int, uplift: int, item: str = "tea", site: str = "north"
) -> None:
    row = (site, "C-1", item, "Tea week", day(first), day(last), uplift, START_US)
    await lanes.put(conn, plans.campaign, [row])


async def cycle(engine: AsyncEngine, runtime: VirtualRuntime) -> int:
    """Run one, a minute after the last; returns how many series were forecast."""
    runtime.start_us += 60_000_000
    return (await run_cycle(engine, runtime, InlineForecaster())).forecast


async def forecasts(engine: AsyncEngine) -> dict[tuple[str, str], Forecast]:
    f = schema.forecast.c
    async with reading(engine) as conn:
        bodies = (await conn.execute(select(f.body).where(f.latest))).scalars().all()
    made = [msgspec.json.decode(body, type=Forecast) for body in bodies]
    return {(one.site, one.item): one for one in made}


async def supposed(engine: AsyncEngine, change: Change) -> WhatIf:
    async with reading(engine) as conn:
        north = (await site_settings(conn, START_US, ["north"]))[0]
        return await what_if(conn, north, "tea", change)


async def test_a_campaign_moves_the_fan_and_the_order_and_only_its_series(engine: AsyncEngine) -> None:
    runtime = VirtualRuntime()
    assert await cycle(engine, runtime) == 3
    before = await forecasts(engine)
    async with writing(engine) as conn:
        await plan(conn, 2, 4, 800)
    assert await cycle(engine, runtime) == 1
    after = await forecasts(engine)
    assert after["south", "tea"] == before["south", "tea"]
    tea, plain = after["north", "tea"], before["north", "tea"]
    medians = [one[2] for one in tea.fan]
    assert min(medians[2:5]) > 1.5 * max(*medians[:2], *medians[5:])
    assert tea.mean == pytest.approx(plain.mean * (1 + 3 * 0.8 / 7), rel=0.02)
    assert tea.quantile(0.95) > 1.2 * plain.quantile(0.95)
    assert tea.drivers[0].reason == "enters: no past campaign to judge by: the planned +80 % is taken"
    async with reading(engine) as conn:
        r = schema.recommendation.c
        rows = await conn.execute(select(r.site_id, r.item).where(r.state == "proposed"))
        assert ("north", "tea") in {tuple(row) for row in rows}
    assert await cycle(engine, runtime) == 0


async def test_what_if_foretells_what_the_next_cycle_makes_of_it(engine: AsyncEngine) -> None:
    runtime = VirtualRuntime()
    async with writing(engine) as conn:
        await plan(conn, 2, 4, 800)
    await cycle(engine, runtime)
    moved = await supposed(engine, Change("C-1", days=7, uplift=400))
    gone = await supposed(engine, Change("C-1", left_out=True))
    standing = (await forecasts(engine))["north", "tea"]
    assert moved.before.quantiles == standing.quantiles == gone.before.quantiles
    assert moved.after.mean < 0.8 * moved.before.mean
    async with writing(engine) as conn:
        await plan(conn, 9, 11, 400)
    await cycle(engine, runtime)
    made = (await forecasts(engine))["north", "tea"]
    assert moved.after.mean == pytest.approx(made.mean, rel=0.005)
    assert moved.after.quantiles == pytest.approx(made.quantiles, rel=0.02)
    for foretold, came in zip(moved.after.fan, made.fan, strict=True):
        assert foretold == pytest.approx(came, rel=0.06, abs=0.5)
    async with writing(engine) as conn:
        await conn.execute(plans.campaign.delete())
    await cycle(engine, runtime)
    made = (await forecasts(engine))["north", "tea"]
    assert gone.after.mean == pytest.approx(made.mean, rel=0.005)


async def test_what_cannot_be_supposed_is_said(engine: AsyncEngine) -> None:
    runtime = VirtualRuntime()
    async with writing(engine) as conn:
        await plan(conn, 2, 4, 300, item="cup")
    with pytest.raises(NotFoundError, match="no forecast of tea"):
        await supposed(engine, Change("C-1"))
    await cycle(engine, runtime)
    with pytest.raises(NotFoundError, match="no campaign C-1 concerns tea"):
        await supposed(engine, Change("C-1"))
    with pytest.raises(BadInputError, match="365 days"):
        await supposed(engine, Change("C-1", days=400))


async def test_plans_become_drivers_with_the_day_they_were_known_on(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await lanes.put(
            conn,
            plans.campaign,
            [
                ("", "ALL", "", "Everywhere", day(-40), day(-39), 100, START_US),  # put in afterwards
                ("north", "A", "tea", "", day(3), day(5), 500, START_US - 9 * DAY_US),
                ("north", "B", "tea", "", day(5), day(6), 200, START_US - 5 * DAY_US),
                ("south", "S", "tea", "", day(3), day(5), 500, START_US),
            ],
        )
        prices = [(-20, 2_000_000, -30), (-10, 4_000_000, -30), (9, 1_000_000, -2)]
        rows: list[lanes.Row] = [
            ("north", "tea", day(at), price, "EUR", START_US + known * DAY_US) for at, price, known in prices
        ]
        await lanes.put(conn, plans.price_plan, rows)
        await lanes.put(
            conn, plans.indicator, [("", "price", "", day(-1), 7.5, ""), ("", "price", "", day(1), 8.5, day(1))]
        )
        north = (await site_settings(conn, START_US, ["north"]))[0]
        found = {(one.name, one.site, one.item): one for one in await site_drivers(conn, north)}
    at = TODAY.toordinal()
    everywhere, tea = found["campaigns", "", ""], found["campaigns", "north", "tea"]
    assert (everywhere.dates, everywhere.since, everywhere.expected) == ((at - 40, at - 39), (0, 0), True)
    assert tea.dates == (at + 3, at + 4, at + 5, at + 6)
    assert tea.values == pytest.approx((log(1.5), log(1.5), log(1.5 * 1.2), log(1.2)))
    assert tea.since == (at - 9, at - 9, at - 5, at - 5)
    price = found[PRICE, "north", "tea"]
    mean = (log(2e6) + log(4e6)) / 2
    assert price.values == pytest.approx((log(2e6) - mean, log(4e6) - mean, log(1e6) - mean))
    assert (price.holds, price.since) == (True, (at - 30, at - 30, at - 2))
    assert found["price (indicator)", "", ""] == Driver(
        "price (indicator)", (at - 1, at + 1), (7.5, 8.5), (False, True)
    )
    assert not any(site == "south" for _, site, _ in found)
