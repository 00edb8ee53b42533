"""The ground on which the other tests stand: exact times, fixed order, streams, HTTP and SQLite without threads."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import aiosqlite
import httpx
import pytest
from virtual import AsgiTransport, Network, VirtualRuntime


async def test_time_is_exact_and_costs_nothing(runtime: VirtualRuntime) -> None:
    before = runtime.now()
    await asyncio.sleep(86_400)
    assert runtime.now() - before == 86_400_000_000


async def test_equal_timers_fire_in_call_order() -> None:
    seen: list[int] = []

    async def one(number: int) -> None:
        await asyncio.sleep(1)
        seen.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(one(number))
    assert seen == list(range(20))


async def test_streams_keep_order_and_end(runtime: VirtualRuntime) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(100_000))[::-1])
        await writer.drain()
        writer.close()

    def server() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), serve)

    listener = await runtime.listen(server, "reader", 5084)
    stream = asyncio.StreamReader()
    transport, protocol = await runtime.connect(lambda: asyncio.StreamReaderProtocol(stream), "reader", 5084)
    writer = asyncio.StreamWriter(transport, protocol, stream, asyncio.get_running_loop())
    sent = bytes(range(250)) * 400
    writer.write(sent)
    await writer.drain()
    assert await stream.read() == sent[::-1]
    writer.close()
    await listener.close()
    with pytest.raises(ConnectionRefusedError):
        await runtime.connect(asyncio.Protocol, "reader", 5084)


async def test_a_silent_cable_tells_nobody_and_a_reset_does() -> None:
    network = Network(3)
    runtime = network.runtime("a")
    lost: list[Exception | None] = []
    got: list[bytes] = []

    class Client(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.append(exc)

    class Server(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            got.append(data)

    await runtime.listen(Server, "r", 1)
    transport, _ = await runtime.connect(Client, "r", 1)
    network.silence("r", 1)
    transport.write(b"x")
    await asyncio.sleep(60)
    assert (got, lost) == ([], [])
    network.reset("r", 1)
    await asyncio.sleep(1)
    assert isinstance(lost[0], ConnectionResetError)


async def test_http_in_process_times_out_in_virtual_time() -> None:
    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        body = (await receive())["body"]
        if scope["path"] == "/slow":
            await asyncio.sleep(55)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async with httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://cloud", timeout=5) as client:
        assert (await client.post("/", content=b"abc")).content == b"abc"
        before = asyncio.get_running_loop().time()
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/slow")
        assert 5 <= asyncio.get_running_loop().time() - before < 5.1


async def test_aiosqlite_works_inline_and_waits_for_locks(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with aiosqlite.connect(path) as first, aiosqlite.connect(path, timeout=2) as second:
        await first.execute("create table t (x)")
        await first.execute("begin immediate")
        asyncio.get_running_loop().call_later(1, lambda: first._conn.commit())
        before = asyncio.get_running_loop().time()
        await second.execute("insert into t values (1)")
        assert asyncio.get_running_loop().time() - before >= 1


async def test_a_thread_is_refused() -> None:
    with pytest.raises(RuntimeError, match="ask the runtime"):
        threading.Thread(target=print).start()


async def test_a_wait_for_ever_fails_at_once() -> None:
    with pytest.raises(RuntimeError, match="nothing is ready"):
        asyncio.get_running_loop().select(None)


@pytest.mark.real
async def test_real_tests_have_a_real_loop() -> None:
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
