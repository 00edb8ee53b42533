"""The store: migrations give the schema, SQL runs on both engines, writers queue, readers see a snapshot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from headquarters import Headquarters
from sqlalchemy import create_engine, func, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from cloud.errors import BadInputError, ConflictError
from cloud.store import lanes, schema
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import check_version, migrate, newest


@pytest.mark.sqlite
async def test_migrations_give_exactly_the_schema(headquarters: Headquarters, tmp_path: Path) -> None:
    made = create_engine(f"sqlite:///{tmp_path / 'cloud.db'}")
    wanted = create_engine("sqlite://")
    schema.metadata.create_all(wanted)
    try:
        left, right = inspect(made), inspect(wanted)
        assert sorted(set(left.get_table_names()) - {"alembic_version"}) == sorted(right.get_table_names())
        for table in right.get_table_names():
            assert str(left.get_columns(table)) == str(right.get_columns(table)), table
            assert left.get_pk_constraint(table) == right.get_pk_constraint(table)
            key = str
            assert sorted(left.get_indexes(table), key=key) == sorted(right.get_indexes(table), key=key), table
        with made.connect() as connection:
            sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'ledger'").scalar_one()
        assert "WITHOUT ROWID" in sql
    finally:
        made.dispose()
        wanted.dispose()


def test_every_table_compiles_for_postgresql() -> None:
    for table in schema.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            assert "CREATE" in str(CreateIndex(index).compile(dialect=postgresql.dialect()))


def test_site_is_the_first_key_of_what_belongs_to_a_site() -> None:
    for table in schema.metadata.sorted_tables:
        keys = [column.name for column in table.primary_key]
        if "site_id" in keys:
            assert keys[0] == "site_id" or table.name == "user_role", table.name


async def test_migrating_twice_changes_nothing(headquarters: Headquarters) -> None:
    assert await migrate(headquarters.engine) == newest()
    await check_version(headquarters.engine)


async def test_an_empty_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    try:
        with pytest.raises(ConflictError, match="evercount-cloud migrate"):
            await check_version(engine)
    finally:
        await engine.dispose()
    with pytest.raises(BadInputError, match="mysql"):
        open_engine("mysql://x/y")


async def test_lanes_add_put_and_append(headquarters: Headquarters) -> None:
    table = schema.document_done
    async with writing(headquarters.engine) as conn:
        await lanes.append(conn, table, [("n", "D", 1, 5)])
        await lanes.add(conn, table, [("n", "D", 1, 2), ("n", "D", 2, 1), ("n", "D", 1, -1)])
        await lanes.put(conn, table, [("n", "D", 3, 9)])
        found = await lanes.select_in(
            conn, (table.c.line, table.c.quantity), "n", table.c.document, ["D"] * 700 + ["E"]
        )
    assert sorted(set(found)) == [(1, 6), (2, 1), (3, 9)]


async def test_a_failed_transaction_leaves_nothing_and_the_next_one_works(headquarters: Headquarters) -> None:
    async def failing() -> None:
        async with writing(headquarters.engine) as conn:
            await lanes.append(conn, schema.document_done, [("n", "D", 1, 5)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await headquarters.rows(schema.document_done) == []

    async def cancelled() -> None:
        async with writing(headquarters.engine) as conn:
            await lanes.append(conn, schema.document_done, [("n", "D", 1, 5)])
            await asyncio.sleep(10)

    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert await headquarters.rows(schema.document_done) == []
    async with writing(headquarters.engine) as conn:
        await lanes.append(conn, schema.document_done, [("n", "D", 1, 5)])
    assert len(await headquarters.rows(schema.document_done)) == 1


async def test_a_reader_sees_one_snapshot_while_a_writer_commits(headquarters: Headquarters) -> None:
    count = select(func.count()).select_from(schema.document_done)
    async with reading(headquarters.engine) as conn:
        assert (await conn.execute(count)).scalar_one() == 0
        async with writing(headquarters.engine) as other:
            await lanes.append(other, schema.document_done, [("n", "D", 1, 5)])
        assert (await conn.execute(count)).scalar_one() == 0
    assert len(await headquarters.rows(schema.document_done)) == 1


@pytest.mark.real
async def test_writers_on_real_threads_queue_in_order(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'cloud.db'}")
    try:
        await migrate(engine)

        async def write(number: int) -> None:
            async with writing(engine) as conn:
                await lanes.add(conn, schema.document_done, [("n", "D", 1, 1), ("n", "D", 2 + number, 1)])

        await asyncio.gather(*(write(number) for number in range(30)))
        async with reading(engine) as conn:
            total = (await conn.execute(select(func.sum(schema.document_done.c.quantity)))).scalar_one()
        assert total == 60
    finally:
        await engine.dispose()
