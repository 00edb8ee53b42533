"""A small headquarters for tests of the decision cycle: tables in memory, two sites, a year of demand."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from cloud.store import lanes, schema
from cloud.store.columns import metadata
from cloud.store.database import open_engine, prepare_sqlite, writing

#: the business day of tests.virtual.START_US
TODAY = date(2026, 1, 5)


async def empty_engine(database: Path | str) -> AsyncEngine:
    """All tables, empty: in one connection's memory on SQLite, else at the URL."""
    if isinstance(database, str):
        return open_engine(database)
    engine = prepare_sqlite(create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool))
    async with writing(engine) as conn:
        await conn.run_sync(metadata.create_all)
    return engine


async def add_site(conn: AsyncConnection, site: str, **settings: int | str) -> None:
    await conn.execute(schema.site.insert().values(id=site, zone="UTC", **settings))


async def add_item(conn: AsyncConnection, item: str) -> None:
    await conn.execute(schema.item.insert().values(id=item, name=item))


async def add_term(conn: AsyncConnection, site: str, item: str, **terms: int | str | float) -> None:
    given: dict[str, int | str | float] = {
        "supplier": "acme", "price_micro": 2_000_000, "moq": 20, "pack": 10, "lead_time_days": 5.0, "lead_time_sd": 1.0,
        "order_cost_minor": 1_000,
    }  # fmt: skip
    await conn.execute(schema.term.insert().values(site_id=site, item=item, **(given | terms)))


async def set_stock(conn: AsyncConnection, site: str, item: str, available: int) -> None:
    await lanes.put(conn, schema.item_stock, [(site, item, available, available, None, 0)])


async def add_demand(
    conn: AsyncConnection, site: str, item: str, mean: float, days: int = 365, seed: int = 1, *, figure: str = "issued"
) -> list[int]:
    """`days` days of demand up to yesterday, about `mean` a day; returns them."""
    drawn = random.Random(f"{seed}{site}{item}")
    quantities = [max(0, round(drawn.gauss(mean, mean**0.5))) for _ in range(days)]
    rows: list[lanes.Row] = []
    for back, quantity in zip(range(days, 0, -1), quantities, strict=True):
        day = (TODAY - timedelta(days=back)).isoformat()
        ordered, issued = (quantity, 0) if figure == "ordered" else (0, quantity)
        if quantity:
            rows.append((site, item, day, ordered, issued, 0, 0, 0, 0))
    await lanes.put(conn, schema.daily, rows)
    return quantities
