"""What an LLRP client may expect of the emulated reader."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import virtual
from hypothesis import given, settings
from hypothesis import strategies as st
from llrp_client import (
    EPCS,
    PORTAL,
    connect,
    reader_and_client,
    rospec,
    run_inventory,
    staged_scene,
    status,
)
from virtual import VirtualRuntime

from gateway.simulation.connection import Connection
from gateway.simulation.llrp.codec import Element, encode_message, make
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.radio import RadioConfig
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.recorder import Recorder
from gateway.simulation.scenario import Scene
from gateway.simulation.tagreport import TagReportEncoder

ROOT = Path(__file__).resolve().parents[3]


def field(tag: Element, name: str) -> int:
    found = tag.find(name)
    assert found is not None, f"{name} is missing"
    return found.integer(next(iter(found.values)))


async def test_a_client_is_welcomed_with_the_readers_time(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    (event,) = client.events("ConnectionAttemptEvent")
    assert event.integer("Status") == 0
    time = client.named("READER_EVENT_NOTIFICATION")[0].children[0].find("UTCTimestamp")
    assert time is not None
    assert abs(time.integer("Microseconds") - runtime.now()) < 20_000


async def test_a_second_client_is_refused_and_the_first_is_told(runtime: VirtualRuntime) -> None:
    reader, first = await reader_and_client(runtime)
    second = await connect(runtime, reader)
    assert second.events("ConnectionAttemptEvent")[0].integer("Status") == 2
    assert second.closed
    assert [event.integer("Status") for event in first.events("ConnectionAttemptEvent")] == [0, 4]
    await first.ok(make("GET_ROSPECS"))
    first.transport.close()
    await asyncio.sleep(0.01)
    third = await connect(runtime, reader)
    assert third.events("ConnectionAttemptEvent")[0].integer("Status") == 0


async def test_capabilities_hold_the_tables_of_the_region(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime, region="fcc")
    body = await client.ok(make("GET_READER_CAPABILITIES", RequestedData=0))
    regulatory = body.find("RegulatoryCapabilities")
    assert regulatory is not None
    assert regulatory.integer("CountryCode") == 840
    band = regulatory.find("UHFBandCapabilities")
    assert band is not None
    powers = [entry.integer("TransmitPowerValue") for entry in band.all("TransmitPowerLevelTableEntry")]
    assert powers == list(range(1_000, 3_001, 25))
    information = band.find("FrequencyInformation")
    assert information is not None
    table = information.find("FrequencyHopTable")
    assert table is not None
    assert sorted(table.numbers("Frequency")) == list(range(902_750, 927_251, 500))
    general = body.find("GeneralDeviceCapabilities")
    assert general is not None
    assert general.integer("MaxNumberOfAntennaSupported") == 2


async def test_an_inventory_reports_what_was_asked_for(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    started = runtime.now()
    await run_inventory(client, rospec())
    await asyncio.sleep(2)
    tags = client.tags()
    assert {f"{field(tag, 'EPC_96'):024X}" for tag in tags} == set(EPCS)
    assert all(len(report.children) == 1 for report in client.named("RO_ACCESS_REPORT"))
    for tag in tags:
        assert field(tag, "ROSpecID") == 1
        assert field(tag, "AntennaID") in (1, 2)
        assert -80 <= field(tag, "PeakRSSI") <= -20
        assert field(tag, "TagSeenCount") == 1
        assert field(tag, "C1G2PC") == 0x3000
        assert started <= field(tag, "FirstSeenTimestampUTC") <= runtime.now()
        assert tag.find("InventoryParameterSpecID") is None
    times = [field(tag, "FirstSeenTimestampUTC") for tag in tags]
    assert times == sorted(times)
    assert 100 < len(tags) < 400  # about 200 per second nominal, less rounds and silence


async def test_reports_can_wait_for_n_tags_or_for_time(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    await run_inventory(client, rospec(n=5))
    await asyncio.sleep(2)
    assert all(len(report.children) == 5 for report in client.named("RO_ACCESS_REPORT"))
    await client.ok(make("DELETE_ROSPEC", ROSpecID=0))
    client.messages.clear()
    await run_inventory(client, rospec(trigger=6, n=500))  # LLRP 1.1: every 500 ms
    await asyncio.sleep(3.1)
    reports = client.named("RO_ACCESS_REPORT")
    assert len(reports) == 6
    assert sum(field(tag, "TagSeenCount") for tag in client.tags()) > len(client.tags())
    for tag in client.tags():
        assert field(tag, "LastSeenTimestampUTC") - field(tag, "FirstSeenTimestampUTC") < 600_000


async def test_reports_without_a_trigger_wait_to_be_fetched(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    await run_inventory(client, rospec(trigger=0))
    await asyncio.sleep(2)
    assert client.tags() == []
    client.send(make("GET_REPORT"))
    await asyncio.sleep(0.1)
    assert len(client.tags()) >= 12


async def test_a_rospec_lives_through_its_states(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    await client.ok(make("SET_READER_CONFIG", _notify(2)))
    await run_inventory(client, rospec())

    async def state() -> int:
        return (await client.ok(make("GET_ROSPECS"))).all("ROSpec")[0].integer("CurrentState")

    assert await state() == 2
    await client.ok(make("STOP_ROSPEC", ROSpecID=1))
    assert await state() == 1
    await client.ok(make("DISABLE_ROSPEC", ROSpecID=1))
    assert await state() == 0
    refused = await client.ask(make("START_ROSPEC", ROSpecID=1))
    assert status(refused.body) == 101
    await client.ok(make("DELETE_ROSPEC", ROSpecID=1))
    assert (await client.ok(make("GET_ROSPECS"))).all("ROSpec") == ()
    assert [event.integer("EventType") for event in client.events("ROSpecEvent")] == [0, 1]


async def test_an_immediate_trigger_fires_again_when_its_ai_specs_are_done(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    await client.ok(make("SET_READER_CONFIG", _notify(2)))
    immediate = make("ROSpecStartTrigger", ROSpecStartTriggerType=1)
    second = make("AISpecStopTrigger", AISpecStopTriggerType=1, DurationTrigger=1_000)
    await client.ok(make("ADD_ROSPEC", rospec(start=immediate, ai_stop=second)))
    await client.ok(make("ENABLE_ROSPEC", ROSpecID=1))
    await asyncio.sleep(3.5)
    assert [event.integer("EventType") for event in client.events("ROSpecEvent")] == [0, 1, 0, 1, 0, 1, 0]


async def test_inputs_start_and_stop(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    await client.ok(make("SET_READER_CONFIG", _notify(1)))

    def edge(level: int, timeout: int = 0) -> Element:
        return make("GPITriggerValue", GPIPortNum=1, GPIEvent=level, Timeout=timeout)

    start = make("ROSpecStartTrigger", edge(1), ROSpecStartTriggerType=3)
    stop = make("ROSpecStopTrigger", edge(0, 5_000), ROSpecStopTriggerType=2)
    await client.ok(make("ADD_ROSPEC", rospec(start=start, stop=stop)))
    await client.ok(make("ENABLE_ROSPEC", ROSpecID=1))
    await asyncio.sleep(1)
    assert client.tags() == []
    reader.set_gpi(1, True)
    await asyncio.sleep(1)
    count = len(client.tags())
    assert count > 20
    reader.set_gpi(1, False)
    await asyncio.sleep(1)
    assert len(client.tags()) == count
    assert [event.integer("GPIEvent") for event in client.events("GPIEvent")] == [1, 0]


async def test_the_better_priority_takes_the_radio_and_gives_it_back(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    await client.ok(make("SET_READER_CONFIG", _notify(2)))
    await run_inventory(client, rospec(1, priority=1))
    await run_inventory(client, rospec(2, priority=0))
    await asyncio.sleep(0.5)
    assert {field(tag, "ROSpecID") for tag in client.tags()[-5:]} == {2}
    await client.ok(make("STOP_ROSPEC", ROSpecID=2))
    await asyncio.sleep(0.5)
    assert {field(tag, "ROSpecID") for tag in client.tags()[-5:]} == {1}


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (make("ADD_ROSPEC", rospec(0)), 100, [177]),
        (make("ADD_ROSPEC", rospec(antennas=(1, 9))), 100, [177, 183]),
        (make("ADD_ROSPEC", rospec(trigger=9)), 100, [177, 237]),
        (make("ENABLE_ROSPEC", ROSpecID=77), 101, []),
        (make("GET_READER_CAPABILITIES", RequestedData=9), 101, []),
        (make("GET_READER_CONFIG", AntennaID=5), 101, []),
        (
            make(
                "SET_READER_CONFIG",
                make("AntennaConfiguration", make("RFTransmitter", HopTableID=1, TransmitPower=999), AntennaID=1),
            ),
            100,
            [222, 224],
        ),
    ],
)
async def test_what_does_not_fit_is_refused_by_name_of_its_place(
    runtime: VirtualRuntime, body: Element, code: int, path: list[int]
) -> None:
    _, client = await reader_and_client(runtime)
    answer = (await client.ask(body)).body
    found = answer.find("LLRPStatus")
    assert found is not None
    assert found.integer("StatusCode") == code
    assert found.values["ErrorDescription"]
    seen: list[int] = []
    inner = found.find("ParameterError")
    while inner is not None:
        seen.append(inner.integer("ParameterType"))
        last, inner = inner, inner.find("ParameterError")
        assert inner is not None or last.find("FieldError") is not None
    assert seen == path
    await client.ok(make("GET_ROSPECS"))


async def test_settings_are_kept_until_factory_reset(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    transmitter = make("RFTransmitter", HopTableID=1, ChannelIndex=1, TransmitPower=5)
    await client.ok(make("SET_READER_CONFIG", make("AntennaConfiguration", transmitter, AntennaID=2)))

    async def power(antenna: int) -> int:
        body = await client.ok(make("GET_READER_CONFIG", AntennaID=antenna, RequestedData=3))
        setting = body.find("AntennaConfiguration")
        assert setting is not None
        found = setting.find("RFTransmitter")
        assert found is not None
        return found.integer("TransmitPower")

    assert (await power(1), await power(2)) == (81, 5)
    await client.ok(make("SET_READER_CONFIG", ResetToFactoryDefault=1))
    assert await power(2) == 81


async def test_less_power_reads_less(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    transmitter = make("RFTransmitter", HopTableID=1, ChannelIndex=1, TransmitPower=1)  # 10 dBm
    await client.ok(make("SET_READER_CONFIG", make("AntennaConfiguration", transmitter, AntennaID=0)))
    await run_inventory(client, rospec())
    await asyncio.sleep(2)
    assert len(client.tags()) < 60  # full power: over 200


async def test_an_unplugged_antenna_reads_nothing_and_says_so(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    await client.ok(make("SET_READER_CONFIG", _notify(8)))
    await run_inventory(client, rospec())
    reader.set_antenna(1, False)
    await asyncio.sleep(0.1)
    client.messages.clear()
    await asyncio.sleep(2)
    assert {field(tag, "AntennaID") for tag in client.tags()} == {2}
    reader.set_antenna(1, True)
    await asyncio.sleep(0.5)
    assert client.events("AntennaEvent")[0].integer("EventType") == 1
    assert {field(tag, "AntennaID") for tag in client.tags()} == {1, 2}


async def test_keepalives_come_in_time(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    keepalive = make("KeepaliveSpec", KeepaliveTriggerType=1, PeriodicTriggerValue=10_000)
    await client.ok(make("SET_READER_CONFIG", keepalive))
    await asyncio.sleep(65)
    assert len(client.named("KEEPALIVE")) == 6


async def test_reports_are_held_over_a_reconnect_until_asked_for(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime)
    await client.ok(make("SET_READER_CONFIG", make("EventsAndReports", HoldEventsAndReportsUponReconnect=1)))
    await run_inventory(client, rospec())
    await asyncio.sleep(1)
    last = field(client.tags()[-1], "FirstSeenTimestampUTC")
    client.transport.close()
    await asyncio.sleep(30)
    again = await connect(runtime, reader)
    await asyncio.sleep(2)
    assert again.tags() == []
    again.send(make("ENABLE_EVENTS_AND_REPORTS"))
    await asyncio.sleep(1)
    times = [field(tag, "FirstSeenTimestampUTC") for tag in again.tags()]
    assert times == sorted(times)
    assert times[0] - last < 1_000_000
    assert runtime.now() - times[-1] < 1_000_000
    assert reader.outbox.dropped_tags == 0


async def test_a_full_buffer_drops_the_oldest_and_counts_them(runtime: VirtualRuntime) -> None:
    reader, client = await reader_and_client(runtime, report_buffer=50)
    await client.ok(make("SET_READER_CONFIG", _notify(3)))
    await run_inventory(client, rospec())
    client.transport.close()
    await asyncio.sleep(10)
    assert reader.outbox.tags == 50
    assert reader.outbox.dropped_tags > 100
    again = await connect(runtime, reader)
    await asyncio.sleep(0.01)
    assert len(again.events("ReportBufferLevelWarningEvent")) == 1
    assert len(again.events("ReportBufferOverflowErrorEvent")) == 1
    assert runtime.now() - field(again.tags()[0], "FirstSeenTimestampUTC") < 2_000_000


async def test_unchanged_fields_may_be_left_out(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime, omit_unchanged=True)
    await run_inventory(client, rospec())
    await asyncio.sleep(1)
    first, *others = client.tags()
    assert first.find("ROSpecID") is not None
    assert all(tag.find("ROSpecID") is None for tag in others)
    assert any(tag.find("AntennaID") for tag in others)


async def test_a_reader_without_a_calendar_reports_its_uptime(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime, utc_clock=False)
    await run_inventory(client, rospec())
    await asyncio.sleep(1)
    assert client.tags()[0].find("FirstSeenTimestampUTC") is None
    assert 0 < field(client.tags()[0], "FirstSeenTimestampUptime") < 2_000_000


async def test_versions_are_negotiated(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    answer = await client.ask(make("GET_SUPPORTED_VERSION"), version=2)
    assert (answer.body.integer("CurrentVersion"), answer.body.integer("SupportedVersion")) == (1, 2)
    assert answer.version == 2
    assert status((await client.ask(make("SET_PROTOCOL_VERSION", ProtocolVersion=2), version=2)).body) == 0
    assert (await client.ask(make("GET_ROSPECS"), version=2)).version == 2


async def test_an_old_reader_refuses_the_new_version(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime, llrp_version=1)
    answer = await client.ask(make("GET_SUPPORTED_VERSION"), version=2)
    assert answer.body.name == "ERROR_MESSAGE"
    assert status(answer.body) == 110
    assert answer.version == 1


async def test_what_a_reader_does_not_know_it_says(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    client.transport.write(bytes.fromhex("07e70000000a00000005"))
    client.send(make("RO_ACCESS_REPORT"))
    await asyncio.sleep(0.1)
    assert [status(body) for body in client.named("ERROR_MESSAGE")] == [109, 109]
    await client.ok(make("GET_ROSPECS"))


async def test_a_close_is_answered(runtime: VirtualRuntime) -> None:
    _, client = await reader_and_client(runtime)
    await client.ok(make("CLOSE_CONNECTION"))
    await asyncio.sleep(0.1)
    assert client.closed


def _notify(event: int) -> Element:
    state = make("EventNotificationState", EventType=event, NotificationState=1)
    return make("ReaderEventNotificationSpec", state)


class _Wire(asyncio.Transport):
    """Swallows what is sent; can be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def write(self, data: object) -> None:
        pass

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


_REQUESTS = [
    encode_message(make("ADD_ROSPEC", rospec()), 1),
    encode_message(make("ENABLE_ROSPEC", ROSpecID=1), 2),
    encode_message(make("START_ROSPEC", ROSpecID=1), 3),
    encode_message(make("GET_READER_CONFIG"), 4),
    encode_message(make("SET_READER_CONFIG", ResetToFactoryDefault=1), 5),
]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_no_bytes_raise_out_of_the_protocol(data: st.DataObject) -> None:
    async def feed() -> None:
        runtime = VirtualRuntime()
        reader = EmulatedReader(runtime, "dock", ReaderProfile(), PORTAL, staged_scene(runtime))
        connection = Connection(reader, TagReportEncoder(True, False))
        connection.connection_made(_Wire())
        for _ in range(data.draw(st.integers(1, 6))):
            frame = bytearray(data.draw(st.sampled_from(_REQUESTS)))
            for _ in range(data.draw(st.integers(0, 3))):
                frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
            connection.data_received(bytes(frame) + data.draw(st.binary(max_size=12)))
            reader.tick()
            await asyncio.sleep(0.05)

    virtual.run(feed)


def _run_and_digest(seed: int) -> str:
    async def main() -> str:
        runtime, recorder = VirtualRuntime(seed), Recorder()
        scene: Scene = staged_scene(runtime)
        reader, client = await reader_and_client(runtime, scene, recorder)
        await run_inventory(client, rospec())
        await asyncio.sleep(20)
        await reader.stop()
        assert len(recorder.frames) > 1_000
        return hashlib.sha256(recorder.hexdump().encode()).hexdigest()

    digest = virtual.run(main)
    assert isinstance(digest, str)
    return digest


def test_the_same_seed_sends_the_same_bytes() -> None:
    script = "import test_emulated_reader as t; print(t._run_and_digest(5))"
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    digests = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]
    assert digests[0] == digests[1] == _run_and_digest(5)
    assert _run_and_digest(6) != digests[0]


async def test_a_silent_room_is_silent(runtime: VirtualRuntime) -> None:
    scene = Scene({"1": 0.0}, runtime.random("scene"))
    reader = EmulatedReader(runtime, "dock", ReaderProfile(), PORTAL, scene, radio=RadioConfig(miss=0.0))
    await reader.start()
    client = await connect(runtime, reader)
    await run_inventory(client, rospec())
    await asyncio.sleep(5)
    assert client.tags() == []
