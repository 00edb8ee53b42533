"""With real programs: one command replaces a dead gateway, a second one brings back what its card still held."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from takeover_help import SECOND, crossing, moving, pallet_id, truth, units

from cloud.store import schema
from cloud.store.database import open_engine, writing
from cloud.store.migrate import migrate
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.http import Cloud
from gateway.sync.identity import load_enrolment, load_or_make_identity
from gateway.sync.uplink import Uplink
from gateway.transactions.intents import AnyIntent
from runtime import SystemRuntime
from vocabulary.wire import Status

ROOT = Path(__file__).parents[3]
#: Seconds that a program may take to start or to answer on a machine that is busy with other tests.
PATIENCE_S = 60.0


async def command(module: str, *words: str | Path | int) -> str:
    """Run a program to its end; what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *map(str, words), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, (words, errors.decode())
    return out.decode()


@asynccontextmanager
async def running(log: Path, module: str, *words: str | Path | int) -> AsyncIterator[None]:
    """A program for as long as the block lasts."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *map(str, words), cwd=ROOT, stdout=errors, stderr=errors
        )
        try:
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


async def until(look: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.1)


async def record(folder: Path, url: str, told: list[AnyIntent], untold: list[AnyIntent]) -> None:
    """The gateway that will die: `told` reaches headquarters, `untold` its card alone."""
    runtime = SystemRuntime()
    cloud = Cloud(url, load_or_make_identity(folder, runtime), runtime)
    writer, reader = (
        await LedgerWriter.open(folder / "ledger.db", runtime),
        await LedgerReader.open(folder / "ledger.db"),
    )
    site = load_enrolment(folder).enrolled.site
    uplink = Uplink(cloud, site, writer, reader, runtime, lambda: Status(runtime.now(), "test", writer.head.seq))
    for intent in told:
        await writer.submit(intent)
    pushing = asyncio.create_task(uplink.run())
    await until(lambda: uplink.acked > 0 and not uplink.behind)
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)
    for intent in untold:
        await writer.submit(intent)
    await reader.close()
    await writer.close()
    await cloud.close()


def balances(database: Path) -> dict[tuple[str, ...], int]:
    """Headquarters' water and where it is, in the building."""
    sql = "SELECT place, item, quantity FROM balance WHERE quantity <> 0 AND place NOT IN ('unknown', 'customer')"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return {(place, item): quantity for place, item, quantity in connection.execute(sql)}


@pytest.mark.real
async def test_a_dead_gateway_is_replaced_and_its_card_salvaged(tmp_path: Path, unused_tcp_port: int) -> None:
    database, url = tmp_path / "cloud.db", f"http://127.0.0.1:{unused_tcp_port}"
    (tmp_path / "cloud.toml").write_text(f'[database]\nurl = "sqlite:///{database}"\n[cycle]\nevery_minutes = 0\n')
    engine = open_engine(f"sqlite:///{database}")
    await migrate(engine)
    async with writing(engine) as conn:
        await conn.execute(schema.site.insert().values(id="north", name="North", zone="UTC"))
        await conn.execute(schema.item.insert().values(id="water", name="Water", unit="H87"))
    await engine.dispose()
    for name in ("old", "new"):
        (tmp_path / f"{name}.toml").write_text(
            f'[ledger]\nfolder = "{tmp_path / name}"\n[cloud]\nurl = "{url}"\n[station]\nport = 0\n'
        )

    async def enrol(name: str, *more: str) -> str:
        made = await command("cloud", "--config", tmp_path / "cloud.toml", "enrolment-code", "north", *more)
        code = next(word for word in made.split() if word.count("-") >= 4)
        return await command("gateway", "enrol", "--config", tmp_path / f"{name}.toml", "--cloud", url, "--code", code)

    serve = ("--config", tmp_path / "cloud.toml", "serve", "--port", unused_tcp_port)
    async with running(tmp_path / "cloud.log", "cloud", *serve):
        await until(lambda: b"serving http" in (tmp_path / "cloud.log").read_bytes())
        await enrol("old")
        now = SystemRuntime().now() - 600 * SECOND
        told: list[AnyIntent] = [crossing(now + number * SECOND, "in", units(number)) for number in (1, 2, 3)]
        untold: list[AnyIntent] = [
            moving(now + 60 * SECOND, "bin-1", pallet_id(1)),
            crossing(now + 70 * SECOND, "out", units(2)),
            crossing(now + 80 * SECOND, "in", units(4)),
        ]
        await record(tmp_path / "old", url, told, untold)
        assert "what the site holds is recorded" in await enrol("new", "--replace")
        config = tmp_path / "new.toml"
        async with running(tmp_path / "gateway.log", "gateway", "run", "--config", config):
            card = tmp_path / "old" / "ledger.db"
            for _ in range(2):
                found = json.loads(await command("gateway", "salvage", card, "--config", config, "--json"))
                handed = Path(found["handed_to"])
                await until(lambda handed=handed: handed.with_suffix(".done").exists() and not handed.exists())
            expected: dict[tuple[str, ...], int] = {}
            for key, amount in truth([*told, *untold]).balances.items():
                if key.place not in ("unknown", "customer") and amount.quantity:
                    expected[key.place, "gtin:09506000134352"] = amount.quantity // 24
            await until(lambda: balances(database) == expected)
    await command("cloud", "--config", tmp_path / "cloud.toml", "verify")  # fails where anything differs
