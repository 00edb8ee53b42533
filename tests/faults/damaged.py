"""A disk damages the ledger's file: nothing damaged is sent, and every row that can be read is recovered.

A gateway under traffic is killed while headquarters, which holds a part of its rows, is away. Each way of damage is done to a
copy of its folder; the real programs are then started on that copy and on a copy of headquarters' database, and record on.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import observer
from outcome import Outcome
from processes import ROOT, Zygote, until
from sites import DenseSite, Headquarters, fill_in, owner_key, paced

from gateway.ledger.check import verify_ledger
from vocabulary.place import is_virtual
from vocabulary.wire import OPENING_SNAPSHOT

sys.path.append(str(ROOT / "tests" / "gateway" / "ledger"))
from damage import Variant, variants, wal

#: How many times faster the programs' clocks run.
FACTOR = 8
#: Rows that headquarters holds, about, and those that it has not got when the gateway is killed.
HELD, TAIL = 150, 100
#: Rows of one commit at most: as many crossings as are submitted at once.
COMMIT_ROWS = 16
#: Seconds that a program may take.
START_S, SETTLE_S = 60.0, 60.0


def play(folder: Path, seed: int, ways: int = 100) -> Outcome:
    """Damage the ledger in `ways` ways, one after the other."""
    return asyncio.run(_Play(folder, seed, ways).run())


class _Play:
    def __init__(self, folder: Path, seed: int, ways: int) -> None:
        self._folder, self._seed, self._ways = folder, seed, ways
        self._environment = paced(FACTOR)
        self._outcome = Outcome(
            {
                "ways of damage": 0,
                "rows damaged": 0,
                "rows readable": 0,
                "rows lost at the gateway": 0,
                "of them held by headquarters": 0,
                "recoveries": 0,
                "new epochs": 0,
                "readable rows of a torn last commit, left out": 0,
            }
        )

    async def run(self) -> Outcome:
        """Make the ledger, then damage it again and again."""
        async with AsyncExitStack() as stack:
            zygotes = [
                Zygote(self._folder, "cloud", ("cloud.__main__", "cloud.app", "cloud.serving"), self._environment),
                Zygote(self._folder, "gateway", ("gateway.app", "traffic"), self._environment),
            ]
            for zygote in zygotes:
                stack.push_async_callback(zygote.close)
                await zygote.open()
            key = await owner_key(self._folder, self._environment)
            self._cloud = Headquarters(self._folder, self._environment, key, zygotes[0])
            self._base = time.time_ns() // 1_000 - 6 * 3_600_000_000
            self._zygote = zygotes[1]
            stack.push_async_callback(self._cloud.client.aclose)
            stack.push_async_callback(self._cloud.program.end)
            site = self._site = DenseSite(
                "north", self._folder, self._cloud.url, self._environment, self._base, self._zygote
            )
            await self._make()
            for number, variant in enumerate(variants(self._seed, self._ways)):
                try:
                    faults = await self._damage(variant)
                except (AssertionError, TimeoutError) as error:
                    faults = [f"{type(error).__name__} {error}; {site.program.last_words()[-300:]}"]
                await self._cloud.program.end()
                await site.program.end()
                self._outcome.counts["ways of damage"] += 1
                self._outcome.faults += [f"seed {self._seed}, {variant.name}: {fault}" for fault in faults]
                if faults:
                    shutil.copytree(self._folder / "north", self._folder / f"damaged-{number}")
        return self._outcome

    async def _make(self) -> None:
        """The ledger that is damaged later, and headquarters' database beside it."""
        site, cloud = self._site, self._cloud
        await cloud.start()
        await site.enrol((await fill_in(cloud, (site.name,)))[site.name])
        await site.start()
        await until(lambda: site.last_acknowledged >= HELD, START_S)
        await site.program.stop()  # what was written so far goes from the log into the file
        await site.start()
        await until(lambda: site.last_acknowledged >= HELD + 50, START_S)
        await cloud.program.stop()
        held = site.last_recorded
        await until(lambda: site.last_recorded >= held + TAIL, START_S)
        await site.program.kill()
        shutil.copytree(self._folder / "north", self._folder / "north.whole")
        shutil.copytree(self._folder / "north", self._folder / "read")  # looking at it may tidy its log away
        shutil.copy(cloud.database, self._folder / "cloud.whole")
        self._truth = observer.gateway_rows(self._folder / "read" / "ledger.db")
        self._held = observer.cloud_rows(self._folder / "cloud.whole", site.name)
        self._told = dict(site.recorded), site.last_submitted

    async def _damage(self, variant: Variant) -> list[str]:
        """Damage, start everything, let it settle and judge."""
        folder, site, cloud = self._folder, self._site, self._cloud
        shutil.rmtree(folder / "north")
        shutil.copytree(folder / "north.whole", folder / "north")
        for left in cloud.database.parent.glob("cloud.db-*"):
            left.unlink()
        shutil.copy(folder / "cloud.whole", cloud.database)
        variant.apply(site.ledger)
        raw = site.ledger.read_bytes() + wal(site.ledger).read_bytes()
        readable = [row for row in self._truth if row.body + row.hash in raw]
        await cloud.start()
        site.recorded, site.last_submitted = dict(self._told[0]), self._told[1]
        site.in_flight = {number: None for number in range(site.last_submitted + 1) if number not in site.recorded}
        before = site.last_submitted
        await site.start(before + 2 * site.workers)
        status = await site.program.finished(SETTLE_S)
        faults = [] if status == 0 else [f"the gateway ended with status {status}: {site.program.last_words()[-300:]}"]
        await cloud.program.stop()
        return faults + self._judge(readable)

    def _judge(self, readable: list[observer.Row]) -> list[str]:
        site, counts = self._site, self._outcome.counts
        rows = observer.gateway_rows(site.ledger)
        told = observer.cloud_rows(self._cloud.database, site.name)
        here, there = standing(rows), standing(row for row in told if not of_snapshot(row))
        truth, held = standing(self._truth), standing(self._held)
        lost = [key for key in truth if key not in here]
        counts["rows damaged"] += len(self._truth) - len(readable)
        counts["rows readable"] += len(readable)
        counts["rows lost at the gateway"] += len(lost)
        counts["of them held by headquarters"] += sum(key in held for key in lost)
        counts["recoveries"] += any(b'"ledger-damaged"' in row.body for row in rows)
        counts["new epochs"] += len({row.epoch for row in told}) > 1
        faults = list(verify_ledger(site.ledger).faults)
        gone = [row for row in readable if any(key not in here for key in standing([row]))]
        if gone and _torn(
            gone, [row for row in self._truth if row not in gone and (row.seq, row.body) in _places(rows)]
        ):
            counts["readable rows of a torn last commit, left out"] += len(gone)
        else:
            faults += [f"the readable row {row.seq} is gone" for row in gone][:3]
        faults += [f"{key} stands {times} times at the gateway" for key, times in here.items() if times > 1][:3]
        faults += [f"{key} stands {times} times at headquarters" for key, times in there.items() if times > 1][:3]
        faults += [f"headquarters lost {key}" for key in held if key not in there][:3]
        faults += [f"{key} is here and not at headquarters" for key in here if key not in there][:3]
        own = {row.body for row in self._truth}
        epoch = self._truth[0].epoch
        sent = [row for row in told if row.epoch == epoch and row.seq <= len(self._truth)]
        faults += [
            f"row {row.seq} was sent damaged" for row in sent if row.body not in own and row.body not in _bodies(rows)
        ]
        if not lost:
            faults += real_balances(self._cloud.database, site.name, rows)
        return faults


def _bodies(rows: Iterable[observer.Row]) -> set[bytes]:
    return {row.body for row in rows}


def _places(rows: Iterable[observer.Row]) -> set[tuple[int, bytes]]:
    return {(row.seq, row.body) for row in rows}


def _torn(gone: list[observer.Row], kept: list[observer.Row]) -> bool:
    """Whether the rows are the last ones of the log and fit in one commit: then a cut log is a commit that never was."""
    last = max((row.seq for row in kept), default=0)
    return len(gone) <= COMMIT_ROWS and all(row.seq > last for row in gone)


def of_snapshot(row: observer.Row) -> bool:
    """Whether the row is no movement for headquarters: what it held already, recorded again."""
    return OPENING_SNAPSHOT.encode() in row.body


def standing(rows: Iterable[observer.Row]) -> Counter[tuple[str, int]]:
    """How often each passage stands, by unit and its first read."""
    epochs: dict[int, list[observer.Row]] = {}
    for row in rows:  # two epochs use the same numbers
        epochs.setdefault(row.epoch, []).append(row)
    return Counter(
        (passage.unit, passage.first)
        for those in epochs.values()
        for passage in observer.passages(observer.movements(those))
    )


def real_balances(database: Path, site: str, rows: list[observer.Row]) -> list[str]:
    """Where headquarters' balances of real places are not those of the gateway."""
    told, own = observer.cloud_balances(database, site), observer.sums(observer.movements(rows).values())
    real = sorted(key for key in {**told, **own} if not is_virtual(key[0]))
    pairs = ((key, told.get(key, 0), own.get(key, 0)) for key in real)
    return [f"{key}: {there} at headquarters, {here} here" for key, there, here in pairs if there != here][:5]
