"""The time of a site: what is believed, what is corrected, what a restart knows. Times in microseconds, waits in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ledger_help import crossing
from virtual import START_US, VirtualRuntime

from gateway.clock import BUILD_US, CONFIRM_US, LOOK_S, STEP_US, SiteClock
from gateway.health.timekeeping import FILE, PATIENCE_US, STEPPED, UNTRUSTED, Timekeeper, floor_of, read_kept
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import Moved, SeenUnit
from runtime import SystemRuntime
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import ClockRecord, Record, decode

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


class Box:
    """A gateway's clock with its keeper and ledger."""

    def __init__(self, runtime: VirtualRuntime, writer: LedgerWriter, reader: LedgerReader, folder: Path) -> None:
        self.runtime, self.writer, self.reader = runtime, writer, reader
        kept = read_kept(folder)
        self.clock = SiteClock(runtime, kept=kept.clock if kept else None)
        self.keeper = Timekeeper(self.clock, writer, folder, kept)
        self.units = 0
        #: seq -> when it truly happened, by the monotonic clock
        self.truth: dict[int, int] = {}

    async def move(self, unit: str = "") -> None:
        """Record a movement of a unit (a new one, or `unit`), now."""
        self.units += 1
        name = unit or f"serial/{self.clock.monotonic()}-{self.units}"
        monotonic = self.clock.monotonic()
        receipt = await self.writer.submit(
            Moved(occurred_at=self.clock.now(), place=f"bin-{self.units % 2}", units=(SeenUnit(name, item="water"),))
        )
        for seq in range(receipt.first_seq, receipt.last_seq + 1):
            self.truth[seq] = monotonic

    async def wait(self, seconds: float) -> None:
        """Let time pass, looking as the gateway does."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(LOOK_S)
            await self.keeper.look()

    async def records(self) -> dict[int, Record]:
        return {row.seq: decode(row.body) for row in await self.reader.rows(1, 10_000, 10**9)}

    async def corrected(self) -> dict[int, int]:
        """The time of each movement, as corrected by the ledger's clock records."""
        records = await self.records()
        times = {seq: one.occurred_at for seq, one in records.items() if isinstance(one, Movement)}
        for record in records.values():
            if isinstance(record, ClockRecord):
                for seq in times:
                    if record.first_seq <= seq <= record.last_seq:
                        times[seq] += record.shift
        return times

    async def exceptions(self) -> dict[str, str]:
        """Subject of each exception of the clock -> its state."""
        found = [one for one in (await self.records()).values() if isinstance(one, ExceptionRecord)]
        return {one.subject: one.state for one in found if one.kind == "clock"}


@asynccontextmanager
async def box(runtime: VirtualRuntime, folder: Path) -> AsyncIterator[Box]:
    writer = await LedgerWriter.open(folder / "ledger.db", runtime)
    reader = await LedgerReader.open(folder / "ledger.db")
    try:
        made = Box(runtime, writer, reader, folder)
        await made.keeper.start(reader)
        yield made
    finally:
        await reader.close()
        await writer.close()


def wrong(runtime: VirtualRuntime, offset: int, synchronised: bool = False) -> VirtualRuntime:
    runtime.wall_offset_us, runtime.synchronised = offset, synchronised
    return runtime


BATTERY_LESS = -START_US  # the wall clock begins at 1970


class SteppedRuntime(SystemRuntime):
    """The real runtime, whose wall clock is set while it runs."""

    offset_us, synchronised = -DAY, False

    def now(self) -> int:
        return super().now() + self.offset_us

    def clock_synchronised(self) -> bool:
        return self.synchronised


@pytest.mark.real
async def test_a_step_is_recorded_by_the_real_writing_thread(tmp_path: Path) -> None:
    runtime = SteppedRuntime()
    async with box(runtime, tmp_path) as one:  # type: ignore[arg-type]
        await one.move()
        runtime.offset_us, runtime.synchronised = 0, True
        await one.keeper.look()
        (clock,) = [record for record in (await one.records()).values() if isinstance(record, ClockRecord)]
        assert abs(clock.shift - DAY) < SECOND


async def test_a_boot_in_1970_is_corrected_to_the_second_when_trust_arrives(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    wrong(runtime, BATTERY_LESS)
    async with box(runtime, tmp_path) as one:
        assert one.clock.now() >= BUILD_US
        assert not one.clock.trusted
        for _ in range(5):
            await one.move()
            await one.wait(60)
        wrong(runtime, 0, True)
        await one.wait(LOOK_S)
        assert one.clock.trusted
        await one.move()
        assert abs(one.clock.now() - runtime.now()) < 1_000
        for seq, at in (await one.corrected()).items():
            assert abs(at - (START_US + one.truth[seq])) < SECOND
        assert await one.exceptions() == {}, "a start takes less than the patience with it"


async def test_a_synchronised_clock_before_the_build_date_is_not_believed(runtime: VirtualRuntime) -> None:
    clock = SiteClock(wrong(runtime, BATTERY_LESS, True))
    clock.look()
    assert not clock.trusted
    assert clock.now() == BUILD_US


async def test_the_floor_is_the_last_recorded_time(tmp_path: Path, runtime: VirtualRuntime) -> None:
    await asyncio.sleep(1_000)
    async with box(runtime, tmp_path) as one:
        await one.move()
        last = one.clock.now()
    runtime.boot = "next"
    async with box(wrong(runtime, BATTERY_LESS), tmp_path) as two:
        assert two.clock.now() >= last
        await two.move()
    assert floor_of([ClockRecord(5, 1, 3, -90), ClockRecord(100, 1, 3, 1)]) == 5, "corrected times are not looked at"


async def test_without_a_source_a_good_clock_is_used_and_shown_as_not_trusted(runtime: VirtualRuntime) -> None:
    runtime.synchronised = False
    clock = SiteClock(runtime)
    clock.look()
    assert clock.now() == runtime.now()
    assert not clock.trusted
    always = SiteClock(runtime, always=True)
    always.look()
    assert always.trusted


async def test_a_step_of_an_hour_that_is_taken_back_changes_nothing(tmp_path: Path, runtime: VirtualRuntime) -> None:
    for step in (HOUR, -HOUR):
        folder = tmp_path / str(step)
        folder.mkdir()
        runtime.wall_offset_us = 0
        began = runtime.monotonic()
        async with box(runtime, folder) as one:
            await one.move()
            runtime.wall_offset_us = step
            await one.wait(60)
            assert not one.clock.trusted
            await one.move()
            runtime.wall_offset_us = 0
            await one.wait(LOOK_S)
            assert one.clock.trusted
            await one.move()
            times = list((await one.corrected()).items())
            assert [at for _, at in times] == sorted(at for _, at in times)
            assert all(abs(at - (START_US + one.truth[seq])) < SECOND for seq, at in times)
            assert runtime.monotonic() > began


async def test_a_synchronised_clock_that_stands_by_its_step_is_believed(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    """Forward: what was recorded before the step stays; since it was seen it is corrected."""
    async with box(runtime, tmp_path) as one:
        await one.move()
        runtime.wall_offset_us = HOUR
        await one.wait(60)
        await one.move()
        await one.wait(CONFIRM_US / SECOND)
        assert abs(one.clock.now() - runtime.now()) < 1_000
        await one.move()
        (before, during, after) = (await one.corrected()).items()
        assert abs(before[1] - (START_US + one.truth[before[0]])) < SECOND
        assert abs(during[1] - (START_US + HOUR + one.truth[during[0]])) < SECOND
        assert abs(after[1] - (START_US + HOUR + one.truth[after[0]])) < SECOND
        assert await one.exceptions() == {STEPPED: "open"}


async def test_a_believed_step_back_keeps_the_order_of_the_rows(tmp_path: Path, runtime: VirtualRuntime) -> None:
    async with box(runtime, tmp_path) as one:
        for _ in range(4):
            await one.move()
            await one.wait(300)
        runtime.wall_offset_us = -HOUR
        await one.wait(CONFIRM_US / SECOND + 60)
        await one.move()
        times = await one.corrected()
        assert list(times.values()) == sorted(times.values())
        assert abs(list(times.values())[-1] - runtime.now()) < SECOND


async def test_an_operator_who_sets_the_clock_back_30_days_is_not_followed(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    """The kernel forgets that it is synchronised when somebody sets the clock."""
    async with box(runtime, tmp_path) as one:
        await one.move()
        wrong(runtime, -30 * DAY)
        await one.wait(PATIENCE_US / SECOND + 60)
        await one.move()
        assert not one.clock.trusted
        assert await one.exceptions() == {UNTRUSTED: "open"}
        wrong(runtime, 0, True)
        await one.wait(LOOK_S)
        await one.move()
        assert await one.exceptions() == {UNTRUSTED: "decided"}
        for seq, at in (await one.corrected()).items():
            assert abs(at - (START_US + one.truth[seq])) < SECOND


async def test_a_smeared_or_drifting_clock_is_followed_without_a_step(tmp_path: Path, runtime: VirtualRuntime) -> None:
    runtime.wall_ppm = 500
    async with box(runtime, tmp_path) as one:
        for _ in range(60):
            before = one.clock.now()
            await one.wait(60)
            assert one.clock.now() > before
            assert abs(one.clock.now() - runtime.now()) < STEP_US
        assert one.clock.stepped == 0
        assert one.writer.head.seq == 0


async def test_a_restart_in_the_same_boot_goes_on_with_its_time_and_corrects_all_of_it(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    wrong(runtime, BATTERY_LESS)
    truth: dict[int, int] = {}
    for _ in range(2):
        async with box(runtime, tmp_path) as one:
            await one.wait(30)
            await one.move()
            truth |= one.truth
        await asyncio.sleep(100)
    wrong(runtime, 0, True)  # while no process runs
    async with box(runtime, tmp_path) as one:
        assert one.clock.trusted
        await one.move()
        truth |= one.truth
        for seq, at in (await one.corrected()).items():
            assert abs(at - (START_US + truth[seq])) < SECOND


async def test_rows_of_an_earlier_boot_that_was_never_trusted_stay_as_they_are(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    async with box(wrong(runtime, BATTERY_LESS), tmp_path) as one:
        await one.move()
        ended = one.writer.head.seq
    runtime.boot = "next"
    async with box(runtime, tmp_path) as two:
        await two.move()
        wrong(runtime, 0, True)
        await two.wait(LOOK_S)
        (record,) = [one for one in (await two.records()).values() if isinstance(one, ClockRecord)]
        assert record.first_seq == ended + 1


async def test_a_correction_that_the_disk_refuses_is_recorded_later(tmp_path: Path, runtime: VirtualRuntime) -> None:
    async with box(wrong(runtime, BATTERY_LESS), tmp_path) as one:
        await one.move()
        wrong(runtime, 0, True)
        file = one.writer._file
        commit, file.commit = file.commit, lambda entries, catalogue: [OSError("disk full")] * len(entries)  # type: ignore[method-assign, return-value, misc, assignment, list-item]
        perform = asyncio.ensure_future(one.keeper.look())
        await asyncio.sleep(0.1)
        file.commit = commit  # type: ignore[method-assign]
        await asyncio.gather(perform, return_exceptions=True)
        await one.wait(LOOK_S)
        for seq, at in (await one.corrected()).items():
            assert abs(at - (START_US + one.truth[seq])) < SECOND


async def test_what_is_kept_survives_nonsense(tmp_path: Path, runtime: VirtualRuntime) -> None:
    (tmp_path / FILE).write_text("{]")
    async with box(runtime, tmp_path) as one:
        assert one.clock.trusted
        await one.writer.submit(crossing(1))
