"""What a service tells its manager, in systemd's notify protocol: ready, status, alive, stopping.

Without NOTIFY_SOCKET in the environment everything here does nothing, so that a program need not know who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two signs of life where the manager asks for none: the state is still worth knowing.
QUIET_PERIOD_S = 30.0
#: Seconds that a check may show no life before the service counts as stuck. A memory card may stall for tens of seconds
#: and a lost state is read again in about a minute; a restart helps with neither.
PATIENCE_S = 120.0
#: Seconds between two looks of one check.
LOOK_S = 5.0
#: Seconds for which a long start asks at a time, and between two such requests: within the 30 s of a watchdog, for a
#: service that opens its ledger anew while it runs.
EXTEND_S, EXTEND_EVERY_S = 60.0, 10.0
#: Seconds that a start may take at most: a migration and full check of 2.6 million rows on a slow card, with room.
START_S = 3_600.0
#: Where an administrator keeps credentials; systemd looks there for those that a unit names without a path.
CREDENTIAL_STORE = Path("/etc/credstore")
#: The credential with the certificate (PEM) of the authority that signed headquarters' certificate, where it is a private one.
AUTHORITY = "evercount-headquarters-ca"


class Notify:
    """The manager's socket. What cannot be sent is dropped: a manager that is away must not stop the service."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        #: seconds within which the manager wants a sign of life; None: it wants none
        self.watchdog_s = watchdog_s
        # a path, or an abstract name; sockets of other kinds belong to containers and virtual machines
        self._address = ""
        if address and address[0] in "/@":
            self._address = "\0" + address[1:] if address[0] == "@" else address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notify:
        """The manager that started this process, as sd_notify(3) and sd_watchdog_enabled(3) say."""
        usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        meant = usec.isdigit() and int(usec) > 0 and pid in ("", str(os.getpid()))
        return cls(environment.get("NOTIFY_SOCKET"), int(usec) / 1_000_000 if meant else None)

    def send(self, *lines: str) -> bool:
        """Send `NAME=value` lines in one datagram; whether the manager has them."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True

    def ready(self, status: str) -> None:
        """The service does its work from now on."""
        self.send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, text: str) -> None:
        """What `systemctl status` shows."""
        self.send(f"STATUS={_one_line(text)}")

    def alive(self) -> None:
        """One sign of life."""
        self.send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service was told to stop, and does."""
        self.send("STOPPING=1", "STATUS=stopping")

    @contextlib.asynccontextmanager
    async def starting(self, text: str) -> AsyncGenerator[None]:
        """While it lasts the manager grants more time, up to START_S in all, as long as the event loop turns."""
        task = asyncio.create_task(self._extend(text), name="long start")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _extend(self, text: str) -> None:
        for _ in range(int(START_S / EXTEND_EVERY_S)):
            self.send(f"EXTEND_TIMEOUT_USEC={int(EXTEND_S * 1_000_000)}", "WATCHDOG=1", f"STATUS={_one_line(text)}")
            await asyncio.sleep(EXTEND_EVERY_S)


@dataclass(slots=True)
class _Check:
    name: str
    look: Callable[[], Awaitable[str]]
    patience_s: float
    seen_alive: float = 0.0
    reason: str = ""


class Watchdog:
    """Tells the manager that the service lives, only while every check has shown life within its patience.

    An event loop that is blocked tells nothing by itself.
    """

    def __init__(self, notify: Notify, text: Callable[[], str], complain: Callable[[str], None]) -> None:
        """`text` is the status line while all is well; `complain` is told once when something gets stuck."""
        self._notify = notify
        self._text = text
        self._complain = complain
        self._checks: list[_Check] = []
        #: what is stuck now, one sentence each; empty while the service lives
        self.stuck: tuple[str, ...] = ()

    def watch(self, name: str, look: Callable[[], Awaitable[str]], patience_s: float = PATIENCE_S) -> None:
        """Look every few seconds: "" is life, a reason or an exception is none, and a look that hangs is none either."""
        self._checks.append(_Check(name, look, patience_s))

    async def run(self) -> None:
        """Look and tell until cancelled, twice in each period that the manager asks for."""
        period = self._notify.watchdog_s or QUIET_PERIOD_S
        now = asyncio.get_running_loop().time()
        for check in self._checks:
            check.seen_alive, check.reason = now, ""
        async with asyncio.TaskGroup() as group:
            for check in self._checks:
                group.create_task(_keep_looking(check), name=f"look at {check.name}")
            while True:
                self._tell()
                await asyncio.sleep(period / 2)

    def _tell(self) -> None:
        now = asyncio.get_running_loop().time()
        stuck = tuple(
            f"{check.name} shows no life for {now - check.seen_alive:.0f} s"
            + (f" ({check.reason})" * bool(check.reason))
            for check in self._checks
            if now - check.seen_alive > check.patience_s
        )
        if stuck:
            self._notify.status("stuck: " + "; ".join(stuck))
            if not self.stuck:
                self._complain("; ".join(stuck))
        else:
            self._notify.status(self._text())
            self._notify.alive()
        self.stuck = stuck


async def _keep_looking(check: _Check) -> None:
    while True:
        try:
            check.reason = await check.look()
        except Exception as error:  # whatever it is: no sign of life
            check.reason = f"{type(error).__name__}: {error}"
        if not check.reason:
            check.seen_alive = asyncio.get_running_loop().time()
        await asyncio.sleep(LOOK_S)


def credential(name: str, environment: Mapping[str, str] = os.environ, store: Path = CREDENTIAL_STORE) -> Path | None:
    """The file of a credential that the service manager passed in, or that lies in its store; None where there is none."""
    folders = [Path(environment["CREDENTIALS_DIRECTORY"])] if "CREDENTIALS_DIRECTORY" in environment else []
    for folder in (*folders, store):
        with contextlib.suppress(OSError):
            if (folder / name).is_file():
                return folder / name
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
