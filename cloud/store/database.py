"""Opening headquarters' database: SQLite by default, PostgreSQL by its URL.

engine = open_engine("sqlite:///evercount.db")
async with reading(engine) as conn: ...          # a snapshot; never waits for a writer
async with writing(engine, "north") as conn: ... # one transaction, committed at the end, rolled back on an exception
await retrying(engine, runtime, job)             # `job` again where the database refused it for its neighbours' sake

SQLite has one writer at a time. On PostgreSQL transactions that change what belongs to a site lock that site's row first
and queue there; other sites' go on beside them, in this process and in others. Below that lock READ COMMITTED is right: each
statement sees what the transaction before it left. Readers have REPEATABLE READ, one snapshot as on SQLite.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from cloud.errors import BadInputError
from runtime import Runtime

T = TypeVar("T")

#: Connections kept by a process: SQLite has one writer, so these are readers' (long polls hold none).
POOL = 8
#: Further PostgreSQL connections of a process under load, closed when idle; one that finds none waits BUSY_S.
OVERFLOW = 8
#: Seconds that a statement waits for another transaction's lock (a backup, `evercount-cloud import` beside the server).
BUSY_S = 30
#: Seconds after which PostgreSQL ends a transaction whose process says nothing: its locks must not outlive a dead host.
IDLE_TRANSACTION_S = 300
#: Pages (4 KiB each) of write-ahead log before it is copied back: 32 MB, so that a catch-up does not copy all the time.
CHECKPOINT_PAGES = 8_000
#: KiB of page cache for each connection.
CACHE_KIB = 65_536

#: SQLSTATEs that say "the transaction was fine, its neighbours were not": serialization failure, deadlock.
CONTENTION = frozenset({"40001", "40P01"})
#: Times a transaction is tried in all; each wait doubles, so the last comes about 1.5 s after the first.
TRIES = 6
#: Seconds of the first wait before another try, at most (full jitter).
FIRST_WAIT_S = 0.05

_WRITER, _RETRIES = "evercount_writer", "evercount_retries"


@dataclass(slots=True)
class Retries:
    """How often this process's transactions were tried again, and how many were given up."""

    again: int = 0
    given_up: int = 0


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
        settings = {
            "application_name": "evercount-cloud",
            "synchronous_commit": "on",  # an acknowledgement means that the rows are on the disk
            "lock_timeout": f"{BUSY_S}s",
            "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_S}s",
            "jit": "off",  # our queries are short: compiling them costs more than it brings
        }
        engine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"),
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_timeout=BUSY_S,
            isolation_level="READ COMMITTED",
            connect_args={"server_settings": settings},
        )
        return _prepare_postgresql(engine)
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
    # inside a process writers queue in order instead of polling the database
    return engine.execution_options(**{_WRITER: asyncio.Lock(), _RETRIES: Retries()})


def _prepare_postgresql(engine: AsyncEngine) -> AsyncEngine:
    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # sum(bigint) is numeric there and an integer on SQLite: our sums are integers on both
        run_async = cast(Callable[[Callable[[Any], Awaitable[None]]], None], cast(Any, connection).run_async)
        run_async(
            lambda driver: driver.set_type_codec(
                "numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text"
            )
        )

    event.listen(engine.sync_engine, "connect", on_connect)
    return engine.execution_options(**{_RETRIES: Retries()})


def _number(text: str) -> int | float:
    return float(text) if "." in text or "N" in text else int(text)


def is_postgresql(engine: AsyncEngine | AsyncConnection) -> bool:
    """Whether several processes may share the database, each statement beside others'."""
    return engine.dialect.name == "postgresql"


def retries_of(engine: AsyncEngine) -> Retries:
    """What `retrying` counted on this engine."""
    return cast(Retries, engine.get_execution_options()[_RETRIES])


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """A connection; a server that cannot be reached is an OperationalError, as a statement's failure would be."""
    try:
        conn = await engine.connect()
    except OSError as error:
        raise OperationalError("connect", None, error) from error
    try:
        yield conn
    finally:
        await conn.close()


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """A connection that sees one snapshot; what it changes is rolled back (PostgreSQL refuses it)."""
    async with _connected(engine) as conn:
        if is_postgresql(engine):
            yield await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            yield conn


@asynccontextmanager
async def writing(engine: AsyncEngine, *sites: str) -> AsyncGenerator[AsyncConnection, None]:
    """One transaction with the right to write: committed at the end, rolled back on an exception.

    `sites` are those whose documents, stock or settings it reads and changes; "" is every site; none where it changes
    nothing of a site.
    """
    if is_postgresql(engine):
        async with _connected(engine) as conn, conn.begin():
            await lock_sites(conn, *sites)
            yield conn
        return
    lock: asyncio.Lock = engine.get_execution_options()[_WRITER]
    async with lock, _connected(engine) as conn:
        writer = await conn.execution_options(writes=True)
        async with writer.begin():
            yield writer


async def lock_sites(conn: AsyncConnection, *sites: str) -> None:
    """Make this transaction the only one that changes `sites` ("" = every site); on SQLite it is the only one anyway."""
    if not is_postgresql(conn):
        return
    if not sites:
        await conn.exec_driver_sql("SELECT 1")  # begins the transaction: COPY alone would not
    elif "" in sites:
        await conn.exec_driver_sql("SELECT id FROM site ORDER BY id FOR UPDATE")
    else:
        for site_id in sorted(set(sites)):
            await conn.exec_driver_sql("SELECT id FROM site WHERE id = $1 FOR UPDATE", (site_id,))


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of what a statement failed with; "" where there is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")


def is_bad_value(error: BaseException) -> bool:
    """Whether a value could not be stored as it was (SQLSTATE class 22): trying again brings nothing."""
    return sqlstate(error).startswith("22")


async def retrying(engine: AsyncEngine, runtime: Runtime, job: Callable[[], Awaitable[T]]) -> T:
    """Run `job`, one whole transaction, and again where it met another's (SQLSTATE 40001, 40P01); bounded and counted."""
    counts, wait_s = retries_of(engine), FIRST_WAIT_S
    for left in range(TRIES - 1, -1, -1):
        try:
            return await job()
        except DBAPIError as error:
            if sqlstate(error) not in CONTENTION:
                raise
            if not left:
                counts.given_up += 1
                raise
            counts.again += 1
        await asyncio.sleep(runtime.random(f"retry {counts.again}").uniform(0, wait_s))
        wait_s *= 2
    raise AssertionError("unreachable: the last try returns or raises")
