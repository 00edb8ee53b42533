"""A whole asyncio system in one process on virtual time: loop, clock, network, HTTP and SQLite, all from one seed.

Tests run on `VirtualLoop` unless they carry the mark `real` (see conftest.py). Time stands still while code runs and jumps
to the next timer when nothing is ready; the same seed gives the same order of everything. Import it as `virtual`.

    network = Network(seed=7)
    runtime = network.runtime("north")                       # a VirtualRuntime; VirtualRuntime(7) is one of its own
    client = httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://cloud")
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import itertools
import random
import sqlite3
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiosqlite
import httpx

#: Wall clock at loop time 0: 2026-01-05T06:00:00Z, a Monday, in microseconds.
START_US = 1_767_592_800_000_000
#: Rounds of the loop without a step of time after which something is spinning.
SPINS = 1_000_000
#: Bytes in flight on one virtual connection above which its writer is asked to pause.
HIGH_WATER = 256 * 1024


class Timer(asyncio.TimerHandle):
    """A timer; those due at the same moment fire in the order of their calls."""

    order = 0

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, Timer)
        return (self._when, self.order) < (other._when, other.order)  # type: ignore[attr-defined]


class OrderedTask(asyncio.Task):
    """A task whose hash is its number, so that sets of tasks iterate in a fixed order."""

    def __init__(self, coro: Any, *, loop: VirtualLoop, **named: Any) -> None:
        self.order = next(loop.count)
        super().__init__(coro, loop=loop, **named)

    def __hash__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """No selector and no descriptors: a real socket or subprocess cannot work on it. Starts at 0."""

    def __init__(self, latency: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__()
        self._selector, self._clock_resolution = self, 1e-6
        self.now = 0.0
        self.count = itertools.count()
        self.owner = threading.get_ident()
        self.latency = latency
        self._spins = 0
        self.set_task_factory(lambda loop, coro, **named: OrderedTask(coro, loop=loop, **named))

    def time(self) -> float:
        return self.now

    def select(self, timeout: float | None) -> tuple[()]:
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer runs")
        if timeout:
            self._spins = 0
            self.now = max(self.now, self._scheduled[0]._when)
        else:
            self._spins += 1
            if self._spins > SPINS:
                raise RuntimeError("spinning: a million rounds without a step of time")
        return ()

    def _process_events(self, events: object) -> None:
        pass

    def _write_to_self(self) -> None:
        assert threading.get_ident() == self.owner, "call_soon_threadsafe from another thread"

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Timer:
        timer = Timer(when, callback, args, self, context)
        timer.order = next(self.count)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Runs the job now, in this thread; its answer comes after `latency()` seconds."""
        future = self.create_future()
        try:
            answer = functools.partial(future.set_result, func(*args))
        except Exception as error:
            answer = functools.partial(future.set_exception, error)
        self.call_later(self.latency(), lambda: future.done() or answer())
        return future

    async def getaddrinfo(self, *args: Any, **named: Any) -> Any:
        raise OSError("no names are resolved on virtual time")


class VirtualRuntime:
    """`runtime.Runtime` on a virtual loop: everything follows from `seed` and `name`."""

    def __init__(self, seed: int = 0, name: str = "", network: Network | None = None, start_us: int = START_US) -> None:
        self.seed = f"{seed}:{name}"
        self.start_us = start_us
        #: what a test may change: how far the wall clock is off, how much faster it runs (ppm), whether something keeps it
        #: right, and the boot
        self.wall_offset_us = 0
        self.wall_ppm = 0
        self.synchronised = True
        self.boot = "boot"
        self.network = network or Network(seed)
        self._tokens = random.Random(f"{self.seed}:tokens")

    def now(self) -> int:
        monotonic = self.monotonic()
        return self.start_us + monotonic + self.wall_offset_us + monotonic * self.wall_ppm // 1_000_000

    def monotonic(self) -> int:
        return round(asyncio.get_running_loop().time() * 1_000_000)

    def clock_synchronised(self) -> bool:
        return self.synchronised

    def boot_id(self) -> str:
        return self.boot

    def random(self, name: str) -> random.Random:
        return random.Random(f"{self.seed}:{name}")

    def token_bytes(self, count: int) -> bytes:
        return self._tokens.randbytes(count)

    def executor(self, name: str) -> None:
        return None

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, Any]:
        return await self.network.connect(protocol, host, port)

    async def listen(self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> VirtualListener:
        return self.network.listen(protocol, host, port)


class Network:
    """TCP in memory: bytes arrive in order after `latency()` seconds (0.2 to 2 ms by default, from the seed)."""

    def __init__(self, seed: int = 0, latency: Callable[[], float] | None = None) -> None:
        self.seed = seed
        drawn = random.Random(f"{seed}:network")
        self.latency = latency or (lambda: drawn.uniform(0.0002, 0.002))
        self.listeners: dict[tuple[str, int], VirtualListener] = {}
        self.unreachable: dict[tuple[str, int], None] = {}
        self._ports = itertools.count(49_152)

    def runtime(self, name: str) -> VirtualRuntime:
        """A runtime of its own randomness on this network."""
        return VirtualRuntime(self.seed, name, self)

    def listen(self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> VirtualListener:
        port = port or next(self._ports)
        if (host, port) in self.listeners:
            raise OSError(98, f"the address {host}:{port} is in use")
        listener = VirtualListener(self, protocol, host, port)
        self.listeners[host, port] = listener
        return listener

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        await asyncio.sleep(self.latency())
        listener = self.listeners.get((host, port)) or self.listeners.get(("0.0.0.0", port))
        if listener is None or (host, port) in self.unreachable:
            raise ConnectionRefusedError(111, f"nothing listens at {host}:{port}")
        near, far = Pipe(self, ("client", next(self._ports)), (host, port)), Pipe(self, (host, port), ("client", 0))
        near.peer, far.peer = far, near
        listener.pipes.append(far)
        far.attach(listener.protocol())
        made = protocol()
        near.attach(made)
        return near, made

    def silence(self, host: str, port: int, silent: bool = True) -> None:
        """Pull (or put back) the cable of all connections to an address: bytes vanish, nobody is told."""
        for pipe in self.listeners[host, port].pipes:
            pipe.silent = silent
            if pipe.peer:
                pipe.peer.silent = silent

    def reset(self, host: str, port: int) -> None:
        """Reset all connections to an address."""
        for pipe in list(self.listeners[host, port].pipes):
            for end in (pipe, pipe.peer):
                if end:
                    end.lose(ConnectionResetError(104, "connection reset by peer"))


class VirtualListener:
    """A listening address of a `Network`."""

    def __init__(self, network: Network, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> None:
        self.network, self.protocol, self.host, self.port = network, protocol, host, port
        self.pipes: list[Pipe] = []

    async def close(self) -> None:
        self.network.listeners.pop((self.host, self.port), None)
        for pipe in list(self.pipes):
            pipe.close()
        await asyncio.sleep(0)


class Pipe(asyncio.Transport):
    """One end of a virtual connection."""

    def __init__(self, network: Network, sockname: tuple[str, int], peername: tuple[str, int]) -> None:
        super().__init__({"sockname": sockname, "peername": peername})
        self.network = network
        self.loop = asyncio.get_running_loop()
        self.peer: Pipe | None = None
        self.protocol: Any = None
        self.arriving: deque[tuple[float, bytes | None]] = deque()
        self.queued = 0
        self.last_due = 0.0
        self.reading = True
        self.silent = self.closed = self.writer_paused = False

    def attach(self, protocol: Any) -> None:
        self.protocol = protocol
        self.loop.call_soon(protocol.connection_made, self)

    def write(self, data: Any) -> None:
        if self.closed or self.silent or not data or self.peer is None:
            return
        if self.peer.closed and not self.arriving:  # it left while the cable was out: TCP answers with a reset
            self.lose(ConnectionResetError(104, "connection reset by peer"))
            return
        self.peer.arrive(bytes(data))
        if self.peer.queued > HIGH_WATER and not self.writer_paused:
            self.writer_paused = True
            self.protocol.pause_writing()

    def arrive(self, data: bytes | None) -> None:
        self.last_due = max(self.last_due, self.loop.time() + self.network.latency())
        self.arriving.append((self.last_due, data))
        self.queued += len(data or b"")
        self.loop.call_at(self.last_due, self.deliver)

    def deliver(self) -> None:
        while self.reading and not self.closed and self.arriving and self.arriving[0][0] <= self.loop.time():
            data = self.arriving.popleft()[1]
            if data is None:
                if not self.protocol.eof_received():
                    self.lose(None)
                return
            self.queued -= len(data)
            self.protocol.data_received(data)
            if self.peer and self.peer.writer_paused and self.queued <= HIGH_WATER // 4:
                self.peer.writer_paused = False
                self.peer.protocol.resume_writing()

    def lose(self, error: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self.loop.call_soon(self.protocol.connection_lost, error)

    def close(self) -> None:
        if not self.closed:
            if self.peer and not self.silent and not self.peer.closed:
                self.peer.arrive(None)
            self.lose(None)

    abort = close

    def write_eof(self) -> None:
        if self.peer and not self.silent:
            self.peer.arrive(None)

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self.loop.call_soon(self.deliver)

    def is_reading(self) -> bool:
        return self.reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return self.peer.queued if self.peer else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class AsgiTransport(httpx.AsyncBaseTransport):
    """httpx to an ASGI application in process, with virtual time-outs, streams and disconnects.

    `latency` is seconds each way. `before(request)` and `after(request)` may raise an httpx error: a link that is down, an
    answer that is lost after the server has acted.
    """

    def __init__(
        self,
        app: Any,
        latency: Callable[[], float] = lambda: 0.001,
        before: Callable[[httpx.Request], None] = lambda request: None,
        after: Callable[[httpx.Request], None] = lambda request: None,
    ) -> None:
        self.app, self.latency, self.before, self.after = app, latency, before, after

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self.latency())
        self.before(request)
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        outbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(4)
        inbox.put_nowait({"type": "http.request", "body": await request.aread(), "more_body": False})
        task = asyncio.ensure_future(self._serve(_scope(request), inbox, outbox))
        read_s = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(read_s):
                start = await outbox.get()
        except BaseException as error:
            task.cancel()
            await asyncio.wait([task])
            if isinstance(error, TimeoutError):
                raise httpx.ReadTimeout("no answer in time", request=request) from None
            raise
        if start is None:
            await task  # raises what the application raised
            raise httpx.RemoteProtocolError("the application answered nothing", request=request)
        await asyncio.sleep(self.latency())
        stream = _Answer(task, inbox, outbox)
        try:
            self.after(request)
        except BaseException:
            await stream.aclose()
            raise
        return httpx.Response(start["status"], headers=start["headers"], stream=stream)

    async def _serve(self, scope: dict[str, Any], inbox: Any, outbox: Any) -> None:
        try:
            await self.app(scope, inbox.get, outbox.put)
        except Exception:
            await outbox.put(None)
            raise
        await outbox.put(None)


class _Answer(httpx.AsyncByteStream):
    def __init__(self, task: asyncio.Future[None], inbox: Any, outbox: Any) -> None:
        self.task, self.inbox, self.outbox = task, inbox, outbox

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self.outbox.get()) is not None:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return

    async def aclose(self) -> None:
        self.inbox.put_nowait({"type": "http.disconnect"})
        while not self.task.done():
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    self.outbox.get_nowait()
            await asyncio.sleep(0.001)
        if not self.task.cancelled():
            self.task.exception()


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port or 80),
        "client": ("127.0.0.1", 123),
        "state": {},
        "extensions": {},
    }


class Inline:
    """Stands in for aiosqlite's queue and for its thread: runs each job at once; a lock is waited for in virtual time."""

    daemon = True
    #: told the file's name before each job, for who kills a program in the middle of a transaction
    watch: Callable[[str], None] = staticmethod(lambda database: None)

    def __init__(self, busy_s: float, database: str = "") -> None:
        self.busy_s = busy_s
        self.database = database

    def start(self) -> None:
        pass

    def put_nowait(self, item: tuple[Any, Callable[[], Any]], waited: float = 0.0) -> None:
        future, job = item
        Inline.watch(self.database)
        try:
            name, value = "set_result", job()
        except Exception as error:
            name, value = "set_exception", error
            locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            if future and locked and waited < self.busy_s:
                future.get_loop().call_later(0.01, self.put_nowait, item, waited + 0.01)
                return
        if future:
            future.get_loop().call_soon(lambda: future.done() or getattr(future, name)(value))


_connect = aiosqlite.connect


def connect_inline(database: Any, *, timeout: float = 5.0, **named: Any) -> aiosqlite.Connection:
    """`aiosqlite.connect` without a thread."""
    connection = _connect(database, timeout=0.0, **named)
    assert hasattr(connection, "_tx"), "aiosqlite changed inside: its queue is no longer _tx"
    assert hasattr(connection, "_thread"), "aiosqlite changed inside: its thread is no longer _thread"
    connection._tx = connection._thread = Inline(timeout, str(database))  # type: ignore[assignment]
    return connection


def _refuse_thread(self: threading.Thread) -> None:
    raise RuntimeError(f"a thread ({self.name}) was started on virtual time: ask the runtime for an executor")


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """While it lasts aiosqlite (and SQLAlchemy over it) works inline, and starting any thread raises."""
    start = threading.Thread.start
    aiosqlite.connect = connect_inline  # type: ignore[assignment]
    threading.Thread.start = _refuse_thread  # type: ignore[method-assign]
    try:
        yield
    finally:
        aiosqlite.connect = _connect
        threading.Thread.start = start  # type: ignore[method-assign]


def run(main: Callable[[], Any], latency: Callable[[], float] = lambda: 0.0) -> Any:
    """Run the coroutine function `main` on a virtual loop without threads; for scripts and synchronous tests."""
    with no_threads(), asyncio.Runner(loop_factory=lambda: VirtualLoop(latency)) as runner:
        return runner.run(main())
