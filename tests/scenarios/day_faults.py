"""What goes wrong on a simulated day: drawn from the seed, one incident after the other on each of several tracks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

from day_headquarters import Headquarters, People, Weather
from day_site import DaySite, again
from virtual import START_US, AsgiTransport

from cloud.ingest import corrections
from gateway.errors import GatewayError
from gateway.ledger import retention
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.sync.salvage import examine, hand_over

#: Seconds in which nothing new breaks at the end of the day.
QUIET_S = 100.0
SECOND, HOUR = 1_000_000, 3_600_000_000
WEATHERS: tuple[Weather, ...] = ("down", "no requests", "no answers", "slow", "cut", "storm")

Incident = Callable[[], Awaitable[None]]


async def _until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.5)
    except TimeoutError:
        return False
    return True


class Troubles:
    """All that happens to one site. `busy` keeps two incidents from touching its machine at once."""

    def __init__(self, site: DaySite, people: People, seconds: float, twists: frozenset[str]) -> None:
        self.site, self.people, self.seconds, self.twists = site, people, seconds, twists
        self.random: Random = site.runtime.random("troubles")
        self.busy = asyncio.Lock()

    async def run(self) -> None:
        """Everything, until the day is nearly over; the twists of this seed first."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._weather(self.site.runtime.random("weather")))
            group.create_task(self._machine())
            group.create_task(self._clock(self.site.runtime.random("clock")))

    @property
    def _left(self) -> float:
        return self.seconds - QUIET_S - asyncio.get_running_loop().time()

    def _happens(self, what: str) -> None:
        self.site.faults[what] += 1
        self.site.note(what)

    # ---------------------------------------------------------------- the network

    async def _weather(self, random: Random) -> None:
        while self._left > 0:
            await asyncio.sleep(random.uniform(10.0, 60.0))
            weather, length = random.choice(WEATHERS), random.uniform(5.0, 60.0)
            self._happens(f"network: {weather}")
            end = asyncio.get_running_loop().time() + min(length, max(1.0, self._left + QUIET_S / 2))
            while asyncio.get_running_loop().time() < end:  # a program that starts meanwhile meets the same weather
                self.site.program.link.weather = weather
                await asyncio.sleep(1.0)
            self.site.program.link.weather = "well"

    # ---------------------------------------------------------------- the machine

    async def _machine(self) -> None:
        random = self.random
        planned: list[tuple[str, Incident]] = [(name, getattr(self, f"_{name}")) for name in sorted(self.twists)]
        random.shuffle(planned)
        incidents: list[Incident] = [self._kill, self._kill, self._stop, self._disk, self._disk, self._reboot]
        while self._left > 0:
            await asyncio.sleep(random.uniform(20.0, 70.0))
            if self._left <= 0:
                return
            # a twist of the seed stands between two other incidents
            incident = planned.pop()[1] if planned and random.random() < 0.6 else random.choice(incidents)
            async with self.busy:
                await incident()

    async def _kill(self) -> None:
        moment = self.random.choice(("idle", "before", "inside", "behind"))
        self._happens(f"gateway killed: {moment}")
        if moment == "idle":
            self.site.kill()
        else:
            killed = self.site.kill_at(moment)
            if not await _until(killed.is_set, 60.0):
                killed.set()
                self.site.kill()
        await asyncio.sleep(self.random.uniform(1.0, 15.0))
        self.site.start()

    async def _stop(self) -> None:
        self._happens("gateway stopped and started")
        await self.site.stop()
        await asyncio.sleep(self.random.uniform(1.0, 10.0))
        self.site.start()

    async def _disk(self) -> None:
        fault = self.random.choice(("full", "io", "gone"))
        self._happens(f"disk: {fault}")
        self.site.disk.fault = fault
        await asyncio.sleep(self.random.uniform(3.0, 40.0))
        if self.random.random() < 0.25:
            self._happens("gateway killed: bad disk")
            self.site.kill()
            self.site.disk.fault = fault if self.random.random() < 0.5 else ""
            self.site.start()
            await asyncio.sleep(10.0)
        self.site.disk.fault = ""

    async def _reboot(self) -> None:
        """The power fails; the machine comes back in 1970, and learns the time after a while.

        Not while its time is wrong: what it recorded in a boot that ended before its time was right stays as it is.
        """
        runtime, gateway = self.site.runtime, self.site.gateway
        if gateway is None or runtime.wall_offset_us or not gateway.health.status().clock_trusted:
            await self._kill()
            return
        self._happens("reboot without a clock")
        self.site.kill()
        runtime.boot = f"{runtime.boot}+"
        runtime.wall_offset_us, runtime.synchronised = -START_US, False
        await asyncio.sleep(self.random.uniform(5.0, 20.0))
        self.site.start()
        await asyncio.sleep(self.random.uniform(10.0, 60.0))
        runtime.wall_offset_us, runtime.synchronised = 0, True
        await _until(lambda: self.site.gateway and self.site.gateway.health.status().clock_trusted, 60.0)

    async def _restore(self) -> None:
        """Somebody puts an old image of the card back."""
        image = self.site.image()
        await asyncio.sleep(self.random.uniform(20.0, 60.0))
        gateway = self.site.gateway
        if self.random.random() < 0.5 and gateway is not None and gateway.uplink is not None:
            uplink = gateway.uplink
            await _until(lambda: not uplink.behind, 30.0)
        self._happens("old image restored")
        self.site.kill()
        self.site.restore(image)
        self.site.start()

    async def _takeover(self) -> None:
        """The box dies with rows that headquarters lacks; a spare takes its place, then the old card is salvaged."""
        site = self.site
        if self.random.random() < 0.7:
            program = site.program
            for _ in range(round(self.random.uniform(15.0, 40.0))):
                program.link.weather = "down"
                await asyncio.sleep(1.0)
        self._happens("spare takes over")
        site.kill()
        code = await self.people.ask("POST", f"/sites/{site.name}/enrolment-codes", {"replaces": True})
        await site.replace(code["code"])
        site.start()
        await asyncio.sleep(self.random.uniform(10.0, 60.0))
        for card in site.cards:
            await again(lambda card=card: salvage(site, card))
        self._happens("card salvaged")

    # ---------------------------------------------------------------- the clock

    async def _clock(self, random: Random) -> None:
        """A time server that lies for some minutes, and one that is gone."""
        while self._left > 0:
            await asyncio.sleep(random.uniform(60.0, 200.0))
            if self._left <= 0:
                return
            async with self.busy:
                runtime = self.site.runtime
                if random.random() < 0.7:
                    step = random.choice((-HOUR, HOUR, -30 * 24 * HOUR, 90 * SECOND, -7 * SECOND))
                    self._happens(f"clock: {step // SECOND:+d} s")
                    runtime.wall_offset_us = step
                else:
                    self._happens("clock: not synchronised")
                    runtime.synchronised = False
            await asyncio.sleep(random.uniform(20.0, 120.0))
            async with self.busy:
                runtime.wall_offset_us, runtime.synchronised = 0, True


async def salvage(site: DaySite, card: Path) -> None:
    """As `evercount-gateway salvage CARD` beside the running gateway. Raises GatewayError."""
    gateway = site.gateway
    if gateway is None:
        raise GatewayError("no gateway runs")
    identity = load_or_make_identity(site.card, site.runtime)
    cloud = Cloud("http://127.0.0.1:8400", identity, site.runtime, AsgiTransport(site.headquarters))
    try:
        found, facts = await examine(card / "ledger.db", cloud, site.name, gateway.writer.branch.epoch, keep=True)
    finally:
        await cloud.close()
    hand_over(site.card, found, facts)
    site.faults["rows salvaged"] += found.lacking


async def headquarters_troubles(headquarters: Headquarters, seconds: float) -> None:
    """Headquarters is killed now and then."""
    random, loop = headquarters.network.runtime("headquarters").random("kills"), asyncio.get_running_loop()
    while True:
        await asyncio.sleep(random.uniform(60.0, 200.0))
        if loop.time() > seconds - QUIET_S:
            return
        await headquarters.kill_and_start(random)


#: Rows are kept for minutes instead of weeks, days last minutes, and headquarters knows it.
SHORT: tuple[tuple[object, str, float], ...] = (
    (retention, "KEPT_US", 120 * SECOND),
    (retention, "NIGHT_US", 60 * SECOND),
    (retention, "LOOK_S", 15.0),
    (retention, "FIRST_S", 20.0),
    (corrections, "MAY_BE_CUT_US", 30 * SECOND),
)


@contextlib.contextmanager
def shortened() -> Iterator[None]:
    """Retention as after weeks, within minutes."""
    before = [getattr(module, name) for module, name, _ in SHORT]
    for module, name, value in SHORT:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(SHORT, before, strict=True):
            setattr(module, name, value)
