"""What a process may ask of the system around it."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol

from runtime.clock import SYSTEM_CLOCK, Clock, clock_from_environment
from runtime.synchronised import boot_id, clock_synchronised


class Listener(Protocol):
    """A listening socket."""

    port: int

    async def close(self) -> None:
        """Stop listening and close the connections that it accepted."""
        ...


class Runtime(Protocol):
    """Time, randomness and the outermost doors. Waiting is plain `asyncio.sleep` and `asyncio.timeout`."""

    def now(self) -> int:
        """Wall clock, microseconds UTC. May step; never used for order."""
        ...

    def monotonic(self) -> int:
        """Microseconds since some fixed moment of this boot; never steps back; runs at the loop's pace."""
        ...

    def clock_synchronised(self) -> bool:
        """Whether something keeps the wall clock right."""
        ...

    def boot_id(self) -> str:
        """A name of this boot: while it stays the same, `monotonic` goes on, from one process to the next."""
        ...

    def random(self, name: str) -> random.Random:
        """A generator of its own for the component `name`; adding a component shifts no other."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """Unguessable bytes for keys, codes, nonces and ids."""
        ...

    def executor(self, name: str) -> Executor | None:
        """One thread of its own for `loop.run_in_executor`; None on virtual time, where jobs run inline."""
        ...

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, Any]:
        """Open a TCP connection. Raises OSError."""
        ...

    async def listen(self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Listener:
        """Listen on TCP; port 0 takes a free one. Raises OSError."""
        ...


class SystemRuntime:
    """The real thing."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or clock_from_environment()
        self._seed = secrets.token_hex(16)

    def now(self) -> int:
        return self._clock.now()

    def monotonic(self) -> int:
        return int(time.monotonic() * self._clock.factor * 1_000_000)  # the time of the loop, and in every thread too

    def clock_synchronised(self) -> bool:
        """A clock that the environment makes up is right by decree."""
        return self._clock != SYSTEM_CLOCK or clock_synchronised()

    def boot_id(self) -> str:
        return boot_id()

    def random(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}:{name}")

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def executor(self, name: str) -> Executor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, Any]:
        loop = asyncio.get_running_loop()
        transport, made = await loop.create_connection(protocol, host, port, ssl=tls)
        return transport, made

    async def listen(self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Listener:
        return _SystemListener(await asyncio.get_running_loop().create_server(protocol, host, port))


class _SystemListener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()
