"""Where forecasts are made: in this process, or in one of their own."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Protocol

import msgspec

from cloud.errors import CloudError
from cloud.forecasts import worker
from cloud.forecasts.forecast import Batch, Forecasts


class Forecaster(Protocol):
    """Something that answers batches of series."""

    async def forecast(self, batch: Batch) -> Forecasts:
        """Forecast the series of `batch`. Raises CloudError when that is not possible now."""
        ...


class InlineForecaster:
    """Forecasts in this process: for tests and the command line. Imports LightGBM with the first batch that can teach it."""

    async def forecast(self, batch: Batch) -> Forecasts:
        return worker.answer(batch)


class WorkerForecaster:
    """Forecasts in a process of its own, started with the first batch; `close` ends it, the next batch starts another."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

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
            pipe = asyncio.subprocess.PIPE
            command = (sys.executable, "-m", "cloud.forecasts.worker")
            process = self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
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
