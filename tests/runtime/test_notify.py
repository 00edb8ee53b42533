"""The notify protocol byte by byte, and the watchdog's rule: one check without life, and nobody is told that all is well."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.notify import Notify, Watchdog, credential


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        if request.param == "path":
            address = str(tmp_path / "notify")
            listening.bind(address)
        else:
            address = f"@evercount-notify-{os.getpid()}"
            listening.bind("\0" + address[1:])
        listening.settimeout(5)
        yield address, listening


def test_what_is_sent(heard: tuple[str, socket.socket]) -> None:
    address, listening = heard
    notify = Notify(address)
    notify.ready("12 rows,\nall is well")
    assert listening.recv(4_096) == b"READY=1\nSTATUS=12 rows, all is well", "one line, whatever the text is"
    notify.alive()
    assert listening.recv(4_096) == b"WATCHDOG=1"
    notify.stopping()
    assert listening.recv(4_096) == b"STOPPING=1\nSTATUS=stopping"


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "vsock:2:1"])
def test_a_manager_that_is_away_stops_nobody(address: str | None) -> None:
    assert not Notify(address).send("WATCHDOG=1")


def test_the_managers_wish_is_read_from_the_environment() -> None:
    def wish(**environment: str) -> float | None:
        return Notify.from_environment(environment).watchdog_s

    assert wish(WATCHDOG_USEC="30000000") == 30.0
    assert wish(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())) == 30.0
    assert wish(WATCHDOG_USEC="30000000", WATCHDOG_PID="1") is None, "meant for another process"
    assert wish() is None
    assert wish(WATCHDOG_USEC="0") is None
    assert wish(WATCHDOG_USEC="soon") is None


class _Told(Notify):
    """A manager that remembers when it was told what, in seconds of the loop."""

    def __init__(self, watchdog_s: float | None) -> None:
        super().__init__(None, watchdog_s)
        self.lines: list[tuple[float, str]] = []

    def send(self, *lines: str) -> bool:
        self.lines += [(asyncio.get_running_loop().time(), line) for line in lines]
        return True

    def pings(self) -> list[float]:
        return [when for when, line in self.lines if line == "WATCHDOG=1"]


async def test_two_signs_of_life_in_each_period() -> None:
    told = _Told(30.0)
    task = asyncio.create_task(Watchdog(told, lambda: "well", lambda reason: None).run())
    await asyncio.sleep(61)
    task.cancel()
    assert told.pings() == [0, 15, 30, 45, 60]


@pytest.mark.parametrize("way", ["hangs", "raises", "says so"])
async def test_one_check_without_life_ends_the_signs_after_its_patience(way: str) -> None:
    sick = asyncio.Event()
    never = asyncio.Event()
    complaints: list[str] = []

    async def look() -> str:
        if not sick.is_set():
            return ""
        if way == "raises":
            raise RuntimeError("broken")
        if way == "hangs":
            await never.wait()
        return "" if way == "hangs" else "no answer"

    async def well() -> str:
        return ""

    told = _Told(30.0)
    watchdog = Watchdog(told, lambda: "well", complaints.append)
    watchdog.watch("disk", look, 60.0)
    watchdog.watch("loop", well, 60.0)
    task = asyncio.create_task(watchdog.run())
    await asyncio.sleep(100)
    assert watchdog.stuck == ()
    sick.set()
    await asyncio.sleep(200)
    assert 145 <= told.pings()[-1] <= 165, "the last sign comes within the check's patience"
    assert len(watchdog.stuck) == len(complaints) == 1, "told once"
    assert "disk" in complaints[0]
    assert "loop" not in complaints[0]
    assert {"raises": "RuntimeError: broken", "says so": "no answer"}.get(way, "disk") in watchdog.stuck[0]
    assert told.lines[-1][1].startswith("STATUS=stuck: disk")
    sick.clear()
    never.set()
    await asyncio.sleep(30)
    assert told.pings()[-1] > 300, "life comes back"
    assert watchdog.stuck == ()
    task.cancel()


async def test_a_long_start_asks_for_more_time_than_it_lets_pass() -> None:
    told = _Told(None)
    async with told.starting("migrating"):
        await asyncio.sleep(75)
    await asyncio.sleep(100)
    asked = [when for when, line in told.lines if line == "EXTEND_TIMEOUT_USEC=60000000"]
    assert asked == told.pings() == [0, 10, 20, 30, 40, 50, 60, 70], "and stops asking when it has started"


async def test_a_start_that_never_ends_is_not_granted_for_ever() -> None:
    told = _Told(None)
    async with told.starting("migrating"):
        await asyncio.sleep(20_000)
    assert told.lines[-1][0] <= 3_600


def test_credentials_come_from_the_manager_first_and_then_from_the_store(tmp_path: Path) -> None:
    passed, store = tmp_path / "passed", tmp_path / "store"
    passed.mkdir()
    store.mkdir()
    assert credential("url", {}, store) is None
    (store / "url").touch()
    assert credential("url", {}, store) == store / "url"
    (passed / "url").touch()
    assert credential("url", {"CREDENTIALS_DIRECTORY": str(passed)}, store) == passed / "url"
