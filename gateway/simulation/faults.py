"""What goes wrong with readers in the field, on command: for tests, drills and demonstrations."""

from __future__ import annotations

import asyncio

from gateway.simulation.llrp.codec import HEADER, encode_message, make
from gateway.simulation.reader import EmulatedReader

#: A message number that the standard leaves unused.
_UNKNOWN_MESSAGE = 999
#: A tag report whose second parameter claims more bytes than the report has: AntennaProperties, TLV 221, 200 bytes long.
_DAMAGED = b"\x00\xf0\x00\x15\x8d" + bytes(12) + b"\x00\xdd\x00\xc8"


def drop_mid_frame(reader: EmulatedReader) -> None:
    """The next message ends half-way and with it the connection."""
    if reader.client is not None:
        reader.client.cut_next = True


def pull_cable(reader: EmulatedReader) -> None:
    """Nothing comes and nothing goes, yet no connection ends; new ones get no greeting."""
    _set_silent(reader, True)


def plug_cable(reader: EmulatedReader) -> None:
    """Undo `pull_cable`; connections that still stand go on."""
    _set_silent(reader, False)


def _set_silent(reader: EmulatedReader, silent: bool) -> None:
    reader.silent = silent
    for connection in reader.connections:
        connection.silent = silent


async def restart(reader: EmulatedReader, down_s: float) -> None:
    """Power off, wait, power on: connections break, settings and ROSpecs are lost."""
    await reader.stop()
    await asyncio.sleep(down_s)
    await reader.start()


def damaged_parameter(reader: EmulatedReader) -> None:
    """One tag report whose frame is whole and whose content is not."""
    if reader.client is not None:
        reader.client.send_report(_DAMAGED)


def unknown_message(reader: EmulatedReader) -> None:
    """One well-framed message of a type that no client knows."""
    _send(reader, HEADER.pack(1 << 10 | _UNKNOWN_MESSAGE, HEADER.size + 3, 1) + b"abc")


def impossible_length(reader: EmulatedReader) -> None:
    """One header that claims fewer bytes than a header has."""
    _send(reader, HEADER.pack(1 << 10 | 62, 4, 1))


def impossible_version(reader: EmulatedReader) -> None:
    """One keepalive of protocol version 7."""
    _send(reader, encode_message(make("KEEPALIVE"), 1, 7))


def step_clock(reader: EmulatedReader, seconds: float) -> None:
    """The reader's clock jumps, as when its time service corrects it."""
    reader.clock_skew_us += round(seconds * 1_000_000)


def _send(reader: EmulatedReader, frame: bytes) -> None:
    if reader.client is not None:
        reader.client.send_frame(frame)
