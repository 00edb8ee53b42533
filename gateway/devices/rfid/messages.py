"""Control messages: the one module that touches sllurp, and what sllurp cannot encode.

sllurp's codec raises what it likes on what it does not expect; nothing of that leaves this module.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple, cast

from sllurp.llrp import LLRPMessage  # pyright: ignore[reportMissingTypeStubs]

from gateway.devices.rfid.capabilities import Capabilities, RfMode
from gateway.devices.rfid.errors import DamagedMessageError
from gateway.devices.rfid.framing import HEADER, Frame
from gateway.devices.rfid.parameters import TLV_HEADER
from gateway.devices.rfid.standard import IMPINJ, Message, Parameter

# Its warnings repeat what we count, and its tracebacks are of no use to anybody here.
logging.getLogger("sllurp").addHandler(logging.NullHandler())
logging.getLogger("sllurp").propagate = False

#: Events that a reader is asked to tell; hopping and RF survey events are many and tell nothing that is used.
_EVENTS = {
    "HoppingEvent": False,
    "GPIEvent": True,
    "ROSpecEvent": True,
    "ReportBufferFillWarning": True,
    "ReaderExceptionEvent": True,
    "RFSurveyEvent": False,
    "AISpecEvent": False,
    "AISpecEventWithSingulation": False,
    "AntennaEvent": True,
}

_GPO = Struct("!HHHB")
_GET_CONFIG = Struct("!HBHH")
_EVENTS_AND_REPORTS = Struct("!HHB")
_Tree = Mapping[str, object]


class Request(NamedTuple):
    """A message to the reader: its type, the bytes after its header, and the type of the answer (None: no answer)."""

    type: int
    body: bytes
    answer: int | None

    def encode(self, message_id: int, version: int) -> bytes:
        """The whole message."""
        return HEADER.pack(version << 10 | self.type, HEADER.size + len(self.body), message_id) + self.body


def get_capabilities() -> Request:
    """Ask for everything the reader can do."""
    return _encode(Message.GET_READER_CAPABILITIES, {"RequestedData": 0}, Message.GET_READER_CAPABILITIES_RESPONSE)


def set_reader_config(keepalive_ms: int, hold: bool) -> Request:
    """Ask for keepalives and events and, where the reader `hold`s, to keep reports after a reconnect until told."""
    fields = {
        "ResetToFactoryDefaults": False,
        "ReaderEventNotificationSpec": {"EventNotificationState": _EVENTS},
        "KeepaliveSpec": {"KeepaliveTriggerType": 1, "TimeInterval": keepalive_ms},
    }
    request = _encode(Message.SET_READER_CONFIG, fields, Message.SET_READER_CONFIG_RESPONSE)
    if not hold:
        return request
    holding = _EVENTS_AND_REPORTS.pack(Parameter.EVENTS_AND_REPORTS, _EVENTS_AND_REPORTS.size, 0x80)
    return request._replace(body=request.body + holding)


def get_antennas() -> Request:
    """Ask which antennas are plugged in (sllurp puts the fields of this message into the wrong order)."""
    body = _GET_CONFIG.pack(0, 2, 0, 0)
    return Request(Message.GET_READER_CONFIG, body, Message.GET_READER_CONFIG_RESPONSE)


def set_output(port: int, on: bool) -> Request:
    """Switch a general purpose output, such as a stack light."""
    write = _GPO.pack(Parameter.GPO_WRITE_DATA, _GPO.size, port, 0x80 if on else 0)
    return Request(Message.SET_READER_CONFIG, b"\0" + write, Message.SET_READER_CONFIG_RESPONSE)


def add_rospec(rospec: _Tree) -> Request:
    """Give the reader a ROSpec, in the shape of `rospec.build`."""
    return _encode(Message.ADD_ROSPEC, {"ROSpec": rospec}, Message.ADD_ROSPEC_RESPONSE)


def rospec_command(kind: Message, rospec_id: int) -> Request:
    """DELETE_, ENABLE_, START_ and so on; id 0 means all ROSpecs. The answer's type is ten more in the standard."""
    return _encode(kind, {"ROSpecID": rospec_id}, Message(kind + 10))


def enable_impinj_extensions() -> Request:
    """Allow the vendor's parameters: phase, RSSI in hundredths, search mode."""
    custom = Struct("!IBI").pack(IMPINJ, 21, 0)
    return Request(Message.CUSTOM_MESSAGE, custom, Message.CUSTOM_MESSAGE)


def get_supported_version() -> Request:
    """Ask which versions the reader speaks; itself a message of LLRP 1.1."""
    return Request(Message.GET_SUPPORTED_VERSION, b"", Message.GET_SUPPORTED_VERSION_RESPONSE)


def set_protocol_version(version: int) -> Request:
    """Speak `version` from the next message on."""
    return Request(Message.SET_PROTOCOL_VERSION, bytes([version]), Message.SET_PROTOCOL_VERSION_RESPONSE)


def enable_events_and_reports() -> Request:
    """Release what the reader held back since the connection was lost."""
    return Request(Message.ENABLE_EVENTS_AND_REPORTS, b"", None)


def get_report() -> Request:
    """Ask for what the reader has gathered; it comes as a report."""
    return Request(Message.GET_REPORT, b"", None)


def close_connection() -> Request:
    """Say goodbye, so that the reader takes the next client at once."""
    return Request(Message.CLOSE_CONNECTION, b"", Message.CLOSE_CONNECTION_RESPONSE)


def _encode(kind: Message, fields: _Tree, answer: Message) -> Request:
    try:
        whole = cast(bytes, LLRPMessage(msgdict={kind.name: fields}).msgbytes)  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:
        raise DamagedMessageError(f"{kind.name} cannot be encoded: {error}") from error
    return Request(kind, whole[HEADER.size :], answer)


def _decode(frame: Frame) -> _Tree:
    """The library's tree of one message. Raises DamagedMessageError for whatever it raises."""
    head = HEADER.pack(frame.version << 10 | frame.type, HEADER.size + len(frame.body), frame.id)
    try:
        tree = cast("dict[str, _Tree]", LLRPMessage(msgbytes=head + frame.body).msgdict)  # pyright: ignore[reportUnknownMemberType]
        return next(iter(tree.values()))
    except Exception as error:
        raise DamagedMessageError(f"message type {frame.type} cannot be decoded: {error}") from error


def supported_version(frame: Frame) -> int:
    """The highest version that GET_SUPPORTED_VERSION_RESPONSE offers. Raises DamagedMessageError."""
    if len(frame.body) < 2:
        raise DamagedMessageError("GET_SUPPORTED_VERSION_RESPONSE is cut off")
    return frame.body[1]


def status_start(kind: int) -> int:
    """Bytes before the parameters of an answer."""
    if kind == Message.GET_SUPPORTED_VERSION_RESPONSE:
        return 2
    return TLV_HEADER.size + 1 if kind == Message.CUSTOM_MESSAGE else 0


def capabilities(frame: Frame) -> Capabilities:
    """What GET_READER_CAPABILITIES_RESPONSE says. Raises DamagedMessageError when a part is missing or impossible."""
    tree = _decode(frame)
    general = _tree(tree, "GeneralDeviceCapabilities")
    llrp = _tree(tree, "LLRPCapabilities")
    gpio = _tree(general, "GPIOCapabilities")
    band = _tree(_tree(tree, "RegulatoryCapabilities"), "UHFBandCapabilities")
    frequency = _tree(band, "FrequencyInformation")
    fixed = _tree(frequency, "FixedFrequencyTable")
    try:
        return Capabilities(
            manufacturer=_int(general, "DeviceManufacturerName"),
            model=_int(general, "ModelName"),
            firmware=cast(bytes, general["ReaderFirmwareVersion"]).decode("utf-8", "replace").strip("\0 "),
            antennas=_int(general, "MaxNumberOfAntennaSupported"),
            gpos=_int(gpio, "NumGPOs") if gpio else 0,
            can_hold_reports=bool(llrp.get("SupportsEventAndReportHolding")),
            powers={
                _signed(_int(row, "TransmitPowerValue")): _int(row, "Index")
                for row in _trees(band, "TransmitPowerLevelTableEntry")
            },
            hopping=bool(frequency.get("Hopping")),
            hop_tables=tuple(_int(row, "HopTableId") for row in _trees(frequency, "FrequencyHopTable")),
            channels=tuple(cast("list[int]", fixed.get("Frequency", []))),
            modes=tuple(
                RfMode(_int(row, "ModeIdentifier"), _int(row, "Mod"), _int(row, "BDR"), _int(row, "MinTari"))
                for row in _trees(_tree(band, "UHFC1G2RFModeTable"), "UHFC1G2RFModeTableEntry")
            ),
        )
    except KeyError as error:
        raise DamagedMessageError(f"the reader's capabilities lack {error}") from None


def _tree(parent: _Tree, name: str) -> _Tree:
    value = parent.get(name, {})
    return cast(_Tree, value) if isinstance(value, Mapping) else {}


def _trees(parent: _Tree, name: str) -> list[_Tree]:
    value = parent.get(name, [])
    return cast("list[_Tree]", value) if isinstance(value, list) else []


def _int(parent: _Tree, name: str) -> int:
    return int(cast(int, parent[name]))


def _signed(value: int) -> int:
    """Transmit power is a signed field of the standard that the library reads as unsigned."""
    return value - 0x10000 if value >= 0x8000 else value
