"""Servers on real sockets that accept and never answer, answer half, drip or reset: each is given up in time."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.errors import LinkDownError
from gateway.sync import http
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from runtime import SystemRuntime

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(WHOLE[:20])
    await reader.read()


async def half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n{")
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(WHOLE[:-1])


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def does_not_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(5)


@pytest.mark.parametrize("fault", [silent, half_a_head, half_a_body, drips, cut, reset, does_not_read])
async def test_a_half_dead_server_is_given_up_and_the_next_one_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Handler
) -> None:
    for name in ("CONNECT_S", "SEND_S", "ANSWER_S"):
        monkeypatch.setattr(http, name, 0.4)
    monkeypatch.setattr(http, "SLOWEST", 4_000_000)
    sick = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if sick:
                await fault(reader, writer)
            else:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(WHOLE)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    runtime = SystemRuntime()
    cloud = Cloud(f"http://127.0.0.1:{port}", load_or_make_identity(tmp_path, runtime), runtime)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(LinkDownError):
        await cloud.ask("POST", "/v1/x", body=b"x" * 8_000_000)
    assert loop.time() - begun < 10
    sick = False
    assert (await cloud.ask("GET", "/v1/x")).body == b"{}"
    await cloud.close()
    server.close()
