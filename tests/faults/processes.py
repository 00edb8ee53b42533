"""Real programs as child processes: started, listened to, killed and stopped, with nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where the programs of this environment stand.
BIN = Path(sys.executable).parent
#: Seconds that a program has to end in order.
STOP_S = 20.0


class Program:
    """One program that can be started again and again; `heard` gets each whole line of its standard output."""

    def __init__(
        self, name: str, folder: Path, environment: Mapping[str, str], heard: Callable[[str], None] = lambda line: None
    ) -> None:
        self.name = name
        self.starts = 0
        self._errors = folder / f"{name}.log"
        self._environment = _with(environment)
        self._heard = heard
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self, *command: str | Path) -> None:
        """Start it."""
        self.starts += 1
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=errors, env=self._environment
            )
        self._listening = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self._heard(line.decode().rstrip("\n"))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """kill -9; returns when every line that it told before has been heard."""
        assert self._process is not None
        assert self.running, f"{self.name} had ended by itself: {self.last_words()}"
        self._process.kill()
        await self._ended()

    async def stop(self) -> int:
        """Ask it to end, and wait; its exit status."""
        assert self._process is not None
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        return await self.finished(STOP_S)

    async def finished(self, timeout_s: float) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self._process is not None
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._ended()
            raise AssertionError(f"{self.name} did not end in {timeout_s} s: {self.last_words()}") from None
        return await self._ended()

    async def _ended(self) -> int:
        assert self._process is not None
        assert self._listening is not None
        status = await self._process.wait()
        await self._listening
        return status

    async def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.running:
            assert self._process is not None
            self._process.kill()
        if self._process is not None:
            await self._ended()

    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        return self._errors.read_text(errors="replace")[-2_000:]


async def ask(*command: str | Path, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command to its end; its exit status and standard output (and standard error where it failed)."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_with(environment or {}),
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode() + (err.decode() if process.returncode else "")


async def until(true: Callable[[], bool], timeout_s: float) -> None:
    """Look again and again until `true()`; programs outside tell nobody. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def _with(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment and `environment`; programs are those of this checkout."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **environment}


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
