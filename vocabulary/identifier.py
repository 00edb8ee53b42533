"""Canonical keys of units, and the GS1 check digit.

A unit's key is the path of its GS1 Digital Link without scheme, host and leading slash, so that the same
physical unit is one unit whether an RFID tag, a barcode or a Digital Link QR code named it. Values are
percent-encoded as a URI path segment requires (everything but letters, digits and `-._~`), nothing else.
"""

import re
from typing import Literal
from urllib.parse import quote, unquote

UnitKind = Literal["sgtin", "sscc", "grai", "giai", "serial"]

#: First path segment of a key -> kind of unit. `serial` is a company's own serial number, outside GS1.
_KINDS: dict[str, UnitKind] = {"01": "sgtin", "00": "sscc", "8003": "grai", "8004": "giai", "serial": "serial"}

#: Shape of each kind of key, after its first segment.
_SHAPES: dict[UnitKind, re.Pattern[str]] = {
    "sgtin": re.compile(r"01/[0-9]{14}/21/[A-Za-z0-9._~%-]+"),
    "sscc": re.compile(r"00/[0-9]{18}"),
    "grai": re.compile(r"8003/0[0-9]{13}[A-Za-z0-9._~%-]+"),
    "giai": re.compile(r"8004/[A-Za-z0-9._~%-]+"),
    "serial": re.compile(r"serial/[A-Za-z0-9._~%-]+/[A-Za-z0-9._~%-]+"),
}

#: Lengths of the four GTIN formats, in digits.
_GTIN_LENGTHS = (8, 12, 13, 14)


def _weighted(number: int) -> int:
    return (number % 10 * 3 + number // 10 % 10 + number // 100 % 10 * 3 + number // 1000) % 10


#: Weighted digit sum (3, 1, 3, 1 from the right) modulo 10 of each four-digit number: a look-up instead of a
#: loop over digits. 10 kB stays in the processor's cache; a table of six digits was slower.
WEIGHTED_SUM = bytes(_weighted(number) for number in range(10_000))


def check_digit(payload: int) -> int:
    """The GS1 check digit of `payload`, the digits before it read as a number (0 <= payload < 10^20).

    GS1 General Specifications 7.9.1: weights 3 and 1 alternate from the right. Leading zeros do not count.
    """
    total = 0
    while payload:
        payload, group = divmod(payload, 10_000)
        total += WEIGHTED_SUM[group]
    return -total % 10


def is_digits(text: str) -> bool:
    """Whether `text` is one or more of the ASCII digits 0 to 9 (`str.isdigit` alone admits other scripts)."""
    return text.isascii() and text.isdigit()


def has_check_digit(digits: str) -> bool:
    """Whether `digits` (2 to 18 ASCII digits) ends with the GS1 check digit of the digits before it."""
    return is_digits(digits) and 2 <= len(digits) <= 18 and check_digit(int(digits[:-1])) == int(digits[-1])


def gtin14(gtin: str) -> str | None:
    """A GTIN-8, -12, -13 or -14 as 14 digits, or None where the length or the check digit is wrong."""
    if len(gtin) in _GTIN_LENGTHS and has_check_digit(gtin):
        return gtin.zfill(14)
    return None


def path_segment(value: str) -> str:
    """`value` as one segment of a Digital Link path: all but letters, digits and `-._~` percent-encoded."""
    return value if value.isalnum() and value.isascii() else quote(value, safe="")


def unit_key_sgtin(gtin: str, serial: str) -> str:
    """Key of one serialised trade item: `01/<14 digits>/21/<serial>`. `gtin` has 14 digits."""
    return f"01/{gtin}/21/{path_segment(serial)}"


def unit_key_sscc(sscc: str) -> str:
    """Key of one logistic unit: `00/<18 digits>`."""
    return f"00/{sscc}"


def unit_key_grai(grai: str) -> str:
    """Key of one returnable asset: `8003/0<13 digits><serial>`. `grai` has no filler zero (13 digits first).

    The filler zero belongs to the AI value and therefore to the Digital Link.
    """
    return f"8003/0{grai[:13]}{path_segment(grai[13:])}"


def unit_key_giai(giai: str) -> str:
    """Key of one individual asset: `8004/<giai>`."""
    return f"8004/{path_segment(giai)}"


def unit_key_serial(sku: str, serial: str) -> str:
    """Key of one piece under a company's own numbers: `serial/<sku>/<serial>`."""
    return f"serial/{quote(sku, safe='')}/{quote(serial, safe='')}"


def kind_of(unit: str) -> UnitKind:
    """The kind of the unit with this key. Raises ValueError for a text that is no unit key."""
    kind = _KINDS.get(unit.partition("/")[0])
    if kind is None or _SHAPES[kind].fullmatch(unit) is None:
        raise ValueError(f"{unit!r} is no unit key, such as 00/106141412345678908 or 01/09506000134352/21/4711")
    return kind


def gtin_of(unit: str) -> str | None:
    """The GTIN (14 digits) of a serialised trade item, or None for another kind of unit."""
    return unit[3:17] if unit.startswith("01/") else None


def serial_of(unit: str) -> str | None:
    """The serial number of a serialised trade item or own serial number, decoded, or None for another kind."""
    return unquote(unit.rpartition("/")[2]) if unit.startswith(("01/", "serial/")) else None
