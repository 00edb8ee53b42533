"""The emulator's own LLRP codec."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.llrp.codec import (
    Bits,
    decode_message,
    decode_parameters,
    encode_message,
    encode_parameter,
    make,
    status_element,
)
from gateway.simulation.llrp.grammar import MESSAGES, PARAMETERS
from gateway.simulation.llrp.status import RequestError, StatusCode


def test_a_keepalive_is_ten_bytes() -> None:
    assert encode_message(make("KEEPALIVE"), 5).hex() == "043e0000000a00000005"


def test_fields_narrower_than_a_byte_share_it() -> None:
    selector = make("TagReportContentSelector", EnableAntennaID=1, EnablePeakRSSI=1, EnableTagSeenCount=1)
    # bits 3, 5 and 8 of a 16-bit word, most significant first
    assert encode_parameter(selector).hex() == "00ee0006" + "1480"


def test_signed_values_and_bit_strings_survive() -> None:
    rssi = make("PeakRSSI", PeakRSSI=-63)
    assert encode_parameter(rssi).hex() == "86c1"
    assert decode_parameters(encode_parameter(rssi))[0].values == {"PeakRSSI": -63}
    epc = make("EPCData", EPC=Bits(20, b"\x12\x34\x50"))
    assert decode_parameters(encode_parameter(epc))[0].values["EPC"] == Bits(20, b"\x12\x34\x50")


def test_numbers_are_unique_and_children_exist() -> None:
    for table in (MESSAGES, PARAMETERS):
        assert len({definition.number for definition in table.values()}) == len(table)
        for definition in table.values():
            for slot in definition.slots:
                assert all(name in PARAMETERS for name in slot.names), definition.name


def test_a_missing_child_is_named_by_its_place() -> None:
    body = make("ADD_ROSPEC", make("ROSpec", make("ROBoundarySpec"), ROSpecID=1))
    with pytest.raises(RequestError) as caught:
        decode_message(encode_message(body, 1))
    assert caught.value.code is StatusCode.P_MISSING_PARAMETER
    assert caught.value.path == (177, 178, 179)
    status = status_element(caught.value)
    assert status.integer("StatusCode") == 100
    outer = status.find("ParameterError")
    assert outer is not None
    assert (outer.integer("ParameterType"), outer.integer("ErrorCode")) == (177, 200)
    inner = outer.find("ParameterError")
    assert inner is not None
    innermost = inner.find("ParameterError")
    assert innermost is not None
    assert (innermost.integer("ParameterType"), innermost.integer("ErrorCode")) == (179, 203)


def test_nesting_is_bounded() -> None:
    data = b""
    for _ in range(40):
        data = struct.pack(">HH", 289, 8 + len(data)) + b"\0\0\0\0" + data
    with pytest.raises(RequestError, match="nest deeper"):
        decode_parameters(data)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(definition.number for definition in MESSAGES.values())), st.binary(max_size=80))
def test_any_content_decodes_or_is_refused(number: int, content: bytes) -> None:
    frame = struct.pack(">HII", 1 << 10 | number, 10 + len(content), 1) + content
    try:
        message = decode_message(frame)
    except RequestError as refused:
        answer = make("ERROR_MESSAGE", status_element(refused))
    else:
        answer = message.body
    assert decode_message(encode_message(answer, 1)).body == answer
