"""What a reader tells besides tags: events, and the status of its answers.

Decoded here and not by the library, which fails on the vendor parameters that readers add to their events.
"""

from __future__ import annotations

from typing import cast

import msgspec

from gateway.devices.rfid.parameters import Found, parameter_fields, walk
from gateway.devices.rfid.standard import STATUS_CODES, TLV_LAYOUTS, Parameter

#: Event parameter -> names of its fields in the order of the standard.
_EVENT_FIELDS = {
    247: ("hop_table", "next_channel"),
    248: ("port", "on"),
    249: ("change", "rospec", "preempting_rospec"),
    250: ("percent",),
    251: (),
    252: ("message",),
    253: ("change", "rospec", "spec_index"),
    254: ("change", "rospec", "spec_index"),
    255: ("connected", "antenna"),
    256: ("status",),
    257: (),
    356: ("rospec", "loop_count"),
}

#: ConnectionAttemptEvent status -> meaning, in the words of a person who stands before the reader.
ATTEMPTS = {
    0: "success",
    1: "the reader itself holds a connection that it opened",
    2: "another client is connected to the reader",
    3: "the reader refuses connections for a reason of its own",
    4: "another client tried to connect",
}


class Event(msgspec.Struct, frozen=True):
    """One thing a reader noticed; `utc` or `uptime` is the reader's own time of it in microseconds."""

    name: str
    values: dict[str, int | str]
    utc: int | None = None
    uptime: int | None = None


class Status(msgspec.Struct, frozen=True):
    """LLRPStatus of an answer: `code` 0 is success; `detail` names the field or parameter at fault."""

    code: int
    description: str
    detail: str

    def __str__(self) -> str:
        words = [STATUS_CODES.get(self.code, f"status {self.code}"), self.detail, self.description]
        return ": ".join(word for word in words if word)


def events(body: bytes) -> list[Event]:
    """The events in a READER_EVENT_NOTIFICATION body. Raises DamagedMessageError."""
    found_events: list[tuple[str, dict[str, int | str]]] = []
    utc = uptime = None
    for outer in walk(body, 0, len(body)):
        if outer.type != Parameter.READER_EVENT_NOTIFICATION_DATA:
            continue
        for found in walk(body, outer.start, outer.end):
            if found.type == Parameter.UTC_TIMESTAMP:
                utc = cast(int, parameter_fields(found, body)[0][0])
            elif found.type == Parameter.UPTIME:
                uptime = cast(int, parameter_fields(found, body)[0][0])
            elif found.type in _EVENT_FIELDS:
                found_events.append((TLV_LAYOUTS[found.type][0], _values(found, body)))
            elif found.type == Parameter.CUSTOM:
                vendor, subtype, _ = parameter_fields(found, body)[0]
                found_events.append(("Custom", {"vendor": cast(int, vendor), "subtype": cast(int, subtype)}))
    return [Event(name, values, utc, uptime) for name, values in found_events] or [Event("Timestamp", {}, utc, uptime)]


def _values(found: Found, body: bytes) -> dict[str, int | str]:
    values: dict[str, int | str] = {}
    for name, value in zip(_EVENT_FIELDS[found.type], parameter_fields(found, body)[0], strict=True):
        if isinstance(value, bytes):
            values[name] = value.decode("utf-8", "replace")
        else:
            # Truth values are the top bit of a byte; an antenna event counts 0 and 1.
            values[name] = value >> 7 if name == "on" else value
    return values


def antennas_connected(body: bytes) -> dict[int, bool]:
    """Port -> whether an antenna is plugged in, from GET_READER_CONFIG_RESPONSE. Raises DamagedMessageError."""
    connected: dict[int, bool] = {}
    for found in walk(body, 0, len(body)):
        if found.type == Parameter.ANTENNA_PROPERTIES:
            flags, port, _ = cast("list[int]", parameter_fields(found, body)[0])
            connected[port] = bool(flags & 0x80)
    return connected


def status(body: bytes, start: int = 0) -> Status | None:
    """The LLRPStatus among the parameters of `body[start:]`, None where there is none. Raises DamagedMessageError."""
    for found in walk(body, start, len(body)):
        if found.type == Parameter.LLRP_STATUS:
            (code, text), position = parameter_fields(found, body)
            detail = "; ".join(_faults(body, position, found.end, 0))
            return Status(cast(int, code), cast(bytes, text).decode("utf-8", "replace"), detail)
    return None


def _faults(body: bytes, start: int, end: int, depth: int) -> list[str]:
    lines: list[str] = []
    for found in walk(body, start, end):
        if found.type not in (Parameter.FIELD_ERROR, Parameter.PARAMETER_ERROR):
            continue
        (subject, code), position = parameter_fields(found, body)
        meaning = STATUS_CODES.get(cast(int, code), str(code))
        if found.type == Parameter.FIELD_ERROR:
            lines.append(f"{meaning} in field {subject}")
        else:
            name = TLV_LAYOUTS.get(cast(int, subject), (f"parameter {subject}", ""))[0]
            # The standard nests these as deep as the request; eight levels hold any ROSpec.
            inner = _faults(body, position, found.end, depth + 1) if depth < 8 else []
            lines.append(" > ".join([f"{meaning} in {name}", *inner]))
    return lines
