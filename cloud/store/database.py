"""Opening headquarters' database: SQLite by default, PostgreSQL by its URL; one writer at a time, many readers.

engine = open_engine("sqlite:///evercount.db")
async with reading(engine) as conn: ...      # a snapshot; never waits for a writer
async with writing(engine) as conn: ...      # one transaction, committed at the end, rolled back on an exception
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from cloud.errors import BadInputError

#: Connections kept: SQLite has one writer, so these are readers' (long polls hold none).
POOL = 8
#: Seconds that a statement waits for another process's lock (a backup, `evercount-cloud import` beside the server).
BUSY_S = 30
#: Pages (4 KiB each) of write-ahead log before it is copied back: 32 MB, so that a catch-up does not copy all the time.
CHECKPOINT_PAGES = 8_000
#: KiB of page cache for each connection.
CACHE_KIB = 65_536

_WRITER = "evercount_writer"


def open_engine(url: str) -> AsyncEngine:
    """The engine for `url` (`sqlite:///path` or `postgresql://...`). Raises BadInputError for another kind of URL."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        engine = create_async_engine(
            parsed.set(drivername="sqlite+aiosqlite"),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=POOL,
            connect_args={"timeout": BUSY_S, "isolation_level": None},
        )
        return prepare_sqlite(engine)
    if backend == "postgresql":
        return with_writer(create_async_engine(parsed.set(drivername="postgresql+asyncpg"), pool_size=POOL))
    raise BadInputError(f"{backend} databases are not supported; use sqlite:///FILE or postgresql://...")


def prepare_sqlite(engine: AsyncEngine) -> AsyncEngine:
    """Give an SQLite engine its durability and its own transactions; for engines that a test made, too."""

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA synchronous")
        row = cursor.fetchone()
        if row is None or row[0] != 2:
            raise RuntimeError("SQLite did not accept synchronous=FULL: commits would not survive a power cut")
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        # A transaction that means to write takes the lock at once: one that upgraded later could be refused half-way.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    sync: Engine = engine.sync_engine
    event.listen(sync, "connect", on_connect)
    event.listen(sync, "begin", on_begin)
    return with_writer(engine)


def with_writer(engine: AsyncEngine) -> AsyncEngine:
    """Give `engine` the lock behind `writing`: inside a process writers queue in order instead of polling the database."""
    return engine.execution_options(**{_WRITER: asyncio.Lock()})


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """A connection that sees one snapshot; what it changes is rolled back."""
    async with engine.connect() as conn:
        yield conn


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """One transaction with the right to write: committed at the end, rolled back on an exception."""
    lock: asyncio.Lock = engine.get_execution_options()[_WRITER]
    async with lock, engine.connect() as conn:
        writer = await conn.execution_options(writes=True)
        async with writer.begin():
            yield writer
