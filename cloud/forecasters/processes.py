"""Forecasts in worker processes of this machine: one, or several that share the batches."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from cloud.errors import CloudError
from cloud.forecasts import worker
from cloud.forecasts.forecast import Batch, Forecasts

#: Each worker is one thread: libraries that would take all cores for themselves get in each other's way (OMP is LightGBM's).
_ONE_THREAD: Mapping[str, str] = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


async def program(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a module of this program, with pipes to its stdin and stdout; it ends when its stdin does."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", module, *arguments)
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env={**os.environ, **_ONE_THREAD})


class WorkerForecaster:
    """Forecasts in a process of its own, started with the first batch; `close` ends it, the next batch starts another."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    @property
    def at_once(self) -> int:
        return 1

    @property
    def process(self) -> asyncio.subprocess.Process | None:
        """The process, while there is one."""
        return self._process

    async def forecast(self, batch: Batch) -> Forecasts:
        async with self._one:
            try:
                return await self._ask(msgspec.msgpack.encode(batch))
            except (OSError, asyncio.IncompleteReadError) as error:
                await self._end()
                raise CloudError("the forecast worker ended in mid-work; its own message is in the log") from error
            except asyncio.CancelledError:
                await self._end()  # its half-read answer would be taken for the next one
                raise

    async def close(self) -> None:
        """End the worker when no batch is in work."""
        async with self._one:
            await self._end()

    async def _ask(self, packed: bytes) -> Forecasts:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await program("cloud.forecasts.worker")
        if process.stdin is None or process.stdout is None:
            raise OSError("the worker has no pipes")
        process.stdin.write(worker.HEAD.pack(len(packed)) + packed)
        await process.stdin.drain()
        (length,) = worker.HEAD.unpack(await process.stdout.readexactly(worker.HEAD.size))
        return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Forecasts)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class PoolForecaster:
    """Forecasts in `workers` processes: as many batches are in work at once, each in one of them."""

    def __init__(self, workers: int) -> None:
        self._workers = [WorkerForecaster() for _ in range(workers)]
        self._free: asyncio.LifoQueue[WorkerForecaster] = asyncio.LifoQueue()  # one that is warm goes first
        for one in self._workers:
            self._free.put_nowait(one)

    @property
    def at_once(self) -> int:
        return len(self._workers)

    @property
    def processes(self) -> list[asyncio.subprocess.Process]:
        """Those that run."""
        return [one.process for one in self._workers if one.process is not None]

    async def forecast(self, batch: Batch) -> Forecasts:
        one = await self._free.get()
        try:
            return await one.forecast(batch)
        finally:
            self._free.put_nowait(one)

    async def close(self) -> None:
        """End the workers, each when it has no batch in work."""
        for one in self._workers:
            await one.close()
