"""The two programs meet: a gateway's real sync and the real headquarters, in one process, over HTTP."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy import insert
from virtual import AsgiTransport, VirtualRuntime

from cloud.ingest.downlink import touch
from cloud.ingest.enrolment import make_code
from cloud.store import schema
from cloud.store.database import writing
from gateway.errors import EnrolmentError
from gateway.ledger.check import verify_ledger
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.downlink import DownlinkClient
from gateway.sync.enrolment import apply_opening, enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.sync.uplink import Uplink
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from vocabulary.wire import Status

sys.path.append(str(Path(__file__).parents[2] / "cloud"))
from headquarters import Headquarters, open_headquarters

GTIN = "09506000134352"


def pallet(runtime: VirtualRuntime, number: int, cases: int = 3) -> Crossed:
    units = (SeenUnit(f"00/3095060{number:010d}1"), *(SeenUnit(f"01/{GTIN}/21/{number}-{c}") for c in range(cases)))
    now = runtime.now()
    origin = Origin("door-1", (now - 2_000_000, now), "dock-door/1", 990)
    return Crossed(occurred_at=now, place="dock-1", direction="in", units=units, origin=origin)


@asynccontextmanager
async def gateway(
    folder: Path, hq: Headquarters, runtime: VirtualRuntime, code: str = "", link: AsgiTransport | None = None
) -> AsyncIterator[SimpleNamespace]:
    identity = load_or_make_identity(folder, runtime)
    cloud = Cloud("http://cloud.test", identity, runtime, link or AsgiTransport(hq.app))
    writer = await LedgerWriter.open(folder / "ledger.db", runtime)
    reader = await LedgerReader.open(folder / "ledger.db")
    record = await enrol(cloud, identity, code, writer.head.epoch, folder) if code else None
    uplink = Uplink(cloud, "north", writer, reader, runtime, lambda: Status(runtime.now(), "test", writer.head.seq))
    downlink = DownlinkClient(cloud, "north", writer, runtime)
    tasks = [asyncio.create_task(uplink.run()), asyncio.create_task(downlink.run())]
    try:
        yield SimpleNamespace(
            cloud=cloud, writer=writer, reader=reader, uplink=uplink, downlink=downlink, record=record
        )
    finally:
        for task in tasks:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError), outcome
        await reader.close()
        await writer.close()
        await cloud.close()
        assert verify_ledger(folder / "ledger.db").ok


@pytest.fixture
async def hq(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        await opened.add_site("north")
        yield opened


async def code_for(hq: Headquarters, replaces: bool = False) -> str:
    async with writing(hq.engine) as conn:
        return await make_code(conn, hq.runtime, "north", replaces=replaces, actor="test")


async def same(hq: Headquarters, box: SimpleNamespace) -> bool:
    rows = [row.body for row in await box.reader.rows(1, 100_000, 1 << 30)]
    return [bytes(row[0]) for row in await hq.rows(schema.ledger, "body")] == rows


async def test_rows_arrive_byte_for_byte_and_stock_agrees(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with gateway(tmp_path / "box", hq, runtime, await code_for(hq)) as box:
        for number in range(10):
            await box.writer.submit(pallet(runtime, number))
            await asyncio.sleep(1)
            assert box.uplink.behind == 0, box.uplink.reason
        assert await same(hq, box)
        here = await box.writer.read(lambda state: dict(state.stock.balances))
        there = {row[1:6]: row[6] for row in await hq.rows(schema.balance)}
        assert {tuple(key): amount.quantity for key, amount in here.items()} == {
            key: quantity for key, quantity in there.items() if quantity
        }


async def test_a_bad_link_loses_and_doubles_nothing(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    draw = runtime.random("link")

    def flaky(request: httpx.Request) -> None:
        if "/ledger" in str(request.url) and draw.random() < 0.4:
            raise httpx.ReadError("the link is down")

    link = AsgiTransport(hq.app, before=flaky, after=flaky)
    async with gateway(tmp_path / "box", hq, runtime, await code_for(hq), link) as box:
        for number in range(40):
            await box.writer.submit(pallet(runtime, number))
            await asyncio.sleep(draw.expovariate(1))
        await asyncio.sleep(120)
        assert box.uplink.behind == 0
        assert await same(hq, box)


async def test_what_headquarters_knows_reaches_posting(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with gateway(tmp_path / "box", hq, runtime, await code_for(hq)) as box:
        await asyncio.sleep(1)
        async with writing(hq.engine) as conn:
            await conn.execute(insert(schema.item).values(id="apples", name="Apples", unit="H87"))
            await conn.execute(insert(schema.packaging).values(gtin=GTIN, item="apples", quantity=24, name=""))
            await touch(conn)
        await asyncio.sleep(60)
        assert box.downlink.state == "online", box.downlink.reason
        await box.writer.submit(pallet(runtime, 1))
        stock = await box.writer.read(lambda state: {k.item for k in state.stock.balances if k.place == "dock-1"})
        assert stock == {"apples"}


async def test_a_restored_card_goes_on_as_a_branch(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    box_folder, image = tmp_path / "box", tmp_path / "image"
    async with gateway(box_folder, hq, runtime, await code_for(hq)) as box:
        await box.writer.submit(pallet(runtime, 1))
        await asyncio.sleep(1)
    shutil.copytree(box_folder, image)
    async with gateway(box_folder, hq, runtime) as box:
        await box.writer.submit(pallet(runtime, 2))
        await asyncio.sleep(1)
        first = box.writer.head
    async with gateway(image, hq, runtime) as box:
        await box.writer.submit(pallet(runtime, 3))
        await asyncio.sleep(5)
        assert (box.uplink.behind, box.uplink.forks) == (0, 1), box.uplink.reason
        assert box.writer.head.epoch != first.epoch
        seqs = await hq.rows(schema.ledger, "epoch", "seq")
        assert len(seqs) == first.seq + box.writer.head.seq - box.writer.branch.parent_seq


async def test_a_code_works_once_and_a_replaced_gateway_is_told(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    code = await code_for(hq)
    async with gateway(tmp_path / "old", hq, runtime, code) as old:
        await old.writer.submit(pallet(runtime, 1))
        await asyncio.sleep(1)
        with pytest.raises(EnrolmentError, match="ask headquarters for a new one"):
            await enrol(old.cloud, load_or_make_identity(tmp_path / "x", runtime), code, 1, tmp_path / "x")
        async with gateway(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
            assert new.record.enrolled.opening_pages == 1
            assert await apply_opening(new.cloud, new.record, new.writer, runtime) == 1
            before = {row[1:6]: row[6] for row in await hq.rows(schema.balance) if row[6]}
            await old.writer.submit(pallet(runtime, 2))
            await asyncio.sleep(100)
            assert old.uplink.state == "revoked"
            assert new.uplink.state == "online", new.uplink.reason
            assert {row[1:6]: row[6] for row in await hq.rows(schema.balance) if row[6]} == before
