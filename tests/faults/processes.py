"""Real programs as child processes: started, listened to, killed and stopped, with nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

ROOT = Path(__file__).parents[2]
#: Where the programs of this environment stand.
BIN = Path(sys.executable).parent
#: Seconds that a program has to end in order.
STOP_S = 20.0


class Entry(NamedTuple):
    """How a program is started: the command of a new process, or the module whose `main()` it is, from a zygote."""

    command: tuple[str | Path, ...]
    module: str


CLOUD = Entry((BIN / "evercount-cloud",), "cloud.__main__")
GATEWAY = Entry((BIN / "evercount-gateway",), "gateway.__main__")
TRAFFIC = Entry((sys.executable, ROOT / "tests" / "faults" / "traffic.py"), "traffic")


class Process(Protocol):
    """A process that runs, as `asyncio.subprocess.Process` and `Forked` are."""

    stdout: asyncio.StreamReader | None

    @property
    def returncode(self) -> int | None: ...
    def kill(self) -> None: ...
    def send_signal(self, signal: int) -> None: ...
    async def wait(self) -> int: ...


class Forked:
    """A process that a zygote forked."""

    def __init__(
        self, stdout: asyncio.StreamReader, pid: int, told: asyncio.StreamReader, asked: asyncio.StreamWriter
    ) -> None:
        self.stdout: asyncio.StreamReader | None = stdout
        self.pid = pid
        self.returncode: int | None = None
        self._asked = asked
        self._waiting = asyncio.create_task(self._wait(told))

    async def _wait(self, told: asyncio.StreamReader) -> int:
        self.returncode = int(await told.readline() or -signal.SIGKILL)
        self._asked.close()
        return self.returncode

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, signal)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit status, as soon as it has one."""
        return await asyncio.shield(self._waiting)


class Zygote:
    """A process that has imported `modules` and forks a child per start; see `zygote.py`."""

    def __init__(self, folder: Path, name: str, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._address = folder / f"{name}.zygote"
        self._modules = modules
        self._environment = _with({**environment, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
        self._process: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        """Start it, and wait until it listens."""
        words = (sys.executable, ROOT / "tests" / "faults" / "zygote.py", self._address, *self._modules)
        self._process = await asyncio.create_subprocess_exec(
            *map(str, words), stdin=asyncio.subprocess.PIPE, env=self._environment
        )
        process = self._process
        await until(lambda: self._address.exists() or process.returncode is not None, 60.0)
        assert process.returncode is None, f"{self._modules} cannot be imported"

    async def start(self, module: str, words: Sequence[str], environment: Mapping[str, str], errors: int) -> Forked:
        """Have it fork a child that runs the module's `main()`."""
        request = {"module": module, "words": list(words), "environment": dict(environment)}
        out, into = os.pipe()
        stdout = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(out, "rb", 0)
        )
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(str(self._address))
            socket.send_fds(one, [json.dumps(request).encode()], [into, errors])
        finally:
            os.close(into)
        told, asked = await asyncio.open_unix_connection(sock=one)
        return Forked(stdout, int(await told.readline()), told, asked)

    async def close(self) -> None:
        """End it and its children."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()


class Program:
    """One program that can be started again and again; `heard` gets each whole line of its standard output."""

    def __init__(
        self,
        name: str,
        folder: Path,
        environment: Mapping[str, str],
        entry: Entry,
        zygote: Zygote | None = None,
        heard: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = name
        self.starts = 0
        self._errors = folder / f"{name}.log"
        self._environment = _with(environment)
        self._entry = entry
        self._zygote = zygote
        self._heard = heard
        self._process: Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self, *words: str | Path | int, environment: Mapping[str, str] | None = None) -> None:
        """Start it with these words behind its command."""
        self.starts += 1
        around = {**self._environment, **(environment or {})}
        command = [str(word) for word in (*self._entry.command, *words)]
        with self._errors.open("ab") as errors:
            if self._zygote is None:
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdout=asyncio.subprocess.PIPE, stderr=errors, env=around
                )
            else:
                words_seen = command[len(self._entry.command) - 1 :]
                self._process = await self._zygote.start(self._entry.module, words_seen, around, errors.fileno())
        self._listening = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: Process) -> None:
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
