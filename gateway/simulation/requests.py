"""What a reader answers to each request: the semantics of LLRP, without I/O.

`answer` changes the `ReaderState` and returns the response's body, or raises RequestError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.simulation import profile as capabilities
from gateway.simulation.checks import check_antenna, check_antenna_settings, check_report_spec, check_rospec
from gateway.simulation.llrp.codec import Element, Message, make, status_element
from gateway.simulation.llrp.grammar import MESSAGE_BY_NUMBER, MESSAGES
from gateway.simulation.llrp.status import RequestError, StatusCode
from gateway.simulation.state import ReaderState, Rospec, RospecState

#: Number of the response for each request number.
_ANSWERS: Final = {14: 4, **{number: number + 10 for number in (1, 2, 3, *range(20, 27), *range(40, 45), 46, 47)}}


def answer_name(request: str) -> str | None:
    """The name of the response that belongs to a request; None for what is not answered."""
    number = _ANSWERS.get(MESSAGES[request].number)
    return MESSAGE_BY_NUMBER[number].name if number else None


def answer(state: ReaderState, message: Message, now: int) -> Element:
    """The response to a request about capabilities, settings, ROSpecs or AccessSpecs. Raises RequestError."""
    handler = _HANDLERS.get(message.body.name)
    if handler is None:
        raise RequestError(StatusCode.M_UNSUPPORTED_MESSAGE, f"a reader does not take {message.body.name}")
    content = handler(state, message.body, now)
    name = answer_name(message.body.name)
    if name is None:
        raise RequestError(StatusCode.M_UNSUPPORTED_MESSAGE, f"{message.body.name} has no answer")
    return make(name, status_element(), *content)


def _get_capabilities(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    requested = body.integer("RequestedData")
    parts = (
        capabilities.general_capabilities(state.profile),
        capabilities.llrp_capabilities(state.profile),
        capabilities.regulatory_capabilities(state.profile),
        capabilities.air_protocol_capabilities(),
    )
    if requested > len(parts):
        raise RequestError(StatusCode.A_OUT_OF_RANGE, f"RequestedData {requested} is not 0 to 4", (), 0)
    return parts if requested == 0 else (parts[requested - 1],)


def _get_config(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    requested, antenna = body.integer("RequestedData"), body.integer("AntennaID")
    if antenna:
        check_antenna(state.profile, antenna)
    ports = [port for port in state.antenna_settings if antenna in (0, port)]
    inputs = [port for port in state.gpi if body.integer("GPIPortNum") in (0, port)]
    outputs = [port for port in state.gpo if body.integer("GPOPortNum") in (0, port)]
    groups: dict[int, list[Element]] = {
        1: [make("Identification", IDType=0, ReaderID=(2, 0, 0, 255, 254, 0, 0, 1))],
        2: [
            make("AntennaProperties", AntennaConnected=int(port not in state.failed_antennas), AntennaID=port)
            for port in ports
        ],
        3: [state.antenna_settings[port] for port in ports],
        5: [
            make(
                "ReaderEventNotificationSpec",
                *(
                    make("EventNotificationState", EventType=kind, NotificationState=int(wanted))
                    for kind, wanted in state.notify.items()
                ),
            )
        ],
        4: [state.report_spec],
        6: [state.access_report_spec],
        7: [make("LLRPConfigurationStateValue", LLRPConfigurationStateValue=len(state.rospecs))],
        8: [
            make(
                "KeepaliveSpec",
                KeepaliveTriggerType=int(state.keepalive_ms > 0),
                PeriodicTriggerValue=state.keepalive_ms,
            )
        ],
        9: [
            make("GPIPortCurrentState", GPIPortNum=port, Config=int(state.gpi_enabled[port]), State=state.gpi[port])
            for port in inputs
        ],
        10: [make("GPOWriteData", GPOPortNumber=port, GPOData=state.gpo[port]) for port in outputs],
        11: [make("EventsAndReports", HoldEventsAndReportsUponReconnect=int(state.hold))],
    }
    if requested > len(groups):
        raise RequestError(StatusCode.A_OUT_OF_RANGE, f"RequestedData {requested} is not 0 to 11", (), 1)
    return tuple(element for kind, group in groups.items() if requested in (0, kind) for element in group)


def _set_config(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    _check_config(state, body)
    if body.integer("ResetToFactoryDefault"):
        for spec in list(state.rospecs.values()):
            state.stop(spec, now, disable=True)
        state.rospecs.clear()
        state.access_specs.clear()
        state.reset_settings()
    for child in body.children:
        match child.name:
            case "ReaderEventNotificationSpec":
                for item in child.children:
                    state.notify[item.integer("EventType")] = bool(item.integer("NotificationState"))
            case "AntennaConfiguration":
                _merge_antenna(state, child)
            case "ROReportSpec":
                state.report_spec = child
            case "AccessReportSpec":
                state.access_report_spec = child
            case "KeepaliveSpec":
                periodic = child.integer("KeepaliveTriggerType") == 1
                state.keepalive_ms = child.integer("PeriodicTriggerValue") if periodic else 0
            case "GPOWriteData":
                state.gpo[child.integer("GPOPortNumber")] = child.integer("GPOData")
            case "GPIPortCurrentState":
                state.gpi_enabled[child.integer("GPIPortNum")] = bool(child.integer("Config"))
            case "EventsAndReports":
                state.hold = bool(child.integer("HoldEventsAndReportsUponReconnect"))
            case _:
                pass
    return ()


def _check_config(state: ReaderState, body: Element) -> None:
    # Everything is checked before anything changes: a refused request leaves the reader as it was.
    for child in body.children:
        match child.name:
            case "AntennaConfiguration":
                check_antenna_settings(state.profile, child)
            case "ROReportSpec":
                check_report_spec(state.profile, child)
            case "GPOWriteData" if child.integer("GPOPortNumber") not in state.gpo:
                raise RequestError(StatusCode.A_OUT_OF_RANGE, "there is no such output", (219,), 0)
            case "GPIPortCurrentState" if child.integer("GPIPortNum") not in state.gpi:
                raise RequestError(StatusCode.A_OUT_OF_RANGE, "there is no such input", (225,), 0)
            case "KeepaliveSpec" if child.integer("KeepaliveTriggerType") > 1:
                raise RequestError(StatusCode.A_OUT_OF_RANGE, "KeepaliveTriggerType is not 0 or 1", (220,), 0)
            case "AntennaProperties" | "Custom":
                text = f"{child.name} cannot be set on this reader"
                number = 221 if child.name == "AntennaProperties" else 1023
                raise RequestError(StatusCode.P_UNSUPPORTED_PARAMETER, text, (number,))
            case _:
                pass


def _merge_antenna(state: ReaderState, setting: Element) -> None:
    antenna = setting.integer("AntennaID")
    for port in list(state.antenna_settings):
        if antenna in (0, port):
            kept = {child.name: child for child in (*state.antenna_settings[port].children, *setting.children)}
            order = ("RFReceiver", "RFTransmitter", "C1G2InventoryCommand")
            children = (kept[name] for name in order if name in kept)
            state.antenna_settings[port] = make("AntennaConfiguration", *children, AntennaID=port)


def _add_rospec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    spec = body.children[0]
    check_rospec(state.profile, spec)
    identifier = spec.integer("ROSpecID")
    if identifier in state.rospecs:
        raise RequestError(StatusCode.A_INVALID, f"ROSpec {identifier} exists already", (177,), 0)
    if len(state.rospecs) >= state.profile.max_rospecs:
        text = f"the reader holds {state.profile.max_rospecs} ROSpecs, its limit"
        raise RequestError(StatusCode.P_OVERFLOW_PARAMETER, text, (177,))
    state.rospecs[identifier] = Rospec(spec)
    return ()


def _chosen(state: ReaderState, body: Element) -> list[Rospec]:
    identifier = body.integer("ROSpecID")
    if identifier == 0:
        return list(state.rospecs.values())
    if identifier not in state.rospecs:
        raise RequestError(StatusCode.A_INVALID, f"there is no ROSpec {identifier}", (), 0)
    return [state.rospecs[identifier]]


def _delete_rospec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    for spec in _chosen(state, body):
        state.stop(spec, now, disable=True)
        del state.rospecs[spec.id]
    return ()


def _enable_rospec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    for spec in _chosen(state, body):
        if spec.state is RospecState.DISABLED:
            state.enable(spec, now)
    return ()


def _disable_rospec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    for spec in _chosen(state, body):
        state.stop(spec, now, disable=True)
    return ()


def _start_rospec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    if body.integer("ROSpecID") == 0:
        raise RequestError(StatusCode.A_INVALID, "START_ROSPEC needs the id of one ROSpec", (), 0)
    spec = _chosen(state, body)[0]
    if spec.state is RospecState.DISABLED:
        raise RequestError(StatusCode.A_INVALID, f"ROSpec {spec.id} is disabled; enable it first", (), 0)
    if spec.state is RospecState.INACTIVE:
        spec.wanted = True
        state.schedule(now)
    return ()


def _stop_rospec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    if body.integer("ROSpecID") == 0:
        raise RequestError(StatusCode.A_INVALID, "STOP_ROSPEC needs the id of one ROSpec", (), 0)
    state.stop(_chosen(state, body)[0], now)
    return ()


def _get_rospecs(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    return tuple(spec.described() for spec in state.rospecs.values())


def _add_access_spec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    spec = body.children[0]
    identifier = spec.integer("AccessSpecID")
    if identifier == 0 or identifier in state.access_specs:
        raise RequestError(StatusCode.A_INVALID, f"AccessSpec {identifier} is 0 or exists already", (207,), 0)
    if len(state.access_specs) >= state.profile.max_accessspecs:
        text = f"the reader holds {state.profile.max_accessspecs} AccessSpecs, its limit"
        raise RequestError(StatusCode.P_OVERFLOW_PARAMETER, text, (207,))
    state.access_specs[identifier] = spec
    return ()


def _access_specs(state: ReaderState, body: Element) -> list[int]:
    identifier = body.integer("AccessSpecID")
    if identifier and identifier not in state.access_specs:
        raise RequestError(StatusCode.A_INVALID, f"there is no AccessSpec {identifier}", (), 0)
    return [identifier] if identifier else list(state.access_specs)


def _delete_access_spec(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    for identifier in _access_specs(state, body):
        del state.access_specs[identifier]
    return ()


def _switch_access_spec(enabled: int) -> Callable[[ReaderState, Element, int], tuple[Element, ...]]:
    # Enabled AccessSpecs are kept and listed but perform no memory access: tags here have no memory beyond the EPC.
    def switch(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
        for identifier in _access_specs(state, body):
            spec = state.access_specs[identifier]
            state.access_specs[identifier] = Element(spec.name, {**spec.values, "CurrentState": enabled}, spec.children)
        return ()

    return switch


def _get_access_specs(state: ReaderState, body: Element, now: int) -> tuple[Element, ...]:
    return tuple(state.access_specs.values())


_HANDLERS: Final[dict[str, Callable[[ReaderState, Element, int], tuple[Element, ...]]]] = {
    "GET_READER_CAPABILITIES": _get_capabilities,
    "GET_READER_CONFIG": _get_config,
    "SET_READER_CONFIG": _set_config,
    "ADD_ROSPEC": _add_rospec,
    "DELETE_ROSPEC": _delete_rospec,
    "ENABLE_ROSPEC": _enable_rospec,
    "DISABLE_ROSPEC": _disable_rospec,
    "START_ROSPEC": _start_rospec,
    "STOP_ROSPEC": _stop_rospec,
    "GET_ROSPECS": _get_rospecs,
    "ADD_ACCESSSPEC": _add_access_spec,
    "DELETE_ACCESSSPEC": _delete_access_spec,
    "ENABLE_ACCESSSPEC": _switch_access_spec(1),
    "DISABLE_ACCESSSPEC": _switch_access_spec(0),
    "GET_ACCESSSPECS": _get_access_specs,
}
