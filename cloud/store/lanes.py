"""The fast lanes into the store: many rows in one statement, as plain tuples; COPY where PostgreSQL offers it.

SQL is written once per table and engine; everything else in headquarters uses SQLAlchemy's expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, cast

from sqlalchemy import Column, Table
from sqlalchemy.ext.asyncio import AsyncConnection

Value = str | int | float | bytes | bool | None
Row = Sequence[Value]


class _CopyConnection(Protocol):
    """What asyncpg's connection offers and its lack of types hides."""

    async def copy_records_to_table(self, table: str, *, records: Sequence[Row], columns: Sequence[str]) -> str: ...


async def append(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows` (a value for each column, in the table's order). Raises IntegrityError where a key exists."""
    if not rows:
        return
    if conn.dialect.name == "postgresql":
        raw = await conn.get_raw_connection()
        driver = cast(_CopyConnection, raw.driver_connection)
        await driver.copy_records_to_table(table.name, records=rows, columns=table.columns.keys())
        return
    await conn.exec_driver_sql(_insert(table, conn.dialect.paramstyle, "fail"), [tuple(row) for row in rows])


async def put(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert or replace `rows` (a value for each column, in the table's order)."""
    if rows:
        await conn.exec_driver_sql(_insert(table, conn.dialect.paramstyle, "replace"), [tuple(row) for row in rows])


async def add(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows`, or add their values outside the key to what stands there."""
    if rows:
        await conn.exec_driver_sql(_insert(table, conn.dialect.paramstyle, "add"), [tuple(row) for row in rows])


@lru_cache(maxsize=128)
def _insert(table: Table, style: str, conflict: str) -> str:
    names = table.columns.keys()
    marks = ["?" if style == "qmark" else f"${number}" for number in range(1, len(names) + 1)]
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(marks)})"
    if conflict == "fail":
        return statement
    keys = [column.name for column in table.primary_key]
    rest = [name for name in names if name not in keys]
    old = f"{table.name}." if conflict == "add" else ""
    changes = [f"{name} = {old}{name} + excluded.{name}" if old else f"{name} = excluded.{name}" for name in rest]
    return f"{statement} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(changes)}"


#: Values in one IN list: SQLite allows 32,766 parameters; larger lists bring nothing.
IN_LIST = 500


async def select_in(
    conn: AsyncConnection, columns: Sequence[Column[Any]], site_id: str, key: Column[Any], values: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The `columns` of a site's rows whose `key` is one of `values`; lists are padded so that few statements are prepared."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(values), IN_LIST):
        part = list(values[start : start + IN_LIST])
        size = next(size for size in (8, 64, IN_LIST) if size >= len(part))
        part += part[-1:] * (size - len(part))
        statement = _select(
            tuple(column.name for column in columns), key.table.name, key.name, size, conn.dialect.paramstyle
        )
        found += [tuple(row) for row in await conn.exec_driver_sql(statement, (site_id, *part))]
    return found


@lru_cache(maxsize=128)
def _select(columns: tuple[str, ...], table: str, key: str, size: int, style: str) -> str:
    marks = ["?" if style == "qmark" else f"${number}" for number in range(1, size + 2)]
    return f"SELECT {', '.join(columns)} FROM {table} WHERE site_id = {marks[0]} AND {key} IN ({', '.join(marks[1:])})"
