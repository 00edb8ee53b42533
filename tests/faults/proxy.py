"""A TCP proxy that breaks what passes through it, on command: latency, stalls, low bandwidth, cuts, silent connections."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from random import Random

#: Bytes that are passed on at once.
CHUNK = 4_096


@dataclass(frozen=True)
class Fault:
    """What is done to each connection, from when it is set: also to those that are open.

    `latency_s` is added to each chunk; `stalled` holds everything until the fault changes; `bytes_per_s` 0 is unlimited. `cut`
    aborts a connection (reset) somewhere in the first answer that passes; `up_only` lets requests pass and no answers: the
    connection stays half-open and silent for ever; `deaf` lets nothing pass for ever; `refused` aborts new connections.
    """

    latency_s: float = 0.0
    stalled: bool = False
    bytes_per_s: int = 0
    cut: bool = False
    up_only: bool = False
    deaf: bool = False
    refused: bool = False


SOUND = Fault()


class FaultProxy:
    """Listens on the loopback address and passes on to `port` there."""

    def __init__(self, port: int, random: Random) -> None:
        self.port = 0
        self.connections = self.cuts = 0
        self._target = port
        self._random = random
        self._fault = SOUND
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def set(self, fault: Fault) -> None:
        """From now on."""
        self._fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """Stop, and close every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        beyond: asyncio.StreamWriter | None = None
        try:
            if self._fault.refused:
                return
            back, beyond = await asyncio.open_connection("127.0.0.1", self._target)
            pumps = [asyncio.create_task(self._pump(*ends)) for ends in ((reader, beyond, True), (back, writer, False))]
            _, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pending:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # headquarters is away, or the proxy ends: the connection ends too
        finally:
            self._tasks.discard(task)
            for end in (writer, beyond):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool) -> None:
        """Pass on one direction until it ends, or is cut."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                while self._fault.stalled:
                    await self._changed.wait()
                fault = self._fault
                if fault.deaf or (fault.up_only and not up):
                    await asyncio.Event().wait()  # this connection is dead, and nobody is told
                if fault.cut and not up:
                    self.cuts += 1
                    writer.write(data[: self._random.randrange(len(data))])
                    await writer.drain()
                    return
                if fault.latency_s:
                    await asyncio.sleep(fault.latency_s)
                if fault.bytes_per_s:
                    await asyncio.sleep(len(data) / fault.bytes_per_s)
                writer.write(data)
                await writer.drain()
