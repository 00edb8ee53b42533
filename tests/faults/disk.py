"""A disk that is full, or takes no writing any more, while the gateway runs under traffic and when it starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Generator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import observer
from mounts import command, make_image, mounted
from outcome import Outcome
from processes import until
from sites import DenseSite, paced

from gateway.ledger.check import verify_ledger

#: Mebibytes of the gateway's disk.
DISK_MIB = 24
#: Microseconds UTC of crossing 0.
BASE = 1_767_592_800_000_000
#: Seconds that a program may take to its first receipts, and a full disk to be met.
START_S = 60.0
#: Seconds in which the gateway must record again once it can, and must say that it cannot.
HEAL_S, SAY_S = 10.0, 5.0
#: Seconds without a receipt after which the ledger is taken to be stuck.
STUCK_S = 0.5
#: The gateway's figure for a full disk.
LEVEL_FULL = 3.0
#: Crossings that a run goes on with after all faults.
REST = 20
#: How many times faster the gateway's clock runs: it waits two seconds before it tries a refused disk again.
FACTOR = 4


def full(folder: Path, seed: int, commits: int = 50, device: str = "loop") -> Outcome:
    """Fill the disk behind each of `commits` commits, and give the room back."""
    with _disk(folder, device):
        return asyncio.run(_full(folder, commits))


def readonly(folder: Path, seed: int, times: int = 5) -> Outcome:
    """Have the file system abort under traffic `times` times, and start on a read-only one."""
    return asyncio.run(_readonly(folder, times))


def play(folder: Path, seed: int, fault: str, **arguments: object) -> Outcome:
    """Play one of the two."""
    return {"full": full, "readonly": readonly}[fault](folder, seed, **arguments)  # type: ignore[operator]


@contextlib.contextmanager
def _disk(folder: Path, device: str) -> Generator[None]:
    if device == "tmpfs":
        with mounted("tmpfs", folder / "disk", "tmpfs", f"size={DISK_MIB}m"):
            yield
    else:
        make_image(folder / "disk.img", DISK_MIB, "ext4")
        with mounted(folder / "disk.img", folder / "disk", "ext4", "loop"):
            yield


class _Site(DenseSite):
    """The gateway on the disk to break."""

    def __init__(self, folder: Path) -> None:
        super().__init__("north", folder, None, paced(FACTOR), BASE, workers=2, disk=folder / "disk" / "evercount")

    async def more(self, receipts: int, timeout_s: float) -> float:
        """Wait for that many more receipts; the seconds it took."""
        began, before = time.monotonic(), len(self.recorded)
        await until(lambda: len(self.recorded) >= before + receipts, timeout_s)
        return time.monotonic() - began

    @property
    def stuck(self) -> bool:
        """Whether nothing was recorded for a while: it takes nothing, or has ended."""
        return not self.program.running or time.monotonic() - self.last_receipt_at > STUCK_S

    async def says_so(self, timeout_s: float) -> bool:
        """Whether the gateway's own figures say that its ledger takes nothing or its disk is full, in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        found = await self.metrics()
                        if (
                            found.get("evercount_ledger_disk_blocked")
                            or found.get("evercount_disk_level") == LEVEL_FULL
                        ):
                            return True
                    await asyncio.sleep(0.1)
        return False

    def judge(self, whole: bool = True) -> list[str]:
        """What is wrong with the ledger as it lies on the disk."""
        rows = observer.gateway_rows(self.ledger)
        found = list(verify_ledger(self.ledger).faults) + self.faults(rows, whole)
        return found + observer.doubled(observer.movements(rows))

    async def finish(self) -> list[str]:
        """Start it once more to its end, and judge it."""
        await self.start(self.last_submitted + REST)
        status = await self.program.finished(START_S)
        return ([f"it ended with status {status}: {self.program.last_words()}"] if status else []) + self.judge()


def _fill(folder: Path) -> None:
    """Take all room that there is."""
    with (folder / "disk" / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
        os.fsync(file.fileno())


async def _full(folder: Path, commits: int) -> Outcome:
    site = _Site(folder)
    slowest = 0.0
    counts = {
        "times full": 0,
        "said so": 0,
        "recorded again within s, slowest": 0.0,
        "starts on a full disk": 0,
    }
    outcome = Outcome(counts)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.program.end)
        await site.start()
        await site.more(site.workers, START_S)
        for number in range(commits):
            await site.more(1, START_S)
            async with asyncio.timeout(START_S):
                while not site.stuck:  # the gateway may release its ballast: that is filled too
                    _fill(folder)
                    await asyncio.sleep(0.02)
            counts["times full"] += 1
            counts["said so"] += await site.says_so(SAY_S)
            if number == commits - 1:
                outcome.faults += await _stop_and_start(site, counts)
            (folder / "disk" / "filler").unlink()
            try:
                slowest = max(slowest, await site.more(1, HEAL_S))
            except TimeoutError:
                ended = "" if site.program.running else "; it had ended by itself"
                outcome.faults.append(f"room {number}: nothing recorded {HEAL_S:g} s after it came back{ended}")
                break
        await site.program.kill()
        counts["recorded again within s, slowest"] = round(slowest, 2)
        outcome.faults += await site.finish()
    if counts["said so"] < counts["times full"]:
        outcome.faults.append(f"its figures said so {counts['said so']} of {counts['times full']} times")
    return outcome


async def _stop_and_start(site: _Site, counts: dict[str, float]) -> list[str]:
    """End in order and start again while the disk is full: it ends with one sentence, or waits for room."""
    status = await site.program.stop()
    await site.start()
    counts["starts on a full disk"] += 1
    await asyncio.sleep(2.0)
    if not site.program.running:
        await site.program.finished(1.0)
        return [f"on a full disk it does not start: {site.program.last_words()[-300:]}"]
    return [f"it ended on a full disk with status {status}"] if status else []


async def _readonly(folder: Path, times: int) -> Outcome:
    site = _Site(folder)
    counts: dict[str, float] = {"aborts": 0, "said so": 0, "ended by itself": 0, "starts on a read-only disk": 0}
    outcome = Outcome(counts)
    image, disk = folder / "disk.img", folder / "disk"
    make_image(image, DISK_MIB, "ext4")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.program.end)
        for number in range(times):
            with mounted(image, disk, "ext4", "loop"):
                await site.start()
                await site.more(10 * (number + 1), START_S)
                command("mount", "-o", "remount,abort", disk)
                counts["aborts"] += 1
                await until(lambda: site.stuck, START_S)
                counts["said so"] += await site.says_so(SAY_S) or not site.program.running
                counts["ended by itself"] += not site.program.running
                await (site.program.stop() if site.program.running else site.program.finished(1.0))
            await asyncio.sleep(0.2)  # the lazily unmounted disk is let go
            command("e2fsck", "-p", "-f", image, allowed=(0, 1))
            with mounted(image, disk, "ext4", "loop,ro"):
                faults = await _start_readonly(site, counts)
            await asyncio.sleep(0.2)
            with mounted(image, disk, "ext4", "loop"):
                outcome.faults += [f"abort {number}: {fault}" for fault in (*faults, *site.judge(whole=False))]
        with mounted(image, disk, "ext4", "loop"):
            outcome.faults += await site.finish()
    if counts["said so"] < counts["aborts"]:
        outcome.faults.append(f"its figures said so {counts['said so']} of {counts['aborts']} times")
    return outcome


async def _start_readonly(site: _Site, counts: dict[str, float]) -> list[str]:
    """Start on a read-only disk: it says so in one sentence and ends, or waits; it tells nobody of a movement."""
    before = len(site.recorded)
    await site.start()
    counts["starts on a read-only disk"] += 1
    with contextlib.suppress(TimeoutError):
        await until(lambda: not site.program.running, STUCK_S)
    if site.program.running:
        await site.program.stop()
    else:
        status = await site.program.finished(1.0)
        text = site.program.last_words().strip().splitlines()
        if status != 2 or not text or "Traceback" in "".join(text[-30:]):
            return [f"on a read-only disk it ended with status {status}: {text[-3:]}"]
    return [] if len(site.recorded) == before else ["a movement was told on a read-only disk"]
