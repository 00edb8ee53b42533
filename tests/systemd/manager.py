"""A service manager for tests: a real datagram socket that listens to what a program tells, as systemd does."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Seconds until a test stops waiting: a loaded machine starts a program in some five.
PATIENCE_S = 40.0


class Manager:
    """What was told so far, one entry per datagram."""

    def __init__(self, folder: Path, abstract: bool = False) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.address = f"@evercount-test-{os.getpid()}-{id(self)}" if abstract else str(folder / "notify")
        self.socket.bind("\0" + self.address[1:] if abstract else self.address)
        self.told: list[dict[str, str]] = []

    def environment(self, watchdog_s: float | None = None) -> dict[str, str]:
        """What systemd gives to a service of Type=notify with WatchdogSec."""
        found = {"NOTIFY_SOCKET": self.address}
        if watchdog_s is not None:
            found["WATCHDOG_USEC"] = str(int(watchdog_s * 1_000_000))
        return found

    def hear(self, seconds: float) -> list[dict[str, str]]:
        """All that is told within `seconds`."""
        heard: list[dict[str, str]] = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                heard.append(self._one())
        return heard

    def wait_for(self, name: str, part: str = "", seconds: float = PATIENCE_S) -> dict[str, str]:
        """The next datagram with `name` whose value holds `part`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                heard = self._one()
            except TimeoutError:
                break
            if part in heard.get(name, "\0"):
                return heard
        raise AssertionError(f"{name} with {part!r} was not told within {seconds} s; told: {self.told[-10:]}")

    def _one(self) -> dict[str, str]:
        text = self.socket.recv(65_536).decode()
        self.told.append(dict(line.split("=", 1) for line in text.split("\n")))
        return self.told[-1]

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def service(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A program as a service; killed in the end. Its output is in `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
