"""Restored cards, copied cards and two boxes with one key: every row of all of them arrives, and people are told."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from virtual import AsgiTransport, VirtualRuntime

from cloud.ingest.enrolment import make_code
from cloud.store import schema
from cloud.store.database import reading, writing
from gateway.ledger.check import verify_ledger
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.downlink import DownlinkClient
from gateway.sync.enrolment import enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.sync.opening import reconcile
from gateway.sync.uplink import Uplink
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from vocabulary.place import is_virtual
from vocabulary.wire import Status

sys.path.append(str(Path(__file__).parents[2] / "cloud"))
from headquarters import Headquarters, open_headquarters

GTIN = "09506000134352"


def pallet(runtime: VirtualRuntime, number: int) -> Crossed:
    units = (SeenUnit(f"00/3095060{number:010d}1"), *(SeenUnit(f"01/{GTIN}/21/{number}-{c}") for c in range(3)))
    now = runtime.now()
    origin = Origin("door-1", (now - 2_000_000, now), "dock-door/1", 990)
    return Crossed(occurred_at=now, place="dock-1", direction="in", units=units, origin=origin)


@asynccontextmanager
async def gateway(
    folder: Path, hq: Headquarters, runtime: VirtualRuntime, code: str = "", name: str = ""
) -> AsyncIterator[SimpleNamespace]:
    """A running gateway; `name` tells its process from others."""
    identity = load_or_make_identity(folder, runtime)
    cloud = Cloud("http://cloud.test", identity, runtime, AsgiTransport(hq.app))
    writer = await LedgerWriter.open(folder / "ledger.db", runtime)
    reader = await LedgerReader.open(folder / "ledger.db")
    if code:
        await enrol(cloud, identity, code, writer.head.epoch, folder)

    def status() -> Status:
        return Status(runtime.now(), "test", writer.head.seq, instance=name)

    uplink = Uplink(
        cloud, "north", writer, reader, runtime, status, reconcile=lambda why: reconcile(cloud, writer, runtime, why)
    )
    downlink = DownlinkClient(cloud, "north", writer, runtime)
    tasks = [asyncio.create_task(uplink.run()), asyncio.create_task(downlink.run())]
    try:
        yield SimpleNamespace(cloud=cloud, writer=writer, reader=reader, uplink=uplink, downlink=downlink)
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


async def code_for(hq: Headquarters) -> str:
    async with writing(hq.engine, "north") as conn:
        return await make_code(conn, hq.runtime, "north", replaces=False, actor="test")


async def alarms(hq: Headquarters) -> list[str]:
    e = schema.exception.c
    async with reading(hq.engine) as conn:
        return list((await conn.execute(select(e.text).where(e.kind == "gateway-clone", e.state == "open"))).scalars())


async def stock_at(hq: Headquarters) -> dict[tuple[str, ...], int]:
    return {
        row[:2]: row[2]
        for row in await hq.rows(schema.balance, "place", "item", "quantity")
        if row[2] and not is_virtual(row[0])
    }


async def stock_here(writer: LedgerWriter) -> dict[tuple[str, ...], int]:
    balances = await writer.read(lambda state: dict(state.stock.balances))
    return {
        (key.place, key.item): amount.quantity
        for key, amount in balances.items()
        if amount.quantity and not is_virtual(key.place)
    }


async def test_a_restored_card_gets_back_what_it_lacks_and_people_are_told(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    box_folder, image = tmp_path / "box", tmp_path / "image"
    async with gateway(box_folder, hq, runtime, await code_for(hq)) as box:
        await box.writer.submit(pallet(runtime, 1))
        await asyncio.sleep(1)
    shutil.copytree(box_folder, image)
    async with gateway(box_folder, hq, runtime) as box:
        await box.writer.submit(pallet(runtime, 2))
        await asyncio.sleep(1)
        lost = box.writer.head.seq
    async with gateway(image, hq, runtime) as box:
        await box.writer.submit(pallet(runtime, 3))
        await asyncio.sleep(60)
        assert (box.uplink.forks, box.uplink.behind, box.uplink.state) == (1, 0, "online"), box.uplink.reason
        assert await stock_here(box.writer) == await stock_at(hq)
        assert sum((await stock_at(hq)).values()) == 9  # each of the three pallets was sensed
        (text,) = await alarms(hq)
        assert f"{lost - box.writer.branch.parent_seq} rows" in text
        before = box.writer.head
        await asyncio.sleep(60)
        assert box.writer.head == before  # it is made whole once
    async with gateway(image, hq, runtime) as box:
        await asyncio.sleep(60)
        assert (box.writer.head, box.uplink.forks) == (before, 0)


async def test_a_restored_card_without_new_rows_gets_back_what_it_lacks(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    box_folder, image = tmp_path / "box", tmp_path / "image"
    async with gateway(box_folder, hq, runtime, await code_for(hq)) as box:
        await box.writer.submit(pallet(runtime, 1))
        await asyncio.sleep(1)
    shutil.copytree(box_folder, image)
    async with gateway(box_folder, hq, runtime) as box:
        await box.writer.submit(pallet(runtime, 2))
        await asyncio.sleep(1)
    async with gateway(image, hq, runtime) as box:
        await asyncio.sleep(10)
        assert await stock_here(box.writer) == await stock_at(hq)
        assert sum((await stock_at(hq)).values()) == 6


async def test_two_boxes_with_one_key_lose_nothing_and_are_noticed(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with gateway(first, hq, runtime, await code_for(hq), name="first") as box:
        await box.writer.submit(pallet(runtime, 0))
        await asyncio.sleep(1)
    shutil.copytree(first, second)
    async with gateway(first, hq, runtime, name="first") as one, gateway(second, hq, runtime, name="second") as two:
        for number in range(1, 21):
            await (one, two)[number % 2].writer.submit(pallet(runtime, number))
            await asyncio.sleep(3)
        await asyncio.sleep(60)
        for box in (one, two):
            assert (box.uplink.behind, box.uplink.state) == (0, "online"), box.uplink.reason
        assert one.uplink.forks + two.uplink.forks == 1
        assert sum((await stock_at(hq)).values()) == 21 * 3
        assert "machines speak in turn" in (await alarms(hq))[0]


async def test_a_restart_is_no_clone(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    code = await code_for(hq)
    for number in range(5):
        async with gateway(tmp_path / "box", hq, runtime, code, name=f"process {number}") as box:
            code = ""
            await box.writer.submit(pallet(runtime, number))
            await asyncio.sleep(2)
    assert await alarms(hq) == []
    assert await hq.rows(schema.gateway_process, "returns") == [(0,)] * 5


async def test_a_headquarters_restored_from_before_the_fork_gets_every_branch_again(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    backup, folder, image = tmp_path / "backup.db", tmp_path / "box", tmp_path / "image"
    async with open_headquarters(tmp_path / "cloud.db", runtime) as hq:
        await hq.add_site("north")
        async with gateway(folder, hq, runtime, await code_for(hq)) as box:
            await box.writer.submit(pallet(runtime, 1))
            await asyncio.sleep(1)
        await hq.engine.dispose()
        shutil.copy(tmp_path / "cloud.db", backup)
        async with gateway(folder, hq, runtime) as box:
            await box.writer.submit(pallet(runtime, 2))
            await asyncio.sleep(1)
        shutil.copytree(folder, image)
        async with gateway(folder, hq, runtime) as box:
            await box.writer.submit(pallet(runtime, 3))
            await asyncio.sleep(1)
        async with gateway(image, hq, runtime) as box:
            await box.writer.submit(pallet(runtime, 4))
            await asyncio.sleep(60)
            assert box.uplink.forks == 1
    async with open_headquarters(backup, runtime) as hq, gateway(image, hq, runtime) as box:
        await box.writer.submit(pallet(runtime, 5))
        await asyncio.sleep(60)
        assert (box.uplink.behind, box.uplink.state, box.uplink.forks) == (0, "online", 0), box.uplink.reason
        rows = await hq.rows(schema.ledger, "seq", "body")
        mine = [(row.seq, row.body) for row in await box.reader.rows(1, 10_000, 1 << 30)]
        assert sorted((seq, bytes(body)) for seq, body in rows) == mine
