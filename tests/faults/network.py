"""The network between a gateway and headquarters breaks and heals: nothing is lost or doubled, and it goes on at once.

Two ways to break it: a proxy between the programs (`proxy.py`), and the packets themselves in a network namespace (`iptables`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random

import observer
from mounts import command
from outcome import Outcome
from processes import until
from proxy import SOUND, Fault, FaultProxy
from sites import DenseSite, Headquarters, fill_in, owner_key, paced

from gateway.ledger.check import verify_ledger

#: Program seconds in which everything that was recorded until the network healed must be at headquarters.
RESUME_S = 60.0
#: How much longer than at a gateway with a sound network, at the same time on the same machine, 99 of 100 commits may take.
COMMIT_RATIO = 1.5
#: Seconds that a program may take to start.
START_S = 60.0

PROXY: dict[str, Fault] = {
    "latency of 300 ms": Fault(latency_s=0.3),
    "stall": Fault(stalled=True),
    "64 kbit/s": Fault(bytes_per_s=8_000),
    "cut in mid-answer": Fault(cut=True),
    "answers lost, half-open": Fault(up_only=True),
    "silent connections": Fault(deaf=True),
    "connections reset": Fault(refused=True, cut=True),
}


def packets(port: int) -> dict[str, Sequence[str]]:
    """Rules of iptables by fault, for headquarters at `port`."""
    to, back = f"-p tcp --dport {port}", f"-p tcp --sport {port}"
    return {
        "partition": [f"{to} -j DROP", f"{back} -j DROP"],
        "answers lost": [f"{back} -j DROP"],
        "requests lost": [f"{to} -j DROP"],
        "30 % of packets lost": [f"{to} -m statistic --mode random --probability 0.3 -j DROP"],
        "resets": [f"{to} -j REJECT --reject-with tcp-reset"],
    }


def play(
    folder: Path, seed: int, way: str = "proxy", factor: float = 1, fault_s: float = 35.0, faults: Sequence[str] = ()
) -> Outcome:
    """Break the network in each way for `fault_s` program seconds; `way` is proxy or packets (in an own namespace)."""
    return asyncio.run(_Play(folder, seed, way, factor, fault_s).run(faults))


class _Play:
    def __init__(self, folder: Path, seed: int, way: str, factor: float, fault_s: float) -> None:
        self._folder = folder
        self._random = Random(f"{seed}:network")
        self._way = way
        self._factor = factor
        self._fault_s = fault_s
        self._environment = paced(factor)
        self._outcome = Outcome({"faults of the network": 0})
        #: microseconds that commits took while the network was broken, at this gateway and at the other one
        self._broken: list[int] = []
        self._sound: list[int] = []

    async def run(self, chosen: Sequence[str]) -> Outcome:
        """Open, break and heal again and again, settle, judge."""
        if self._way == "packets":
            command("ip", "link", "set", "lo", "up")
        async with AsyncExitStack() as stack:
            cloud = await self._headquarters(stack, self._folder)
            proxy = FaultProxy(cloud.port, self._random)
            await proxy.open()
            stack.push_async_callback(proxy.close)
            url = f"http://127.0.0.1:{proxy.port}" if self._way == "proxy" else cloud.url
            site = await self._site(stack, self._folder, cloud, url)
            sound = None
            if self._factor == 1:  # tells what the machine does from what the fault does
                other = self._folder / "sound"
                other.mkdir()
                apart = await self._headquarters(stack, other)
                sound = await self._site(stack, other, apart, apart.url)
            breaks = self._breaks(cloud, proxy)
            for name in self._random.sample(list(chosen or breaks), len(chosen or breaks)):
                await self._break(site, sound, name, breaks[name])
            if sound is not None:
                self._compare_commits()
                await sound.program.kill()
            await site.program.kill()
            await site.start(site.last_submitted + site.workers)
            status = await site.program.finished(START_S)
            await cloud.program.stop()
            self._judge(site, cloud, status)
        return self._outcome

    async def _headquarters(self, stack: AsyncExitStack, folder: Path) -> Headquarters:
        cloud = Headquarters(folder, self._environment, await owner_key(folder, self._environment))
        stack.push_async_callback(cloud.client.aclose)
        stack.push_async_callback(cloud.program.end)
        await cloud.start()
        return cloud

    async def _site(self, stack: AsyncExitStack, folder: Path, cloud: Headquarters, url: str) -> DenseSite:
        base = time.time_ns() // 1_000 - 6 * 3_600_000_000
        site = DenseSite("north", folder, url, self._environment, base)
        stack.push_async_callback(site.program.end)
        await site.enrol((await fill_in(cloud, (site.name,)))[site.name])
        await site.start()
        await until(lambda: site.last_acknowledged > 0, START_S)
        return site

    def _breaks(self, cloud: Headquarters, proxy: FaultProxy) -> dict[str, Callable[[bool], None]]:
        """How to break, and to heal, by name."""
        if self._way == "proxy":
            return {name: lambda on, fault=fault: proxy.set(fault if on else SOUND) for name, fault in PROXY.items()}
        return {name: partial(_packets, rules) for name, rules in packets(cloud.port).items()}

    async def _break(self, site: DenseSite, sound: DenseSite | None, name: str, switch: Callable[[bool], None]) -> None:
        """Break, wait, heal, and see how long headquarters takes to hold all that was recorded."""
        counts = self._outcome.counts
        before, sound_before = len(site.latencies), len(sound.latencies) if sound else 0
        switch(True)
        await asyncio.sleep(self._random.uniform(0.5, 1.0) * self._fault_s / self._factor)
        switch(False)
        recorded, healed = site.last_recorded, time.monotonic()
        meanwhile = site.latencies[before:]
        self._broken += meanwhile
        self._sound += sound.latencies[sound_before:] if sound else []
        try:
            await until(lambda: site.last_acknowledged >= recorded, RESUME_S / self._factor)
        except TimeoutError:
            self._outcome.faults.append(f"{name}: not resumed {RESUME_S:.0f} s after the network healed")
        resumed = (time.monotonic() - healed) * self._factor
        counts["faults of the network"] += 1
        counts["resumed after s, slowest"] = max(counts.get("resumed after s, slowest", 0.0), round(resumed, 2))
        if len(meanwhile) < site.workers:
            self._outcome.faults.append(f"{name}: only {len(meanwhile)} movements were recorded meanwhile")

    def _compare_commits(self) -> None:
        """Hold the commits while the network was broken against those of the gateway with a sound one."""
        broken, sound = _p99(self._broken), _p99(self._sound)
        self._outcome.counts |= {"commit ms p99 while broken": broken, "commit ms p99 with a sound network": sound}
        if broken > COMMIT_RATIO * sound:
            self._outcome.faults.append(f"a commit took {broken} ms (p99), {sound} ms with a sound network meanwhile")

    def _judge(self, site: DenseSite, cloud: Headquarters, status: int) -> None:
        rows = observer.gateway_rows(site.ledger)
        faults = [f"the gateway ended with status {status}: {site.program.last_words()}"] if status else []
        faults += observer.compare(site.name, site.ledger, cloud.database) + site.faults(rows)
        self._outcome.faults += faults + list(verify_ledger(site.ledger).faults)
        self._outcome.counts |= {"rows": len(rows), "pushes acknowledged": len(site.acknowledged)}


def _packets(rules: Sequence[str], on: bool) -> None:
    for rule in rules:
        command("iptables", "-A" if on else "-D", "INPUT", "-i", "lo", *rule.split())


def _p99(values: Sequence[int]) -> float:
    """The 99th percentile of microseconds, in milliseconds."""
    return round(sorted(values)[int(len(values) * 0.99)] / 1_000, 1) if values else 0.0
