"""Servers in trouble, slow links, refusals: headquarters is left in peace, the site notices nothing, every row arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import httpx
import msgspec
import pytest
import zstandard
from cloud_stand_in import CloudStandIn
from ledger_help import crossing, simple_post
from virtual import START_US, AsgiTransport, VirtualRuntime

from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync import advisory
from gateway.sync.downlink import DownlinkClient
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.sync.uplink import Uplink
from vocabulary.exception import ExceptionRecord
from vocabulary.item import Item
from vocabulary.records import decode
from vocabulary.wire import BatchHeader, Downlink, Status

Answer = tuple[int, dict[str, str], bytes]


class Trouble(CloudStandIn):
    """A server that answers by `trouble(path, body)` first; None is its usual answer."""

    def __init__(self, trouble: Callable[[str, bytes], Answer | None] = lambda path, body: None) -> None:
        super().__init__()
        self.trouble = trouble

    async def __call__(self, scope: object, receive: Callable[[], Awaitable[dict[str, bytes]]], send: object) -> None:
        message = await receive()
        answer = self.trouble(scope["path"], message["body"])  # type: ignore[index]
        if answer is not None:
            self.requests.append((asyncio.get_running_loop().time(), "", scope["path"], len(message["body"])))  # type: ignore[index]
            status, headers, body = answer
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": pairs})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": body})  # type: ignore[operator]
            return

        async def again() -> dict[str, bytes]:
            return message

        await super().__call__(scope, again, send)


class SlowLink(AsgiTransport):
    """A link of `speed` bytes/s each way, on which one direction at a time is busy."""

    def __init__(self, app: object, speed: float) -> None:
        super().__init__(app)
        self.speed = speed
        self._busy = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._busy:
            await asyncio.sleep((len(await request.aread()) + 600) / self.speed)
        return await super().handle_async_request(request)


@asynccontextmanager
async def gateway(
    folder: Path, server: CloudStandIn, runtime: VirtualRuntime, link: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[SimpleNamespace]:
    """A gateway whose uplink and downlink run after `start()`."""
    identity = load_or_make_identity(folder, runtime)
    server.keys[identity.gateway] = identity.key.public_key()
    cloud = Cloud("http://hq", identity, runtime, link or AsgiTransport(server))
    writer = await LedgerWriter.open(folder / "ledger.db", runtime, simple_post)
    reader = await LedgerReader.open(folder / "ledger.db")
    status = lambda: Status(runtime.now(), "test", writer.head.seq)  # noqa: E731
    uplink, downlink = (
        Uplink(cloud, "north", writer, reader, runtime, status),
        DownlinkClient(cloud, "north", writer, runtime),
    )
    tasks: list[asyncio.Task[None]] = []

    def start() -> None:
        tasks.extend([asyncio.create_task(uplink.run()), asyncio.create_task(downlink.run())])

    async def bodies() -> list[bytes]:
        return [row.body for row in await reader.rows(1, 100_000, 1 << 30)]

    try:
        yield SimpleNamespace(
            cloud=cloud, writer=writer, reader=reader, uplink=uplink, downlink=downlink, start=start, bodies=bodies
        )
    finally:
        for task in tasks:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError), outcome
        await reader.close()
        await writer.close()
        await cloud.close()


async def settled(uplink: Uplink, within_s: float) -> float:
    """Seconds until everything has arrived."""
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(within_s):
        while uplink.behind or uplink.state != "online":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return asyncio.get_running_loop().time() - begun


def a_date_in(seconds: float) -> dict[str, str]:
    now = datetime.fromtimestamp(START_US / 1e6 + asyncio.get_running_loop().time(), UTC)
    ahead = timedelta(days=9)  # the server's clock is not ours: its Date says so
    return {
        "date": format_datetime(now + ahead, usegmt=True),
        "retry-after": format_datetime(now + ahead + timedelta(seconds=seconds), usegmt=True),
    }


@pytest.mark.parametrize(
    ("status", "headers"),
    [(503, dict), (500, dict), (429, lambda: {"retry-after": "5"}), (503, lambda: a_date_in(20))],
)
async def test_a_storm_of_an_hour_gets_at_most_two_requests_a_minute(
    tmp_path: Path, runtime: VirtualRuntime, status: int, headers: Callable[[], dict[str, str]]
) -> None:
    server = Trouble(lambda path, body: (status, headers(), b"{}"))
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        for number in range(60):
            await box.writer.submit(crossing(number))
            await asyncio.sleep(60)
        steady = [at for at, *_ in server.requests if at > 600]
        assert 20 <= len(steady) <= 100  # 50 minutes
        assert f"({status})" in box.uplink.reason
        server.trouble = lambda path, body: None
        assert await settled(box.uplink, 200) < 120
        assert server.rows == await box.bodies()
        await asyncio.sleep(30)
        assert box.downlink.state == "online"


@pytest.mark.parametrize("headers", [lambda: {"retry-after": "120"}, lambda: a_date_in(120)])
async def test_retry_after_is_never_undercut(
    tmp_path: Path, runtime: VirtualRuntime, headers: Callable[[], dict[str, str]]
) -> None:
    told: list[float] = []

    def trouble(path: str, body: bytes) -> Answer | None:
        if "downlink" in path:
            return None
        told.append(asyncio.get_running_loop().time())
        return (503, headers(), b"{}") if len(told) < 6 else None

    async with gateway(tmp_path, Trouble(trouble), runtime) as box:
        box.start()
        await settled(box.uplink, 3_600)
        pauses = [after - before for before, after in pairwise(told)][:5]
        assert min(pauses) >= 119  # HTTP dates have whole seconds
        assert max(pauses) <= 241


async def test_a_date_far_ahead_does_not_silence_a_gateway(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = Trouble()
    server.script.append((503, {"retry-after": "Fri, 31 Dec 2199 23:59:59 GMT"}, b"{}"))
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await settled(box.uplink, 2 * 3_600 + 60)


async def test_a_server_that_never_answers_is_asked_again_and_the_site_notices_nothing(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    server = Trouble()
    asleep = asyncio.Event()

    async def silent(scope: object, receive: Callable[[], Awaitable[object]], send: object) -> None:
        server.requests.append((asyncio.get_running_loop().time(), "", "", 0))
        await asleep.wait()

    link = AsgiTransport(silent)
    async with gateway(tmp_path, server, runtime, link) as box:
        box.start()
        for number in range(60):
            before = asyncio.get_running_loop().time()
            await box.writer.submit(crossing(number))
            assert asyncio.get_running_loop().time() - before < 0.25
            await asyncio.sleep(10)
        assert box.uplink.state == "offline"
        assert len(server.requests) < 60  # two clients, ten minutes
        link.app = server
        assert await settled(box.uplink, 120) < 75
        assert server.rows == await box.bodies()


async def test_an_answer_that_drips_is_given_up(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = Trouble()

    async def drips(
        scope: object, receive: Callable[[], Awaitable[object]], send: Callable[[object], Awaitable[None]]
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        while True:
            try:
                async with asyncio.timeout(20):
                    await receive()  # the other end left
                    return
            except TimeoutError:
                await send({"type": "http.response.body", "body": b" ", "more_body": True})

    link = AsgiTransport(drips)
    async with gateway(tmp_path, server, runtime, link) as box:
        box.start()
        await asyncio.sleep(120)
        assert (box.uplink.state, "too slowly" in box.uplink.reason) == ("offline", True)
        link.app = server
        await settled(box.uplink, 100)


async def test_a_slow_link_gets_smaller_batches_and_advice_still_comes(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = Trouble()
    async with gateway(tmp_path, server, runtime, SlowLink(server, 400)) as box:
        await box.writer.submit_many([crossing(number, 3) for number in range(4_000)])
        box.start()
        await asyncio.sleep(20)
        server.tell(Downlink("v1", items=(Item("apples", "Apples"),)))
        await asyncio.sleep(30)
        assert box.downlink.etag == "v1"  # a long push does not hold it up
        await settled(box.uplink, 3_600)
        assert server.rows == await box.bodies()
        took = [bytes_ / 400 for _, bytes_ in server.sizes]
        assert max(took[1:]) < 16  # seconds; the first one is the measurement
        assert min(rows for rows, _ in server.sizes[:-1] if rows) < 1_000


async def test_a_link_that_breaks_large_requests_is_used_with_small_ones(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    server = Trouble()

    def breaks(request: httpx.Request) -> None:
        if int(request.headers.get("content-length", 0)) > 3_500:
            raise httpx.WriteError("connection reset")

    async with gateway(tmp_path, server, runtime, AsgiTransport(server, before=breaks)) as box:
        await box.writer.submit_many([crossing(number, 3) for number in range(2_000)])
        box.start()
        await settled(box.uplink, 3_600)
        assert server.rows == await box.bodies()


def rows_of(body: bytes) -> tuple[BatchHeader, list[bytes]]:
    first, *lines = zstandard.ZstdDecompressor().decompress(body).split(b"\n")
    return msgspec.json.decode(first, type=BatchHeader), lines


async def test_a_refused_batch_is_halved_down_to_the_row_that_does_not_pass(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    bad, refused = 137, list[int]()

    def trouble(path: str, body: bytes) -> Answer | None:
        if path.endswith("ledger"):
            header, lines = rows_of(body)
            if header.first_seq <= bad < header.first_seq + len(lines):
                refused.append(len(lines))
                return 400, {}, b'{"detail":"the batch was damaged on its way"}'
        return None

    server = Trouble(trouble)
    async with gateway(tmp_path, server, runtime) as box:
        await box.writer.submit_many([crossing(number) for number in range(300)])
        box.start()
        await asyncio.sleep(300)
        assert refused[:3] == [300, 150, 75] or refused[0] == 300
        assert refused[-1] == 1
        assert (box.uplink.state, box.uplink.acked) == ("refused", bad - 1)
        await asyncio.sleep(3_600)
        assert len(refused) < 40
        told = [record for record in map(decode, await box.bodies()) if isinstance(record, ExceptionRecord)]
        assert [(one.kind, one.cause) for one in told] == [("parked-record", bad)]
        late = [header for header in server.headers if header.first_seq == bad]
        assert late[-1].status.recorded == box.writer.head.seq  # headquarters still hears that it lives
        assert late[-1].status.oldest_unsent
        server.trouble = lambda path, body: None
        await settled(box.uplink, 700)
        assert server.rows == await box.bodies()


async def test_damage_that_passes_costs_seconds(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = Trouble()
    async with gateway(tmp_path, server, runtime) as box:
        await box.writer.submit_many([crossing(number) for number in range(300)])
        server.script.extend([(200, {}, b"")] * 0)
        times = 0

        def trouble(path: str, body: bytes) -> Answer | None:
            nonlocal times
            times += path.endswith("ledger")
            return (400, {}, b"{}") if path.endswith("ledger") and times < 4 else None

        server.trouble = trouble
        box.start()
        assert await settled(box.uplink, 60) < 20
        assert server.rows == await box.bodies()


async def test_balances_come_first_in_parts_and_again_while_history_arrives(
    tmp_path: Path, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advisory, "LINES", 3)
    monkeypatch.setattr(advisory, "EVERY_SHARE", 1.0)
    server = Trouble()
    async with gateway(tmp_path, server, runtime, SlowLink(server, 600)) as box:
        places = [f"dock-{number % 8}" for number in range(9_000)]
        await box.writer.submit_many([crossing(number, place=place) for number, place in enumerate(places)])
        box.start()
        await asyncio.sleep(10)
        first = [one for one in server.advisories if one.at == server.advisories[0].at]
        assert [(one.part, one.parts) for one in first] == [(0, 3), (1, 3), (2, 3)]
        told = {line.account.place: line.quantity for one in first for line in one.balances}
        assert told == {f"dock-{n}": 1_125 for n in range(8)}
        await box.writer.submit(crossing(9_001, place="dock-9"))
        await asyncio.sleep(30)
        newest = [one for one in server.advisories if one.at == server.advisories[-1].at]
        assert any(line.account.place == "dock-9" for one in newest for line in one.balances)
        assert box.uplink.behind > 3_000  # long before its row arrived
        assert server.headers[-1].status.oldest_unsent > 0
        await settled(box.uplink, 3_600)
        assert server.rows == await box.bodies()
        await asyncio.sleep(60)
        assert server.headers[-1].status.oldest_unsent == 0
