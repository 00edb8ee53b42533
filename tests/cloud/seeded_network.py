"""A small network with a past, written through the real push: sites, items, terms, days of receipts and shipments.

What happened is drawn from a seed; what must come out is left to the tests, which sum the ledger by themselves.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date

import httpx
import msgspec
from headquarters import Gateway, Headquarters

from cloud.access import accounts
from cloud.access.http import COOKIE
from cloud.config import Sessions
from cloud.cycle import run_cycle
from cloud.forecasts.forecast import FAN_LEVELS, LEVELS, Batch, Forecast, Forecasts, Request, inputs_hash
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import store_document
from cloud.store import lanes, schema
from cloud.store.database import writing
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.quantity import Money
from vocabulary.records import Record
from vocabulary.wire import BATCH_RECORDS, DeviceStatus, Status

DAY_US = 86_400_000_000
ZONE = "Europe/Berlin"
SUPPLIER, CUSTOMER, OPENING = Account("supplier"), Account("customer"), Account("opening")
DOCK, BIN = Account("dock-1"), Account("A-01-03")
SITES = (("central", "Central"), ("north", "North"), ("south", "South"))

#: (item, name, price in 10^-6 EUR, mean demand a day at one site, unit)
ITEMS = (
    ("TEA-100", "Green tea, 100 bags", 3_450_000, 21.0, "H87"),
    ("TEA-200", "Black tea, 50 bags", 2_900_000, 12.0, "H87"),
    ("CUP-050", "Cup, white, 0.3 L", 1_250_000, 33.0, "H87"),
    ("KET-017", "Kettle, steel, 1.7 L", 24_990_000, 2.5, "H87"),
    ("HON-005", "Honey, acacia", 9_800, 900.0, "GRM"),
    ("JAM-034", "Jam, <apricot> & peach", 2_150_000, 7.0, "H87"),
    ("FLT-004", "Filter paper, size 4", 1_990_000, 15.0, "H87"),
    ("SPO-012", "Spoon, long, 12 pieces", 11_500_000, 0.4, "H87"),
)


@dataclass
class Network:
    """The sites' gateways and what was opened, for tests to go on from."""

    headquarters: Headquarters
    now: int
    gateways: dict[str, Gateway] = field(default_factory=dict[str, Gateway])
    pushed: dict[str, int] = field(default_factory=dict[str, int])

    async def record(self, site: str, *records: Record) -> None:
        """Record and push at once."""
        self.gateways[site].record(*records)
        await self.push(site)

    async def push(self, site: str, **status: object) -> None:
        """Push what was not pushed, in batches, with a status that names devices."""
        gateway = self.gateways[site]
        while True:
            first = self.pushed.get(site, 0) + 1
            last = min(len(gateway.bodies), first + BATCH_RECORDS - 1)
            answer = await gateway.push(first, last, status=self.status(site, **status))
            assert answer.status_code == 200, answer.text
            self.pushed[site] = last
            if last == len(gateway.bodies):
                return

    def status(self, site: str, **changed: object) -> Status:
        """What the gateway says of itself."""
        gateway = self.gateways[site]
        devices = (
            DeviceStatus("door-1", "reading", 212.5, 48_211),
            DeviceStatus("door-2", "connecting", 0.0, 10_022, 3, "no answer from 10.0.4.12"),
        )
        status = Status(gateway.runtime.now(), "0.1.0", len(gateway.bodies), True, 21_400_000_000, devices, 1)
        return msgspec.structs.replace(status, **changed)


async def seed_network(headquarters: Headquarters, days: int = 20, seed: int = 7) -> Network:
    """Three sites with `days` days behind them and open documents and exceptions before them."""
    now = headquarters.runtime.now()
    network = Network(headquarters, now)
    await _masters(headquarters, now)
    for number, (site, _) in enumerate(SITES):
        network.gateways[site] = await headquarters.add_gateway(site, seed=number + 1, epoch=4_711 + number)
        network.gateways[site].record(*_history(random.Random(f"{seed}{site}"), site, now, days))
        await network.push(site)
    await _documents(headquarters, now)
    await network.record(
        "north",
        Movement(
            "receiving", SUPPLIER, DOCK, now - 30_000_000,
            (Line("TEA-100", 240, lot="L-77"),),
            (UnitEntry("00/106141412345678908", holds=(Content("TEA-100", 240, lot="L-77"),)),),
            document="ASN-1", document_line=1, read_point="dock-1", interval=3_000_000,
            rule="portal/3", confidence=997, evidence="c2VlbiBhdCBk",
        ),
        ExceptionRecord(
            "no-document", "00/106141412345678915", "open", now - 20_000_000,
            "A pallet of 96 cups came in at dock-1 and no document expects it.",
            action="Ask the supplier for a notice, or return the pallet.", facts={"reads": 412, "antenna": "dock-1/2"},
            cause=1, value=Money(12_000, "EUR"),
        ),
    )  # fmt: skip
    return network


def _history(drawn: random.Random, site: str, now: int, days: int) -> list[Record]:
    """Opening stock, then day by day shipments out of the bin and, when it runs low, receipts; some come too late."""
    stock: dict[str, int] = {}
    found: list[Record] = []
    start = now - days * DAY_US
    for item, _, _, mean, _ in ITEMS:
        stock[item] = round(mean * 12) + 3
        line = Line(item, stock[item])
        found.append(Movement("counting", OPENING, BIN, start, (line,), rule="opening/1"))
    for day in range(days):
        at = start + day * DAY_US + 4 * 3_600_000_000
        for number, (item, _, _, mean, _) in enumerate(ITEMS):
            wanted = max(0, round(drawn.gauss(mean, mean**0.5)))
            shipped = min(wanted, stock[item])
            if shipped:
                lines = (Line(item, shipped),)
                found.append(Movement("shipping", BIN, CUSTOMER, at + number, lines, rule="portal/3", confidence=990))
                stock[item] -= shipped
            if stock[item] < mean * 4 and drawn.random() < 0.35 and (item, site) != ("SPO-012", "south"):
                more = round(mean * 14) + 1
                lines = (Line(item, more, unit_cost=1_000_000, currency="EUR"),)
                found.append(Movement("receiving", SUPPLIER, BIN, at + 50 + number, lines, rule="portal/3"))
                stock[item] += more
    return found


async def _masters(headquarters: Headquarters, now: int) -> None:
    for site, name in SITES:
        await headquarters.add_site(site, name=name, zone=ZONE)
    async with writing(headquarters.engine) as conn:
        for item, name, price, _, unit in ITEMS:
            await conn.execute(
                schema.item.insert().values(id=item, name=name, unit=unit, price_micro=price, lot=item == "TEA-100")
            )
            for site, _ in SITES:
                await conn.execute(
                    schema.term.insert().values(
                        site_id=site, item=item, supplier="leaf-co" if item.startswith("TEA") else "hall-trade",
                        price_micro=price - price // 10, moq=24, pack=12, lead_time_days=4.0, lead_time_sd=1.0,
                        order_cost_minor=2_500,
                    )
                )  # fmt: skip
        await conn.execute(
            schema.packaging.insert().values(gtin="10614141000415", item="TEA-100", quantity=24, name="case")
        )
        await conn.execute(schema.supplier.insert().values(id="leaf-co", name="Leaf & Co"))


async def _documents(headquarters: Headquarters, now: int) -> None:
    order = Document(
        "PO-1", 1, "expected-receipt", "open", (DocumentLine(1, "TEA-100", 480),), partner="leaf-co",
        due=now + 2 * DAY_US,
    )  # fmt: skip
    unit = ExpectedUnit("00/106141412345678908", holds=(Content("TEA-100", 240, lot="L-77"),))
    notice = Document(
        "ASN-1", 1, "expected-receipt", "open", (DocumentLine(1, "TEA-100", 240),), (unit,), partner="leaf-co",
        source="PO-1", reference="LC-9911",
    )  # fmt: skip
    customer = Document(
        "SO-7", 1, "outbound-order", "open", (DocumentLine(1, "CUP-050", 40), DocumentLine(2, "TEA-200", 12)),
        partner="cafe-9", due=now + DAY_US,
    )  # fmt: skip
    await open_documents(headquarters, "north", order, notice, customer, at=now - 60_000_000)


async def open_documents(headquarters: Headquarters, site: str, *documents: Document, at: int) -> None:
    """Open documents as headquarters does."""
    daily = DailyChanges()
    async with writing(headquarters.engine) as conn:
        for document in documents:
            await store_document(
                conn, site, document, opened_by="cloud", at=at, days=BusinessDays(ZONE), daily=daily, actor="test"
            )
        await lanes.add(conn, schema.daily, list(daily.rows(site)))


class MeanForecaster:
    """A forecaster for pages: the mean of each series with a spread; no library, always the same."""

    async def forecast(self, batch: Batch) -> Forecasts:
        return Forecasts(tuple(_mean_forecast(batch, one) for one in batch.requests), {})


def _mean_forecast(batch: Batch, request: Request) -> Forecast:
    mean = sum(request.quantities) / max(1, len(request.quantities))
    spread, horizon = max(mean, 1.0) ** 0.5, request.lead_time + request.review
    fan = tuple(max(0.0, mean + spread * z) for z in (-1.64, -0.67, 0.0, 0.67, 1.64))
    total, wide = mean * horizon, spread * horizon**0.5
    return Forecast(
        version=f"test-{inputs_hash(batch.origin, 1, request)}", site=request.site, item=request.item,
        origin=date.fromordinal(batch.origin).isoformat(), period_days=1, demand_class="smooth", models=("mean",),
        history=len(request.quantities), censored=0, lead_time=request.lead_time, lead_time_sd=request.lead_time_sd,
        review=request.review, rate=mean, line_size=max(mean, 1.0), mean=total, levels=LEVELS,
        quantiles=tuple(max(0.0, total + wide * (level - 0.5) * 5) for level in LEVELS), fan_levels=FAN_LEVELS,
        fan=(fan,) * 28, error=0.2, inputs=inputs_hash(batch.origin, 1, request),
    )  # fmt: skip


async def decide_network(network: Network) -> None:
    """Run a decision cycle."""
    headquarters = network.headquarters
    await run_cycle(headquarters.engine, headquarters.runtime, MeanForecaster())


async def sign_in_as(headquarters: Headquarters, user: str, role: str = "owner", site: str = "") -> str:
    """Make a person and start their session; returns its token."""
    async with writing(headquarters.engine) as conn:
        runtime = headquarters.runtime
        await accounts.create_user(conn, runtime, user, accounts.role_of(role), site, "", "test")
        return await accounts.start_session(conn, runtime, user, Sessions())


async def browser(
    headquarters: Headquarters, role: str = "owner", site: str = "", user: str = "maria"
) -> httpx.AsyncClient:
    """A client with a session and its CSRF token in `headers`; redirects are not followed."""
    token = await sign_in_as(headquarters, user, role, site)
    client = httpx.AsyncClient(
        transport=headquarters.client._transport, base_url=headquarters.client.base_url, timeout=60
    )
    client.cookies.set(COOKIE, token)
    client.headers["x-csrf-token"] = accounts.csrf_token(token)
    return client
