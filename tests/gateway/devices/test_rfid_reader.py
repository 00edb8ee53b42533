"""The driver against an emulated reader that was written from the standard with a codec of its own."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from llrp_bytes import message, notification, tlv
from virtual import Network, VirtualLoop, VirtualRuntime

from gateway.devices.capture import capture, read_header, replay
from gateway.devices.driver import DeviceState
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.connection import tls_context
from gateway.devices.rfid.errors import LlrpError
from gateway.devices.rfid.reader import RfidReader
from gateway.observations.sighting import Sighting
from gateway.simulation import faults
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.radio import Antenna
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.scenario import PlacedTag, Scene
from runtime import SystemRuntime

EPCS = tuple(f"3034257BF7194E400000{number:04X}" for number in range(8))
ANTENNAS = (AntennaConfig(1, "inside", 30.0), AntennaConfig(2, "outside", 27.1))


def scene() -> Scene:
    tags = [PlacedTag(epc, (0.1 * number, 0.5, 1.0), 0.0) for number, epc in enumerate(EPCS)]
    return Scene({"door": 0.0}, Random(1), tags)


class Rig:
    """One emulated reader, its driver, and what the driver delivered."""

    def __init__(self, profile: ReaderProfile, intent: Intent, keepalive_s: float = 10.0) -> None:
        self.network = Network(7)
        self.runtime: VirtualRuntime = self.network.runtime("gateway")
        antennas = (Antenna(1, (-1.0, 1.0, 2.5), (0.0, -0.3, -1.0)), Antenna(2, (1.0, -1.0, 2.5), (0.0, 0.3, -1.0)))
        self.emulator = EmulatedReader(
            self.network.runtime("reader"), "door-1", profile, antennas, scene(), port=5084, clock_skew_us=90_000_000
        )
        self.driver = RfidReader(
            ReaderConfig("door-1", "127.0.0.1", intent, ANTENNAS, keepalive_s=keepalive_s), self.runtime
        )
        self.sightings: list[Sighting] = []
        self.deliver: Callable[[list[Sighting]], None] = self.sightings.extend


@asynccontextmanager
async def rig(
    profile: ReaderProfile | None = None, intent: Intent = Intent.PORTAL, started: bool = True
) -> AsyncIterator[Rig]:
    it = Rig(profile or ReaderProfile(), intent)
    await it.emulator.start()
    task = asyncio.create_task(it.driver.run(lambda batch: it.deliver(batch)))
    try:
        if started:
            await until(lambda: len(it.sightings) >= 20)
        yield it
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await it.emulator.stop()
        assert it.driver.state is DeviceState.STOPPED


async def until(condition: Callable[[], bool], within_s: float = 90.0) -> float:
    """Wait for it; returns how many seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return loop.time() - began


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("intent", list(Intent))
@pytest.mark.parametrize("region", ["etsi", "fcc"])
async def test_every_intent_reads_on_every_version_and_region(version: int, intent: Intent, region: str) -> None:
    profile = ReaderProfile(llrp_version=version, region=region)  # pyright: ignore[reportArgumentType]
    async with rig(profile, intent) as it:
        status = it.driver.status()
        assert status.state is DeviceState.READING
        assert {sighting.identifier for sighting in it.sightings} <= set(EPCS)
        assert {sighting.read_point for sighting in it.sightings} == {"door-1/1", "door-1/2"}
        assert all(sighting.strength is not None and sighting.channel for sighting in it.sightings)
        assert status.errors == {}
        assert [antenna.connected for antenna in status.antennas] == [True, True]


async def test_a_reader_without_a_calendar_that_omits_what_has_not_changed_tells_the_same() -> None:
    profile = ReaderProfile(utc_clock=False, omit_unchanged=True)
    async with rig(profile) as it:
        now = it.runtime.now()
        assert {sighting.read_point for sighting in it.sightings} == {"door-1/1", "door-1/2"}
        assert all(sighting.channel and sighting.strength for sighting in it.sightings)
        assert all(now - 5_000_000 < sighting.reader_time <= now for sighting in it.sightings)


async def test_the_readers_wrong_clock_is_corrected() -> None:
    async with rig() as it:
        status = it.driver.status()
        assert status.clock_offset_us is not None
        # 90 s ahead, less the way of the messages, which nobody can know.
        assert abs(status.clock_offset_us - 90_000_000) < 5_000
        arrival = it.runtime.now() - it.runtime.monotonic()
        late = [sighting.monotonic + arrival - sighting.reader_time for sighting in it.sightings]
        assert all(0 <= delay < 200_000 for delay in late)


async def test_a_clock_that_is_set_while_reading_is_followed() -> None:
    async with rig() as it:
        for seconds in (3_600, -7_200):
            faults.step_clock(it.emulator, seconds)
            await asyncio.sleep(150)
            del it.sightings[:]
            await until(lambda: len(it.sightings) > 50)
            now = it.runtime.now()
            assert all(now - 5_000_000 < sighting.reader_time <= now for sighting in it.sightings)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.drop_mid_frame, "cut_off"),
        (faults.impossible_length, "framing"),
        (faults.impossible_version, "framing"),
    ],
)
async def test_a_broken_stream_is_counted_once_and_read_again(
    fault: Callable[[EmulatedReader], None], kind: str
) -> None:
    async with rig() as it:
        fault(it.emulator)
        await until(lambda: it.driver.state is DeviceState.WAITING)
        del it.sightings[:]
        await until(lambda: len(it.sightings) > 100)
        status = it.driver.status()
        assert status.errors == {kind: 1}
        assert status.bytes_dropped > 0
        assert status.state is DeviceState.READING


@pytest.mark.parametrize(
    ("fault", "kind"), [(faults.damaged_parameter, "damaged_message"), (faults.unknown_message, "unknown_message")]
)
async def test_damage_inside_a_frame_is_counted_once_and_the_stream_goes_on(
    fault: Callable[[EmulatedReader], None], kind: str
) -> None:
    async with rig() as it:
        for _ in range(3):
            fault(it.emulator)
            await asyncio.sleep(0.5)
        before = len(it.sightings)
        await until(lambda: len(it.sightings) > before + 50)
        status = it.driver.status()
        assert status.errors == {kind: 3}
        assert status.state is DeviceState.READING


async def test_a_silent_cable_is_found_within_25_s_and_reading_resumes_when_it_is_plugged_in() -> None:
    async with rig() as it:
        faults.pull_cable(it.emulator)
        took = await until(lambda: it.driver.state is not DeviceState.READING)
        assert took <= 25.1
        assert "nothing was received for 25 s" in it.driver.status().reason
        await asyncio.sleep(120)
        # The reader's own end of the dead connection lasts until it notices too.
        it.network.reset("127.0.0.1", 5084)
        faults.plug_cable(it.emulator)
        del it.sightings[:]
        assert await until(lambda: len(it.sightings) > 20) < 40


async def test_an_idle_reader_stays_connected_by_its_keepalives() -> None:
    async with rig() as it:
        it.emulator.set_antenna(1, False)
        it.emulator.set_antenna(2, False)
        await asyncio.sleep(600)
        status = it.driver.status()
        assert status.state is DeviceState.READING
        assert status.errors == {}
        assert status.reads_per_second == 0
        assert [antenna.connected for antenna in status.antennas] == [False, False]


async def test_a_restarted_reader_is_set_up_again() -> None:
    async with rig() as it:
        await faults.restart(it.emulator, 40)
        assert it.driver.state is DeviceState.WAITING
        assert "refuses the connection" in it.driver.status().reason
        assert "R700" in it.driver.status().reason
        del it.sightings[:]
        assert await until(lambda: len(it.sightings) > 20) < 40


async def test_what_the_reader_held_during_an_outage_is_not_lost() -> None:
    async with rig(intent=Intent.ZONE) as it:
        it.network.unreachable["127.0.0.1", 5084] = None
        it.network.reset("127.0.0.1", 5084)
        lost_at = it.runtime.monotonic()
        await asyncio.sleep(20)
        del it.network.unreachable["127.0.0.1", 5084]
        del it.sightings[:]
        await until(lambda: it.driver.state is DeviceState.READING)
        await asyncio.sleep(1)
        begin = it.runtime.now() - it.runtime.monotonic() + lost_at
        seconds = {(sighting.reader_time - begin) // 1_000_000 for sighting in it.sightings}
        assert seconds >= set(range(20)), "each second of the outage is told afterwards, at its own time"


async def test_a_consumer_that_is_full_during_the_flood_after_an_outage_loses_nothing() -> None:
    async with rig(ReaderProfile(llrp_version=1), Intent.ZONE) as it:
        it.network.unreachable["127.0.0.1", 5084] = None
        it.network.reset("127.0.0.1", 5084)
        begin = it.runtime.now()
        await asyncio.sleep(20)
        del it.sightings[:]

        def take_a_little(batch: list[Sighting]) -> None:
            it.sightings.extend(batch)
            if len(it.sightings) < 10:
                it.driver.pause()
                asyncio.get_running_loop().call_later(12, it.driver.resume)

        it.deliver = take_a_little
        del it.network.unreachable["127.0.0.1", 5084]
        await until(lambda: it.driver.state is DeviceState.READING and len(it.sightings) > 500, 900)
        await asyncio.sleep(5)
        assert it.driver.status().errors == {}
        assert {(sighting.reader_time - begin) // 1_000_000 for sighting in it.sightings} >= set(range(20))


async def test_another_client_is_named_as_the_reason_and_waited_for() -> None:
    it = Rig(ReaderProfile(), Intent.PORTAL)
    await it.emulator.start()
    other, _ = await it.runtime.connect(asyncio.Protocol, "127.0.0.1", 5084)
    task = asyncio.create_task(it.driver.run(it.sightings.extend))
    await until(lambda: it.driver.state is DeviceState.WAITING)
    assert "another client is connected" in it.driver.status().reason
    assert it.driver.status().retry_at is not None
    other.close()
    assert await until(lambda: len(it.sightings) > 20) < 40
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await it.emulator.stop()


async def test_what_the_configuration_asks_too_much_is_told_with_what_the_reader_offers() -> None:
    it = Rig(ReaderProfile(), Intent.PORTAL)
    await it.emulator.start()
    config = ReaderConfig("door-1", "127.0.0.1", Intent.PORTAL, (AntennaConfig(1, "inside", 36.0),))
    driver = RfidReader(config, it.runtime)
    task = asyncio.create_task(driver.run(it.sightings.extend))
    await until(lambda: driver.state is DeviceState.WAITING)
    assert "the reader offers 10.0 to 30.0 dBm" in driver.status().reason
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await it.emulator.stop()


async def test_a_full_consumer_holds_the_reader_back_and_nothing_is_lost() -> None:
    async with rig(ReaderProfile(llrp_version=1)) as it:
        it.driver.pause()
        await asyncio.sleep(0.1)
        before = len(it.sightings)
        await asyncio.sleep(60)
        assert len(it.sightings) == before
        assert it.driver.state is DeviceState.READING, "a pause is no silence"
        begin = it.runtime.now() - 60_000_000
        it.driver.resume()
        await asyncio.sleep(5)
        assert it.driver.status().pauses == 1
        seconds = {(sighting.reader_time - begin) // 1_000_000 for sighting in it.sightings[before:]}
        assert seconds >= set(range(1, 59))


async def test_an_output_can_be_switched_while_reading() -> None:
    async with rig() as it:
        await it.driver.set_output(2, True)
        with pytest.raises(LlrpError, match="output 9 does not exist, the reader has 4"):
            await it.driver.set_output(9, True)
        assert it.driver.status().errors == {}


async def test_a_rospec_that_somebody_else_stopped_is_set_up_again() -> None:
    async with rig() as it:
        active = it.emulator.state.active
        assert active is not None
        it.emulator.state.stop(active, it.runtime.monotonic())
        await until(lambda: it.driver.state is DeviceState.WAITING)
        assert "ended the ROSpec" in it.driver.status().reason
        del it.sightings[:]
        await until(lambda: len(it.sightings) > 20)


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak LLRP"),
        (b"SSH-2.0-dropbear\r\n", "does not speak LLRP"),
        (b"", "sends no LLRP greeting"),
        (None, "closes it at once"),
    ],
)
async def test_a_peer_that_is_no_reader_is_told_apart(greeting: bytes | None, reason: str) -> None:
    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            if greeting is None:
                transport.close()
            else:
                transport.write(greeting)

    it = Rig(ReaderProfile(), Intent.PORTAL)
    listener = await it.runtime.listen(Peer, "127.0.0.1", 5084)
    task = asyncio.create_task(it.driver.run(it.sightings.extend))
    await until(lambda: it.driver.state is DeviceState.WAITING)
    assert reason in it.driver.status().reason
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await listener.close()


async def test_a_capture_replays_to_the_same_sightings(tmp_path: Path) -> None:
    it = Rig(ReaderProfile(omit_unchanged=True), Intent.PORTAL)
    await it.emulator.start()
    path = tmp_path / "door-1.capture"
    task = asyncio.create_task(capture(it.driver, it.driver.config, path, it.sightings.extend))
    await until(lambda: len(it.sightings) > 50)
    faults.drop_mid_frame(it.emulator)
    await until(lambda: it.driver.state is DeviceState.WAITING)
    await asyncio.sleep(60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await it.emulator.stop()
    replayed = [sighting for chunk in replay(path) for sighting in chunk.sightings]
    assert replayed == it.sightings
    assert read_header(path).device == "door-1"


def test_the_same_seed_gives_the_same_sightings_to_the_microsecond() -> None:
    async def once() -> list[Sighting]:
        async with rig() as it:
            faults.drop_mid_frame(it.emulator)
            await asyncio.sleep(30)
            return list(it.sightings)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        first = runner.run(once())
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(once()) == first


class ScriptedReader(asyncio.Protocol):
    """Greets, then does what `answer(type, id)` says with each request: bytes to send, or None to hang up."""

    def __init__(self, answer: Callable[[int, int], bytes | None]) -> None:
        self.answer = answer
        self.requests: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(notification(tlv(256, b"\0\0")))

    def data_received(self, data: bytes) -> None:
        while data:
            head, length, message_id = struct.unpack_from("!HII", data)
            data = data[length:]
            self.requests.append(head & 0x3FF)
            reply = self.answer(head & 0x3FF, message_id)
            if reply is None:
                self.transport.close()
            else:
                self.transport.write(reply)


@pytest.mark.parametrize(
    ("reply", "asked_again"),
    [
        pytest.param(b"", False, id="silence"),
        pytest.param(None, False, id="hangs up"),
        pytest.param(message(100, tlv(287, struct.pack("!HH", 110, 0)), 0), True, id="an error without our id"),
        pytest.param(message(100, b"\0", 1), True, id="a damaged error"),
    ],
)
async def test_a_reader_that_chokes_on_the_version_question_is_not_asked_again(
    reply: bytes | None, asked_again: bool
) -> None:
    connections: list[ScriptedReader] = []

    def accept() -> ScriptedReader:
        connections.append(ScriptedReader(lambda kind, number: reply if kind == 46 else message(100, b"", number)))
        return connections[-1]

    it = Rig(ReaderProfile(), Intent.PORTAL)
    listener = await it.runtime.listen(accept, "127.0.0.1", 5084)
    task = asyncio.create_task(it.driver.run(it.sightings.extend))
    await until(lambda: len(connections) >= 3)
    assert connections[0].requests[0] == 46
    assert (46 in connections[1].requests) is asked_again
    assert 1 in connections[1].requests
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await listener.close()


async def test_a_refusal_is_told_in_the_readers_own_words_and_tried_again() -> None:
    def answer(kind: int, number: int) -> bytes:
        refused = tlv(287, struct.pack("!HH", 101, 9) + b"no region" + tlv(288, struct.pack("!HH", 3, 301)))
        return (
            message(100, tlv(287, struct.pack("!HH", 109, 0)), number) if kind == 46 else message(11, refused, number)
        )

    it = Rig(ReaderProfile(), Intent.PORTAL)
    listener = await it.runtime.listen(lambda: ScriptedReader(answer), "127.0.0.1", 5084)
    task = asyncio.create_task(it.driver.run(it.sightings.extend))
    await until(lambda: it.driver.status().errors.get("refused", 0) >= 2)
    reason = "the reader refused GET_READER_CAPABILITIES: M_FieldError: A_OutOfRange in field 3: no region"
    await until(lambda: it.driver.state is DeviceState.WAITING)
    assert it.driver.status().reason == reason
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await listener.close()


@pytest.mark.real
async def test_over_a_real_socket_with_tls(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "reader")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "reader.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "reader.pem", tmp_path / "key.pem")
    runtime = SystemRuntime()
    emulator = EmulatedReader(
        runtime, "r", ReaderProfile(), (Antenna(1, (0.0, 0.5, 2.5), (0.0, 0.0, -1.0)),), scene(), port=0
    )
    await emulator.start()
    server = await asyncio.get_running_loop().create_server(emulator._accept, "127.0.0.1", 0, ssl=context)  # pyright: ignore[reportPrivateUsage]
    port = server.sockets[0].getsockname()[1]
    sightings: list[Sighting] = []
    antennas = (AntennaConfig(1, "z"),)
    strangers = ReaderConfig("r", "127.0.0.1", Intent.PORTAL, antennas, port=port, tls=True)
    wary = RfidReader(strangers, runtime)
    driver = RfidReader(msgspec.structs.replace(strangers, certificate=str(tmp_path / "reader.pem")), runtime)
    task = asyncio.create_task(wary.run(sightings.extend))
    await until(lambda: wary.state is DeviceState.WAITING, 10)
    assert "name the reader's certificate" in wary.status().reason
    assert not sightings
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    task = asyncio.create_task(driver.run(sightings.extend))
    await until(lambda: len(sightings) > 20, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    server.close()
    await emulator.stop()


def test_a_certificate_that_cannot_be_used_is_named() -> None:
    config = ReaderConfig("r", "h", Intent.PORTAL, ANTENNAS, tls=True, certificate="missing.pem")
    with pytest.raises(LlrpError, match=r"certificate missing\.pem cannot be used"):
        tls_context(config)
