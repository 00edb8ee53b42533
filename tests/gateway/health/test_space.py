"""The disk guard: levels with hysteresis, a reserve that is really there, and people who are told."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_help import crossing, simple_post
from virtual import VirtualRuntime

from gateway.errors import LedgerUnavailableError
from gateway.health.space import LIMITS, DiskGuard, Room, disk_room
from gateway.ledger.check import verify_ledger
from gateway.ledger.writer import LedgerWriter
from gateway.station.view import trouble
from runtime import SystemRuntime
from vocabulary.wire import DeviceStatus, DiskLevel, Status

GIB = 1 << 30


class Disk:
    """A disk of 10 GiB that is filled by hand."""

    def __init__(self, folder: Path) -> None:
        self.free = 5 * GIB
        self.read_only = False
        self._reserve = folder / "ballast"

    def look(self, folder: Path) -> Room:
        reserve = self._reserve.stat().st_size if self._reserve.exists() else 0
        return Room(10 * GIB, self.free - reserve, self.read_only)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def guard(tmp_path: Path, runtime: VirtualRuntime, disk: Disk) -> DiskGuard:
    return DiskGuard(tmp_path, runtime, ballast_bytes=1 << 20, look=disk.look)


def test_levels_come_at_once_and_go_with_a_fifth_more_room(guard: DiskGuard, disk: Disk) -> None:
    seen: list[DiskLevel] = []
    for percent in (50, 16, 15, 14, 17.9, 18.1, 4.9, 5.9, 6.1, 1.9, 2.3, 2.5, 30):
        disk.free = int(10 * GIB * percent / 100) + (1 << 20)
        guard.look()
        seen.append(guard.level)
    assert seen == [
        "good", "good", "low", "low", "low", "good", "scarce", "scarce", "low", "full", "full", "scarce", "good",
    ]  # fmt: skip


def test_the_reserve_is_made_given_away_and_made_again(guard: DiskGuard, disk: Disk, tmp_path: Path) -> None:
    reserve = tmp_path / "ballast"
    guard.look()
    assert reserve.stat().st_blocks * 512 >= 1 << 20
    disk.free = GIB // 10
    guard.look()
    assert guard.level == "full"
    assert not reserve.exists()
    guard.look()  # the room of the reserve itself makes no disk better
    assert guard.level == "full"
    assert not guard.make_room()
    disk.free = GIB
    guard.look()
    assert guard.level == "low"
    assert reserve.exists()
    assert guard.released == 1


def test_a_terabyte_is_not_full_at_twenty_gigabytes(tmp_path: Path, runtime: VirtualRuntime) -> None:
    guard = DiskGuard(tmp_path, runtime, ballast_bytes=1 << 20, look=lambda folder: Room(1_000 * GIB, 17 * GIB))
    guard.look()
    assert guard.level == "good"
    assert (tmp_path / "ballast").exists()


def test_with_plenty_of_room_no_reserve_is_made_yet(tmp_path: Path, runtime: VirtualRuntime) -> None:
    guard = DiskGuard(tmp_path, runtime, look=lambda folder: Room(1_000 * GIB, 100 * GIB))
    guard.look()
    assert not (tmp_path / "ballast").exists()


def test_a_small_card_has_a_small_reserve(tmp_path: Path, runtime: VirtualRuntime) -> None:
    guard = DiskGuard(tmp_path, runtime, look=lambda folder: Room(10 << 20, 9 << 20))
    guard.look()
    assert (tmp_path / "ballast").stat().st_size == (10 << 20) * 2 // 100


def test_a_card_that_turned_read_only_is_said(guard: DiskGuard, disk: Disk) -> None:
    guard.look()
    assert guard.fault == ""
    disk.read_only = True
    guard.look()
    assert "read-only" in guard.fault


async def test_people_are_told_once_per_level_and_when_it_is_over(
    guard: DiskGuard, disk: Disk, tmp_path: Path, runtime: VirtualRuntime
) -> None:
    levels: list[DiskLevel] = []
    guard.changed = levels.append
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    running = asyncio.create_task(guard.run(writer))
    for free in (5, 1.2, 1.2, 0.1, 5):
        disk.free = int(free * GIB)
        await asyncio.sleep(10)
    running.cancel()
    told = await writer.read(lambda state: (state.exceptions, state.recent_exceptions))
    assert told[0] == {}
    last = told[1]["disk-space", "ledger disk"]
    assert (last.state, last.facts["level"]) == ("decided", "good")
    assert levels == ["low", "full", "good"]
    assert writer.head.seq == 3
    await writer.close()


async def test_a_restart_does_not_repeat_what_people_know(
    guard: DiskGuard, disk: Disk, tmp_path: Path, runtime: VirtualRuntime
) -> None:
    disk.free = GIB
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    for _ in range(2):
        running = asyncio.create_task(DiskGuard(tmp_path, runtime, ballast_bytes=0, look=disk.look).run(writer))
        await asyncio.sleep(10)
        running.cancel()
    assert writer.head.seq == 1
    await writer.close()


async def test_days_left_follow_from_hours(
    guard: DiskGuard, disk: Disk, tmp_path: Path, runtime: VirtualRuntime
) -> None:
    writer = await LedgerWriter.open(tmp_path / "ledger.db", runtime)
    running = asyncio.create_task(guard.run(writer))
    await asyncio.sleep(600)
    assert guard.days_left == -1
    for _ in range(6 * 12):  # 12 hours at 240 MiB a day
        disk.free -= 240 * (1 << 20) // 144
        await asyncio.sleep(600)
    assert 19 <= guard.days_left <= 21  # 4.9 GiB
    running.cancel()
    await writer.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let a test mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.real
async def test_a_real_disk_that_fills_up_loses_nothing_and_goes_on_with_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ledger.writer.GROUP_S", 0.001)
    runtime = SystemRuntime()
    guard = DiskGuard(small_disk, runtime)
    guard.look()
    path = small_disk / "ledger.db"
    writer = await LedgerWriter.open(path, runtime, simple_post, make_room=guard.make_room)
    with (small_disk / "somebody else").open("wb") as file:
        file.truncate(0)
        left = disk_room(small_disk).free - 64 * 1_024
        file.write(bytes(left))
    acknowledged: list[int] = []
    for number in range(400):
        try:
            acknowledged.append((await writer.submit(crossing(number, 5))).last_seq)
        except LedgerUnavailableError as error:
            assert "full" in str(error)  # noqa: PT017
            break
    assert "full" in writer.fault
    assert guard.released == 1
    guard.look()
    assert guard.level == "full"
    (small_disk / "somebody else").unlink()
    begun = runtime.monotonic()
    while writer.fault:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    assert runtime.monotonic() - begun < 10_000_000
    acknowledged.append((await writer.submit(crossing(9_999))).last_seq)
    await writer.close()
    report = verify_ledger(path)
    assert report.ok, report.faults
    assert report.last_seq == acknowledged[-1] == len(acknowledged)


def test_people_at_the_site_see_it() -> None:
    blocked = DeviceStatus("ledger", "blocked", reason="disk I/O error")
    status = Status(
        0, "1", 5, disk="full", disk_days=0, disk_free=3 << 20, chain="row 7 is missing", devices=(blocked,)
    )
    assert trouble(status) == (
        "The ledger is damaged: row 7 is missing",
        "The ledger takes nothing: disk I/O error",
        "The gateway's disk is full: readers are held back, nothing new is counted (3 MiB free, 0 days left at this rate)",
    )
    assert trouble(Status(0, "1", 5)) == ()


def test_the_limits_are_the_documented_ones() -> None:
    assert {level: limit.percent for level, limit in LIMITS.items()} == {"low": 15, "scarce": 5, "full": 2}
