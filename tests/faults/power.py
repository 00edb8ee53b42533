"""Power cuts: what the disk of a gateway holds at a random instant is copied block by block, mounted and judged.

The gateway writes to an ext4 file system whose image lies on XFS; a reflink copy of the image is the disk of a machine whose
plug was pulled: what the kernel had not written to the device is not in it.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import observer
import traffic
from mounts import command, make_image, mounted
from outcome import Outcome
from processes import until
from sites import DenseSite, paced

from gateway.ledger.check import verify_ledger

#: Mebibytes of the gateway's disk, and of the one that holds it and its copies.
INNER_MIB, OUTER_MIB = 512, 3_072
#: How many times faster the gateway's clock runs: more commits between two cuts.
FACTOR = 4
#: Seconds between two cuts, at most.
PAUSE_S = 0.4
#: Seconds until everything that the program had said before the cut has been heard, on a machine that is busy.
HEARD_S = 1.0
#: Every such cut, the gateway is started on the copy, and records on.
RESTART_EVERY = 10
#: Microseconds UTC of crossing 0.
BASE = 1_767_592_800_000_000
#: Seconds that a program may take to its first receipts.
START_S = 60.0


def play(folder: Path, seed: int, cuts: int = 50) -> Outcome:
    """Cut the power `cuts` times under traffic."""
    outer = folder / "outer"
    make_image(folder / "outer.img", OUTER_MIB, "xfs")
    with mounted(folder / "outer.img", outer, "xfs", "loop"):
        make_image(outer / "inner.img", INNER_MIB, "ext4")
        with mounted(outer / "inner.img", folder / "disk", "ext4", "loop"):
            return asyncio.run(_cut(folder, Random(f"{seed}:power"), cuts))


async def _cut(folder: Path, random: Random, cuts: int) -> Outcome:
    site = DenseSite("north", folder, None, paced(FACTOR), BASE, disk=folder / "disk" / "evercount")
    outcome = Outcome(
        {"power cuts": 0, "in flight at a cut, least": traffic.WORKERS, "receipts": 0, "started again": 0}
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.program.end)
        await site.start()
        await until(lambda: site.receipts >= site.workers, START_S)
        for number in range(cuts):
            await asyncio.sleep(random.uniform(0.0, PAUSE_S))
            await until(lambda: len(site.in_flight) > 0, START_S)
            told, in_flight = dict(site.recorded), len(site.in_flight)
            copy = folder / "outer" / "cut.img"
            command("cp", "--reflink=always", folder / "outer" / "inner.img", copy)
            outcome.counts["power cuts"] += 1
            least = outcome.counts["in flight at a cut, least"]
            outcome.counts["in flight at a cut, least"] = min(least, in_flight)
            outcome.counts["receipts"] = len(told)
            await asyncio.sleep(HEARD_S)
            restart = number % RESTART_EVERY == RESTART_EVERY - 1
            outcome.counts["started again"] += restart
            faults = await _judge(folder, copy, site, told, restart)
            outcome.faults += [f"cut {number}: {fault}" for fault in faults]
            copy.unlink()
    return outcome


async def _judge(
    folder: Path, copy: Path, site: DenseSite, told: dict[int, tuple[int, int, str] | None], restart: bool
) -> list[str]:
    """What is wrong with the disk in the image `copy`, of which `told` had been told."""
    after = DenseSite("after", folder, None, site.environment, site.base, disk=folder / "after" / "evercount")
    after.recorded, after.last_submitted = told, site.last_submitted
    with mounted(copy, folder / "after", "ext4", "loop"):
        # The files that the gateway left are judged as they are, on a disk whose own journal has been replayed.
        faults = list(verify_ledger(after.ledger).faults)
        rows = observer.gateway_rows(after.ledger)
        faults += after.faults(rows, whole=False) + observer.doubled(observer.movements(rows))
        if restart:
            faults += await _start_again(after)
    shutil.rmtree(folder / "after")
    return faults


async def _start_again(after: DenseSite) -> list[str]:
    """Start the gateway on the disk, and let it record what nobody has a receipt of."""
    after.in_flight = dict.fromkeys(n for n in range(after.last_submitted + 1) if n not in after.recorded)
    await after.start(after.last_submitted + traffic.WORKERS)
    status = await after.program.finished(START_S)
    rows = observer.gateway_rows(after.ledger)
    faults = [] if status == 0 else [f"started again it ended with status {status}: {after.program.last_words()}"]
    return faults + list(verify_ledger(after.ledger).faults) + after.faults(rows)
