"""Every committed row reaches headquarters, in order and once, whatever the link and the server do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from cloud_stand_in import CloudStandIn
from ledger_help import crossing, simple_post
from virtual import AsgiTransport, VirtualRuntime

from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.http import Cloud
from gateway.sync.identity import Identity, load_or_make_identity
from gateway.sync.uplink import Uplink
from vocabulary.records import encode
from vocabulary.wire import Conflict, Status


@asynccontextmanager
async def gateway(
    folder: Path, server: CloudStandIn, runtime: VirtualRuntime, link: AsgiTransport | None = None
) -> AsyncIterator[SimpleNamespace]:
    """A gateway's ledger and uplink against `server`; nothing is pushed before `start()`."""
    identity: Identity = load_or_make_identity(folder, runtime)
    server.keys[identity.gateway] = identity.key.public_key()
    cloud = Cloud("http://hq", identity, runtime, link or AsgiTransport(server))
    writer = await LedgerWriter.open(folder / "ledger.db", runtime, simple_post)
    reader = await LedgerReader.open(folder / "ledger.db")

    def status() -> Status:
        return Status(runtime.now(), "test", writer.head.seq)

    uplink = Uplink(cloud, "north", writer, reader, runtime, status)
    tasks: list[asyncio.Task[None]] = []
    try:
        yield SimpleNamespace(
            cloud=cloud,
            writer=writer,
            uplink=uplink,
            start=lambda: tasks.append(asyncio.create_task(uplink.run())),
        )
    finally:
        for task in tasks:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError), outcome
        await reader.close()
        await writer.close()
        await cloud.close()


async def settled(uplink: Uplink, within_s: float = 600) -> None:
    async with asyncio.timeout(within_s):
        while uplink.behind or uplink.state == "starting":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def bodies(writer: LedgerWriter) -> list[bytes]:
    reader = await LedgerReader.open(writer.path)
    rows = await reader.rows(1, 100_000, 1 << 30)
    await reader.close()
    return [row.body for row in rows]


async def test_a_commit_is_pushed_at_once(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await asyncio.sleep(5)
        for number in range(20):
            receipt = await box.writer.submit(crossing(number, 2))
            before = asyncio.get_running_loop().time()
            await settled(box.uplink)
            assert asyncio.get_running_loop().time() - before < 0.2
            assert server.rows[-1] == encode(receipt.records[0])
        assert server.rows == await bodies(box.writer)
        assert server.most_in_flight == 1
        assert box.uplink.state == "online"


async def test_the_file_says_how_far_headquarters_is(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        for number in range(100):
            await box.writer.submit(crossing(number))
            await asyncio.sleep(1)
        reader = await LedgerReader.open(box.writer.path)
        assert await reader.acknowledged() >= 60
        await asyncio.sleep(70)
        assert await reader.acknowledged() == 100
        await reader.close()


async def test_an_idle_gateway_still_shows_that_it_lives(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await asyncio.sleep(600)
        assert 15 <= len(server.headers) <= 21
        assert server.headers[-1].status.now > server.headers[0].status.now
        assert server.rows == []


async def test_weeks_offline_arrive_whole_in_bounded_batches_behind_an_advisory(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        await box.writer.submit_many([crossing(number) for number in range(6_500)])
        box.start()
        await settled(box.uplink)
        assert server.rows == await bodies(box.writer)
        assert max(rows for rows, _ in server.sizes) == 1_000
        (advisory,) = server.advisories
        assert [(line.account.place, line.item, line.quantity) for line in advisory.balances] == [
            ("dock", "apples", 6_500)
        ]
        first = next(index for index, request in enumerate(server.requests) if request[2].endswith("ledger"))
        assert server.requests[first - 1][2].endswith("advisory")


async def test_answers_that_are_lost_double_nothing(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    draw = runtime.random("link")

    def flaky(request: httpx.Request) -> None:
        if draw.random() < 0.4:
            raise httpx.ReadError("the link is down")

    link = AsgiTransport(server, before=flaky, after=flaky)
    async with gateway(tmp_path, server, runtime, link) as box:
        box.start()
        for number in range(300):
            await box.writer.submit(crossing(number))
            await asyncio.sleep(draw.expovariate(2))
        await settled(box.uplink)
        assert server.rows == await bodies(box.writer)
        assert box.uplink.forks == 0


async def test_a_server_in_trouble_is_left_in_peace(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        server.script.extend([(503, {"retry-after": "20"}, b"{}")] * 3)
        box.start()
        await box.writer.submit(crossing(1))
        await asyncio.sleep(19)
        assert len(server.requests) == 1
        await settled(box.uplink)
        server.requests.clear()
        server.script.extend([(500, {}, b"")] * 10_000)
        await box.writer.submit(crossing(2))
        await asyncio.sleep(3_600)
        assert len(server.requests) < 160  # about one per 30 s once the ceiling is reached
        assert box.uplink.state == "offline"
        server.script.clear()
        await settled(box.uplink)
        assert server.rows == await bodies(box.writer)


async def test_a_gap_is_closed_by_sending_what_is_missing(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await box.writer.submit_many([crossing(number) for number in range(10)])
        await settled(box.uplink)
        told = server.epochs[box.writer.head.epoch]
        for seq in range(4, 11):  # headquarters was restored from a backup
            del told.rows[seq]
        await box.writer.submit(crossing(11))
        await settled(box.uplink)
        assert server.rows == await bodies(box.writer)
        assert box.uplink.forks == 0


async def test_a_restored_image_never_reuses_numbers_and_goes_on_as_a_branch(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    server = CloudStandIn()
    folder, image = tmp_path / "a", tmp_path / "image"
    async with gateway(folder, server, runtime) as box:
        box.start()
        await box.writer.submit_many([crossing(number) for number in range(10)])
        await settled(box.uplink)
    shutil.copytree(folder, image)
    async with gateway(folder, server, runtime) as box:
        box.start()
        await box.writer.submit_many([crossing(number) for number in range(100, 105)])
        await settled(box.uplink)
        old = box.writer.head
    before = server.rows
    async with gateway(image, server, runtime) as box:
        await box.writer.submit_many([crossing(number) for number in range(200, 207)])
        mine = await bodies(box.writer)
        box.start()
        await settled(box.uplink)
        head, branch = box.writer.head, box.writer.branch
        assert (head.epoch != old.epoch, head.seq, box.uplink.forks) == (True, 17, 1)
        assert (branch.parent, branch.parent_seq) == (old.epoch, 10)
        assert await bodies(box.writer) == mine  # seq, bytes and hashes stay
        assert server.rows == before + mine[10:]  # both tails are there
        await box.writer.submit(crossing(300))
        await settled(box.uplink)
        parents = [header.parent for header in server.headers if header.epoch == str(head.epoch)]
        assert parents[0] == (str(old.epoch), 10, branch.parent_hash.hex())
    async with gateway(image, server, runtime) as box:
        box.start()
        await settled(box.uplink)
        assert box.uplink.forks == 0


async def test_an_older_image_without_new_rows_branches_before_its_first(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    server = CloudStandIn()
    folder, image = tmp_path / "a", tmp_path / "image"
    async with gateway(folder, server, runtime) as box:
        await box.writer.submit(crossing(1))
    shutil.copytree(folder, image)
    async with gateway(folder, server, runtime) as box:
        box.start()
        await box.writer.submit(crossing(2))
        await settled(box.uplink)
    async with gateway(image, server, runtime) as box:
        box.start()
        await asyncio.sleep(1)
        assert (box.writer.branch.parent_seq, box.uplink.forks) == (1, 1)
        await box.writer.submit(crossing(3))
        await settled(box.uplink)
        assert len(server.rows) == 3


async def test_a_wrong_clock_signs_by_the_servers_time(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    server.clock_offset_us = -20 * 365 * 86_400_000_000  # the gateway's clock is decades ahead
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await box.writer.submit(crossing(1))
        await settled(box.uplink, 5)
        assert len(server.rows) == 1
        assert abs(box.cloud.offset_us - server.clock_offset_us) < 1_000_000


async def test_a_revoked_gateway_stops_and_says_so(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    revoked = Conflict("revoked", "another gateway speaks for this site", 409)
    async with gateway(tmp_path, server, runtime) as box:
        server.script.extend([(409, {}, msgspec.json.encode(revoked))] * 1_000)
        box.start()
        await asyncio.sleep(3_000)
        assert (box.uplink.state, box.uplink.reason) == ("revoked", "another gateway speaks for this site")
        assert len(server.requests) <= 6


@pytest.mark.parametrize("answer", [(200, {}, b"<html>sign in to the hotel</html>"), (200, {}, b"{}")])
async def test_a_captive_portal_is_not_headquarters(
    tmp_path: Path, runtime: VirtualRuntime, answer: tuple[int, dict[str, str], bytes]
) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        server.script.extend([answer] * 20)
        box.start()
        await box.writer.submit(crossing(1))
        await settled(box.uplink, 3_600)
        assert len(server.rows) == 1
