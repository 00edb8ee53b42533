"""A whole emulated site and its control port."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from llrp_client import EPCS, connect, rospec, run_inventory
from virtual import VirtualRuntime

from gateway.simulation.control import MAX_LINE, Control
from gateway.simulation.scenario import Course, Direction
from gateway.simulation.warehouse import (
    DoorConfig,
    MovementConfig,
    PortalAntennaConfig,
    ReaderConfig,
    Warehouse,
    WarehouseConfig,
    emulate,
)
from runtime.toml import ConfigError, parse

CONFIG = WarehouseConfig(
    doors=(DoorConfig("1"), DoorConfig("2")),
    readers=tuple(
        ReaderConfig(
            f"dock-{door}",
            (PortalAntennaConfig(1, door, "inside"), PortalAntennaConfig(2, door, "outside")),
        )
        for door in ("1", "2")
    ),
    strays=3,
)


class Line(asyncio.Protocol):
    """A client of the control port."""

    def __init__(self) -> None:
        self.data, self.closed = b"", False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def data_received(self, data: bytes) -> None:
        self.data += data


async def ask(runtime: VirtualRuntime, control: Control, *lines: bytes) -> list[dict[str, Any]]:
    _, line = await runtime.connect(Line, "127.0.0.1", control.port)
    await asyncio.sleep(0.01)
    line.transport.write(b"".join(lines))
    await asyncio.sleep(0.01)
    line.transport.close()
    return [msgspec.json.decode(item) for item in line.data.splitlines()]


def peak(tags: list[Any], antenna: int) -> int:
    """When an antenna heard the load loudest, microseconds."""
    rows = [(tag.find("PeakRSSI").integer("PeakRSSI"), tag) for tag in tags]
    mine = [row for row in rows if row[1].find("AntennaID").integer("AntennaID") == antenna]
    loudest = sorted(mine, key=lambda row: -row[0])[:15]
    times = [tag.find("LastSeenTimestampUTC").integer("Microseconds") for _, tag in loudest]
    return sum(times) // len(times)


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_pallet_that_is_sent_passes_outside_and_inside_in_its_order(
    runtime: VirtualRuntime, direction: Direction
) -> None:
    warehouse = Warehouse(runtime, CONFIG)
    control = Control(runtime, warehouse)
    await warehouse.start()
    await control.start()
    client = await connect(runtime, warehouse.readers["dock-1"])
    neighbour = await connect(runtime, warehouse.readers["dock-2"])
    await run_inventory(client, rospec())
    await run_inventory(neighbour, rospec())
    request = {"send": {"door": "1", "direction": direction, "cases": EPCS, "delay_s": 2}}
    (reply,) = await ask(runtime, control, msgspec.json.encode(request) + b"\n")
    assert reply["ok"] is True
    await asyncio.sleep(18)
    tags = [tag for tag in client.tags() if f"{tag.find('EPC_96').integer('EPC'):024X}" in EPCS]  # type: ignore[union-attr]
    inside, outside = peak(tags, 1), peak(tags, 2)
    assert (outside < inside) == (direction is Direction.IN)
    assert min(inside, outside) < reply["crossing_at"] < max(inside, outside)
    assert len(neighbour.tags()) < len(tags) / 2
    (truth,) = (await ask(runtime, control, b'{"crossings":{}}\n'))[0]["crossings"]
    assert (truth["door"], truth["direction"], truth["at"]) == ("1", direction, reply["crossing_at"])
    await control.stop()
    await warehouse.stop()


async def test_a_pallet_announced_long_ahead_takes_nothing_away(runtime: VirtualRuntime) -> None:
    warehouse = Warehouse(runtime, CONFIG)
    warehouse.send("1", Direction.IN, EPCS)
    warehouse.send("2", Direction.OUT, [], delay_s=86_400)
    assert len(warehouse.scene.tags_at(runtime.now() + 5_000_000)) == len(EPCS)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"nonsense", "malformed"),
        (b"{}", "holds one of send"),
        (b'{"send":{"door":"7","direction":"in"}}', "no door '7'; the doors are 1, 2"),
        (b'{"send":{"door":"1","direction":"up"}}', "up"),
        (b'{"send":{"door":"1","direction":"in","cases":["xyz"]}}', "'xyz' is not an EPC"),
        (b'{"send":{"door":"1","direction":"in","delay_s":1e12}}', "delay_s"),
        (b'{"send":{"door":"1","direction":"in","material":"gold"}}', "the materials are"),
        (b'{"send":{"door":"1","direction":"in","doors":1}}', "doors"),
        (b'{"gpi":{"reader":"x","port":1,"high":true}}', "no reader 'x'"),
    ],
)
async def test_a_bad_line_is_answered_with_a_sentence(runtime: VirtualRuntime, line: bytes, error: str) -> None:
    warehouse = Warehouse(runtime, CONFIG)
    control = Control(runtime, warehouse)
    await control.start()
    bad, good = await ask(runtime, control, line + b"\n", b'{"readers":{}}\n')
    assert bad["ok"] is False
    assert error in bad["error"]
    assert [reader["name"] for reader in good["readers"]] == ["dock-1", "dock-2"]


async def test_a_line_without_end_is_cut(runtime: VirtualRuntime) -> None:
    control = Control(runtime, Warehouse(runtime, CONFIG))
    await control.start()
    (reply,) = await ask(runtime, control, b"x" * (MAX_LINE + 1))
    assert "exceeds" in reply["error"]


def test_the_control_port_is_for_this_machine_only(runtime: VirtualRuntime) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Control(runtime, Warehouse(runtime, CONFIG), host="0.0.0.0")


def test_an_antenna_at_no_door_is_refused(runtime: VirtualRuntime) -> None:
    config = msgspec.structs.replace(CONFIG, doors=(DoorConfig("1"),))
    with pytest.raises(ValueError, match="reader dock-2, antenna 1: there is no door '2'"):
        Warehouse(runtime, config)


async def test_scripted_pallets_come_again_with_new_tags(runtime: VirtualRuntime) -> None:
    movement = MovementConfig(Course.IN, "2", start_s=1, every_s=60, cases=4)
    warehouse = Warehouse(runtime, msgspec.structs.replace(CONFIG, movements=(movement,)))
    await warehouse.start()
    await asyncio.sleep(150)
    await warehouse.stop()
    truth = warehouse.scene.truth
    assert [crossing.door for crossing in truth] == ["2", "2", "2"]
    assert len({epc for crossing in truth for epc in crossing.epcs}) == 15


def test_hardware_follows_from_a_gateways_doors() -> None:
    config = emulate(
        [("dock", "127.0.0.1", 5084), ("far", "10.0.0.9", 5084)],
        [("1", ("dock/1", "dock/3"), ("dock/2",)), ("2", ("far/1",), ("far/6",))],
        strays=2,
    )
    dock, far = config.readers
    assert [(antenna.port, antenna.side, antenna.jamb) for antenna in dock.antennas] == [
        (1, "inside", "left"),
        (3, "inside", "right"),
        (2, "outside", "left"),
    ]
    assert (dock.host, dock.port, far.host, far.port) == ("127.0.0.1", 5084, "127.0.0.1", 0)
    assert far.profile.antennas == 6
    with pytest.raises(ValueError, match=r"door 1: 'dock' is not the reader/antenna"):
        emulate([("dock", "127.0.0.1", 0)], [("1", ("dock",), ())])


def test_a_site_can_be_written_in_a_file() -> None:
    text = """
    strays = 4
    [radio]
    miss = 0.35
    [[door]]
    name = "1"
    [[reader]]
    name = "dock"
    [[reader.antenna]]
    port = 1
    door = "1"
    side = "inside"
    [reader.profile]
    vendor = "impinj"
    region = "fcc"
    [[movement]]
    course = "turn-back"
    door = "1"
    every_s = 30
    material = "liquid"
    """
    config = parse(text, WarehouseConfig)
    assert config.readers[0].profile.vendor == "impinj"
    assert config.movements[0].course is Course.TURN_BACK
    with pytest.raises(ConfigError, match="wait"):
        parse(text + "wait = 3\n", WarehouseConfig)
