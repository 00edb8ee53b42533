"""SGTIN-96 and SSCC-96: what the printer of an emulated trading partner writes into a tag.

Source: GS1 EPC Tag Data Standard 1.13, sections 14.6.1 (SGTIN-96), 14.6.2 (SSCC-96) and their partition tables.
"""

from __future__ import annotations

#: Bits of the company prefix by its digits (TDS tables 14-2 and 14-5: the partition value is 12 minus the digits).
_PREFIX_BITS = {12: 40, 11: 37, 10: 34, 9: 30, 8: 27, 7: 24, 6: 20}
#: TDS table 14-1.
_SGTIN_96 = 0x30
_SSCC_96 = 0x31
#: Bits of company prefix and item reference together (TDS table 14-2), and of prefix and serial reference (14-5).
_SGTIN_BITS = 44
_SSCC_BITS = 58

#: The PC word counts the EPC's length in five bits of 16-bit words (Gen2 section 6.3.2.1.2.2).
MAX_EPC_BYTES = 62


def check_digit(digits: str) -> str:
    """The GS1 mod-10 check digit of `digits` (GS1 General Specifications section 7.9.1)."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def sgtin_96(gtin: str, serial: int, prefix_digits: int, filter_value: int = 2) -> str:
    """SGTIN-96 as 24 upper-case hex digits. `gtin` has 14 digits; filter 2 = full case for transport.

    Raises ValueError for a wrong check digit, prefix length or a serial of more than 38 bits.
    """
    _check(gtin, 14, prefix_digits)
    if not 0 <= serial < 1 << 38:
        raise ValueError(f"serial {serial} does not fit the 38 bits of an SGTIN-96")
    prefix = int(gtin[1 : 1 + prefix_digits])
    item = int(gtin[0] + gtin[1 + prefix_digits : 13])
    item_bits = _SGTIN_BITS - _PREFIX_BITS[prefix_digits]
    value = _SGTIN_96 << 6 | filter_value << 3 | 12 - prefix_digits
    value = (value << _PREFIX_BITS[prefix_digits] | prefix) << item_bits | item
    return f"{value << 38 | serial:024X}"


def sscc_96(sscc: str, prefix_digits: int, filter_value: int = 2) -> str:
    """SSCC-96 as 24 upper-case hex digits. `sscc` has 18 digits.

    Raises ValueError for a wrong check digit or prefix length.
    """
    _check(sscc, 18, prefix_digits)
    prefix = int(sscc[1 : 1 + prefix_digits])
    reference = int(sscc[0] + sscc[1 + prefix_digits : 17])
    value = _SSCC_96 << 6 | filter_value << 3 | 12 - prefix_digits
    value = (value << _PREFIX_BITS[prefix_digits] | prefix) << (_SSCC_BITS - _PREFIX_BITS[prefix_digits]) | reference
    return f"{value << 24:024X}"


def is_epc(text: str) -> bool:
    """Whether `text` is the hex of what an EPC bank can hold: whole 16-bit words, at most 31 of them."""
    try:
        count = len(bytes.fromhex(text))
    except ValueError:
        return False
    return 0 < count <= MAX_EPC_BYTES and count % 2 == 0 and len(text) == 2 * count


def _check(key: str, length: int, prefix_digits: int) -> None:
    if len(key) != length or not key.isascii() or not key.isdigit():
        raise ValueError(f"{key!r} is not {length} digits")
    if check_digit(key[:-1]) != key[-1]:
        raise ValueError(f"{key} ends in {key[-1]}, its check digit is {check_digit(key[:-1])}")
    if prefix_digits not in _PREFIX_BITS:
        raise ValueError(f"a company prefix has 6 to 12 digits, not {prefix_digits}")
