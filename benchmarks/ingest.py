"""Cloud ingest: records per second through the application, against the same rows by plain COPY and executemany.

    python -m benchmarks.ingest [--records 100000] [--batch 1000] [--sites 4]
    python -m benchmarks.ingest --database sqlite | postgresql | two-servers | URL of an empty PostgreSQL database

Each push passes the whole application in process: signature, inflation, chain, decoding, ledger rows and every projection, in
one transaction that is on the disk when it returns (synchronous=FULL; fsync=on). The gateways of all sites push at once, one
request each. The baselines put the same ledger rows into an empty table of the same shape in the same batches and run.
PostgreSQL is Debian's (apt-get install postgresql), started for the run in a temporary folder. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "cloud"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import asyncpg
import httpx
import postgres
from headquarters import URL, Gateway, Headquarters
from sqlalchemy import text

from cloud.app import build, settle_memory
from cloud.config import Config, Cycle
from cloud.store import schema
from cloud.store.database import open_engine, reading, retries_of
from cloud.store.migrate import migrate
from runtime import SystemRuntime
from vocabulary import records
from vocabulary.identifier import unit_key_sgtin
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account

ITEMS, BINS = 500, 200
START_US = 1_760_000_000_000_000
#: Microseconds between two records: a year of history in 100,000 records.
STEP_US = 300_000_000
SUPPLIER, CUSTOMER = Account("supplier"), Account("customer")


def history(count: int, seed: int = 1) -> list[bytes]:
    """Canonical bytes of `count` movements: receipts and putaways of tagged cases, picks and shipments."""
    drawn = random.Random(seed)
    bodies: list[bytes] = []
    cases: list[tuple[str, str, Account]] = []
    while len(bodies) < count:
        at = START_US + len(bodies) * STEP_US
        dock = Account(f"dock-{drawn.randrange(4)}")
        step = len(bodies) % 4
        if step == 0 or not cases:
            item = f"SKU-{drawn.randrange(ITEMS):04}"
            unit = unit_key_sgtin(f"0950600013{drawn.randrange(10_000):04}", str(drawn.randrange(10**9)))
            entry = UnitEntry(unit, holds=(Content(item, 24),))
            cases.append((unit, item, dock))
            record = Movement("receiving", SUPPLIER, dock, at, (Line(item, 24),), (entry,), "ASN-1", 1, "door-1",
                              2_000_000, "door/1", 998, "kq3ZsCw0n8rJmE4v")  # fmt: skip
        elif step == 1:
            unit, item, here = cases[-1]
            place = Account(f"bin-{drawn.randrange(BINS):03}")
            cases[-1] = (unit, item, place)
            record = Movement("storing", here, place, at, (Line(item, 24),), (UnitEntry(unit),), rule="zone/1")
        elif step == 2:
            unit, item, here = cases[drawn.randrange(len(cases))]
            record = Movement("picking", here, dock, at, (Line(item, drawn.randrange(1, 5)),), actor="ann")
        else:
            item = cases[drawn.randrange(len(cases))][1]
            record = Movement("shipping", dock, CUSTOMER, at, (Line(item, drawn.randrange(1, 5)),), rule="door/1")
        bodies.append(records.encode(record))
    return bodies


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rates(records: int, wall: float, used: float, **more: float) -> dict[str, float]:
    return {"records_per_s": round(records / wall), "cpu_ms_per_1000": round(used * 1e6 / records, 1)} | more


async def through_application(
    url: str, bodies: list[bytes], batch: int, sites: int, server_cpu: Callable[[], float] = lambda: 0.0
) -> dict[str, float]:
    """`bodies` from each of `sites` sites' gateways, all at once."""
    runtime = SystemRuntime()
    engine = open_engine(url)
    await migrate(engine)
    app = build(Config(cycle=Cycle(every_minutes=0)), runtime, engine)
    async with app.lifespan(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        headquarters = Headquarters(app, engine, runtime, client)  # type: ignore[arg-type]
        queues: list[tuple[Gateway, list[bytes]]] = []
        for number in range(sites):
            await headquarters.add_site(f"site-{number}")
            gateway = await headquarters.add_gateway(f"site-{number}", seed=number + 1, epoch=number + 1)
            queues.append((gateway, build_pushes(gateway, bodies, batch)))
        slowest = 0.0

        async def send(gateway: Gateway, pushes: list[bytes]) -> None:
            nonlocal slowest
            for push in pushes:
                began = time.perf_counter()
                answer = await gateway.push_body(push)
                slowest = max(slowest, time.perf_counter() - began)
                assert answer.status_code == 200, answer.text

        settle_memory()  # as `evercount-cloud serve` does
        wall, used, served = time.perf_counter(), cpu(), server_cpu()
        await asyncio.gather(*(send(*queue) for queue in queues))
        wall, used, served = time.perf_counter() - wall, cpu() - used, server_cpu() - served
        total = len(bodies) * sites
        async with reading(engine) as conn:
            stored = (await conn.execute(text("SELECT count(*) FROM ledger"))).scalar_one()
            assert stored == total, stored
        assert await headquarters.rows(schema.parked) == [], "the records of this benchmark are out of date"
        again = retries_of(engine).again
    await engine.dispose()
    found = rates(total, wall, used, slowest_batch_ms=round(slowest * 1000, 1), retried=again)
    return found | ({"server_cpu_ms_per_1000": round(served * 1e6 / total, 1)} if served else {})


def build_pushes(gateway: Gateway, bodies: list[bytes], batch: int) -> list[bytes]:
    """All pushes, made before the clock starts: their making is the gateway's cost."""
    import msgspec
    import zstandard

    from vocabulary import chain
    from vocabulary.wire import WIRE_VERSION, BatchHeader, Status

    previous, pushes = chain.genesis(gateway.epoch), []
    compressor = zstandard.ZstdCompressor(level=3)
    for start in range(0, len(bodies), batch):
        part = bodies[start : start + batch]
        head = chain.head(previous, part)
        header = BatchHeader(
            WIRE_VERSION, gateway.site, gateway.id, str(gateway.epoch), start + 1, previous.hex(), head.hex(),
            Status(START_US, "benchmark", len(bodies)),
        )  # fmt: skip
        pushes.append(compressor.compress(b"\n".join([msgspec.json.encode(header), *part])))
        previous = head
    return pushes


def sqlite_executemany(path: Path, source: Path, batch: int) -> dict[str, float]:
    """The ledger rows that the application stored, copied by plain sqlite3 into an empty table of the same shape."""
    with sqlite3.connect(source) as database:
        create = database.execute("SELECT sql FROM sqlite_master WHERE name = 'ledger'").fetchone()[0]
        rows = database.execute("SELECT * FROM ledger ORDER BY position").fetchall()
    database.close()
    target = sqlite3.connect(path, isolation_level=None)
    target.execute("PRAGMA journal_mode=WAL")
    target.execute("PRAGMA synchronous=FULL")
    target.execute(create)
    marks = ",".join("?" * len(rows[0]))
    wall, used = time.perf_counter(), cpu()
    for start in range(0, len(rows), batch):
        target.execute("BEGIN IMMEDIATE")
        target.executemany(f"INSERT INTO ledger VALUES ({marks})", rows[start : start + batch])
        target.execute("COMMIT")
    wall, used = time.perf_counter() - wall, cpu() - used
    target.close()
    return rates(len(rows), wall, used)


async def postgres_baselines(url: str, batch: int, server_cpu: Callable[[], float]) -> dict[str, Any]:
    """The same rows by asyncpg alone: COPY, and executemany, into a table like `ledger` with its two indexes."""
    conn = await asyncpg.connect(url)
    rows = [tuple(row) for row in await conn.fetch("SELECT * FROM ledger ORDER BY site_id, position")]
    columns = len(rows[0])
    found: dict[str, Any] = {}
    for way in ("copy", "executemany"):
        await conn.execute(f"CREATE TABLE plain_{way} (LIKE ledger INCLUDING ALL)")
        insert = f"INSERT INTO plain_{way} VALUES ({', '.join(f'${n}' for n in range(1, columns + 1))})"
        wall, used, served = time.perf_counter(), cpu(), server_cpu()
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            async with conn.transaction():
                if way == "copy":
                    await conn.copy_records_to_table(f"plain_{way}", records=part)
                else:
                    await conn.executemany(insert, part)
        wall, used, served = time.perf_counter() - wall, cpu() - used, server_cpu() - served
        found[way] = rates(len(rows), wall, used, server_cpu_ms_per_1000=round(served * 1e6 / len(rows), 1))
        await conn.execute(f"DROP TABLE plain_{way}")
    found["database_bytes"] = await conn.fetchval("SELECT pg_database_size(current_database())")
    await conn.close()
    return found


def on_sqlite(bodies: list[bytes], batch: int, sites: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "cloud.db"
        ours = asyncio.run(through_application(f"sqlite:///{database}", bodies, batch, sites))
        plain = sqlite_executemany(Path(folder) / "plain.db", database, batch)
        size = database.stat().st_size
    return {
        "ingest": ours,
        "executemany": plain,
        "share_of_executemany": round(ours["records_per_s"] / plain["records_per_s"], 3),
        "database_bytes_per_record": round(size / (len(bodies) * sites)),
    }


def at_url(url: str, bodies: list[bytes], batch: int, sites: int, server: postgres.Server | None) -> dict[str, Any]:
    server_cpu = server.cpu_s if server else lambda: 0.0
    ours = asyncio.run(through_application(url, bodies, batch, sites, server_cpu))
    plain = asyncio.run(postgres_baselines(url, batch, server_cpu))
    size = plain.pop("database_bytes")
    return {
        "ingest": ours,
        **plain,
        "share_of_copy": round(ours["records_per_s"] / plain["copy"]["records_per_s"], 3),
        "database_bytes_per_record": round(size / (len(bodies) * sites)),
    }


#: What a server of the benchmark is set to: the defaults with fsync, and memory as a small server would have it.
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "wal_compression": "on"}


def debian() -> Path:
    programs = postgres.debian_bin()
    if programs is None:
        sys.exit("ingest: no PostgreSQL 15 or later below /usr/lib/postgresql; type: apt-get install postgresql")
    return programs


def on_postgresql(bodies: list[bytes], batch: int, sites: int) -> dict[str, Any]:
    with postgres.server(debian(), SETTINGS) as server:
        version = server.sql("SHOW server_version")
        return at_url(server.new_database(), bodies, batch, sites, server) | {"server": version}


def on_two_servers(records: int, batch: int, sites: int) -> dict[str, Any]:
    """Two servers, each with an application process of its own and half of the sites; both at once."""
    with postgres.server(debian(), SETTINGS) as first, postgres.server(debian(), SETTINGS) as second:
        half = max(1, sites // 2)
        command = [
            sys.executable,
            __file__,
            "--records",
            str(records * half),
            "--batch",
            str(batch),
            "--sites",
            str(half),
        ]
        began = [
            subprocess.Popen([*command, "--database", one.new_database(), "--plain"], stdout=subprocess.PIPE, text=True)
            for one in (first, second)
        ]
        shards = [json.loads(process.communicate()[0])["ingest"] for process in began]
    return {"servers": shards, "records_per_s": sum(shard["records_per_s"] for shard in shards)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="of all sites together")
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--database", default="all", help="sqlite, postgresql, two-servers, all, or a URL")
    parser.add_argument("--plain", action="store_true", help="without the baselines (with a URL)")
    chosen = parser.parse_args()
    batch, sites = chosen.batch, chosen.sites
    bodies = history(chosen.records // sites)
    found: dict[str, Any] = {"records": chosen.records, "batch": batch, "sites": sites}
    if "://" in chosen.database:
        if chosen.plain:
            found["ingest"] = asyncio.run(through_application(chosen.database, bodies, batch, sites))
        else:
            found["postgresql"] = at_url(chosen.database, bodies, batch, sites, None)
    else:
        ways = {
            "sqlite": lambda: on_sqlite(bodies, batch, sites),
            "postgresql": lambda: on_postgresql(bodies, batch, sites),
            "two-servers": lambda: on_two_servers(len(bodies), batch, sites),
        }
        for name, way in ways.items():
            if chosen.database in ("all", name):
                found[name] = way()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
