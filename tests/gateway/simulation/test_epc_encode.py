"""EPCs of emulated tags, judged by epcpy."""

from __future__ import annotations

import pytest
from epcpy import hex_to_tag_encodable
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.epc_encode import check_digit, is_epc, sgtin_96, sscc_96


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**13 - 1), st.integers(0, 2**38 - 1), st.integers(6, 12), st.integers(0, 7))
def test_sgtin_96_as_epcpy_reads_it(number: int, serial: int, prefix: int, filter_value: int) -> None:
    digits = f"{number:013d}"
    epc = hex_to_tag_encodable(sgtin_96(digits + check_digit(digits), serial, prefix, filter_value))
    company, item = digits[1 : 1 + prefix], digits[0] + digits[1 + prefix :]
    assert epc.epc_uri == f"urn:epc:id:sgtin:{company}.{item}.{serial}"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**17 - 1), st.integers(6, 12))
def test_sscc_96_as_epcpy_reads_it(number: int, prefix: int) -> None:
    digits = f"{number:017d}"
    epc = hex_to_tag_encodable(sscc_96(digits + check_digit(digits), prefix))
    assert epc.epc_uri == f"urn:epc:id:sscc:{digits[1 : 1 + prefix]}.{digits[0]}{digits[1 + prefix :]}"


def test_bad_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="check digit"):
        sgtin_96("0952000100001" + check_digit("0952000100002"), 1, 7)
    with pytest.raises(ValueError, match="18 digits"):
        sscc_96("123", 7)
    with pytest.raises(ValueError, match="38 bits"):
        sgtin_96("0952000100001" + check_digit("0952000100001"), 2**38, 7)


@pytest.mark.parametrize(
    ("text", "valid"),
    [("30" * 12, True), ("30" * 62, True), ("30" * 64, False), ("30" * 3, False), ("", False), ("zz" * 12, False)],
)
def test_what_an_epc_bank_holds(text: str, valid: bool) -> None:
    assert is_epc(text) is valid
