"""Requests, ROSpecs, capabilities, configuration, descriptions and captures."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llrp_bytes import EPC, KEEPALIVE, custom, impinj, message, notification, report, tag, tlv
from virtual import VirtualRuntime

from gateway.devices.capture import CaptureWriter, read_header, records, replay
from gateway.devices.driver import Moment
from gateway.devices.registry import open_decoder, open_driver
from gateway.devices.rfid import messages
from gateway.devices.rfid.capabilities import Capabilities, RfMode
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.describe import describe
from gateway.devices.rfid.errors import DamagedMessageError, UnsatisfiableIntentError
from gateway.devices.rfid.events import status
from gateway.devices.rfid.framing import Frame
from gateway.devices.rfid.reader import RfidReader
from gateway.devices.rfid.rospec import build, choose_mode, choose_power
from gateway.devices.rfid.standard import MESSAGE_LAYOUTS, TLV_LAYOUTS, Message
from gateway.errors import GatewayError
from gateway.simulation.llrp.grammar import FIRST_TLV, MESSAGE_BY_NUMBER, PARAMETER_BY_NUMBER, Field

ETSI = (865_700, 866_300, 866_900, 867_500)
OFFERED = Capabilities(
    manufacturer=0,
    model=1,
    firmware="1",
    antennas=4,
    gpos=4,
    can_hold_reports=True,
    powers={1_000 + 25 * number: number + 1 for number in range(81)},
    hopping=False,
    hop_tables=(),
    channels=ETSI,
    modes=(RfMode(0, 0, 640_000, 6_250), RfMode(2, 2, 274_000, 20_000), RfMode(3, 3, 170_600, 20_000)),
)
IMPINJ = msgspec.structs.replace(OFFERED, manufacturer=25882)


def config(
    intent: Intent = Intent.PORTAL, channels: tuple[float, ...] = (), power: float | None = 30.0
) -> ReaderConfig:
    return ReaderConfig(
        "r", "h", intent, (AntennaConfig(1, "in", power), AntennaConfig(2, "out")), channels_mhz=channels
    )


def encoded(wanted: ReaderConfig, offered: Capabilities, version: int = 1) -> bytes:
    request = messages.add_rospec(build(wanted, offered, version, 1))
    (description,) = describe(request.encode(5, version))
    assert (description["name"], description["error"]) == ("ADD_ROSPEC", None)
    return request.body


def test_a_portal_reports_every_tag_in_session_0() -> None:
    body = encoded(config(), OFFERED, 2)
    assert tlv(237, b"\1\0\1")[4:] in body
    assert tlv(336, struct.pack("!BHI", 0, 32, 0)) in body
    assert tlv(224, struct.pack("!HHH", 0, 1, 81)) in body
    assert tlv(335, struct.pack("!HH", 2, 20_000)) in body, "the Miller 4 mode, by its identifier"
    # ROSpec, antenna, channel, RSSI, first and last seen, count.
    assert struct.pack("!HHH", 238, 6, 0b1001_1111_1000_0000) in body


@pytest.mark.parametrize("intent", [Intent.ZONE, Intent.SHELF])
def test_areas_report_every_100_ms_only_where_llrp_1_1_was_agreed(intent: Intent) -> None:
    assert struct.pack("!BH", 6, 100) in encoded(config(intent), OFFERED, 2)
    assert struct.pack("!BH", 6, 100) not in encoded(config(intent), OFFERED, 1)


def test_impinj_extensions_are_asked_for_only_where_they_exist() -> None:
    for offered, expected in ((IMPINJ, True), (OFFERED, False)):
        body = encoded(config(), offered)
        assert (custom(25882, 23, b"\0\2") in body) is expected, "dual target"
        assert (custom(25882, 52, b"\0\1") in body) is expected, "phase"


def test_channels_come_from_the_region_only() -> None:
    assert tlv(224, struct.pack("!HHH", 0, 3, 81)) in encoded(config(channels=(866.9,)), OFFERED)
    assert custom(25882, 26, struct.pack("!HHHHH", 2, 0, 2, 1, 3)) in encoded(config(channels=(865.7, 866.9)), IMPINJ)
    hopping = msgspec.structs.replace(OFFERED, hopping=True, hop_tables=(7,), channels=())
    assert tlv(224, struct.pack("!HHH", 7, 1, 81)) in encoded(config(), hopping)
    for channels, offered, reason in (
        ((915.25,), OFFERED, "no channel at 915.25 MHz but 865.7, 866.3, 866.9, 867.5"),
        ((865.7, 866.9), OFFERED, "takes one channel only"),
        ((915.25,), hopping, "must hop in its region"),
    ):
        with pytest.raises(UnsatisfiableIntentError, match=reason):
            build(config(channels=channels), offered, 1, 1)


def test_power_is_never_above_what_was_asked_for() -> None:
    assert choose_power("r", AntennaConfig(1, "z", 20.1), OFFERED.powers) == 41
    assert choose_power("r", AntennaConfig(1, "z"), OFFERED.powers) == 81
    for power, powers, reason in (
        (5.0, OFFERED.powers, "offers 10.0 to 30.0 dBm"),
        (36.0, OFFERED.powers, "offers 10.0 to 30.0 dBm"),
        (20.0, {}, "set its region first"),
    ):
        with pytest.raises(UnsatisfiableIntentError, match=reason):
            choose_power("r", AntennaConfig(1, "z", power), powers)


def test_a_mode_is_chosen_from_what_there_is() -> None:
    assert choose_mode(()) is None
    assert choose_mode((RfMode(0, 0, 640_000, 0), RfMode(3, 3, 170_600, 0))) == RfMode(3, 3, 170_600, 0)


def test_an_antenna_that_the_reader_does_not_have_is_refused() -> None:
    with pytest.raises(UnsatisfiableIntentError, match="antenna port 2 does not exist, the reader has 1"):
        build(config(), msgspec.structs.replace(OFFERED, antennas=1), 1, 1)


@pytest.mark.parametrize(
    "request_",
    [
        messages.get_capabilities(),
        messages.set_reader_config(10_000, True),
        messages.set_reader_config(10_000, False),
        messages.set_output(2, True),
        messages.get_antennas(),
        messages.rospec_command(Message.DELETE_ROSPEC, 0),
        messages.rospec_command(Message.START_ROSPEC, 1),
        messages.enable_impinj_extensions(),
        messages.get_supported_version(),
        messages.set_protocol_version(2),
        messages.enable_events_and_reports(),
        messages.get_report(),
        messages.close_connection(),
    ],
    ids=lambda request: Message(request.type).name,
)
def test_every_request_is_sound(request_: messages.Request) -> None:
    (description,) = describe(request_.encode(9, 1))
    assert (description["type"], description["id"], description["error"]) == (request_.type, 9, None)


def test_what_the_library_lacks_is_encoded_by_the_standard() -> None:
    assert messages.set_reader_config(10_000, True).body.endswith(tlv(226, b"\x80"))
    assert messages.set_output(2, True).body == b"\0" + tlv(219, b"\0\2\x80")


@pytest.mark.parametrize("body", [b"", b"\1", tlv(287, b"\0\0\0\0"), tlv(287, b"\0\0\0\0") + tlv(137, b"\0\1")])
def test_what_the_library_raises_is_contained(body: bytes) -> None:
    with pytest.raises(DamagedMessageError):
        messages.capabilities(Frame(11, 1, 1, body))


def test_a_refusal_names_the_field() -> None:
    inner = tlv(289, struct.pack("!HH", 224, 201) + tlv(288, struct.pack("!HH", 2, 301)))
    told = status(tlv(287, struct.pack("!HH", 100, 4) + b"oops" + inner))
    assert str(told) == "M_ParameterError: P_FieldError in RFTransmitter > A_OutOfRange in field 2: oops"


def test_describe_tells_what_is_in_the_bytes() -> None:
    data = (
        notification(tlv(256, b"\0\0"))
        + report(tag(), tag(antenna=None, extra=impinj(-5_533, 77)), message_id=42)
        + KEEPALIVE
        + message(30, tlv(287, struct.pack("!HH", 109, 2) + b"no"))
        + message(999)
        + report(tag(), tlv(240, b"\x8d" + EPC[:3]))
        + KEEPALIVE[:7]
    )
    told = list(describe(data))
    assert [one["name"] for one in told] == [
        "READER_EVENT_NOTIFICATION",
        "RO_ACCESS_REPORT",
        "KEEPALIVE",
        "ADD_ROSPEC_RESPONSE",
        None,
        "RO_ACCESS_REPORT",
        None,
    ]
    assert told[0]["events"] == [{"name": "ConnectionAttemptEvent", "values": {"status": 0}, "utc": 900_000}]
    assert told[1]["id"] == 42
    assert told[1]["tags"] == [
        {
            "epc": "3034257BF7194E4000001A85",
            "antenna": 1,
            "rssi": -55,
            "channel": 3,
            "first_seen": 1_000_000,
            "last_seen": 1_000_500,
            "count": 1,
            **extra,
        }
        for extra in ({}, {"fine_rssi": -55.33, "phase": 77})
    ]
    assert told[3]["status"] == "M_UnsupportedMessage: no"
    assert "not in the standard" in str(told[4]["error"])
    assert len(told[5]["tags"]) == 1  # pyright: ignore[reportArgumentType]
    assert "cut off" in str(told[5]["error"])
    assert "cut off; 7 bytes dropped" in str(told[6]["error"])
    msgspec.json.encode(told)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(kind=st.sampled_from(sorted(Message)), body=st.binary(max_size=120))
def test_describe_never_raises(kind: int, body: bytes) -> None:
    (description,) = describe(message(kind, body))
    assert description["type"] == kind


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    body = b""
    for _ in range(5_000):
        body = tlv(178, body)
    (description,) = describe(message(20, body))
    assert "deep" in str(description["error"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"antennas": []}, "at least one antenna"),
        ({"antennas": [{"port": 1, "zone": "a"}, {"port": 1, "zone": "b"}]}, "listed twice"),
        ({"antennas": [{"port": 0, "zone": "a"}]}, "count from 1"),
        ({"port": 0}, "1 to 65535"),
        ({"keepalive_s": 0}, "1 to 60 seconds"),
        ({"certificate": "x.pem"}, "only used with tls"),
        ({"name": ""}, "needs a name"),
        ({"colour": "red"}, "colour"),
        ({"intent": "gate"}, "gate"),
    ],
)
def test_a_wrong_configuration_is_refused_with_a_reason(change: dict[str, object], reason: str) -> None:
    good = {"name": "r", "host": "h", "intent": "portal", "antennas": [{"port": 1, "zone": "in"}]}
    assert msgspec.convert(good, ReaderConfig).port == 5084
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(good | change, ReaderConfig)


async def test_the_registry_opens_what_is_configured(runtime: VirtualRuntime) -> None:
    assert isinstance(open_driver(config(), runtime), RfidReader)
    with pytest.raises(GatewayError, match="unknown to this version"):
        open_decoder("lidar", b"{}")


def write(path: Path, limit: int = 10_000) -> CaptureWriter:
    writer = CaptureWriter(path, config(), limit)
    writer.write(Moment.CONNECTED, b"", 50, 10)
    writer.write(Moment.RECEIVED, report(tag()) + report(tag())[:9], 60, 20)
    writer.write(Moment.RECEIVED, report(tag(antenna=2))[9:], 70, 30)
    writer.write(Moment.CLOSED, b"", 80, 40)
    return writer


def test_a_capture_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write(path).close()
    assert read_header(path).kind == "rfid"
    assert [(record.moment, record.wall, record.monotonic) for record in records(path)] == [
        (Moment.CONNECTED, 50, 10),
        (Moment.RECEIVED, 60, 20),
        (Moment.RECEIVED, 70, 30),
        (Moment.CLOSED, 80, 40),
    ]
    assert [(chunk.monotonic, [s.read_point for s in chunk.sightings]) for chunk in replay(path)] == [
        (20, ["r/1"]),
        (30, ["r/2"]),
    ]


def test_a_capture_has_a_limit_and_a_cut_off_end_is_no_harm(tmp_path: Path) -> None:
    writer = write(tmp_path / "full", limit=60)
    writer.close()
    assert writer.refused > 0
    assert [record.moment for record in records(tmp_path / "full")] == [Moment.CONNECTED]
    write(tmp_path / "whole").close()
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(data[:-25])
    assert len(list(records(tmp_path / "cut"))) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no capture"),
        (b"hello, this is some text", "is no capture"),
        (b"EVERCAP\x09" + bytes(8), "format 9"),
        (b"EVERCAP\x01\0\0\0\2{]", "damaged header"),
    ],
)
def test_a_file_that_is_no_capture_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(GatewayError, match=reason):
        list(replay(tmp_path / "file"))


def test_a_capture_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(GatewayError, match="exists already"):
        CaptureWriter(tmp_path / "file", config())
    with pytest.raises(GatewayError, match="cannot be read"):
        list(records(tmp_path / "missing"))


def test_our_table_of_the_standard_agrees_with_the_emulators() -> None:
    bits = {"B": 8, "H": 16, "I": 32, "Q": 64, "*": 0}
    counted = {"utf8": "u", "u8v": "u", "u16v": "w", "u32v": "d", "bits": "b"}

    def shape(fields: tuple[Field, ...]) -> tuple[int, str]:
        return sum(field.width for field in fields), "".join(counted.get(field.kind, "") for field in fields)

    for number, definition in PARAMETER_BY_NUMBER.items():
        if number >= FIRST_TLV:
            layout = TLV_LAYOUTS[number][1]
            ours = (
                sum(bits.get(letter, 0) for letter in layout),
                "".join(letter for letter in layout if letter in "uwdb"),
            )
            assert ours == shape(definition.fields), definition.name
    for number, definition in MESSAGE_BY_NUMBER.items():
        layout = MESSAGE_LAYOUTS.get(Message(number), "")
        assert (sum(bits[letter] for letter in layout), "") == shape(definition.fields), definition.name
        assert Message(number).name == definition.name
