"""Headquarters' pages and API lists over a large network: p50 and p95 of warm requests.

    python -m benchmarks.pages [--lines 1000000] [--sites 10] [--items 10000] [--requests 40]

The database is written straight into the tables, in the shape that ingest leaves: a ledger row and a movement line each,
stock of every item at every site (100,000 by default), as many documents, ten days of demand each. Requests pass the
whole application in process, session and API key included. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "cloud"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
from headquarters import URL, Headquarters
from seeded_network import sign_in_as

from cloud.access import accounts
from cloud.access.http import COOKIE
from cloud.app import build, settle_memory
from cloud.config import Config, Cycle
from cloud.ingest.downlink import read_downlink
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import migrate
from runtime import SystemRuntime
from vocabulary import records
from vocabulary.document import Document, DocumentLine
from vocabulary.movement import Kind, Line, Movement
from vocabulary.place import Account

#: Microseconds between two movements of the network: a million in some two months.
STEP_US = 5_000_000
DAY_US = 86_400_000_000
SUPPLIER, CUSTOMER, BIN = Account("supplier"), Account("customer"), Account("bin-1")
EPOCH = 4_711
#: The item and site whose own pages are asked for.
ITEM, SITE = "SKU-00042", "site-01"


class Seed:
    """Writes the network; everything is drawn from one seed. `now` in microseconds UTC."""

    def __init__(self, database: sqlite3.Connection, now: int, sites: int, items: int, lines: int) -> None:
        self.database, self.now, self.lines = database, now, lines
        self.drawn = random.Random(1)
        self.sites = [f"site-{number:02}" for number in range(sites)]
        self.items = [f"SKU-{number:05}" for number in range(items)]

    def write(self) -> None:
        self._masters()
        self._stock()
        self._documents()
        self._movements()
        self._work()

    def _rows(self, table: str, columns: str, rows: Iterable[tuple[object, ...]]) -> None:
        marks = ",".join("?" * (columns.count(",") + 1))
        self.database.execute("BEGIN")
        self.database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        self.database.execute("COMMIT")

    def _masters(self) -> None:
        each = self.lines // len(self.sites)
        self._rows("site", "id,name,zone,position", ((one, one.title(), "Europe/Berlin", each) for one in self.sites))
        self._rows(
            "gateway", "site_id,id,epoch,seen_at", ((one, f"gw-{one}", str(EPOCH), self.now) for one in self.sites)
        )
        self._rows(
            "epoch",
            "site_id,epoch,ordinal,gateway,seq,hash,last_at",
            ((one, EPOCH, 1, f"gw-{one}", each, bytes(32), self.now) for one in self.sites),
        )
        self._rows(
            "item", "id,name,price_micro,currency", ((one, f"Item {one}", 2_500_000, "EUR") for one in self.items)
        )
        pairs = [(site, item) for site in self.sites for item in self.items]
        self._rows(
            "term",
            "site_id,item,supplier,price_micro,moq,pack",
            ((site, item, f"supplier-{hash_of(item) % 50}", 2_000_000, 24, 12) for site, item in pairs),
        )

    def _stock(self) -> None:
        drawn = self.drawn
        stock = [
            (
                site,
                item,
                quantity,
                quantity,
                None if quantity else self.now - DAY_US,
                self.now - drawn.randrange(DAY_US),
            )
            for site in self.sites
            for item in self.items
            for quantity in (max(0, drawn.randrange(-20, 400)),)
        ]
        self._rows("item_stock", "site_id,item,on_hand,available,empty_since,changed_at", stock)
        self._rows(
            "balance",
            "site_id,place,status,item,lot,expiry,quantity",
            ((site, f"bin-{number % 500:03}", "available", item, "", "", quantity)
             for number, (site, item, quantity, *_) in enumerate(stock)),
        )  # fmt: skip
        days = [time.strftime("%Y-%m-%d", time.gmtime((self.now - back * DAY_US) / 1e6)) for back in range(10)]
        self._rows(
            "daily",
            "site_id,item,day,ordered,issued",
            (
                (site, item, day, drawn.randrange(9), drawn.randrange(9))
                for site, item, *_ in stock
                for day in reversed(days)
            ),
        )

    def _documents(self) -> None:
        count = len(self.sites) * len(self.items)
        for table, columns in (
            (
                "document",
                "site_id,id,revision,type,state,partner,opened_by,progress,opened_at,changed_at,body",
            ),
            ("document_line", "site_id,document,line,type,state,item,quantity,day"),
        ):
            self._rows(table, columns, self._document_rows(table, count))

    def _document_rows(self, table: str, count: int) -> Iterator[tuple[object, ...]]:
        drawn = random.Random(2)
        for number in range(count):
            site, item, state = drawn.choice(self.sites), drawn.choice(self.items), drawn.choices(STATES, (1, 98, 1))[0]
            kind = drawn.choice(("expected-receipt", "outbound-order", "outbound-order", "transfer"))
            at = self.now - drawn.randrange(90 * DAY_US)
            name = f"DOC-{number:06}"
            if table == "document":
                body = records.encode(Document(name, 1, kind, state, (DocumentLine(1, item, 24),), partner="acme"))
                yield site, name, 1, kind, state, "acme", "cloud", "waiting", at, at + DAY_US // 2, body
            else:
                yield site, name, 1, kind, state, item, 24, time.strftime("%Y-%m-%d", time.gmtime(at / 1e6))

    def _movements(self) -> None:
        self._rows(
            "movement_line",
            "site_id,position,line,kind,occurred_at,received_at,item,quantity,from_place,from_status,to_place,to_status,flow,"
            "flow_quantity",
            (
                (
                    site,
                    seq,
                    0,
                    kind,
                    at,
                    at + 300_000,
                    item,
                    quantity,
                    a.place,
                    a.status,
                    b.place,
                    b.status,
                    flow,
                    quantity,
                )
                for site, seq, at, item, quantity, kind, a, b, flow in self._events()
            ),
        )
        self._rows(
            "ledger",
            "site_id,epoch,seq,position,kind,occurred_at,received_at,body,hash",
            (
                (site, EPOCH, seq, seq, "movement", at, at + 300_000,
                 records.encode(Movement(kind, a, b, at, (Line(item, quantity),), rule="portal/1", confidence=990)), bytes(32))
                for site, seq, at, item, quantity, kind, a, b, _ in self._events()
            ),
        )  # fmt: skip

    def _events(self) -> Iterator[tuple[str, int, int, str, int, Kind, Account, Account, str]]:
        drawn, start = random.Random(3), self.now - self.lines * STEP_US
        for number in range(self.lines):
            site = self.sites[number % len(self.sites)]
            inbound = drawn.random() < 0.4
            yield (
                site, number // len(self.sites) + 1, start + number * STEP_US, drawn.choice(self.items),
                drawn.randrange(1, 25), "receiving" if inbound else "shipping", SUPPLIER if inbound else BIN,
                BIN if inbound else CUSTOMER, "received" if inbound else "issued",
            )  # fmt: skip

    def _work(self) -> None:
        self._rows(
            "exception",
            "site_id,kind,subject,state,at,opened_at,text",
            ((self.drawn.choice(self.sites), "no-document", f"U-{number}", "open" if number % 10 else "decided",
              self.now - number * 1_000_000, self.now - number * 1_000_000, "A pallet came and no document expects it.")
             for number in range(5_000)),
        )  # fmt: skip


STATES = ("open", "closed", "cancelled")


def hash_of(text: str) -> int:
    """A number for a text, the same in every run."""
    return sum(text.encode())


#: What is asked for: pages with a session, lists with an API key.
PAGES = {
    "stock": "/",
    "stock, search": "/?search=042",
    "stock, out": "/?show=out",
    "freshness": "/freshness",
    "live": "/live",
    "live, one site": f"/live?site={SITE}",
    "live, one item": f"/live?item={ITEM}",
    "movement": f"/movements/{SITE}/{EPOCH}/500",
    "item": f"/items/{ITEM}",
    "recommendations": "/recommendations",
    "documents": "/documents",
    "documents, one site": f"/documents?site={SITE}",
    "documents, all": "/documents?state=all",
    "exceptions": "/exceptions",
    "gateways": "/gateways",
}
LISTS = {
    "sites": "/api/v1/sites",
    "items": "/api/v1/items",
    "stock": "/api/v1/stock",
    "stock, one item": f"/api/v1/stock?item={ITEM}",
    "availability": "/api/v1/availability",
    "availability, one item": f"/api/v1/availability?item={ITEM}",
    "units": "/api/v1/units",
    "movements": "/api/v1/movements",
    "movements, one site": f"/api/v1/movements?site={SITE}",
    "movements, one item": f"/api/v1/movements?item={ITEM}",
    "movements, one kind": "/api/v1/movements?kind=receiving",
    "documents": "/api/v1/documents",
    "documents, open": "/api/v1/documents?state=open",
    "demand": "/api/v1/demand",
    "demand, one item": f"/api/v1/demand?item={ITEM}",
    "terms": "/api/v1/terms",
    "exceptions": "/api/v1/exceptions",
}


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))] * 1000, 1),
    }


async def measure(client: httpx.AsyncClient, path: str, requests: int, headers: dict[str, str]) -> dict[str, float]:
    took: list[float] = []
    for number in range(requests + 2):
        began = time.perf_counter()
        answer = await client.get(path, headers=headers)
        if number >= 2:  # the first fill the caches
            took.append(time.perf_counter() - began)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        if took and sum(took) > 20:
            break
    return spread(took) | ({} if len(took) == requests else {"requests": len(took)})


async def run(path: Path, lines: int, sites: int, items: int, requests: int) -> dict[str, object]:
    runtime = SystemRuntime()
    engine = open_engine(f"sqlite:///{path}")
    await migrate(engine)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous=OFF")
    began = time.perf_counter()
    Seed(database, runtime.now(), sites, items, lines).write()
    (size,) = database.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    database.close()
    seeded = time.perf_counter() - began
    app = build(Config(cycle=Cycle(every_minutes=0)), runtime, engine)
    found: dict[str, object] = {
        "lines": lines, "skus_at_sites": sites * items, "requests": requests, "seeding_s": round(seeded, 1),
        "database_mb": round(size / 1e6),
    }  # fmt: skip
    transport = httpx.ASGITransport(app)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url=URL, timeout=120) as client:
        headquarters = Headquarters(app, engine, runtime, client)  # type: ignore[arg-type]
        client.cookies.set(COOKIE, await sign_in_as(headquarters, "bench"))
        settle_memory()
        found["pages"] = {name: await measure(client, at, requests, {}) for name, at in PAGES.items()}
        client.cookies.clear()
        lists: dict[str, dict[str, float]] = {}
        for name, at in LISTS.items():  # a key each: none meets its rate limit
            async with writing(engine) as conn:
                key = await accounts.make_key(conn, runtime, name, "owner", "", "", "bench")
            lists[name] = await measure(client, at, requests, {"authorization": f"Bearer {key}"})
        found["lists"] = lists
    took: list[float] = []
    for _ in range(requests):
        async with reading(engine) as conn:
            began = time.perf_counter()
            await read_downlink(conn, SITE, "1", runtime.now())
            took.append(time.perf_counter() - began)
    found["downlink"] = spread(took)
    await engine.dispose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--database", type=Path, help="Keep the database here; it must not exist.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.database or Path(folder) / "cloud.db"
        print(json.dumps(asyncio.run(run(path, chosen.lines, chosen.sites, chosen.items, chosen.requests)), indent=2))


if __name__ == "__main__":
    main()
