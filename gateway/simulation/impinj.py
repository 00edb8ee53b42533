"""Impinj's extensions of LLRP, as far as a portal uses them: phase, strength in hundredths of a dB, search mode.

Source: Impinj "Octane LLRP" reference, messages 21 and 22, parameters 23, 50, 52, 53, 56 and 57.
"""

from __future__ import annotations

import struct
from typing import Final

from gateway.simulation.llrp.codec import Element, decode_parameters, encode_parameter, make, status_element
from gateway.simulation.llrp.status import RequestError, StatusCode

#: IANA private enterprise number, which LLRP uses as the vendor's id.
VENDOR: Final = 25_882
#: ModelName of a Speedway R420 in the vendor's numbering.
R420: Final = 2_001_002
_ENABLE_EXTENSIONS, _ENABLE_EXTENSIONS_RESPONSE = 21, 22
_SEARCH_MODE, _CONTENT_SELECTOR, _ENABLE_PHASE, _ENABLE_STRENGTH = 23, 50, 52, 53
_PHASE, _STRENGTH = 56, 57
#: TLV type and length of a Custom parameter with one 16-bit value, vendor, subtype.
_VALUE: Final = struct.Struct(">HHII")


def answer(request: Element) -> Element:
    """The answer to a CUSTOM_MESSAGE. Raises RequestError for any but the one that enables the extensions."""
    vendor, kind = request.integer("VendorIdentifier"), request.integer("MessageSubtype")
    if (vendor, kind) != (VENDOR, _ENABLE_EXTENSIONS):
        text = f"custom message {kind} of vendor {vendor} is not supported"
        raise RequestError(StatusCode.M_UNSUPPORTED_MESSAGE, text)
    return make(
        "CUSTOM_MESSAGE",
        VendorIdentifier=VENDOR,
        MessageSubtype=_ENABLE_EXTENSIONS_RESPONSE,
        Data=encode_parameter(status_element()),
    )


def understood(custom: Element) -> bool:
    """Whether a Custom parameter in a ROSpec is one of those above."""
    known = (_SEARCH_MODE, _CONTENT_SELECTOR)
    return custom.integer("VendorIdentifier") == VENDOR and custom.integer("ParameterSubtype") in known


def wanted(report_spec: Element) -> tuple[bool, bool]:
    """Whether a report is to hold phase and strength in hundredths. Raises RequestError for damaged content."""
    phase = strength = False
    for custom in report_spec.all("Custom"):
        data = custom.values["Data"]
        if custom.integer("ParameterSubtype") != _CONTENT_SELECTOR or not isinstance(data, bytes):
            continue
        for part in decode_parameters(data):
            content = part.values.get("Data")
            on = isinstance(content, bytes) and any(content)
            phase |= on and part.values.get("ParameterSubtype") == _ENABLE_PHASE
            strength |= on and part.values.get("ParameterSubtype") == _ENABLE_STRENGTH
    return phase, strength


def phase_parameter(phase: int) -> bytes:
    """Phase in 1/4096 of a turn."""
    return _VALUE.pack(1023, _VALUE.size + 2, VENDOR, _PHASE) + phase.to_bytes(2, "big")


def strength_parameter(strength: int) -> bytes:
    """Strength in centi-dBm."""
    return _VALUE.pack(1023, _VALUE.size + 2, VENDOR, _STRENGTH) + strength.to_bytes(2, "big", signed=True)
