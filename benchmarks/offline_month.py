"""A month without headquarters: how large the ledger grows, and how long it takes to start on it and to verify it.

    python benchmarks/offline_month.py [--rows 2600000] [--stock 20000] [--folder DIR]

Tagged cases come in through a door under one document and go out under another, one movement a second, `--stock` of them in
the building; nothing is acknowledged. The default is 30 days. Prints JSON; `peak_rss_mb` are those of fresh processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from sqlite3 import connect

from gateway.ledger.check import verify_ledger
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from runtime import SystemRuntime
from vocabulary.document import Document, DocumentLine
from vocabulary.item import Item, PackagingLevel
from vocabulary.place import Place
from vocabulary.wire import Downlink

GTIN = "09506000134352"
AT = 1_767_592_800_000_000
#: Movements submitted together.
CHUNK = 2_000


def catalogue() -> Catalogue:
    """One item in cases of 24, and orders that take all of it."""
    lines = (DocumentLine(1, "apples", 10**12),)
    return Catalogue.from_downlink(
        Downlink(
            "1",
            items=(Item("apples", "Apples"),),
            packaging=(PackagingLevel(GTIN, "apples", 24),),
            places=(Place("north", "site"), Place("dock-1", "dock", "north"), Place("dock-2", "dock", "north")),
            documents=(
                Document("PO-2026-0417", 1, "expected-receipt", "open", lines),
                Document("SO-2026-1187", 1, "outbound-order", "open", lines),
            ),
        ),
        "north",
    )


def traffic(rows: int, stock: int) -> Iterator[Crossed]:
    """`rows` crossings, a second apart, as the door rule tells them: in, and once `stock` are there in and out by turns."""
    came = left = 0
    for number in range(rows):
        at = AT + number * 1_000_000 + number * 7_919 % 999_983
        inward = came - left < stock or number % 2 == 0
        case = came if inward else left
        came, left = came + inward, left + (not inward)
        door = "dock-1" if inward else "dock-2"
        evidence = sha256(str(number).encode()).hexdigest()[:16]
        yield Crossed(
            occurred_at=at,
            origin=Origin(
                f"{door}/portal", (at - 900_000 - number % 1_000_003, at), "dock-door/1", 980 + number % 20, evidence
            ),
            place=door,
            direction="in" if inward else "out",
            units=(SeenUnit(f"01/{GTIN}/21/{100_000_000 + case * 37}"),),
            document="PO-2026-0417" if inward else "SO-2026-1187",
        )


async def write(path: Path, rows: int, stock: int) -> dict[str, float]:
    """Write the traffic; records and seconds."""
    writer = await LedgerWriter.open(path, SystemRuntime())
    writer.set_catalogue(catalogue())
    began = time.perf_counter()
    pending: list[Crossed] = []
    for intent in traffic(rows, stock):
        pending.append(intent)
        if len(pending) == CHUNK:
            await writer.submit_many(pending)
            pending.clear()
            if writer.head.seq % 100_000 < CHUNK:
                print(f"\r{writer.head.seq} rows", end="", file=sys.stderr)
    await writer.submit_many(pending)
    took, records = time.perf_counter() - began, writer.head.seq
    await writer.close()
    return {"rows": records, "records_per_second": round(records / took)}


async def start(path: Path) -> dict[str, float]:
    """Open the ledger as a gateway does at start."""
    began = time.perf_counter()
    writer = await LedgerWriter.open(path, SystemRuntime())
    took = time.perf_counter() - began
    await writer.close()
    return {"start_seconds": round(took, 2)}


def verify(path: Path) -> dict[str, float]:
    """Check the whole ledger."""
    began = time.perf_counter()
    report = verify_ledger(path)
    assert report.ok, report.faults
    return {"verify_seconds": round(time.perf_counter() - began, 1)}


def peak_mb() -> int:
    """The most memory this process has held, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1_000


def apart(step: str, path: Path) -> dict[str, float]:
    """A step in a process of its own."""
    told = subprocess.run(
        [sys.executable, __file__, "--step", step, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(told.stdout)


def sizes(path: Path) -> dict[str, int]:
    """Bytes of each table in the file, the largest first, where this SQLite can tell."""
    with closing(connect(path)) as connection:
        sql = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 6"
        try:
            return dict(connection.execute(sql))
        except Exception:
            return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_600_000)
    parser.add_argument("--stock", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        step, path = chosen.step[0], Path(chosen.step[1])
        told = asyncio.run(start(path)) if step == "start" else verify(path)
        print(json.dumps(told | {f"{step}_peak_rss_mb": peak_mb()}))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="offline-") as folder:
        path = Path(folder) / "ledger.db"
        report: dict[str, object] = {
            **asyncio.run(write(path, chosen.rows, chosen.stock)),
            "write_peak_rss_mb": peak_mb(),
        }
        size = path.stat().st_size
        report |= {"file_bytes": size, "bytes_per_row": round(size / chosen.rows, 1), "tables": sizes(path)}
        report |= apart("start", path) | apart("verify", path)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
