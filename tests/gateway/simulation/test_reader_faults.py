"""Faults on command, and floods."""

from __future__ import annotations

import asyncio

import pytest
from llrp_client import EPCS, connect, reader_and_client, rospec, run_inventory, staged_scene
from virtual import VirtualRuntime

from gateway.simulation import faults
from gateway.simulation.flood import flood
from gateway.simulation.llrp.codec import make
from gateway.simulation.llrp.status import RequestError
from gateway.simulation.scenario import Scene


async def test_a_drop_in_mid_frame_leaves_half_a_frame(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    await run_inventory(client, rospec())
    await asyncio.sleep(1)
    faults.drop_mid_frame(reader)
    await asyncio.sleep(1)
    assert client.closed
    assert len(client.data) > 0
    again = await connect(runtime, reader)
    await asyncio.sleep(0.5)
    assert len(again.tags()) > 20


async def test_a_pulled_cable_says_nothing_and_ends_nothing(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    await run_inventory(client, rospec())
    faults.pull_cable(reader)
    await asyncio.sleep(0.1)
    before = len(client.messages)
    other = await connect(runtime, reader)
    await asyncio.sleep(60)
    assert (len(client.messages), client.closed, other.messages) == (before, False, [])
    faults.plug_cable(reader)
    await asyncio.sleep(1)
    assert len(client.messages) > before


async def test_a_restart_forgets_everything_but_the_port(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    await run_inventory(client, rospec())
    port = reader.port
    down = asyncio.ensure_future(faults.restart(reader, 5.0))
    await asyncio.sleep(1)
    assert client.closed
    with pytest.raises(ConnectionRefusedError):
        await connect(runtime, reader)
    await down
    assert reader.port == port
    again = await connect(runtime, reader)
    assert (await again.ok(make("GET_ROSPECS"))).all("ROSpec") == ()


async def test_damage_keeps_the_frame_whole(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    received: list[bytes] = []
    client.data_received = received.append  # type: ignore[method-assign]
    faults.damaged_parameter(reader)
    faults.unknown_message(reader)
    faults.impossible_version(reader)
    faults.impossible_length(reader)
    await asyncio.sleep(0.1)
    stream = b"".join(received)
    lengths: list[int] = []
    while stream:
        length = int.from_bytes(stream[2:6], "big")
        lengths.append(length)
        stream = stream[max(length, 10) :]
    assert lengths == [31, 13, 10, 4]
    with pytest.raises(RequestError):
        type(client).data_received(client, received[0])


async def test_the_clock_steps(runtime: VirtualRuntime) -> None:
    reader, _ = await reader_and_client(runtime)
    faults.step_clock(reader, -3_600)
    assert reader.clock() == runtime.now() - 3_600_000_000


@pytest.mark.parametrize(("rate", "per_report"), [(1_100, 1), (11_000, 10)])
async def test_a_flood_has_the_rate_and_the_content_asked_for(
    runtime: VirtualRuntime, rate: int, per_report: int
) -> None:
    reader, client = await reader_and_client(runtime, Scene({}, runtime.random("scene")))
    await run_inventory(client, rospec())
    result = await flood(reader, runtime, EPCS * 10, rate, 2.0, per_report)
    await asyncio.sleep(0.1)
    tags = client.tags()
    assert result.refused == 0
    assert len(tags) == result.sent
    assert abs(result.sent - 2 * rate) <= 0.02 * rate
    times = [tag.find("LastSeenTimestampUTC") for tag in tags]
    assert all(time is not None for time in times)
    values = [time.integer("Microseconds") for time in times if time]
    assert values == sorted(values)
    assert values[-1] - values[0] > 1_900_000
    assert len({message.id for message in client.messages[-10:]}) == 10


async def test_what_a_slow_client_does_not_take_is_counted(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime, staged_scene(runtime))
    await run_inventory(client, rospec())
    client.transport.pause_reading()
    result = await flood(reader, runtime, EPCS, 11_000, 3.0)
    assert result.refused > 10_000
    assert abs(result.sent + result.refused - 33_000) < 500
