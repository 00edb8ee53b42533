"""The densest hours of a warehouse day in one process on virtual time, with every fault at its chance, from one seed.

Headquarters, two or three gateways with emulated readers, trucks, people who order, count and correct, a transfer between two
sites; networks, disks, clocks and programs that fail. In the end all is healed and an observer looks (`day_judge`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import observer
import virtual
from day_disk import Disks
from day_faults import Troubles, headquarters_troubles, shortened
from day_headquarters import Headquarters, People, open_people
from day_judge import judge, lines
from day_site import CALM_S, DaySite, crossing_line
from seeded_site import CASE, ITEMS, Load, unit_of
from virtual import Network

from gateway.simulation import reader
from gateway.simulation.scenario import Course
from vocabulary import records
from vocabulary.movement import Movement

#: Virtual seconds: the densest quarter of an hour gives every fault its chance.
SECONDS = 900.0
#: Seconds in which everything must be healed and told.
SETTLING_S = 2_400.0
#: Seconds between two looks of an emulated reader: half as exact as by default, and a third of the day's work.
TICK_S = 0.1
SITES = ("north", "south", "east")


@dataclass
class Result:
    """What a day left behind: `faults` is empty where everything held; equal seeds give equal digests."""

    seed: int
    faults_injected: dict[str, int] = field(default_factory=dict[str, int])
    records: int = 0
    crossings: int = 0
    recorded: int = 0
    faults: list[str] = field(default_factory=list[str])
    digest: str = ""
    sites: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Plan:
    """What a seed is about: its sites with their doors, and the twists of each."""

    doors: dict[str, int]
    twists: dict[str, frozenset[str]]
    retention: bool


def plan_of(seed: int, sites: int = 0) -> Plan:
    """The plan of `seed`; `sites` says how many there are, 0 lets the seed say."""
    random = Random(f"{seed}:plan")
    count = sites or random.choice((2, 2, 3))
    doors = {name: (2 if number == 0 and count == 2 else 1) for number, name in enumerate(SITES[:count])}
    twists = {
        name: frozenset(twist for twist, share in (("restore", 0.45), ("takeover", 0.45)) if random.random() < share)
        for name in doors
    }
    return Plan(doors, twists, random.random() < 0.4)


def play(seed: int, folder: Path, seconds: float = SECONDS, sites: int = 0) -> Result:
    """Play `seed` with all files in `folder` (empty) for `seconds` of virtual time, heal everything, judge."""
    draw, plan = Random(f"{seed}:executor"), plan_of(seed, sites)
    before, reader.TICK_S = reader.TICK_S, TICK_S
    disks = Disks()
    try:
        with disks.attached(), shortened() if plan.retention else contextlib.nullcontext():
            day = Day(seed, folder, seconds, plan, disks)
            return virtual.run(day.run, lambda: draw.uniform(0.0, 0.01))
    finally:
        reader.TICK_S = before


class Day:
    """One day, from the first enrolment to the verdict."""

    def __init__(self, seed: int, folder: Path, seconds: float, plan: Plan, disks: Disks) -> None:
        self.seconds, self.plan = seconds, plan
        self.result = Result(seed)
        self.network = Network(seed)
        self.random = self.network.runtime("office").random("office")
        self.headquarters = Headquarters(self.network, folder / "headquarters")
        self.sites = [
            DaySite(name, number, doors, self.network, folder / name, self.headquarters, disks)
            for number, (name, doors) in enumerate(plan.doors.items(), 1)
        ]

    async def run(self) -> Result:
        await self.headquarters.start()
        people = await open_people(self.headquarters)
        try:
            await people.found(self.sites)  # type: ignore[arg-type]
            await self._whole_day(people)
            faults = await self._settle()
            for site in self.sites:
                await site.stop()
                for program in site.ended:
                    assert program.task is not None
                    await asyncio.wait([program.task])
                    site.refused += program.refused
            await self._judge(faults)
        finally:
            await people.close()
            await self.headquarters.close()
        return self.result

    async def _whole_day(self, people: People) -> None:
        seconds = self.seconds
        async with contextlib.AsyncExitStack() as stack:
            for site in self.sites:
                await site.warehouse.start()
                stack.push_async_callback(site.warehouse.stop)
                site.start()
            troubles = [Troubles(site, people, seconds, self.plan.twists[site.name]) for site in self.sites]
            async with asyncio.TaskGroup() as group:
                for site, trouble in zip(self.sites, troubles, strict=True):
                    site.announce = announcer(people, group)
                    group.create_task(site.trade(seconds))
                    group.create_task(site.work(seconds))
                    group.create_task(site.reader_faults(site.runtime.random("reader faults"), seconds))
                    group.create_task(trouble.run())
                    group.create_task(self._orders(people, site))
                    group.create_task(self._corrections(people, site))
                group.create_task(self._transfers(people))
                group.create_task(headquarters_troubles(self.headquarters, seconds))
                group.create_task(asyncio.sleep(seconds))

    # ---------------------------------------------------------------- people at headquarters

    async def _orders(self, people: People, site: DaySite) -> None:
        """Customers' orders, which outbound pallets fulfil."""
        random, number = self.network.runtime(site.name).random("orders"), 0
        while asyncio.get_running_loop().time() < self.seconds - CALM_S:
            await asyncio.sleep(random.uniform(20.0, 90.0))
            number += 1
            item = random.choice(ITEMS)
            order = {"site": site.name, "type": "outbound-order", "id": f"SO-{number}", "partner": "CUS-1"}
            wanted = [{"line": 1, "item": item, "quantity": CASE * random.randint(2, 12)}]
            await people.ask("POST", "/documents", {**order, "lines": wanted})

    async def _corrections(self, people: People, site: DaySite) -> None:
        """Somebody finds that a passage was none, or ended elsewhere; also where a dead gateway sensed it."""
        random = self.network.runtime(site.name).random("corrections")
        while asyncio.get_running_loop().time() < self.seconds - CALM_S:
            await asyncio.sleep(random.uniform(40.0, 150.0))
            rows = observer.cloud_rows(self.headquarters.database, site.name)
            sensed = [
                (position, movement.kind)
                for position, row in enumerate(rows, 1)
                if isinstance(movement := records.decode(row.body), Movement) and isinstance(movement.interval, int)
            ]
            if not sensed:
                continue
            position, kind = random.choice(sensed)
            wanted: dict[str, object] = {"reason": "nothing passed there"}
            if kind == "receiving" and random.random() < 0.4:
                places = {"from": ["supplier", "available"], "to": ["storage", "available"]}
                wanted = {"reason": "it went straight to the storage", "replacement": {"kind": "receiving", **places}}
            taken = await people.correct(site.name, position, wanted)
            site.faults["corrections ordered" if taken else "corrections refused"] += 1

    async def _transfers(self, people: People) -> None:
        """Pallets that one site sends to another one, with and without a head start for the paper."""
        random, number = self.network.runtime("office").random("transfers"), 0
        while len(self.sites) > 1 and asyncio.get_running_loop().time() < self.seconds - 200.0:
            await asyncio.sleep(random.uniform(30.0, 120.0))
            sender, receiver = random.sample(self.sites, 2)
            load, number = sender.made(), number + 1
            paper = {"type": "transfer", "site": sender.name, "from_site": sender.name, "to_site": receiver.name}
            wanted = [{"line": 1, "item": ITEMS[load.item], "quantity": CASE * len(load.cases)}]
            await people.ask(
                "POST", "/documents", {**paper, "id": f"TR-{number}", "lines": wanted, "units": sender.holds(load)}
            )
            await asyncio.sleep(random.uniform(5.0, 20.0))
            sender.move(load, Course.OUT)
            await asyncio.sleep(random.uniform(40.0, 80.0))
            receiver.move(load, Course.IN)

    # ---------------------------------------------------------------- the end

    async def _settle(self) -> list[str]:
        """Heal everything and wait until headquarters holds all; what does not come is a fault."""
        for site in self.sites:
            site.program.link.weather, site.disk.fault = "well", ""
            site.runtime.wall_offset_us, site.runtime.synchronised = 0, True
        loop, calm = asyncio.get_running_loop(), 0
        end = loop.time() + SETTLING_S
        while calm < 3 and loop.time() < end:
            await asyncio.sleep(20.0)
            calm = calm + 1 if not any(unsettled(site) for site in self.sites) else 0
        return [] if calm == 3 else [f"{site.name}: {text}" for site in self.sites if (text := unsettled(site))]

    async def _judge(self, faults: list[str]) -> None:
        result, injected = self.result, Counter(self.headquarters.faults)
        result.faults += faults
        for site in self.sites:
            found, result.sites[site.name] = await judge(site, self.headquarters)
            result.faults += found
            result.lines += lines(site, self.headquarters)
            result.lines += [crossing_line(site.name, crossing) for crossing in site.warehouse.scene.truth]
            figures = result.sites[site.name]
            result.records += figures["rows"]
            result.crossings += figures["crossed"]
            result.recorded += figures["recorded"]
            injected += site.faults
            for program in site.ended:
                injected += program.link.lost
                injected += Counter({f"disk refusals: {kind}": n for kind, n in program.disk.refused.items()})
        if self.plan.retention:
            injected["rows cut by retention"] += sum(site["cut"] for site in result.sites.values())
        result.faults_injected = dict(sorted(injected.items()))
        result.digest = hashlib.sha256("\n".join([*result.lines, *result.faults]).encode()).hexdigest()


def unsettled(site: DaySite) -> str:
    """What a site still has to do; "" when it is done."""
    gateway = site.gateway
    if gateway is None or gateway.uplink is None or gateway.downlink is None:
        return "no gateway runs"
    uplink, downlink = gateway.uplink, gateway.downlink
    if uplink.state != "online" or uplink.behind or uplink._reconciling:
        return f"the uplink is {uplink.state} ({uplink.reason}) and {uplink.behind} rows behind"
    if downlink.state != "online" or downlink._todo:
        return f"the downlink is {downlink.state} ({downlink.reason}), {len(downlink._todo)} commands wait"
    if gateway.pipeline.decided or gateway.pipeline.blocked:
        return f"{len(gateway.pipeline.decided)} movements wait for the ledger"
    if not gateway.health.status().clock_trusted:
        return "its clock is not believed again"
    waiting = list((site.card / "salvage").glob("*.facts"))
    return f"{len(waiting)} files of salvaged facts wait" if waiting else ""


def announcer(people: People, group: asyncio.TaskGroup) -> Callable[[str, Load], object]:
    """Announce a load to its site, in a task of `group`."""

    async def announce(site: str, load: Load) -> None:
        sscc = unit_of(load.sscc)
        holds = [{"item": ITEMS[load.item], "quantity": CASE}]
        cases = [{"unit": unit_of(case), "container": sscc, "holds": holds} for case in load.cases]
        wanted = [{"line": 1, "item": ITEMS[load.item], "quantity": CASE * len(load.cases)}]
        paper = {"site": site, "type": "expected-receipt", "id": f"ER-{sscc[3:]}", "partner": "SUP-1"}
        await people.ask("POST", "/documents", {**paper, "lines": wanted, "units": cases})

    return lambda site, load: group.create_task(announce(site, load))
