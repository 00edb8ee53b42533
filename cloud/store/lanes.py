"""The fast lanes into the store: many rows in one statement, as plain tuples.

SQL is written once per table and engine; everything else in headquarters uses SQLAlchemy's expressions. On SQLite the lanes
are executemany; on PostgreSQL appending is COPY, the others are one statement over one array for each column, with the site
as a parameter of its own: a distributed PostgreSQL sees one `site_id` for each statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, cast

from sqlalchemy import BigInteger, Boolean, Column, Float, LargeBinary, Table
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.database import sqlstate

Value = str | int | float | bytes | bool | None
Row = Sequence[Value]


class _CopyConnection(Protocol):
    """What asyncpg's connection offers and its lack of types hides."""

    async def copy_records_to_table(self, table: str, *, records: Sequence[Row], columns: Sequence[str]) -> str: ...


async def append(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows` (a value for each column, in the table's order). Raises IntegrityError where a key exists."""
    if not rows:
        return
    if conn.dialect.name != "postgresql":
        await conn.exec_driver_sql(_insert(table, "fail"), [tuple(row) for row in rows])
        return
    raw = await conn.get_raw_connection()
    driver = cast(_CopyConnection, raw.driver_connection)
    try:
        await driver.copy_records_to_table(table.name, records=rows, columns=table.columns.keys())
    except Exception as error:  # COPY goes past SQLAlchemy, which would have wrapped it
        if not (state := sqlstate(error)):
            raise
        kind = IntegrityError if state.startswith("23") else DBAPIError
        raise kind(f"COPY {table.name}", None, error) from error


async def put(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert or replace `rows` (a value for each column, in the table's order); of rows with one key the last counts."""
    if not rows:
        return
    if conn.dialect.name != "postgresql":
        await conn.exec_driver_sql(_insert(table, "replace"), [tuple(row) for row in rows])
        return
    places = _key_places(table)
    await _merge(conn, table, "replace", list({tuple(row[place] for place in places): row for row in rows}.values()))


async def add(conn: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows`, or add their values outside the key to what stands there."""
    if not rows:
        return
    if conn.dialect.name != "postgresql":
        await conn.exec_driver_sql(_insert(table, "add"), [tuple(row) for row in rows])
        return
    places = _key_places(table)
    keys, rest = len(places), len(table.columns) - len(places)
    sums: dict[Row, list[int]] = {}
    for row in rows:  # tables of sums begin with their key
        total = sums.setdefault(tuple(row[:keys]), [0] * rest)
        for index in range(rest):
            total[index] += cast(int, row[keys + index])
    await _merge(conn, table, "add", [(*key, *total) for key, total in sums.items()])


async def _merge(conn: AsyncConnection, table: Table, conflict: str, rows: Sequence[Row]) -> None:
    """One INSERT .. SELECT FROM unnest for the rows of each site; their keys differ."""
    if table.columns[0].name != "site_id":
        columns = [list(column) for column in zip(*rows, strict=True)]
        await conn.exec_driver_sql(_unnest(table, conflict, 0), tuple(columns))
        return
    by_site: dict[Value, list[Row]] = {}
    for row in rows:
        by_site.setdefault(row[0], []).append(row)
    for site_id, mine in by_site.items():
        columns = [list(column) for column in zip(*mine, strict=True)]
        await conn.exec_driver_sql(_unnest(table, conflict, 1), (site_id, *columns[1:]))


@lru_cache(maxsize=128)
def _key_places(table: Table) -> tuple[int, ...]:
    names = table.columns.keys()
    return tuple(names.index(column.name) for column in table.primary_key)


def _array_type(column: Column[Any]) -> str:
    if isinstance(column.type, BigInteger):
        return "bigint[]"
    if isinstance(column.type, Boolean):
        return "boolean[]"
    if isinstance(column.type, Float):
        return "double precision[]"
    return "bytea[]" if isinstance(column.type, LargeBinary) else "text[]"


@lru_cache(maxsize=128)
def _unnest(table: Table, conflict: str, scalars: int) -> str:
    """The first `scalars` columns are one value for all rows."""
    columns = list(table.columns)
    values = ["$1"] * scalars + [f"u.{column.name}" for column in columns[scalars:]]
    arrays = [f"${number + 1}::{_array_type(column)}" for number, column in enumerate(columns) if number >= scalars]
    names = ", ".join(column.name for column in columns)
    rest = ", ".join(column.name for column in columns[scalars:])
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {', '.join(values)} FROM unnest({', '.join(arrays)}) AS u ({rest})"
        + _on_conflict(table, conflict)
    )


@lru_cache(maxsize=128)
def _insert(table: Table, conflict: str) -> str:
    names = table.columns.keys()
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
    return statement if conflict == "fail" else statement + _on_conflict(table, conflict)


def _on_conflict(table: Table, conflict: str) -> str:
    keys = [column.name for column in table.primary_key]
    rest = [name for name in table.columns.keys() if name not in keys]  # noqa: SIM118 - a collection, not a dict
    old = f"{table.name}." if conflict == "add" else ""
    changes = [f"{name} = {old}{name} + excluded.{name}" if old else f"{name} = excluded.{name}" for name in rest]
    return f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(changes)}"


#: Values in one IN list: SQLite allows 32,766 parameters; larger lists bring nothing.
IN_LIST = 500


async def select_in(
    conn: AsyncConnection, columns: Sequence[Column[Any]], site_id: str, key: Column[Any], values: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The `columns` of a site's rows whose `key` is one of `values`; lists are padded so that few statements are prepared."""
    names = tuple(column.name for column in columns)
    if conn.dialect.name == "postgresql":
        if not values:
            return []
        statement = (
            f"SELECT {', '.join(names)} FROM {key.table.name} WHERE site_id = $1 AND {key.name} = ANY($2::text[])"
        )
        return [tuple(row) for row in await conn.exec_driver_sql(statement, (site_id, list(values)))]
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(values), IN_LIST):
        part = list(values[start : start + IN_LIST])
        size = next(size for size in (8, 64, IN_LIST) if size >= len(part))
        part += part[-1:] * (size - len(part))
        statement = _select(names, key.table.name, key.name, size)
        found += [tuple(row) for row in await conn.exec_driver_sql(statement, (site_id, *part))]
    return found


@lru_cache(maxsize=128)
def _select(columns: tuple[str, ...], table: str, key: str, size: int) -> str:
    marks = ", ".join("?" * size)
    return f"SELECT {', '.join(columns)} FROM {table} WHERE site_id = ? AND {key} IN ({marks})"
