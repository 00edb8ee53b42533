"""From bytes to sightings: framing, the report decoder, and what damage does to them."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llrp_bytes import EPC, KEEPALIVE, custom, impinj, message, notification, report, tag, tlv
from sllurp.llrp import LLRPMessage

from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.describe import describe
from gateway.devices.rfid.framing import MAX_LENGTH, Frame, Framer
from gateway.devices.rfid.report import ReportDecoder, Tag
from gateway.devices.rfid.stream import ReaderStream
from gateway.observations.sighting import Sighting

quick = settings(max_examples=60, deadline=None, derandomize=True)
CONFIG = ReaderConfig("r", "h", Intent.PORTAL, (AntennaConfig(1, "in"), AntennaConfig(2, "out")))
WALL = 1_800_000_000_000_000


def stream() -> ReaderStream:
    it = ReaderStream(CONFIG)
    it.connected()
    return it


def feed(it: ReaderStream, data: bytes, monotonic: int = 5_000_000) -> list[Sighting]:
    return it.feed(data, WALL + monotonic, monotonic)


def tags_of(*bodies: bytes) -> list[Tag]:
    decoder = ReportDecoder()
    for body in bodies:
        assert decoder.decode(body) is None
    return decoder.take()


def test_a_tag_becomes_a_sighting() -> None:
    it = stream()
    (sighting,) = feed(it, report(tag(antenna=2)))
    assert sighting == Sighting(
        device="r",
        read_point="r/2",
        identifier="3034257BF7194E4000001A85",
        reader_time=WALL + 5_000_000,
        monotonic=5_000_000,
        strength=-5_500,
        channel=3,
        count=1,
    )
    assert it.errors == {}


def test_impinj_gives_hundredths_and_phase() -> None:
    (sighting,) = feed(stream(), report(tag(extra=impinj(-6_123, 4_000))))
    assert (sighting.strength, sighting.phase) == (-6_123, 4_000)


def test_all_parameters_of_the_standard_are_walked() -> None:
    everything = (
        b"\x8e\x00\x01"
        + b"\x8a\x00\x01"
        + b"\x8c\x30\x00"
        + b"\x8b\x12\x34"
        + b"\x93\0\0"
        + b"\x94\0\0"
        + b"\x90\0\0\0\1"
    )
    results = tlv(349, b"\0\0\1\0\2abcd") + custom(77, 1, b"opaque") + tlv(999, b"future")
    ((epc, antenna, rssi, channel, first, last, count, fine, phase, pc),) = tags_of(tag(extra=everything + results))
    assert (epc, antenna, rssi, channel, first, last, count) == (EPC, 1, -55, 3, 1_000_000, 1_000_500, 1)
    assert (fine, phase, pc) == (None, None, 0x3000)


@pytest.mark.parametrize("bits", [16, 62, 64, 80, 128, 198, 496])
def test_epcs_of_every_length(bits: int) -> None:
    epc = bytes(range(1, (bits + 7) // 8 + 1))
    data = tlv(240, tlv(241, struct.pack("!H", bits) + epc) + b"\x81\0\1")
    assert [found[0] for found in tags_of(data, data)] == [epc, epc]


def test_what_the_reader_omits_is_carried_forward_per_rospec() -> None:
    body = (
        tag(rospec=1, antenna=1, rssi=-50, channel=1)
        + tag(rospec=2, antenna=2, rssi=-60, channel=2)
        + tag(rospec=1, antenna=None, rssi=-51, channel=None, first=None, last=None, count=None)
        + tag(rospec=None, antenna=None, rssi=None, channel=None, first=None, last=None, count=None)
        + tag(rospec=2, antenna=None, rssi=None, channel=None, first=None, last=None, count=None)
    )
    found = tags_of(body)
    assert [(antenna, rssi, channel) for _, antenna, rssi, channel, *_ in found] == [
        (1, -50, 1),
        (2, -60, 2),
        (1, -51, 1),
        (1, -51, 1),
        (2, -60, 2),
    ]
    assert [last for *_, last, _, _, _, _ in found] == [1_000_500] * 5


def test_a_new_connection_carries_nothing_over() -> None:
    it = stream()
    feed(it, report(tag(antenna=2)))
    it.disconnected()
    it.connected()
    (sighting,) = feed(it, report(tag(antenna=None, rssi=None, channel=None)))
    assert (sighting.read_point, sighting.strength, sighting.channel) == ("r/0", None, None)


def test_uptime_is_mapped_to_our_time() -> None:
    it = stream()
    data = notification(tlv(256, b"\0\0"))
    feed(it, data.replace(tlv(128, struct.pack("!Q", 900_000)), tlv(129, struct.pack("!Q", 900_000))), 10_000_000)
    (sighting,) = feed(it, report(tag(uptime=True, first=2_900_000, last=2_900_000)), 12_100_000)
    assert sighting.reader_time == WALL + 12_000_000


def test_one_damaged_timestamp_does_not_shift_the_others() -> None:
    it = stream()
    feed(it, report(tag(last=1_000_000)), 5_000_000)
    (wrong,) = feed(it, report(tag(last=1 << 63)), 5_100_000)
    assert wrong.reader_time == WALL + 5_100_000
    (right,) = feed(it, report(tag(last=1_200_000)), 5_300_000)
    assert right.reader_time == WALL + 5_200_000


def test_an_empty_epc_is_counted_and_not_delivered() -> None:
    it = stream()
    assert feed(it, report(tlv(240, tlv(241, b"\0\0")))) == []
    assert it.errors == {"blank_epc": 1}


DAMAGED = [
    pytest.param(tlv(240, b"\x81\0\1"), id="no EPC"),
    pytest.param(tlv(240, b"\x8d" + EPC[:5]), id="EPC cut off"),
    pytest.param(tlv(240, b"\x8d" + EPC + b"\xff\0"), id="unknown TV"),
    pytest.param(tlv(240, b"\x8d" + EPC + b"\0\xdd\0\xc8"), id="inner length too long"),
    pytest.param(tlv(240, b"\x8d" + EPC + b"\0\xdd\0\x02"), id="inner length too short"),
    pytest.param(tlv(240, tlv(241, b"\0\xff" + EPC)), id="EPC longer than its parameter"),
    pytest.param(tlv(240, b"\x8d" + EPC + tlv(1023, b"\0\0")), id="custom without a vendor"),
    pytest.param(b"\0\xf0\x7f\xff\x8d" + EPC, id="outer length too long"),
    pytest.param(b"\0\xf0\0\0\x8d" + EPC, id="outer length zero"),
    pytest.param(b"\0\xf0", id="outer header cut off"),
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damage_in_a_frame_is_one_error_and_neither_its_neighbours_nor_the_next_frame_suffer(damaged: bytes) -> None:
    it = stream()
    found = feed(it, report(tag(antenna=1)) + report(tag(antenna=1), damaged) + report(tag(antenna=2)) + KEEPALIVE)
    assert [sighting.read_point for sighting in found] == ["r/1", "r/1", "r/2"]
    assert it.errors == {"damaged_message": 1}
    assert it.fault is None


def test_tags_behind_a_damaged_one_are_read() -> None:
    it = stream()
    found = feed(it, report(tag(), tlv(240, b"\x81\0\1"), tag(antenna=2)))
    assert [sighting.read_point for sighting in found] == ["r/1", "r/2"]
    assert it.errors == {"damaged_message": 1}


def test_an_event_with_vendor_parameters_is_read() -> None:
    it = stream()
    seen: list[str] = []
    it.on_event = lambda event: seen.append(event.name)
    feed(it, notification(tlv(256, b"\0\0"), custom(25882, 1, b"x"), tlv(255, b"\1\0\2")))
    assert seen == ["ConnectionAttemptEvent", "Custom", "AntennaEvent"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n", "does not speak LLRP"),
        (struct.pack("!HII", 7 << 10 | 61, 20, 1), "version 7"),
        (struct.pack("!HII", 1 << 10 | 61, 9, 1), "length 9"),
        (struct.pack("!HII", 1 << 10 | 61, MAX_LENGTH + 1, 1), f"length {MAX_LENGTH + 1}"),
    ],
)
def test_an_impossible_header_ends_the_stream_once_and_a_new_connection_hears_again(data: bytes, reason: str) -> None:
    it = stream()
    assert len(feed(it, report(tag()) + data)) == 1
    assert it.fault is not None
    assert reason in str(it.fault)
    assert feed(it, report(tag())) == []
    it.disconnected()
    assert (it.errors, it.bytes_dropped) == ({"framing": 1}, len(data))
    it.connected()
    assert len(feed(it, report(tag()))) == 1


def test_a_drop_in_the_middle_of_a_frame_is_counted_once() -> None:
    it = stream()
    feed(it, report(tag()) + report(tag())[:30])
    it.disconnected()
    it.connected()
    assert len(feed(it, report(tag()))) == 1
    assert (it.errors, it.bytes_dropped) == ({"cut_off": 1}, 30)


ANY_TAG = st.builds(
    tag,
    epc=st.sampled_from([EPC, bytes(12), bytes(range(16)), b"\1\2"]),
    antenna=st.none() | st.integers(1, 4),
    rssi=st.none() | st.integers(-90, -20),
    channel=st.none() | st.integers(1, 50),
    first=st.none() | st.integers(0, 1 << 50),
    last=st.none() | st.integers(1_000_000, 2_000_000),
    count=st.none() | st.integers(0, 9),
    rospec=st.none() | st.integers(1, 3),
    extra=st.sampled_from([b"", impinj(), custom(1, 2, b"xyz"), b"\x8c\x30\x00"]),
)
ANY_REPORT = st.lists(ANY_TAG, max_size=5).map(lambda tags: report(*tags))
ANY_FRAME = ANY_REPORT | st.just(KEEPALIVE) | st.just(notification(tlv(248, b"\0\1\x80"))) | st.just(message(999, b"?"))


@quick
@given(frames=st.lists(ANY_FRAME, max_size=8), cuts=st.lists(st.integers(0, 2_000), max_size=20))
def test_any_chunking_gives_the_same_sightings(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    whole, parts = stream(), stream()
    expected = [feed(whole, frame) for frame in frames]
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    found = [sighting for start, end in pairwise(edges) for sighting in feed(parts, data[start:end])]
    assert [s.identifier for s in found] == [s.identifier for batch in expected for s in batch]
    flat = [s for batch in expected for s in batch]
    assert [(s.read_point, s.strength, s.channel, s.count) for s in found] == [
        (s.read_point, s.strength, s.channel, s.count) for s in flat
    ]
    assert parts.errors == whole.errors


@quick
@given(frames=st.lists(ANY_REPORT, min_size=1, max_size=4))
def test_the_fast_path_and_the_walker_agree(frames: list[bytes]) -> None:
    warm, fast = ReportDecoder(), ReportDecoder()
    collected: list[Frame] = []
    Framer(collected.append).feed(b"".join(frames))
    for frame in collected:
        assert warm.decode(frame.body) is None
    framer = Framer(lambda frame: fast.decode(frame.body, frame.version) and None, fast.shortcut)
    framer.feed(b"".join(frames))
    assert fast.take() == warm.take()


@quick
@given(
    body=st.lists(ANY_TAG, min_size=1, max_size=3).map(b"".join),
    at=st.integers(0, 10_000),
    change=st.integers(1, 255),
    cut=st.booleans(),
)
def test_any_flip_or_truncation_in_a_body_is_at_most_one_error_and_the_next_frame_decodes(
    body: bytes, at: int, change: int, cut: bool
) -> None:
    at %= len(body)
    hurt = body[:at] if cut else body[:at] + bytes([body[at] ^ change]) + body[at + 1 :]
    it = stream()
    feed(it, message(61, hurt))
    found = feed(it, report(tag(antenna=2, rssi=-33)))
    assert it.errors["damaged_message"] <= 1
    assert [(s.read_point, s.identifier, s.strength) for s in found] == [("r/2", EPC.hex().upper(), -3_300)]


@quick
@given(data=st.binary(max_size=400) | st.binary(max_size=200).map(lambda body: message(61, body) + message(63, body)))
def test_no_bytes_whatever_raise(data: bytes) -> None:
    feed(stream(), data)
    for description in describe(data):
        assert {"type", "name", "id", "tags", "events", "error"} <= description.keys()


@quick
@given(tags=st.lists(ANY_TAG, min_size=1, max_size=4))
def test_an_independent_decoder_reads_the_same(tags: list[bytes]) -> None:
    data = report(*tags)
    theirs = LLRPMessage(msgbytes=data).msgdict["RO_ACCESS_REPORT"]["TagReportData"]
    decoder = ReportDecoder()
    decoder.decode(data[10:])
    for mine, other in zip(decoder.take(), theirs, strict=True):
        assert mine[0].hex().encode() == other["EPC"]
        names = (
            "AntennaID",
            "PeakRSSI",
            "ChannelIndex",
            "FirstSeenTimestampUTC",
            "LastSeenTimestampUTC",
            "TagSeenCount",
        )
        for value, name in zip(mine[1:7], names, strict=True):
            assert name not in other or other[name] == value
        assert (mine[7], mine[8]) == (other.get("ImpinjPeakRSSI"), other.get("ImpinjRFPhaseAngle"))


def test_memory_for_layouts_is_bounded() -> None:
    decoder = ReportDecoder()
    for length in range(2, 1_500):
        decoder.decode(tag(epc=bytes(length)))
    assert len(decoder._layouts) <= 256  # pyright: ignore[reportPrivateUsage]
