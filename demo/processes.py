"""The demo's programs as child processes: started with a log of their own, watched, stopped in order, never orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds that a program may take to end in order before it is killed.
PATIENCE_S = 15.0
#: Lines of a dead program's log that are shown.
LAST_LINES = 12
#: Seconds between two looks at what a program has written or whether it listens.
_LOOK_S = 0.1
#: Linux prctl(2): the signal that a process gets when its parent ends, however that ends.
_PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """The demo cannot go on; one sentence, and what the program said last."""


@dataclass(slots=True)
class Child:
    """A program that runs. `ends` when its work is done; the others run until they are stopped."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    ends: bool

    def last_lines(self) -> str:
        """What it wrote last."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"


class Children:
    """Starts programs, and stops them in the reverse order."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = os.environ | environment
        self._running: list[Child] = []
        self._stopping = False
        self._die_with_parent = _parent_death_signal()
        folder.mkdir(parents=True, exist_ok=True)

    async def start(self, name: str, *command: str, ends: bool = False) -> Child:
        """Start `python -m command...` with its output in a log. Raises DemoError."""
        if self._stopping:
            raise DemoError(f"{name} is not started: the demo is being stopped")
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C is ours alone, and a group can be ended whole
                    preexec_fn=self._die_with_parent,
                )
            except OSError as error:
                raise DemoError(f"{name} cannot be started: {error}") from error
        child = Child(name, process, log, ends)
        self._running.append(child)
        return child

    async def call(self, name: str, *command: str) -> str:
        """Run `python -m command...` to its end; what it wrote. Raises DemoError when it fails."""
        child = await self.start(name, *command, ends=True)
        code = await child.process.wait()
        if child in self._running:
            self._running.remove(child)
        if code:
            raise DemoError(f"{name} failed (exit code {code}):\n{child.last_lines()}")
        return child.log.read_text(errors="replace")

    async def line(self, child: Child, wanted: str, patience_s: float = 30.0) -> str:
        """The first line of a program's log that holds `wanted`. Raises DemoError when it ends or takes too long."""
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    for line in child.log.read_text(errors="replace").splitlines():
                        if wanted in line:
                            return line
                    self.check()
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise DemoError(f"{child.name} is not ready after {patience_s:.0f} s:\n{child.last_lines()}") from None

    async def listens(self, child: Child, port: int, patience_s: float = 30.0) -> None:
        """Wait until a program takes connections on a port. Raises DemoError when it ends or takes too long."""
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        return
                    self.check()
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise DemoError(f"{child.name} does not listen after {patience_s:.0f} s:\n{child.last_lines()}") from None

    def check(self) -> None:
        """Raises DemoError when a program that should run has ended."""
        for child in self._running:
            if not child.ends and child.process.returncode is not None:
                raise DemoError(f"{child.name} has ended (exit code {child.process.returncode}):\n{child.last_lines()}")

    async def stop(self, told: Callable[[str], None] = lambda name: None) -> None:
        """Stop all, the last started first; each ends before the next is told. One that does not end is killed."""
        self._stopping = True
        while self._running:
            child = self._running.pop()
            told(child.name)
            await _end(child.process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it, and what it may have left behind
    await process.wait()


def _parent_death_signal() -> Callable[[], None] | None:
    """What a child does first, on Linux: ask to be told to end when this process ends, were it by kill -9."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_ports(count: int) -> Sequence[int]:
    """So many free ports on the loopback address, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
