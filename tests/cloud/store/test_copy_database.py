"""`copy-database`: SQLite to PostgreSQL and back, whole or not at all, and the copy says the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import postgres
import pytest
from click.testing import CliRunner, Result
from headquarters import BIN, DOCK, SUPPLIER, movement, open_headquarters
from virtual import START_US, VirtualRuntime

from cloud.__main__ import main
from cloud.store import schema
from cloud.store.database import open_engine, writing
from vocabulary.movement import Content, UnitEntry

pytestmark = pytest.mark.real


async def _past(path: Path) -> None:
    """A site with goods, a person and an audit log."""
    async with open_headquarters(path, VirtualRuntime()) as headquarters:
        await headquarters.add_site()
        gateway = await headquarters.add_gateway()
        unit = UnitEntry("01/09506000134352.1", holds=(Content("Ä", 5),))
        gateway.record(movement("receiving", SUPPLIER, DOCK, START_US, [("Ä", 5)], units=(unit,)))
        gateway.record(movement("storing", DOCK, BIN, START_US, [("Ä", 5)], units=(UnitEntry(unit.unit),)))
        assert (await gateway.push()).status_code == 200
        await headquarters.key()


def copy(source: str, target: str) -> Result:
    return CliRunner().invoke(main, ["copy-database", source, target, "--json"])


def test_there_and_back_again(tmp_path: Path, postgres_server: postgres.Server) -> None:
    first, second, third = (
        f"sqlite:///{tmp_path / 'a.db'}",
        postgres_server.new_database(),
        f"sqlite:///{tmp_path / 'b.db'}",
    )
    asyncio.run(_past(tmp_path / "a.db"))
    there, back = copy(first, second), copy(second, third)
    assert (there.exit_code, back.exit_code) == (0, 0), (there.output, back.output)
    told = [json.loads(one.output.splitlines()[-1]) for one in (there, back)]
    assert told[0] == told[1]
    assert told[0]["differences"] == []
    rows = {one["table"]: one["rows"] for one in told[0]["tables"]}
    assert (rows["ledger"], rows["site"], rows["gateway"], rows["api_key"], rows["audit"]) == (2, 1, 1, 1, 3)

    again = copy(first, second)
    assert again.exit_code == 2
    assert "the target is not empty" in again.output


def test_a_copy_that_fails_leaves_the_target_empty(tmp_path: Path, postgres_server: postgres.Server) -> None:
    source, target = f"sqlite:///{tmp_path / 'a.db'}", postgres_server.new_database()
    asyncio.run(_past(tmp_path / "a.db"))

    async def spoil(name: str) -> None:
        engine = open_engine(source)
        async with writing(engine) as conn:
            await conn.execute(schema.supplier.update().values(name=name))
            if name != "good":
                await conn.execute(schema.supplier.insert().values(id="s", name=name))
        await engine.dispose()

    asyncio.run(spoil("a\0b"))
    failed = copy(source, target)
    assert failed.exit_code == 2
    assert "table supplier" in failed.output
    assert "U+0000" in failed.output
    asyncio.run(spoil("good"))
    assert copy(source, target).exit_code == 0


def test_a_mistyped_source_is_named_and_not_made(tmp_path: Path) -> None:
    source = tmp_path / "typo.db"
    done = CliRunner().invoke(main, ["copy-database", f"sqlite:///{source}", f"sqlite:///{tmp_path / 'new.db'}"])
    assert done.exit_code == 2
    assert f"{source}: there is no such file" in done.output
    assert not source.exists()
