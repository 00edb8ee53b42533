"""A whole gateway with emulated readers whose own wall clock lies: order, passages and times come out right."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import msgspec
import pytest
from virtual import START_US, AsgiTransport, Network, VirtualRuntime

from cloud.ingest.enrolment import make_code
from cloud.projections.rebuild import verify_site
from cloud.store import schema
from cloud.store.database import writing
from gateway.app import Gateway, ledger_path
from gateway.clock import BUILD_US
from gateway.config import Config, LedgerConfig
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.ledger.check import verify_ledger
from gateway.ledger.writer import LedgerWriter
from gateway.observations.portal import DoorConfig
from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96
from gateway.simulation.scenario import Course, Direction, pallet
from gateway.simulation.warehouse import Warehouse, emulate
from gateway.sync.enrolment import enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_or_make_identity
from vocabulary import epc
from vocabulary.movement import Movement
from vocabulary.records import ClockRecord, decode

sys.path.append(str(Path(__file__).parents[1] / "cloud"))
from headquarters import open_headquarters

SECOND = 1_000_000
HOUR = 3_600 * SECOND
BATTERY_LESS = -START_US
HEADQUARTERS = "http://127.0.0.1:8400"


class Dock:
    """One door with two antennas, and the gateway that reads them."""

    def __init__(
        self, folder: Path, wall_offset_us: int, synchronised: bool, transport: AsgiTransport | None = None
    ) -> None:
        network = Network(11)
        self.folder, self.transport = folder, transport
        self.runtime: VirtualRuntime = network.runtime("gateway")
        self.runtime.wall_offset_us, self.runtime.synchronised = wall_offset_us, synchronised
        antennas = (AntennaConfig(1, "outside"), AntennaConfig(2, "inside"))
        reader = ReaderConfig("portal", "127.0.0.1", Intent.PORTAL, antennas, 5_084)
        door = DoorConfig("dock-1", "dock-1", ("portal/2",), ("portal/1",))
        self.config = Config(LedgerConfig(str(folder)), reader=(reader,), door=(door,))
        hardware = emulate(
            [(reader.name, reader.host, reader.port)], [(door.name, door.inside, door.outside)], strays=2
        )
        self.warehouse = Warehouse(network.runtime("hardware"), hardware)
        self.gateway = Gateway(self.config, self.runtime, transport)
        self.sent = 0

    async def enrol(self, code: str) -> None:
        """As `evercount-gateway enrol` does."""
        writer = await LedgerWriter.open(ledger_path(self.config), self.runtime)
        identity = load_or_make_identity(self.folder, self.runtime)
        cloud = Cloud(HEADQUARTERS, identity, self.runtime, self.transport)
        await enrol(cloud, identity, code, writer.head.epoch, self.folder)
        await cloud.close()
        await writer.close()

    @asynccontextmanager
    async def open(self) -> Any:
        await self.warehouse.start()
        try:
            async with self.gateway.open() as supervisor:
                running = asyncio.ensure_future(supervisor.run())
                try:
                    yield self
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
        finally:
            await self.warehouse.stop()

    async def send(self, course: Course = Course.IN) -> str:
        """A pallet of three cases begins to move now; its SSCC."""
        self.sent += 1
        digits = f"19506000{self.sent:09d}"
        sscc = sscc_96(digits + check_digit(digits), 7)
        cases = tuple(sgtin_96("09506000134352", self.sent * 100 + number, 7) for number in range(3))
        now = START_US + self.runtime.monotonic()
        self.warehouse.scene.move(pallet(cases, sscc), "dock-1", course, now, 1.2, wait_s=8.0)
        return epc.decode(sscc).key or ""

    def rows(self) -> Iterator[tuple[int, Any]]:
        with closing(connect(ledger_path(self.config))) as connection:
            for seq, body in connection.execute("SELECT seq, body FROM ledger ORDER BY seq"):
                yield seq, decode(body)

    def times(self) -> dict[str, int]:
        """When each pallet crossed, as corrected by the ledger's clock records."""
        rows = dict(self.rows())
        found: dict[str, int] = {}
        for seq, record in rows.items():
            if isinstance(record, Movement) and record.kind == "receiving":
                shift = sum(
                    one.shift
                    for one in rows.values()
                    if isinstance(one, ClockRecord) and one.first_seq <= seq <= one.last_seq
                )
                for entry in record.units:
                    if entry.unit.startswith("00/"):
                        assert entry.unit not in found, "a passage was recorded twice"
                        found[entry.unit] = record.occurred_at + shift
        return found

    def check(self) -> None:
        """Each pallet was received once, and within a second of when it crossed."""
        truth = {
            epc.decode(code).key: crossing.at
            for crossing in self.warehouse.scene.truth
            if crossing.direction is Direction.IN
            for code in crossing.epcs
            if (epc.decode(code).key or "").startswith("00/")
        }
        found = self.times()
        assert sorted(found) == sorted(str(unit) for unit in truth)
        for unit, at in found.items():
            assert abs(at - truth[unit]) < 3 * SECOND, (unit, at - truth[unit])
        assert verify_ledger(ledger_path(self.config)).ok


@pytest.mark.parametrize("moment", [0.5, 3.0, 4.5, 6.0, 20.0])
async def test_a_boot_in_1970_with_a_pallet_in_the_door_when_the_time_comes(tmp_path: Path, moment: float) -> None:
    dock = Dock(tmp_path, BATTERY_LESS, False)
    async with dock.open():
        await asyncio.sleep(5)
        await dock.send()
        await asyncio.sleep(30)
        await dock.send()
        await asyncio.sleep(moment)
        dock.runtime.wall_offset_us, dock.runtime.synchronised = 0, True
        await asyncio.sleep(40)
        await dock.send()
        await asyncio.sleep(40)
        assert dock.gateway.health.status().clock_trusted
    assert len(dock.times()) == 3
    dock.check()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_clock_that_jumps_while_a_pallet_is_in_the_door(tmp_path: Path, step: int) -> None:
    dock = Dock(tmp_path, 0, True)
    async with dock.open():
        await asyncio.sleep(5)
        await dock.send()
        await asyncio.sleep(3)
        dock.runtime.wall_offset_us = step
        await asyncio.sleep(60)
        assert not dock.gateway.health.status().clock_trusted
        await dock.send()
        await asyncio.sleep(3)
        dock.runtime.wall_offset_us = 0
        await asyncio.sleep(40)
    assert len(dock.times()) == 2
    dock.check()


async def test_headquarters_hears_of_a_boot_in_1970_and_has_the_right_times_in_the_end(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    """Requests are signed by an offset while the clock is wrong, and by another one when it has been set."""
    async with open_headquarters(tmp_path / "cloud.db", runtime) as hq:
        await hq.add_site("north")
        async with writing(hq.engine) as conn:
            code = await make_code(conn, runtime, "north", replaces=False, actor="test")
        dock = Dock(tmp_path / "gateway", BATTERY_LESS, False, AsgiTransport(hq.app))
        await dock.enrol(code)
        async with dock.open():
            uplink = dock.gateway.uplink
            assert uplink is not None
            await asyncio.sleep(5)
            await dock.send()
            await asyncio.sleep(40)
            assert uplink.state == "online"
            assert uplink.acked == dock.gateway.writer.head.seq > 0
            dock.runtime.wall_offset_us, dock.runtime.synchronised = 0, True
            await asyncio.sleep(5)
            await dock.send()
            await asyncio.sleep(40)
            assert uplink.state == "online"
            assert uplink.acked == dock.gateway.writer.head.seq
        dock.check()
        truth = dict.fromkeys(crossing.at for crossing in dock.warehouse.scene.truth)
        times = [at for kind, at in await hq.rows(schema.ledger, "kind", "occurred_at") if kind == "movement"]
        assert all(any(abs(at - one) < 3 * SECOND for one in truth) for at in times)
        days = {day for _, day, received in await hq.rows(schema.daily, "item", "day", "received") if received}
        assert days <= {"2026-01-05"}
        async with writing(hq.engine) as conn:
            assert (await verify_site(conn, "north")).differences == ()


@pytest.mark.real
def test_a_real_process_that_is_told_it_is_1970(tmp_path: Path) -> None:
    """The program itself: it starts, keeps time above the build date, says so, and stops in order."""
    config = tmp_path / "gateway.toml"
    config.write_text("[station]\nport = 0\n")
    environment = {**os.environ, "EVERCOUNT_CLOCK": "1970-01-01T00:00:10+00:00,1"}
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            kept = tmp_path / "var" / "clock.json"
            for _ in range(100):
                if kept.exists():
                    break
                time.sleep(0.1)
            told = msgspec.json.decode(kept.read_bytes())["clock"]
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, log
    assert not told["trusted"]
    assert told["offset"] + time.monotonic() * 1e6 >= BUILD_US
    assert verify_ledger(tmp_path / "var" / "ledger.db").ok
