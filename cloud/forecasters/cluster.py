"""Forecasts on a Ray cluster; the only module that imports Ray (extra `ray`), and only in a process of its own.

Ray ends the whole process when the cluster's head is gone, so headquarters does not hold the connection itself: a child
does (`python -m cloud.forecasters.cluster ADDRESS`, frames on stdin and stdout as a worker's), and when it ends the batches
in work fail with one sentence and the next one starts another. Each node needs the same release of this program: a batch
travels as bytes, a node answers with the same function as a worker process (`worker.answer`).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO

import msgspec

from cloud.errors import CloudError
from cloud.forecasters.processes import program
from cloud.forecasts import worker
from cloud.forecasts.forecast import Batch, Forecasts


class _Ask(msgspec.Struct, frozen=True, array_like=True):
    """A batch, packed, and the number under which its answer comes back."""

    number: int
    batch: bytes


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """An answer, packed, or why there is none. Number 0 comes first: the cluster's cores, or why it cannot be used."""

    number: int
    answer: bytes = b""
    error: str = ""
    cores: int = 0


class RayForecaster:
    """Forecasts on the cluster at `address`: "auto" (the one of this machine), "local" (one made for this) or ray://...

    Connects with the first batch. Raises CloudError when Ray is not installed, the cluster cannot be reached, or a node fails
    more often than Ray tries again.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting, self._writing = asyncio.Lock(), asyncio.Lock()
        self._asked: dict[int, asyncio.Future[_Told]] = {}
        self._number = 0
        self._cores = 1

    @property
    def at_once(self) -> int:
        """The cluster's cores; one before it is connected."""
        return self._cores

    async def forecast(self, batch: Batch) -> Forecasts:
        async with self._starting:
            if self._reading is None or self._reading.done():
                await self._start()
        self._number += 1
        told = self._expect(self._number)
        await self._send(msgspec.msgpack.encode(_Ask(self._number, msgspec.msgpack.encode(batch))))
        answer = await told
        if answer.error:
            raise CloudError(f"the Ray cluster could not answer: {answer.error}")
        return msgspec.msgpack.decode(answer.answer, type=Forecasts)

    async def close(self) -> None:
        """Leave the cluster."""
        async with self._starting:
            process, self._process = self._process, None
            if process is not None and process.stdin is not None and process.returncode is None:
                process.stdin.close()  # it leaves, and a local cluster ends with it
                with suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if self._reading is not None:
                await asyncio.wait([self._reading])

    def _expect(self, number: int) -> asyncio.Future[_Told]:
        self._asked[number] = found = asyncio.get_running_loop().create_future()
        return found

    async def _start(self) -> None:
        hello = self._expect(0)
        self._process = await program("cloud.forecasters.cluster", self._address)
        self._reading = asyncio.ensure_future(self._read(self._process))
        told = await hello
        if told.error:
            await asyncio.wait([self._reading])  # it ends by itself
            raise CloudError(told.error)
        self._cores = max(1, told.cores)

    async def _send(self, packed: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return  # what was asked has failed
        async with self._writing:
            with suppress(OSError):  # the reader tells those who wait
                process.stdin.write(worker.HEAD.pack(len(packed)) + packed)
                await process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand answers to those who wait, until the child ends; then to the rest that it did."""
        assert process.stdout is not None
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = worker.HEAD.unpack(await process.stdout.readexactly(worker.HEAD.size))
                told = msgspec.msgpack.decode(await process.stdout.readexactly(length), type=_Told)
                waiting = self._asked.pop(told.number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(told)
        await process.wait()
        for number, waiting in self._asked.items():
            if not waiting.done():
                waiting.set_result(_Told(number, error="the connection to it ended; its own message is in the log"))
        self._asked.clear()


# ------------------------------------------------------------------------------------------------- in the child


def answer_packed(packed: bytes) -> bytes:
    """Answer a batch in msgpack with forecasts in msgpack; runs on a node of the cluster."""
    return msgspec.msgpack.encode(worker.answer(msgspec.msgpack.decode(packed, type=Batch)))


def serve(address: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Pass the batches of `source` on to the cluster until it ends; answers in the order in which they come."""
    one = threading.Lock()

    def tell(told: _Told) -> None:
        packed = msgspec.msgpack.encode(told)
        with one:
            sink.write(worker.HEAD.pack(len(packed)) + packed)
            sink.flush()

    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        return tell(_Told(0, error="[forecast] ray is set, but Ray is not installed: pip install evercount[ray]"))
    try:
        where = None if address == "local" else address
        ray.init(where, include_dashboard=False, log_to_driver=False)
        cores = int(ray.cluster_resources().get("CPU", 1))
    except Exception as error:  # Ray says with many types that nobody answers there
        said = f"the Ray cluster at {address} cannot be reached: {_first_line(error)}; see [forecast] ray"
        return tell(_Told(0, error=said))
    tell(_Told(0, cores=cores))
    remote = ray.remote(num_cpus=1, max_retries=2)(answer_packed)
    while len(head := source.read(worker.HEAD.size)) == worker.HEAD.size:
        ask = msgspec.msgpack.decode(source.read(worker.HEAD.unpack(head)[0]), type=_Ask)
        future = remote.remote(ask.batch).future()

        def passed_on(done: Any, number: int = ask.number) -> None:
            error = done.exception()
            tell(_Told(number, error=_first_line(error)) if error else _Told(number, done.result()))

        future.add_done_callback(passed_on)
    ray.shutdown()
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends us by our stdin
    from cloud.forecasters import cluster  # a node finds what it is to run by its name, which is not __main__

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints goes to the log, not between the frames
    cluster.serve(sys.argv[1], sys.stdin.buffer, answers)
