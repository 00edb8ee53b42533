"""What the tests of takeover, forks and salvage share: boxes beside a real headquarters, and the truth to compare with."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from virtual import AsgiTransport, VirtualRuntime

from cloud.ingest.enrolment import make_code
from cloud.store import schema
from cloud.store.database import reading, writing
from gateway.ledger.check import verify_ledger
from gateway.ledger.posting import PostingState, post
from gateway.ledger.posting.memory import ListHistory
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.enrolment import apply_opening, enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.sync.opening import reconcile
from gateway.sync.uplink import Uplink
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent, Crossed, Moved, Origin, SeenUnit
from vocabulary.item import Item, PackagingLevel
from vocabulary.place import Place
from vocabulary.records import Record, decode, encode
from vocabulary.stock import Stock, Unit, apply
from vocabulary.wire import Downlink, Status, in_snapshot

sys.path.append(str(Path(__file__).parents[2] / "cloud"))
from headquarters import Headquarters, open_headquarters

__all__ = ["Headquarters", "open_headquarters"]

SITE = "north"
GTIN = "09506000134352"
CATALOGUE = Catalogue.from_downlink(
    Downlink(
        "1",
        items=(Item("water", "Water"), Item("juice", "Juice")),
        packaging=(PackagingLevel(GTIN, "water", 24),),
        places=(
            Place("site", "site"),
            Place("dock-1", "dock", "site"),
            Place("bin-1", "bin", "site"),
            Place("bin-2", "bin", "site"),
        ),
    ),
    SITE,
)
SECOND = 1_000_000


def pallet_id(number: int) -> str:
    return f"00/3095060{number:010d}1"


def case_id(number: int, case: int) -> str:
    return f"01/{GTIN}/21/{number}-{case}"


def units(number: int, cases: int = 2) -> tuple[SeenUnit, ...]:
    return (SeenUnit(pallet_id(number)), *(SeenUnit(case_id(number, case)) for case in range(cases)))


def crossing(at: int, direction: Any, seen: Iterable[SeenUnit], **more: Any) -> Crossed:
    """A passage of two seconds through the dock door."""
    origin = Origin("dock-1/portal", (at - 2 * SECOND, at), "dock-door/1", 990)
    return Crossed(occurred_at=at, place="dock-1", direction=direction, units=tuple(seen), origin=origin, **more)


def moving(at: int, place: str, *names: str) -> Moved:
    return Moved(occurred_at=at, place=place, units=tuple(SeenUnit(name) for name in names))


class Box:
    """A gateway's ledger and link; `deaf` holds its uplink back."""

    def __init__(self, folder: Path, hq: Headquarters, runtime: VirtualRuntime, link: AsgiTransport | None) -> None:
        self.folder, self.hq, self.runtime = folder, hq, runtime
        self.identity = load_or_make_identity(folder, runtime)
        self.cloud = Cloud("http://cloud.test", self.identity, runtime, link or AsgiTransport(hq.app))
        self.pages = 0

    async def open_ledger(self) -> None:
        self.writer = await LedgerWriter.open(self.folder / "ledger.db", self.runtime)
        self.writer.set_catalogue(CATALOGUE)
        self.reader = await LedgerReader.open(self.folder / "ledger.db")
        self.uplink = Uplink(
            self.cloud, SITE, self.writer, self.reader, self.runtime,
            lambda: Status(self.runtime.now(), "test", self.writer.head.seq), **self._more(),
        )  # fmt: skip

    def _more(self) -> dict[str, Any]:
        if "reconcile" not in inspect.signature(Uplink).parameters:
            return {}
        return {"reconcile": lambda reason: reconcile(self.cloud, self.writer, self.runtime, reason)}

    async def enrol(self, code: str) -> None:
        self.record = await enrol(self.cloud, self.identity, code, self.writer.head.epoch, self.folder)
        self.pages = await apply_opening(self.cloud, self.record, self.writer, self.runtime)

    async def do(self, *intents: AnyIntent) -> None:
        for intent in intents:
            await self.writer.submit(intent)

    async def records(self) -> list[Record]:
        return [decode(row.body) for row in await self.reader.rows(1, 100_000, 1 << 40)]

    async def stock(self) -> Stock:
        """A copy of the present stock."""
        whole = Stock()
        for seq, record in enumerate(await self.records(), 1):
            apply(whole, seq, record)
        return whole

    async def sync(self, seconds: float = 5) -> None:
        """Push what there is."""
        task = asyncio.create_task(self.uplink.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert self.uplink.behind == 0, (self.uplink.state, self.uplink.reason)


@asynccontextmanager
async def box(
    folder: Path, hq: Headquarters, runtime: VirtualRuntime, code: str = "", link: AsgiTransport | None = None
) -> AsyncIterator[Box]:
    """A gateway in `folder`, enrolled with `code` if there is one."""
    made = Box(folder, hq, runtime, link)
    await made.open_ledger()
    try:
        if code:
            await made.enrol(code)
        yield made
    finally:
        await made.reader.close()
        await made.writer.close()
        await made.cloud.close()
        report = verify_ledger(folder / "ledger.db")
        assert report.ok, report.faults


async def code_for(hq: Headquarters, replaces: bool = False) -> str:
    async with writing(hq.engine) as conn:
        return await make_code(conn, hq.runtime, SITE, replaces=replaces, actor="test")


def present(stock: Stock) -> dict[tuple[str, ...], int]:
    """What is at the places that count, without zeros."""
    found = {tuple(key): amount.quantity for key, amount in stock.balances.items() if in_snapshot(key.place)}
    return {key: quantity for key, quantity in found.items() if quantity}


def whereabouts(stock: Stock) -> dict[str, tuple[Any, ...]]:
    """Where each unit of the site is, in what, with what in it."""
    return {
        name: (unit.account.place, unit.account.status, unit.container or "", _inside(unit))
        for name, unit in stock.units.items()
        if in_snapshot(unit.account.place)
    }


def _inside(unit: Unit) -> list[tuple[Any, ...]]:
    return sorted((*goods, amount.quantity) for goods, amount in unit.holds.items())


async def hq_stock(hq: Headquarters) -> tuple[dict[tuple[str, ...], int], dict[str, tuple[Any, ...]]]:
    """The same of headquarters; checks that nothing was made from nothing there."""
    sums: Counter[str] = Counter()
    balances: dict[tuple[str, ...], int] = {}
    for row in await hq.rows(schema.balance, "place", "status", "item", "lot", "expiry", "quantity"):
        sums[row[2]] += row[5]
        if row[5] and in_snapshot(row[0]):
            balances[row[:5]] = row[5]
    assert not any(sums.values()), sums
    places: dict[str, tuple[Any, ...]] = {}
    for name, place, status, container, holds in await hq.rows(
        schema.unit, "unit", "place", "status", "container", "holds"
    ):
        if in_snapshot(place):
            inside = sorted((i, lot, expiry, q) for i, lot, expiry, q, _ in msgspec.json.decode(holds or "[]"))
            places[name] = (place, status, container, inside)
    return balances, places


async def assert_equal(hq: Headquarters, gateway: Box) -> Stock:
    """Gateway and headquarters hold the same; what headquarters derives anew is what it has. The gateway's stock."""
    stock = await gateway.stock()
    balances, places = await hq_stock(hq)
    assert present(stock) == balances
    here = whereabouts(stock)
    wrong = {
        unit: (here.get(unit), places.get(unit)) for unit in {**here, **places} if here.get(unit) != places.get(unit)
    }
    assert wrong == {}
    items: Counter[str] = Counter()
    for key, amount in stock.balances.items():
        items[key.item] += amount.quantity
    assert not any(items.values()), items
    from cloud.projections.rebuild import verify_site

    async with reading(hq.engine) as conn:
        report = await verify_site(conn, SITE)
        await conn.rollback()
    assert report.differences == ()
    return stock


def truth(intents: Iterable[AnyIntent]) -> Stock:
    """What one ledger would hold that had sensed everything, in its order in time."""
    stock, history = Stock(), ListHistory()
    for intent in sorted(intents, key=lambda one: one.occurred_at):
        for record in post(PostingState(stock, CATALOGUE, history), intent):
            apply(stock, history.append(decode(encode(record))), record)
    return stock
