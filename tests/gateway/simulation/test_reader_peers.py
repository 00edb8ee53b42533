"""Two codecs that are not ours agree with the emulated reader: sllurp's client and Wireshark's dissector."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from dissect import Verdict, dissect
from llrp_client import EPCS, PORTAL, Client, connect, reader_and_client, rospec, run_inventory
from sllurp.llrp import LLRPReaderClient, LLRPReaderConfig
from virtual import VirtualRuntime

from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.reader import RfidReader
from gateway.observations.sighting import Sighting
from gateway.simulation import faults
from gateway.simulation.llrp.codec import Bits, make
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.recorder import Recorder
from gateway.simulation.scenario import PlacedTag, Scene
from runtime import SystemRuntime

#: What sllurp calls the fields of a report's content.
FIELDS = ("ROSpecID", "SpecIndex", "InventoryParameterSpecID", "AntennaID", "ChannelIndex", "PeakRSSI")
FIELDS += ("FirstSeenTimestamp", "LastSeenTimestamp", "TagSeenCount", "AccessSpecID")
#: Settings by which sllurp asks for Impinj's extensions.
IMPINJ = {
    "impinj_search_mode": "2",
    "impinj_tag_content_selector": {
        "EnableRFPhaseAngle": True,
        "EnablePeakRSSI": True,
        "EnableRFDopplerFrequency": False,
    },
}


@pytest.mark.real
@pytest.mark.parametrize("vendor", ["generic", "impinj"])
async def test_sllurp_inventories_the_emulated_reader(tmp_path: Path, vendor: Literal["generic", "impinj"]) -> None:
    places = [PlacedTag(epc, (0.2, -0.5 + 0.09 * number, 1.2), 0.0) for number, epc in enumerate(EPCS)]
    recorder = Recorder()
    scene = Scene({"1": 0.0}, Random(1), places)
    reader = EmulatedReader(
        SystemRuntime(), "dock", ReaderProfile(antennas=2, vendor=vendor), PORTAL, scene, recorder=recorder
    )
    await reader.start()
    seen: list[dict[str, Any]] = []
    config = LLRPReaderConfig(
        {
            "antennas": [1, 2],
            "report_every_n_tags": 1,
            "keepalive_interval": 500,
            "tag_content_selector": {f"Enable{name}": True for name in FIELDS},
            **(IMPINJ if vendor == "impinj" else {}),
        }
    )
    client = LLRPReaderClient("127.0.0.1", reader.port, config)
    client.add_tag_report_callback(lambda _, tags: seen.extend(tags))
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        await loop.run_in_executor(threads, client.connect)
        for _ in range(100):
            await asyncio.sleep(0.1)
            if len({tag["EPC"] for tag in seen}) == len(EPCS):
                break
        await loop.run_in_executor(threads, client.disconnect, 3)
        await loop.run_in_executor(threads, client.join, 3)
    await reader.stop()
    assert {tag["EPC"].decode().upper() for tag in seen} == set(EPCS)
    assert {tag["AntennaID"] for tag in seen} == {1, 2}
    assert all(-80 <= tag["PeakRSSI"] <= -20 and tag["TagSeenCount"] >= 1 for tag in seen)
    assert all(tag["LastSeenTimestampUTC"] >= tag["FirstSeenTimestampUTC"] for tag in seen)
    if vendor == "impinj":
        assert all(0 <= tag["ImpinjRFPhaseAngle"] < 4096 for tag in seen)
        assert all(abs(tag["ImpinjPeakRSSI"] / 100 - tag["PeakRSSI"]) <= 0.51 for tag in seen)
    assert complaints(dissect(recorder, tmp_path)) == []


async def exercise(client: Client) -> None:
    """Every request a reader answers, well and badly."""
    await client.ask(make("GET_SUPPORTED_VERSION"), version=2)
    await client.ask(make("SET_PROTOCOL_VERSION", ProtocolVersion=1), version=2)
    await client.ok(make("GET_READER_CAPABILITIES"))
    await client.ok(make("GET_READER_CONFIG"))
    events = [make("EventNotificationState", EventType=kind, NotificationState=1) for kind in (1, 2, 3, 4, 6, 8)]
    keepalive = make("KeepaliveSpec", KeepaliveTriggerType=1, PeriodicTriggerValue=500)
    hold = make("EventsAndReports", HoldEventsAndReportsUponReconnect=0)
    output = make("GPOWriteData", GPOPortNumber=1, GPOData=1)
    await client.ok(make("SET_READER_CONFIG", make("ReaderEventNotificationSpec", *events), keepalive, output, hold))
    target = make("C1G2TargetTag", MB=1, Match=1, Pointer=32, TagMask=Bits(8, b"\xff"), TagData=Bits(8, b"\x30"))
    command = make("AccessCommand", make("C1G2TagSpec", target), make("C1G2Read", OpSpecID=1, MB=2, WordCount=2))
    access = make("AccessSpec", make("AccessSpecStopTrigger"), command, AccessSpecID=3, AntennaID=0, ProtocolID=1)
    await client.ok(make("ADD_ACCESSSPEC", access))
    await client.ok(make("ENABLE_ACCESSSPEC", AccessSpecID=3))
    await client.ok(make("GET_ACCESSSPECS"))
    await client.ok(make("DISABLE_ACCESSSPEC", AccessSpecID=3))
    await client.ok(make("DELETE_ACCESSSPEC", AccessSpecID=3))
    second = make("AISpecStopTrigger", AISpecStopTriggerType=1, DurationTrigger=1_000)
    await run_inventory(client, rospec(ai_stop=second))
    await client.ok(make("GET_ROSPECS"))
    client.send(make("GET_REPORT"))
    client.send(make("KEEPALIVE_ACK"))
    await asyncio.sleep(2)
    await client.ask(make("ADD_ROSPEC", rospec(0)))
    await client.ask(make("ADD_ROSPEC", rospec(5, antennas=(8,))))
    await client.ask(make("ENABLE_ROSPEC", ROSpecID=99))
    await client.ok(make("DISABLE_ROSPEC", ROSpecID=1))
    await client.ok(make("DELETE_ROSPEC", ROSpecID=0))


@pytest.mark.parametrize("profile", [{"region": "fcc"}, {"utc_clock": False, "omit_unchanged": True}])
async def test_the_dissector_finds_nothing_wrong(tmp_path: Path, profile: dict[str, Any]) -> None:
    runtime, recorder = VirtualRuntime(), Recorder()
    long_epc = PlacedTag("E2" + "31" * 15, (0.2, 0.0, 1.2), 0.0)
    scene = Scene({"1": 0.0}, Random(1), [PlacedTag(EPCS[0], (0.2, 0.1, 1.2), 0.0), long_epc])
    reader, client = await reader_and_client(runtime, scene, recorder, report_buffer=50, **profile)
    await exercise(client)
    reader.set_gpi(1, True)
    reader.set_antenna(1, False)
    await connect(runtime, reader)
    reader.set_antenna(1, True)
    await run_inventory(client, rospec())
    client.transport.close()
    await asyncio.sleep(5)
    again = await connect(runtime, reader)
    again.transport.write(bytes.fromhex("0419000000080000"))  # a header that lies ends the connection
    again.send(make("KEEPALIVE"))
    await asyncio.sleep(0.1)
    last = await connect(runtime, reader)
    await last.ok(make("CLOSE_CONNECTION"))
    await reader.stop()
    verdicts = dissect(recorder, tmp_path)
    assert complaints(verdicts) == []
    sent = {verdict.type for verdict, frame in zip(verdicts, recorder.frames, strict=True) if frame.direction == "sent"}
    answered = {4, 11, 12, 13, 30, 31, 32, 34, 35, 36, 50, 51, 52, 53, 54, 56, 57, 61, 62, 63}
    assert answered <= sent


@pytest.mark.parametrize(
    "profile",
    [{"region": "fcc"}, {"vendor": "impinj"}, {"llrp_version": 1}, {"utc_clock": False, "omit_unchanged": True}],
)
async def test_our_driver_and_the_emulated_reader_agree_and_the_dissector_with_both(
    tmp_path: Path, profile: dict[str, Any]
) -> None:
    runtime, recorder = VirtualRuntime(), Recorder()
    places = [PlacedTag(epc, (0.2, -0.5 + 0.09 * number, 1.2), 0.0) for number, epc in enumerate(EPCS)]
    scene = Scene({"1": 0.0}, Random(1), places)
    reader = EmulatedReader(
        runtime, "dock", ReaderProfile(antennas=2, **profile), PORTAL, scene, clock_skew_us=3_000_000, recorder=recorder
    )
    await reader.start()
    antennas = (AntennaConfig(1, "inside"), AntennaConfig(2, "outside"))
    driver = RfidReader(ReaderConfig("dock", "127.0.0.1", Intent.PORTAL, antennas, port=reader.port), runtime)
    seen: list[Sighting] = []
    running = asyncio.ensure_future(driver.run(seen.extend))
    await asyncio.sleep(30)
    faults.drop_mid_frame(reader)
    await asyncio.sleep(30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await reader.stop()
    assert {sighting.identifier for sighting in seen} == set(EPCS)
    assert {sighting.read_point for sighting in seen} == {"dock/1", "dock/2"}
    assert max(abs(sighting.reader_time - runtime.start_us - sighting.monotonic) for sighting in seen) < 1_000_000
    assert all(sighting.strength is not None and -8_000 < sighting.strength < -2_000 for sighting in seen)
    assert all((sighting.phase is not None) == (profile.get("vendor") == "impinj") for sighting in seen)
    assert len(recorder.frames) > 100
    assert complaints(dissect(recorder, tmp_path)) == []


def complaints(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.complaint]
