"""An independent dissector reads every frame of a conversation between driver and reader without complaint."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
from virtual import Network, VirtualLoop

from gateway.devices.driver import DeviceState
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.describe import describe
from gateway.devices.rfid.reader import RfidReader
from gateway.observations.sighting import Sighting
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.radio import Antenna
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.recorder import Recorder
from gateway.simulation.scenario import PlacedTag, Scene

#: The dissector (4.0) shows the one byte of SET_PROTOCOL_VERSION without counting it.
KNOWN_FAULTS = {"47": "Incorrect length of message: 10 bytes decoded, but 11 bytes available."}
#: Enough reports; all other messages are dissected.
MAX_REPORTS = 200


async def conversation(profile: ReaderProfile, intent: Intent) -> list[bytes]:
    network, recorder = Network(3), Recorder()
    emulator = EmulatedReader(
        network.runtime("reader"),
        "r",
        profile,
        (Antenna(1, (0.0, 0.0, 2.5), (0.0, 0.0, -1.0)),),
        Scene({"door": 0.0}, Random(1), [PlacedTag("3034257BF7194E4000000001", (0.0, 0.5, 1.0), 0.0)]),
        port=5084,
        recorder=recorder,
    )
    await emulator.start()
    runtime = network.runtime("gateway")
    driver = RfidReader(ReaderConfig("r", "127.0.0.1", intent, (AntennaConfig(1, "z", 25.0),)), runtime)
    sightings: list[Sighting] = []
    task = asyncio.create_task(driver.run(sightings.extend))
    await asyncio.sleep(2)
    assert driver.state is DeviceState.READING
    await driver.set_output(1, True)
    await asyncio.sleep(25)
    assert sightings
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await emulator.stop()
    return [frame.data for frame in recorder.frames]


def kind(frame: bytes) -> str:
    return str(int.from_bytes(frame[:2], "big") & 0x3FF)


@pytest.mark.real
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed; apt-get install tshark")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("intent", [Intent.PORTAL, Intent.SHELF])
def test_no_frame_of_driver_or_reader_is_malformed(version: int, intent: Intent, tmp_path: Path) -> None:
    profile = ReaderProfile(llrp_version=version)  # pyright: ignore[reportArgumentType]
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        frames = runner.run(conversation(profile, intent))
    reports = [frame for frame in frames if kind(frame) == "61"][MAX_REPORTS:]
    frames = [frame for frame in frames if frame not in reports]
    assert {"14", "62", "72", "20", "24", "22", "3", "64"} <= {kind(frame) for frame in frames}
    assert all(one["error"] is None for frame in frames for one in describe(frame))
    lines: list[str] = []
    for frame in frames:
        lines += [f"{at:06x} {frame[at : at + 16].hex(' ')}" for at in range(0, len(frame), 16)] + [""]
    (tmp_path / "frames.txt").write_text("\n".join(lines))
    subprocess.run(
        ["text2pcap", "-q", "-T", "5084,40000", tmp_path / "frames.txt", tmp_path / "frames.pcap"],
        check=True,
        capture_output=True,
    )
    fields = ["-e", "llrp.type", "-e", "_ws.malformed", "-e", "_ws.expert.message"]
    told = subprocess.run(
        ["tshark", "-r", tmp_path / "frames.pcap", "-d", "tcp.port==5084,llrp", "-T", "fields", *fields],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    rows = [line.split("\t") for line in told]
    assert [row[0] for row in rows] == [kind(frame) for frame in frames]
    assert [row for row in rows if (row[1] or row[2]) and row[2] != KNOWN_FAULTS.get(row[0])] == []
