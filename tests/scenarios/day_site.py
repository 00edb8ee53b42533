"""A site of the simulated day: readers and trucks, and the machine on which one gateway program after the other runs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec
import observer
from day_disk import Disk, Disks
from day_headquarters import URL, Headquarters, Link, copy_as_killed
from seeded_site import CASE, ITEMS, RESTING_S, Load, gtin, unit_of
from virtual import AsgiTransport, Network, VirtualRuntime

from gateway.app import LEDGER, Gateway
from gateway.config import CloudConfig, Config, LedgerConfig
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.errors import GatewayError
from gateway.ledger.writer import LedgerWriter
from gateway.observations.portal import DoorConfig
from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96
from gateway.simulation.scenario import Course, Crossing, pallet
from gateway.simulation.warehouse import Warehouse, emulate
from gateway.sync.enrolment import enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.transactions.intents import Counted, CountedLine, Moved, SeenUnit
from vocabulary.place import Account
from vocabulary.records import encode

#: Seconds after which a service manager starts a program that ended with an error.
RESTART_S = 5.0
#: Seconds that no load starts at the end of the day: the last passage is over then.
CALM_S = 45.0
#: What a person at the site may be doing: put a pallet away, count an item.
WORK = ("put away", "put away", "count")

#: Rows told to whoever submitted them: seq and canonical bytes.
Told = set[tuple[int, bytes]]


@dataclass
class Program:
    """One run of the gateway's program on a machine; `dead` once it was killed: what it does then counts for nothing."""

    config: Config
    runtime: VirtualRuntime
    disk: Disk
    link: Link
    told: Callable[[int, bytes], None]
    starts: int = 0
    refused: int = 0
    gateway: Gateway | None = None
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.ensure_future(self._keep_running())

    async def _keep_running(self) -> None:
        """As a service manager does: a program that ends with an error is started again."""
        while True:
            try:
                await self._run()
            except (GatewayError, OSError):
                await asyncio.sleep(RESTART_S)

    async def _run(self) -> None:
        gateway = Gateway(self.config, self.runtime, self.link)
        self.starts += 1
        while True:  # as Gateway.run, without its page, which needs a real socket
            async with gateway.open() as supervisor:
                gateway.disk._look_at = self.disk.room
                self._listen(gateway.writer)
                self.gateway = gateway
                serving = asyncio.ensure_future(supervisor.run())
                damaged = asyncio.ensure_future(gateway.writer.damaged.wait())
                try:
                    await asyncio.wait({serving, damaged}, return_when=asyncio.FIRST_COMPLETED)
                    if serving.done():
                        serving.result()
                finally:
                    self.gateway = None
                    self.refused += gateway.pipeline.refused
                    for one in (serving, damaged):
                        one.cancel()
                    await asyncio.gather(serving, damaged, return_exceptions=True)
                    gateway._carried = gateway.pipeline.decided

    def _listen(self, writer: LedgerWriter) -> None:
        """Note every row of which somebody is told that it is recorded."""
        submit = writer.submit

        async def noted(*intents: object) -> object:
            receipt = await submit(*intents)  # type: ignore[arg-type]
            if not self.link.dead:
                for number, record in enumerate(receipt.records):
                    self.told(receipt.first_seq + number, encode(record))
            return receipt

        writer.submit = noted  # type: ignore[method-assign, assignment]

    async def stop(self) -> None:
        """End it in order."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class DaySite:
    """A site with its doors, its goods and its gateway; `card` is the folder that the present gateway works in."""

    name: str
    number: int
    doors: int
    network: Network
    folder: Path
    headquarters: Headquarters
    disks: Disks
    announce: Callable[[str, Load], object] = lambda site, load: None
    truth: list[Crossing] = field(default_factory=list[Crossing])
    faults: Counter[str] = field(default_factory=Counter[str])
    log: list[str] = field(default_factory=list[str])
    told: Told = field(default_factory=set[tuple[int, bytes]])
    #: cards of dead gateways, whose rows count until they are salvaged
    cards: list[Path] = field(default_factory=list[Path])

    def __post_init__(self) -> None:
        self.runtime: VirtualRuntime = self.network.runtime(self.name)
        self.random = self.runtime.random("trade")
        self.antennas = (AntennaConfig(1, "outside"), AntennaConfig(2, "inside"))
        numbers = range(1, self.doors + 1)
        self.readers = tuple(
            ReaderConfig(f"portal-{door}", "127.0.0.1", Intent.PORTAL, self.antennas, 5_000 + 100 * self.number + door)
            for door in numbers
        )
        self.portals = tuple(
            DoorConfig(f"dock-{door}", f"dock-{door}", (f"portal-{door}/2",), (f"portal-{door}/1",)) for door in numbers
        )
        hardware = emulate(
            [(reader.name, reader.host, reader.port) for reader in self.readers],
            [(door.name, door.inside, door.outside) for door in self.portals],
            strays=2,
        )
        #: the outer world keeps the right time, whatever the machine's clock says
        self.world = self.network.runtime(f"{self.name} hardware")
        self.warehouse = Warehouse(self.world, hardware)
        self.here: list[tuple[float, Load]] = []
        self.serial = self.lives = self.starts = self.refused = 0
        self.ended: list[Program] = []
        self._new_card()

    # ---------------------------------------------------------------- the machine

    def _new_card(self) -> None:
        """A folder of its own for each life of the machine, so that a dead program may go on writing into its old one."""
        self.lives += 1
        self.card = self.folder / f"{self.lives}"
        self.card.mkdir(parents=True)
        self.disk = self.disks.add(Disk(self.card, self.runtime.random(f"disk {self.lives}")))

    @property
    def ledger(self) -> Path:
        return self.card / LEDGER

    def start(self) -> None:
        """Switch the gateway on."""
        config = Config(LedgerConfig(str(self.card)), CloudConfig(URL), reader=self.readers, door=self.portals)
        link = Link(self.headquarters, self.runtime.random(f"link {self.lives} {len(self.ended)}"))
        tell = lambda seq, body: self.told.add((seq, body))  # noqa: E731
        self.program = Program(config, self.runtime, self.disk, link, tell)
        self.program.start()

    async def stop(self) -> None:
        """Switch it off in order."""
        await self.program.stop()
        self.ended.append(self.program)

    def kill(self) -> None:
        """Kill it now: its card stays as it is at this moment, in a folder of its own for the next life."""
        dying, before = self.program, self.ledger
        dying.link.dead = True
        for reader in self.readers:
            self.network.reset(reader.host, reader.port)
        old = self.card
        self._new_card()
        copy_as_killed(before, self.ledger)
        copy_others(old, self.card)
        assert dying.task is not None
        dying.task.cancel()
        self.ended.append(dying)

    def kill_at(self, moment: str) -> asyncio.Event:
        """Kill it at the next commit: `before` it, `behind` it when nobody was told yet, or between two rows (`inside`)."""
        killed, disk = asyncio.Event(), self.disk

        def watch(sql: str, done: bool) -> None:
            begins = sql.startswith("INSERT INTO ledger") if moment == "inside" else sql == "COMMIT"
            if begins and done == (moment != "before") and not killed.is_set():
                killed.set()
                self.kill()

        disk.watch = watch
        return killed

    def restore(self, image: Path) -> None:
        """The machine's card is an old image of itself from now on. Nothing may be running."""
        held = {(row.seq, row.body) for row in observer.cloud_rows(self.headquarters.database, self.name)}
        kept = held | {(row.seq, row.body) for row in observer.gateway_rows(image / LEDGER)}
        self.faults["rows overwritten by an image"] += len(self.told - kept)
        self.told &= kept
        self._new_card()
        copy_as_killed(image / LEDGER, self.ledger)
        copy_others(image, self.card)

    def image(self) -> Path:
        """A copy of the card as it is now."""
        target = self.folder / f"image {self.lives}"
        copy_as_killed(self.ledger, target / LEDGER)
        copy_others(self.card, target)
        return target

    async def replace(self, code: str) -> None:
        """A new machine takes over with `code`; the old card is kept for salvage."""
        self.cards.append(self.card)
        self.runtime = self.network.runtime(f"{self.name} spare {self.lives}")
        self._new_card()
        await self.enrol(code)

    async def enrol(self, code: str) -> None:
        """As `evercount-gateway enrol` does, over a link that works."""
        identity = load_or_make_identity(self.card, self.runtime)
        writer = await LedgerWriter.open(self.ledger, self.runtime)
        cloud = Cloud(URL, identity, self.runtime, AsgiTransport(self.headquarters))
        try:
            await again(lambda: enrol(cloud, identity, code, writer.head.epoch, self.card))
        finally:
            await cloud.close()
            await writer.close()

    @property
    def gateway(self) -> Gateway | None:
        return self.program.gateway

    def note(self, text: str) -> None:
        """Write an incident down."""
        self.log.append(f"{asyncio.get_running_loop().time():.3f} {self.name}: {text}")

    # ---------------------------------------------------------------- goods and people

    async def trade(self, seconds: float) -> None:
        """Pallets in and out, some that only come near, until the time is over."""
        loop, random = asyncio.get_running_loop(), self.random
        while loop.time() < seconds - CALM_S:
            await asyncio.sleep(random.uniform(6.0, 20.0))
            if loop.time() >= seconds - CALM_S:
                return
            course = random.choices(
                (Course.IN, Course.OUT, Course.TURN_BACK, Course.PASS_BY, Course.WAIT), (45, 40, 5, 5, 5)
            )[0]
            there = [load for since, load in self.here if loop.time() - since > RESTING_S]
            if course is Course.OUT and there and random.random() < 0.6:
                load = random.choice(there)
                self.here = [(since, other) for since, other in self.here if other is not load]
            else:
                load = self.made()
                if course in (Course.IN, Course.WAIT):
                    self.here.append((loop.time(), load))
                    if random.random() < 0.6:
                        self.announce(self.name, load)
                        await asyncio.sleep(2.0)
            self.move(load, course)

    def move(self, load: Load, course: Course) -> None:
        """A load begins to move at one of the doors."""
        door, speed = self.random.choice([door.name for door in self.portals]), self.random.uniform(0.9, 1.8)
        scene, now = self.warehouse.scene, self.world.now()
        scene.forget(now - 60_000_000)
        scene.move(pallet(load.cases, load.sscc), door, course, now, speed, wait_s=8.0)

    def made(self) -> Load:
        """A new pallet."""
        self.serial += 1
        item = self.random.randrange(len(ITEMS))
        digits = f"{self.number}9506000{self.serial:09d}"
        cases = tuple(
            sgtin_96(gtin(item, 1), (self.number * 10_000 + self.serial) * 100 + case, 7)
            for case in range(self.random.randint(3, 7))
        )
        return Load(item, sscc_96(digits + check_digit(digits), 7), cases)

    async def work(self, seconds: float) -> None:
        """A person puts pallets away and counts; what the gateway does not take now is done again later."""
        loop, random = asyncio.get_running_loop(), self.runtime.random("work")
        while loop.time() < seconds - CALM_S:
            await asyncio.sleep(random.uniform(15.0, 40.0))
            there = [load for since, load in self.here if loop.time() - since > RESTING_S]
            what, gateway = random.choice(WORK), self.gateway
            load, item, short = (random.choice(there) if there else None), random.choice(ITEMS), random.randint(-2, 2)
            if gateway is None or gateway.standing.revoked:
                continue
            now = gateway.runtime.now()
            with contextlib.suppress(GatewayError):
                if what == "count":
                    await self._count(gateway, now, item, short)
                elif load is not None:
                    seen = tuple(SeenUnit(unit_of(code)) for code in (load.sscc,))
                    await gateway.writer.submit(Moved(occurred_at=now, place="storage", units=seen))

    async def _count(self, gateway: Gateway, now: int, item: str, short: int) -> None:
        book = await gateway.writer.read(
            lambda state: sum(
                amount.quantity
                for key, amount in state.stock.balances.items()
                if (key.place, key.status, key.item) == ("storage", "available", item)
            )
        )
        line = CountedLine(item, max(0, book + short * CASE))
        window = {"first_scan": now - 5_000_000, "scope": "listed", "lines": (line,)}
        await gateway.writer.submit(Counted(occurred_at=now, account=Account("storage"), **window))  # type: ignore[arg-type]

    async def reader_faults(self, random: Random, seconds: float) -> None:
        """Connections of readers that are reset, and a cable that is pulled for half a minute."""
        while asyncio.get_running_loop().time() < seconds - 100.0:
            await asyncio.sleep(random.uniform(60.0, 160.0))
            reader = random.choice(self.readers)
            if random.random() < 0.5:
                self.faults["reader reset"] += 1
                self.network.reset(reader.host, reader.port)
            else:
                self.faults["reader silent"] += 1
                self.network.silence(reader.host, reader.port)
                await asyncio.sleep(20.0)
                self.network.silence(reader.host, reader.port, silent=False)

    def holds(self, load: Load) -> list[dict[str, object]]:
        """The units of a load as a document announces them."""
        sscc = unit_of(load.sscc)
        content = [{"item": ITEMS[load.item], "quantity": CASE}]
        return [{"unit": unit_of(case), "container": sscc, "holds": content} for case in load.cases]

    def crossings(self) -> list[observer.TrueCrossing]:
        """What truly passed the doors."""
        return [
            observer.TrueCrossing(unit_of(code), crossing.door, crossing.direction.value == "out", crossing.at)
            for crossing in self.warehouse.scene.truth
            for code in crossing.epcs
        ]


def copy_others(source: Path, target: Path) -> None:
    """All files of a card but the ledger itself."""
    for path in sorted(source.iterdir()):
        if path.name.startswith(LEDGER) and path.suffix in (".db", ".db-wal", ".db-shm"):
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target / path.name)
            shutil.copymode(path, target / path.name)


async def again(attempt: Callable[[], Awaitable[object]]) -> None:
    """A person tries until it works."""
    for _ in range(60):
        try:
            await attempt()
            return
        except GatewayError:
            await asyncio.sleep(3.0)
    raise AssertionError("it never worked")


def crossing_line(site: str, crossing: Crossing) -> str:
    """A true crossing, for comparison."""
    return f"crossing {site} {msgspec.json.encode(crossing).decode()}"
