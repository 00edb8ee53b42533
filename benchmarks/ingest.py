"""Cloud ingest: records per second through the application, against the same rows by plain executemany in the same run.

    python benchmarks/ingest.py [--records 100000] [--batch 1000]

Each push passes the whole application in process: signature, inflation, chain, decoding, ledger rows and every
projection, in one transaction with synchronous=FULL. The baseline inserts the same ledger rows into the same table in
the same batches. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "cloud"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
from headquarters import URL, Gateway, Headquarters

from cloud.app import build, settle_memory
from cloud.config import Config, Cycle
from cloud.store import schema
from cloud.store.database import open_engine
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


async def through_application(path: Path, bodies: list[bytes], batch: int) -> dict[str, float]:
    runtime = SystemRuntime()
    engine = open_engine(f"sqlite:///{path}")
    await migrate(engine)
    app = build(Config(cycle=Cycle(every_minutes=0)), runtime, engine)
    async with app.lifespan(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        headquarters = Headquarters(app, engine, runtime, client)  # type: ignore[arg-type]
        await headquarters.add_site()
        gateway: Gateway = await headquarters.add_gateway()
        gateway.bodies = bodies
        pushes = build_pushes(gateway, bodies, batch)
        slowest = 0.0
        settle_memory()  # as `evercount-cloud serve` does
        wall, used = time.perf_counter(), cpu()
        for push in pushes:
            began = time.perf_counter()
            answer = await gateway.push_body(push)
            slowest = max(slowest, time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
        wall, used = time.perf_counter() - wall, cpu() - used
        stored = len(await headquarters.rows(schema.ledger, "seq"))
        assert stored == len(bodies), stored
        assert await headquarters.rows(schema.parked) == [], "the records of this benchmark are out of date"
    await engine.dispose()
    return {
        "records_per_s": round(len(bodies) / wall),
        "cpu_ms_per_1000": round(used * 1e6 / len(bodies), 1),
        "slowest_batch_ms": round(slowest * 1000, 1),
    }


def build_pushes(gateway: Gateway, bodies: list[bytes], batch: int) -> list[bytes]:
    """All pushes, made before the clock starts (quadratic hashing from genesis would be the gateway's cost, not ours)."""
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


def by_executemany(path: Path, source: Path, batch: int) -> dict[str, float]:
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
    return {"records_per_s": round(len(rows) / wall), "cpu_ms_per_1000": round(used * 1e6 / len(rows), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1_000)
    chosen = parser.parse_args()
    bodies = history(chosen.records)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "cloud.db"
        ours = asyncio.run(through_application(database, bodies, chosen.batch))
        plain = by_executemany(Path(folder) / "plain.db", database, chosen.batch)
        size = database.stat().st_size
    print(
        json.dumps(
            {
                "records": chosen.records,
                "batch": chosen.batch,
                "ingest": ours,
                "executemany": plain,
                "share_of_executemany": round(ours["records_per_s"] / plain["records_per_s"], 3),
                "database_bytes_per_record": round(size / chosen.records),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
