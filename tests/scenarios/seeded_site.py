"""One site of the whole system on virtual time: a real gateway, emulated readers, a link that fails, pallets that pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
from virtual import AsgiTransport, Network, VirtualRuntime

from gateway.app import Gateway, ledger_path
from gateway.config import CloudConfig, Config, LedgerConfig
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.ledger.writer import LedgerWriter
from gateway.observations.portal import DoorConfig
from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96
from gateway.simulation.scenario import Course, Crossing, pallet
from gateway.simulation.warehouse import Warehouse, emulate
from gateway.sync.enrolment import enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from vocabulary import epc

URL = "http://127.0.0.1:8400"
#: GS1's own example company prefix.
PREFIX = "9506000"
#: Cases of an item, and base units in a case.
ITEMS = ("espresso", "tea", "soap", "paper")
CASE = 6
#: Stock of each item that a site starts with, base units: outbound pallets of unseen serials are drawn from it.
OPENING = 5_000
#: Seconds in which no pallet starts at the end of the run: the last passage is decided and told within them.
CALM_S = 40.0
#: Seconds a load stays before it leaves again: forklifts do not turn on the spot.
RESTING_S = 40.0


def gtin(item: int, indicator: int = 0) -> str:
    """The GTIN-14 of an item's piece (indicator 0) or case (1)."""
    digits = f"{indicator}{PREFIX}{item + 10_000:05d}"
    return digits + check_digit(digits)


@dataclass
class Load:
    """A pallet with the tags on it, hex EPCs."""

    item: int
    sscc: str
    cases: tuple[str, ...]

    @property
    def epcs(self) -> tuple[str, ...]:
        return (self.sscc, *self.cases)


class Link:
    """A connection to headquarters that fails by its seed: outages, requests that get lost, answers that get lost."""

    def __init__(self, random: Random, seconds: float) -> None:
        self.random = random
        self.lost_requests = self.lost_answers = 0
        self.outages: list[tuple[float, float]] = []
        at = random.uniform(20.0, 60.0)
        while at < seconds - 60.0:
            length = random.uniform(5.0, 45.0)
            self.outages.append((at, at + length))
            at += length + random.uniform(30.0, 120.0)

    def before(self, request: httpx.Request) -> None:
        """Raise where the request does not arrive."""
        now = asyncio.get_running_loop().time()
        down = any(first <= now < last for first, last in self.outages)
        if down or self.random.random() < 0.03:
            self.lost_requests += 1
            raise httpx.ConnectError("the link is down", request=request)

    def after(self, request: httpx.Request) -> None:
        """Raise where headquarters acted and its answer is lost."""
        if self.random.random() < 0.05:
            self.lost_answers += 1
            raise httpx.ReadError("the answer was lost", request=request)


@dataclass
class Site:
    """A site, from its readers to its link."""

    name: str
    number: int
    network: Network
    folder: Path
    app: object
    seconds: float
    announce: Callable[[str, Load], object] = lambda site, load: None
    truth: list[Crossing] = field(default_factory=list[Crossing])

    def __post_init__(self) -> None:
        self.runtime: VirtualRuntime = self.network.runtime(self.name)
        self.random = self.runtime.random("trade")
        self.link = Link(self.runtime.random("link"), self.seconds)
        self.transport = AsgiTransport(
            self.app, lambda: self.link.random.uniform(0.005, 0.15), self.link.before, self.link.after
        )
        antennas = (AntennaConfig(1, "outside"), AntennaConfig(2, "inside"))
        readers = tuple(
            ReaderConfig(f"portal-{door}", "127.0.0.1", Intent.PORTAL, antennas, 5_000 + 100 * self.number + door)
            for door in (1, 2)
        )
        doors = tuple(
            DoorConfig(f"dock-{door}", f"dock-{door}", (f"portal-{door}/2",), (f"portal-{door}/1",)) for door in (1, 2)
        )
        self.config = Config(LedgerConfig(str(self.folder)), CloudConfig(URL), reader=readers, door=doors)
        hardware = emulate(
            [(reader.name, reader.host, reader.port) for reader in readers],
            [(door.name, door.inside, door.outside) for door in doors],
            strays=5,
        )
        self.warehouse = Warehouse(self.network.runtime(f"{self.name} hardware"), hardware)
        self.gateway = Gateway(self.config, self.runtime, self.transport)
        self.here: list[tuple[float, Load]] = []
        self.serial = 0

    @property
    def ledger(self) -> Path:
        return ledger_path(self.config)

    async def enrol(self, code: str) -> None:
        """As `evercount-gateway enrol` does, over a link that works."""
        identity = load_or_make_identity(self.folder, self.runtime)
        writer = await LedgerWriter.open(self.ledger, self.runtime)
        cloud = Cloud(URL, identity, self.runtime, AsgiTransport(self.app))
        await enrol(cloud, identity, code, writer.head.epoch, self.folder)
        await cloud.close()
        await writer.close()

    async def run(self) -> None:
        """Run until the time is over and headquarters holds everything."""
        async with AsyncExitStack() as stack:
            await self.warehouse.start()
            stack.push_async_callback(self.warehouse.stop)
            supervisor = await stack.enter_async_context(self.gateway.open())
            running = asyncio.ensure_future(supervisor.run())
            stack.push_async_callback(_cancelled, running)
            trade = asyncio.ensure_future(self._trade())
            faults = asyncio.ensure_future(self._reader_faults())
            await asyncio.wait([running, trade], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            await trade
            await faults
            uplink = self.gateway.uplink
            assert uplink is not None
            async with asyncio.timeout(300):
                while uplink.behind:  # noqa: ASYNC110 - the uplink tells nobody
                    await asyncio.sleep(1.0)
            self.truth = list(self.warehouse.scene.truth)

    async def _trade(self) -> None:
        """Pallets in and out at both doors, some that only come near, until the time is over."""
        loop, random = asyncio.get_running_loop(), self.random
        while (left := self.seconds - CALM_S - loop.time()) > 0:
            await asyncio.sleep(min(left, random.uniform(6.0, 25.0)))
            if loop.time() >= self.seconds - CALM_S:
                break
            course = random.choices(
                (Course.IN, Course.OUT, Course.TURN_BACK, Course.PASS_BY, Course.WAIT), (45, 40, 5, 5, 5)
            )[0]
            there = [load for since, load in self.here if loop.time() - since > RESTING_S]
            if course is Course.OUT and there and random.random() < 0.6:
                load = random.choice(there)
                self.here = [(since, other) for since, other in self.here if other is not load]
            else:
                load = self._made()
                if course in (Course.IN, Course.WAIT):
                    self.here.append((loop.time(), load))
                    if random.random() < 0.6:
                        self.announce(self.name, load)
                        await asyncio.sleep(2.0)
            door, speed = random.choice(("dock-1", "dock-2")), random.uniform(0.9, 1.8)
            scene, now = self.warehouse.scene, self.runtime.now()
            scene.forget(now - 60_000_000)
            scene.move(pallet(load.cases, load.sscc), door, course, now, speed, wait_s=8.0)
        await asyncio.sleep(self.seconds - loop.time())

    async def _reader_faults(self) -> None:
        """A connection that is reset, and a cable that is pulled for half a minute."""
        random = self.runtime.random("reader faults")
        first, second = (reader.port for reader in self.config.reader)
        await asyncio.sleep(random.uniform(100.0, 200.0))
        self.network.reset("127.0.0.1", first)
        await asyncio.sleep(random.uniform(50.0, 100.0))
        self.network.silence("127.0.0.1", second)
        await asyncio.sleep(30.0)
        self.network.silence("127.0.0.1", second, silent=False)

    def _made(self) -> Load:
        self.serial += 1
        item = self.random.randrange(len(ITEMS))
        digits = f"{self.number}{PREFIX}{self.serial:09d}"
        count = self.random.randint(4, 10)
        cases = tuple(
            sgtin_96(gtin(item, 1), (self.number * 10_000 + self.serial) * 100 + case, len(PREFIX))
            for case in range(count)
        )
        return Load(item, sscc_96(digits + check_digit(digits), len(PREFIX)), cases)


def unit_of(code: str) -> str:
    """The unit behind a hex EPC of this scenario."""
    unit = epc.decode(code).key
    assert unit is not None, code
    return unit


async def _cancelled(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
