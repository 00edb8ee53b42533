"""A revoked gateway lets its readers go, stays quiet over restarts, and comes back when headquarters takes it again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from virtual import AsgiTransport, VirtualRuntime

from cloud.ingest.enrolment import make_code
from cloud.store.database import writing
from gateway.app import Gateway
from gateway.config import CloudConfig, Config, LedgerConfig
from gateway.sync.enrolment import enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from gateway.sync.standing import Standing

sys.path.append(str(Path(__file__).parents[2] / "cloud"))
from headquarters import open_headquarters


async def test_readers_run_only_in_service(tmp_path: Path, runtime: VirtualRuntime) -> None:
    standing = Standing(tmp_path)
    log: list[str] = []

    async def reader() -> None:
        log.append("connected")
        try:
            await asyncio.sleep(3_600)
        finally:
            log.append("let go")

    task = asyncio.create_task(standing.while_in_service(reader))
    await asyncio.sleep(1)
    assert log == ["connected"]
    standing.told(revoked=True)
    await asyncio.sleep(1)
    assert log == ["connected", "let go"]
    standing.told(revoked=True)
    await asyncio.sleep(600)
    assert len(log) == 2
    assert Standing(tmp_path).revoked  # a restart without a link stays quiet
    standing.told(revoked=False)
    await asyncio.sleep(1)
    assert log[2:] == ["connected"]
    assert not Standing(tmp_path).revoked
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert log[3:] == ["let go"]


async def test_a_reader_that_fails_is_its_supervisors_business(tmp_path: Path, runtime: VirtualRuntime) -> None:
    async def reader() -> None:
        await asyncio.sleep(1)
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        await Standing(tmp_path).while_in_service(reader)


async def test_a_disk_that_does_not_keep_it_stops_recording_all_the_same(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    standing = Standing(tmp_path / "gone")
    standing.told(revoked=True)
    assert standing.revoked


async def test_a_gateway_that_is_revoked_says_so_and_stays_so(tmp_path: Path, runtime: VirtualRuntime) -> None:
    folder = tmp_path / "box"
    config = Config(ledger=LedgerConfig(str(folder)), cloud=CloudConfig("https://cloud.test"))
    async with open_headquarters(tmp_path / "cloud.db", runtime) as hq:
        await hq.add_site("north")
        async with writing(hq.engine, "north") as conn:
            code = await make_code(conn, hq.runtime, "north", replaces=False, actor="test")
        identity = load_or_make_identity(folder, runtime)
        cloud = Cloud("https://cloud.test", identity, runtime, AsgiTransport(hq.app))
        await enrol(cloud, identity, code, 7, folder)
        await cloud.close()
        box = Gateway(config, runtime, AsgiTransport(hq.app))
        async with box.open() as supervisor:
            task = asyncio.create_task(supervisor.run())
            await asyncio.sleep(40)
            assert not box.standing.revoked
            answer = await hq.client.delete(f"/api/v1/gateways/north/{identity.gateway}", headers=await hq.key())
            assert answer.status_code == 204, answer.text
            await asyncio.sleep(65)
            assert box.standing.revoked
            assert box.uplink is not None
            assert box.uplink.state == "revoked"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert Standing(folder).revoked
