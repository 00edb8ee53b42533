"""What the ledger costs: records per second in volume, bytes written per movement and commit time at a steady rate.

    python benchmarks/ledger_write.py [--folder DIR] [--seconds 20] [--rate 1 --rate 10 ...]

Each movement is one tagged case through a door under a document. Bytes are the blocks that this process made the kernel write
(/proc/self/io), which leaves out the file system's own journal; the disk's sectors (/sys/block) count everybody's. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.ledger.check import verify_ledger
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from runtime import SystemRuntime
from vocabulary.document import Document, DocumentLine
from vocabulary.item import Item, PackagingLevel
from vocabulary.movement import Content
from vocabulary.place import Place
from vocabulary.wire import Downlink

GTIN = "09506000134352"
AT = 1_767_592_800_000_000


def catalogue() -> Catalogue:
    """One item in cases of 24."""
    return Catalogue.from_downlink(
        Downlink(
            "1",
            items=(Item("apples", "Apples"),),
            packaging=(PackagingLevel(GTIN, "apples", 24),),
            places=(Place("north", "site"), Place("dock", "dock", "north")),
            documents=(Document("PO-1", 1, "expected-receipt", "open", (DocumentLine(1, "apples", 10**9),)),),
        ),
        "north",
    )


def pieces(count: int) -> Iterator[Crossed]:
    """Single tagged cases through a door, as the door rule tells them."""
    for number in range(count):
        unit = SeenUnit(f"01/{GTIN}/21/{number}", (Content("apples", 24),))
        at = AT + number * 1_000_000
        origin = Origin("dock-1", (at - 900_000, at), "dock-door/1", 996)
        yield Crossed(occurred_at=at, place="dock", direction="in", units=(unit,), origin=origin, document="PO-1")


def written(folder: Path) -> int:
    """Bytes written so far to the disk that holds `folder`."""
    device = os.stat(folder).st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    if stat.exists():
        return int(stat.read_text().split()[6]) * 512
    return own()


def own() -> int:
    """Bytes that this process handed to the kernel."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


async def volume(folder: Path, count: int, together: int) -> dict[str, float]:
    """Records per second when there is always more to write, `together` intents to a submit."""
    path = folder / f"volume-{together}.db"
    writer = await LedgerWriter.open(path, SystemRuntime())
    writer.set_catalogue(catalogue())
    intents = list(pieces(count))
    began, cpu = time.perf_counter(), time.process_time()
    chunks = [intents[index : index + together] for index in range(0, count, together)]
    for index in range(0, len(chunks), 200):
        await asyncio.gather(*(writer.submit(*chunk) for chunk in chunks[index : index + 200]))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    records = writer.head.seq
    await writer.close()
    report = verify_ledger(path)
    assert report.ok, report.faults
    size = path.stat().st_size
    return {
        "together": together,
        "records": records,
        "records_per_second": round(records / took),
        "intents_per_second": round(count / took),
        "cpu_ms_per_1000_records": round(cpu / records * 1e6, 1),
        "file_bytes_per_record": round(size / records, 1),
    }


async def steady(folder: Path, rate: float, seconds: float) -> dict[str, float]:
    """Bytes per movement and commit time at `rate` movements per second."""
    writer = await LedgerWriter.open(folder / f"steady-{rate}.db", SystemRuntime())
    writer.set_catalogue(catalogue())
    times: list[float] = []

    async def one(intent: Crossed) -> None:
        began = time.perf_counter()
        await writer.submit(intent)
        times.append(time.perf_counter() - began)

    tasks: list[asyncio.Task[None]] = []
    before, mine = written(folder), own()
    for intent in pieces(int(rate * seconds)):
        tasks.append(asyncio.create_task(one(intent)))
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*tasks)
    log = (folder / f"steady-{rate}.db-wal").stat().st_size
    running = own()
    await writer.close()
    os.sync()
    after, mine_after = written(folder), own()
    times.sort()
    return {
        "rate": rate,
        "movements": len(times),
        "records": writer.head.seq,
        "disk_bytes_per_movement_of_everybody": round((after - before) / len(times)),
        "bytes_per_movement": round((mine_after - mine) / len(times)),
        "of_these_before_close": round((running - mine) / len(times)),
        "log_bytes_per_movement": round(log / len(times)),
        "commit_ms_p50": round(statistics.median(times) * 1e3, 2),
        "commit_ms_p99": round(times[int(len(times) * 0.99)] * 1e3, 2),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, action="append")
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        report = {"volume": [await volume(folder, given.count, together) for together in (1, 50)]}
        report["steady"] = [await steady(folder, rate, given.seconds) for rate in given.rate or [1.0, 10.0, 100.0]]
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
