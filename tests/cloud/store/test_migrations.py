"""Migrations on both engines: up gives the tables that the program knows, down takes them away, up again works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import postgres
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.store import schema
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import downgrade, migrate, newest

pytestmark = pytest.mark.real


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An empty database without any table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'cloud.db'}"
    else:
        server: postgres.Server = request.getfixturevalue("postgres_server")
        url = server.new_database()
    opened = open_engine(url)
    yield opened
    await opened.dispose()


def _differences(connection: Connection) -> list[object]:
    exact = connection.dialect.name == "postgresql"  # SQLite's inspection quotes defaults; test_store.py compares those
    options = {"compare_type": True, "compare_server_default": exact}
    return compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)


async def test_up_down_and_up_again(engine: AsyncEngine) -> None:
    for _ in range(2):
        assert await migrate(engine) == newest()
        async with reading(engine) as conn:
            assert await conn.run_sync(_differences) == []
        async with writing(engine) as conn:
            await conn.execute(schema.site.insert().values(id="north"))
        await downgrade(engine, "base")
        async with reading(engine) as conn:
            assert await conn.run_sync(lambda one: inspect(one).get_table_names()) == ["alembic_version"]


async def test_a_step_back_keeps_what_the_older_version_knows(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with writing(engine) as conn:
        await conn.execute(schema.site.insert().values(id="north", name="Nord"))
    await downgrade(engine, "0001")
    await migrate(engine)
    async with reading(engine) as conn:
        assert (await conn.execute(select(schema.site.c.id, schema.site.c.name))).all() == [("north", "Nord")]


async def test_text_is_compared_by_its_bytes(engine: AsyncEngine) -> None:
    """The order of pages is the same on both engines, and no index depends on a system's locale."""
    await migrate(engine)
    names = ["a", "B", "_", "ä", "a-b", "ab"]
    async with writing(engine) as conn:
        for name in names:
            await conn.execute(schema.item.insert().values(id=name))
    async with reading(engine) as conn:
        found = list((await conn.execute(select(schema.item.c.id).order_by(schema.item.c.id))).scalars())
        assert found == sorted(names, key=str.encode)
        if engine.dialect.name == "postgresql":
            columns = await conn.exec_driver_sql(
                "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' "
                "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
            )
            assert list(columns.scalars()) == []
