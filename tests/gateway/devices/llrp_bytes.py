"""LLRP messages written out by hand from the standard's tables, independent of the product's own codec."""

from __future__ import annotations

import struct

EPC = bytes.fromhex("3034257BF7194E4000001A85")


def message(kind: int, body: bytes = b"", message_id: int = 1, version: int = 1) -> bytes:
    """Header: reserved and version bits, type; length; id."""
    return struct.pack("!HII", version << 10 | kind, 10 + len(body), message_id) + body


def tlv(kind: int, body: bytes = b"") -> bytes:
    """Parameter with a length."""
    return struct.pack("!HH", kind, 4 + len(body)) + body


def custom(vendor: int, subtype: int, body: bytes = b"") -> bytes:
    """Vendor parameter."""
    return tlv(1023, struct.pack("!II", vendor, subtype) + body)


def tag(
    epc: bytes = EPC,
    antenna: int | None = 1,
    rssi: int | None = -55,
    channel: int | None = 3,
    first: int | None = 1_000_000,
    last: int | None = 1_000_500,
    count: int | None = 1,
    rospec: int | None = 1,
    extra: bytes = b"",
    uptime: bool = False,
) -> bytes:
    """TagReportData with its parameters in the order of the standard."""
    body = b"\x8d" + epc if len(epc) == 12 else tlv(241, struct.pack("!H", len(epc) * 8) + epc)
    for kind, letter, value in (
        (9, "I", rospec),
        (1, "H", antenna),
        (6, "b", rssi),
        (7, "H", channel),
        (3 if uptime else 2, "Q", first),
        (5 if uptime else 4, "Q", last),
        (8, "H", count),
    ):
        if value is not None:
            body += struct.pack(f"!B{letter}", 0x80 | kind, value)
    return tlv(240, body + extra)


def impinj(rssi: int = -5_533, phase: int = 77) -> bytes:
    """Impinj's phase, RSSI in hundredths and Doppler parameters."""
    return (
        custom(25882, 56, struct.pack("!H", phase))
        + custom(25882, 57, struct.pack("!h", rssi))
        + custom(25882, 68, struct.pack("!h", -16))
    )


def report(*tags: bytes, message_id: int = 1, version: int = 1) -> bytes:
    """RO_ACCESS_REPORT."""
    return message(61, b"".join(tags), message_id, version)


def notification(*events: bytes, utc: int = 900_000) -> bytes:
    """READER_EVENT_NOTIFICATION with a UTC timestamp."""
    return message(63, tlv(246, tlv(128, struct.pack("!Q", utc)) + b"".join(events)))


KEEPALIVE = message(62)
