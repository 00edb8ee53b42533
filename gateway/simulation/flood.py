"""Reads at a chosen rate, cheaper than a scene: for measuring what a gateway can take."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.simulation.llrp.codec import HEADER
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.tagreport import EVERYTHING, Batch, Sighted, TagReportEncoder, selection_of
from runtime import Runtime

#: Seconds between two bursts.
_BURST_S: Final = 0.02
#: Stand-ins for the two times in an encoded report, found again by their bytes.
_FIRST, _LAST = 0x1111_2222_3333_4444, 0x5555_6666_7777_8888
_TIME: Final = struct.Struct(">Q")
_ID: Final = struct.Struct(">I")
#: Where the message id stands in a frame.
_ID_AT: Final = 6
#: Strengths that the reads walk through, centi-dBm.
_STRENGTHS: Final = (-4_500, -5_200, -5_900, -6_300, -5_700, -4_900)


class Flooded(NamedTuple):
    """What a flood did: reads sent, and reads given up because the client took no more bytes."""

    sent: int
    refused: int
    epcs: int


class _Frame(NamedTuple):
    data: bytearray
    times: tuple[int, ...]
    tags: int


async def flood(
    reader: EmulatedReader,
    runtime: Runtime,
    epcs: Sequence[str],
    reads_per_s: float,
    seconds: float,
    tags_per_report: int = 1,
) -> Flooded:
    """Send reads of `epcs` in turn, over the reader's antennas in turn, from encoded frames whose times are renewed.

    Needs a connected client; what its ROSpec selects is what it gets. Reads that fall due while the client does not
    take bytes are counted as refused, never queued.
    """
    frames = _encode(reader, epcs, tags_per_report)
    started = runtime.monotonic()
    due = sent = refused = at = 0
    message = 1 << 30
    while (elapsed := (runtime.monotonic() - started) / 1_000_000) < seconds:
        goal = int(reads_per_s * elapsed)
        client, now = reader.client, reader.clock()
        if client is None or client.paused or not client.open:
            refused += goal - due
            due = goal
        burst: list[bytes] = []
        while due < goal:
            frame = frames[at]
            at = (at + 1) % len(frames)
            for offset in frame.times:
                _TIME.pack_into(frame.data, offset, now)
            _ID.pack_into(frame.data, _ID_AT, message)
            message += 1
            burst.append(bytes(frame.data))
            due += frame.tags
            sent += frame.tags
        if client is not None and burst:
            client.send_burst(burst)
        await asyncio.sleep(_BURST_S)
    return Flooded(sent, refused, min(len(epcs), sent))


def _encode(reader: EmulatedReader, epcs: Sequence[str], tags_per_report: int) -> list[_Frame]:
    active = reader.state.active
    selection = selection_of(active.spec.find("ROReportSpec")) if active else EVERYTHING
    encoder = TagReportEncoder(reader.profile.utc_clock, omit_unchanged=False)
    ports = range(reader.profile.antennas)
    frames: list[_Frame] = []
    for start in range(0, len(epcs), tags_per_report):
        tags = tuple(
            Sighted(epc, ports[number % len(ports)] + 1, 1, _STRENGTHS[number % len(_STRENGTHS)], _FIRST, _LAST, 1)
            for number, epc in enumerate(epcs[start : start + tags_per_report], start)
        )
        content = encoder.encode(Batch(active.id if active else 1, 1, 1, selection, tags))
        data = bytearray(HEADER.pack(1 << 10 | 61, HEADER.size + len(content), 0) + content)
        frames.append(_Frame(data, tuple(_find_all(data, _FIRST) + _find_all(data, _LAST)), len(tags)))
    return frames


def _find_all(data: bytearray, value: int) -> list[int]:
    mark, found, at = _TIME.pack(value), list[int](), -1
    while (at := data.find(mark, at + 1)) >= 0:
        found.append(at)
    return found
