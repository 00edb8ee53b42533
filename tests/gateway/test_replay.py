"""Recorded bytes of a reader amount to the same movements as the daemon posted, every time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from virtual import VirtualRuntime

from gateway.config import load_config
from gateway.devices.capture import capture
from gateway.devices.registry import open_driver
from gateway.replay import movements_of
from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96
from gateway.simulation.scenario import Direction
from gateway.simulation.warehouse import Warehouse, emulate
from gateway.transactions.catalogue import Catalogue
from vocabulary.movement import Movement
from vocabulary.records import encode

SITE = Path(__file__).resolve().parents[2] / "demo" / "sites" / "north.toml"


def key(digits: str) -> str:
    return digits + check_digit(digits)


async def test_a_capture_replays_to_the_pallet_that_passed(tmp_path: Path, runtime: VirtualRuntime) -> None:
    config = load_config(SITE)
    hardware = emulate(
        [(reader.name, reader.host, reader.port) for reader in config.reader],
        [(door.name, door.inside, door.outside) for door in config.door],
    )
    warehouse = Warehouse(runtime, hardware)
    await warehouse.start()
    device, file = config.reader[0], tmp_path / "portal-1.capture"
    recording = asyncio.create_task(capture(open_driver(device, runtime), device, file))
    await asyncio.sleep(5)
    cases = [sgtin_96(key("1950600000001"), number, 7) for number in range(12)]
    warehouse.send("dock-1", Direction.IN, cases, sscc_96(key("09506000000000001"), 7))
    await asyncio.sleep(30)
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)
    await warehouse.stop()

    first, second = (list(movements_of([file], config, Catalogue())) for _ in range(2))
    assert [encode(record) for record in first] == [encode(record) for record in second]
    received = [record for record in first if isinstance(record, Movement)]
    assert {record.kind for record in received} == {"receiving"}
    assert {record.to.place for record in received} == {"dock-1"}
    units = [entry.unit for record in received for entry in record.units]
    assert len(units) == len(set(units)) >= 10
