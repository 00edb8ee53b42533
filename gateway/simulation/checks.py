"""Whether settings and ROSpecs fit the reader: each fault named with the parameter and field at fault."""

from __future__ import annotations

from typing import Final

from gateway.simulation import impinj
from gateway.simulation.llrp.codec import Element
from gateway.simulation.llrp.grammar import PARAMETERS
from gateway.simulation.llrp.status import RequestError, StatusCode
from gateway.simulation.profile import MODES, ReaderProfile
from gateway.simulation.state import TIMED_TRIGGERS

#: AirProtocols value of EPCglobal Class 1 Gen 2 (LLRP 1.0.1 section 10.2.1.2.2).
_C1G2: Final = 1
#: Highest value of each trigger type field (LLRP 1.0.1 sections 11.2.2 to 11.2.4).
_LAST_START, _LAST_STOP, _LAST_AI_STOP = 3, 2, 3


def _fault(element: Element, field: str, text: str, code: StatusCode = StatusCode.A_OUT_OF_RANGE) -> RequestError:
    definition = PARAMETERS[element.name]
    index = next(number for number, item in enumerate(definition.fields) if item.name == field)
    return RequestError(code, f"{element.name}.{field}: {text}", (definition.number,), index)


def check_antenna(profile: ReaderProfile, antenna: int) -> None:
    """An AntennaID of a request's own field (the first field of the messages that have one)."""
    if antenna > profile.antennas:
        text = f"there is no antenna {antenna}; this reader has {profile.antennas}"
        raise RequestError(StatusCode.A_OUT_OF_RANGE, text, (), 0)


def check_antenna_settings(profile: ReaderProfile, setting: Element) -> None:
    """AntennaConfiguration against the reader's tables. Raises RequestError."""
    if setting.integer("AntennaID") > profile.antennas:
        raise _fault(setting, "AntennaID", f"this reader has {profile.antennas} antennas")
    number = PARAMETERS[setting.name].number
    try:
        for child in setting.children:
            _check_antenna_part(profile, child)
    except RequestError as refused:
        raise refused.inside(number) from None


def _check_antenna_part(profile: ReaderProfile, part: Element) -> None:
    if part.name == "RFTransmitter":
        power, channel = part.integer("TransmitPower"), part.integer("ChannelIndex")
        if power > profile.power_levels:
            raise _fault(part, "TransmitPower", f"{power} is not in the table 1 to {profile.power_levels}")
        if channel > len(profile.channels):
            raise _fault(part, "ChannelIndex", f"{channel} is not in the table 1 to {len(profile.channels)}")
        if part.integer("HopTableID") > 1:
            raise _fault(part, "HopTableID", "the only table is 1")
    elif part.name == "RFReceiver" and part.integer("ReceiverSensitivity") > 1:
        raise _fault(part, "ReceiverSensitivity", "the only entry is 1")
    elif part.name == "C1G2InventoryCommand":
        try:
            _check_inventory_command(profile, part)
        except RequestError as refused:
            raise refused.inside(PARAMETERS[part.name].number) from None


def _check_inventory_command(profile: ReaderProfile, command: Element) -> None:
    control = command.find("C1G2RFControl")
    modes = [mode[0] for mode in MODES]
    if control and control.integer("ModeIndex") not in modes:
        raise _fault(control, "ModeIndex", f"the modes are {', '.join(map(str, modes))}")
    _check_extensions(profile, command)
    if command.find("C1G2Filter"):
        text = "this reader inventories all tags; it has no select filters"
        raise RequestError(StatusCode.P_UNSUPPORTED_PARAMETER, text, (PARAMETERS["C1G2Filter"].number,))
    if command.integer("TagInventoryStateAware"):
        raise RequestError(StatusCode.P_UNSUPPORTED_PARAMETER, "this reader does not do state-aware inventory", (), 0)


def check_report_spec(profile: ReaderProfile, spec: Element) -> None:
    """ROReportSpec: a trigger that exists, and only extensions of the reader's vendor."""
    if spec.integer("ROReportTrigger") > max(TIMED_TRIGGERS):
        raise _fault(spec, "ROReportTrigger", "the triggers are 0 to 6")
    try:
        _check_extensions(profile, spec)
        impinj.wanted(spec)
    except RequestError as refused:
        raise refused.inside(PARAMETERS[spec.name].number) from None


def _check_extensions(profile: ReaderProfile, element: Element) -> None:
    for custom in element.all("Custom"):
        if profile.vendor != "impinj" or not impinj.understood(custom):
            vendor, kind = custom.integer("VendorIdentifier"), custom.integer("ParameterSubtype")
            text = f"this reader knows no parameter {kind} of vendor {vendor}"
            raise RequestError(StatusCode.P_UNSUPPORTED_PARAMETER, text, (PARAMETERS[custom.name].number,))


def check_rospec(profile: ReaderProfile, spec: Element) -> None:
    """A ROSpec as it is added: new ones are disabled and must fit the reader. Raises RequestError."""
    if spec.integer("ROSpecID") == 0:
        raise _fault(spec, "ROSpecID", "0 is reserved", StatusCode.A_INVALID)
    if spec.integer("Priority") > 1:
        raise _fault(spec, "Priority", "this reader has the priorities 0 and 1")
    if spec.integer("CurrentState"):
        raise _fault(spec, "CurrentState", "a new ROSpec must be disabled", StatusCode.A_INVALID)
    number = PARAMETERS[spec.name].number
    try:
        for child in spec.children:
            if child.name == "ROBoundarySpec":
                _check_boundary(child)
            elif child.name == "ROReportSpec":
                check_report_spec(profile, child)
            elif child.name == "AISpec":
                _check_ai_spec(profile, child)
            else:
                text = f"this reader does not do {child.name}"
                raise RequestError(StatusCode.P_UNSUPPORTED_PARAMETER, text, (PARAMETERS[child.name].number,))
    except RequestError as refused:
        raise refused.inside(number) from None


def _check_boundary(boundary: Element) -> None:
    for name, field, last in (
        ("ROSpecStartTrigger", "ROSpecStartTriggerType", _LAST_START),
        ("ROSpecStopTrigger", "ROSpecStopTriggerType", _LAST_STOP),
    ):
        trigger = boundary.find(name)
        if trigger and trigger.integer(field) > last:
            raise _fault(trigger, field, f"the types are 0 to {last}").inside(PARAMETERS[boundary.name].number)


def _check_ai_spec(profile: ReaderProfile, spec: Element) -> None:
    number = PARAMETERS[spec.name].number
    for antenna in spec.numbers("AntennaIDs"):
        if antenna > profile.antennas:
            raise _fault(spec, "AntennaIDs", f"there is no antenna {antenna}; this reader has {profile.antennas}")
    trigger = spec.find("AISpecStopTrigger")
    if trigger and trigger.integer("AISpecStopTriggerType") > _LAST_AI_STOP:
        text = f"the types are 0 to {_LAST_AI_STOP}"
        raise _fault(trigger, "AISpecStopTriggerType", text).inside(number)
    for inventory in spec.all("InventoryParameterSpec"):
        if inventory.integer("ProtocolID") != _C1G2:
            raise _fault(inventory, "ProtocolID", "this reader speaks 1, EPC Gen 2").inside(number)
        try:
            for setting in inventory.all("AntennaConfiguration"):
                check_antenna_settings(profile, setting)
        except RequestError as refused:
            raise refused.inside(PARAMETERS[inventory.name].number).inside(number) from None
