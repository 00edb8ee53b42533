"""Tells a person what is in recorded LLRP bytes, with the code that the daemon runs on them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.devices.rfid.errors import DamagedMessageError
from gateway.devices.rfid.events import events, status
from gateway.devices.rfid.framing import Frame, Framer
from gateway.devices.rfid.messages import status_start
from gateway.devices.rfid.parameters import check, fields
from gateway.devices.rfid.report import ReportDecoder, Tag
from gateway.devices.rfid.standard import MESSAGE_LAYOUTS, Message

Description = dict[str, object]


def describe(data: bytes) -> Iterator[Description]:
    """One description per message in `data`, in order; never raises, whatever the bytes are.

    Keys: type, name (None outside the standard), id, version, tags, events, status (of an answer, None where it has
    none), error. A tag: epc as upper-case hex, antenna, rssi in dBm as reported, channel, first_seen and last_seen in the
    reader's microseconds, count, phase in 1/4096 of a turn, pc; what the reader left out because it had not changed is
    carried forward, as the standard means it. Bytes that are no message give a last description with type None.
    """
    frames: list[Frame] = []
    framer = Framer(frames.append)
    framer.feed(data)
    decoder = ReportDecoder()
    for frame in frames:
        yield _message(frame, decoder)
    if framer.fault is not None:
        yield _nothing(str(framer.fault))
    elif framer.pending:
        yield _nothing(f"the last message is cut off; {framer.pending} bytes dropped")


def _nothing(error: str) -> Description:
    return {
        "type": None,
        "name": None,
        "id": None,
        "version": None,
        "tags": [],
        "events": [],
        "status": None,
        "error": error,
    }


def _message(frame: Frame, decoder: ReportDecoder) -> Description:
    described = _nothing("") | {"type": frame.type, "id": frame.id, "version": frame.version, "error": None}
    try:
        kind = Message(frame.type)
    except ValueError:
        return described | {"error": f"message type {frame.type} is not in the standard"}
    described["name"] = kind.name
    if kind is Message.RO_ACCESS_REPORT:
        described["error"] = decoder.decode(frame.body, frame.version)
        described["tags"] = [_tag(tag, decoder.uptime) for tag in decoder.take()]
        return described
    body = frame.body
    try:
        start = fields(MESSAGE_LAYOUTS.get(kind, ""), body, 0, len(body))[1]
        check(body, start, len(body))
        if kind is Message.READER_EVENT_NOTIFICATION:
            described["events"] = [
                {name: value for name, value in msgspec.to_builtins(event).items() if value is not None}
                for event in events(body)
            ]
        elif kind is not Message.CUSTOM_MESSAGE:
            told = status(body, max(start, status_start(kind)))
            described["status"] = str(told) if told is not None else None
    except DamagedMessageError as error:
        described["error"] = str(error)
    return described


def _tag(tag: Tag, uptime: bool) -> Description:
    epc, antenna, rssi, channel, first, last, count, fine, phase, pc = tag
    described: Description = {
        "epc": epc.hex().upper(),
        "antenna": antenna,
        "rssi": rssi if rssi is not None or fine is None else fine / 100,
        "channel": channel,
        "first_seen": first,
        "last_seen": last,
        "count": count,
    }
    if fine is not None:
        described["fine_rssi"] = fine / 100
    if phase is not None:
        described["phase"] = phase
    if pc is not None:
        described["pc"] = f"{pc:04X}"
    if uptime:
        described["clock"] = "uptime"
    return described
