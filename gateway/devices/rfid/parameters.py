"""Walks the parameters inside an LLRP message; never trusts a length."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from gateway.devices.rfid.errors import DamagedMessageError
from gateway.devices.rfid.standard import TLV_LAYOUTS, TV_FORMATS, Parameter

#: Header of a TLV parameter: 6 reserved bits and 10 bits type, then length in bytes with the header.
TLV_HEADER = Struct("!HH")
#: Vendor (private enterprise number) and subtype at the start of a custom parameter.
CUSTOM_HEADER = Struct("!II")
#: Levels; the standard's own nesting ends at 8, a damaged message could otherwise nest thousands deep.
MAX_DEPTH = 16

_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}
_ITEM_BITS = {"u": 8, "w": 16, "d": 32, "b": 1}
_TV = {number: Struct("!" + letter) for number, letter in TV_FORMATS.items()}


class Found(NamedTuple):
    """One parameter: its type and where its body (after the header) lies."""

    type: int
    start: int
    end: int
    tv: bool


def walk(data: bytes, start: int, end: int) -> Iterator[Found]:
    """The parameters that fill `data[start:end]` exactly. Raises DamagedMessageError where they do not."""
    while start < end:
        first = data[start]
        if first & 0x80:
            kind = first & 0x7F
            value = _TV.get(kind)
            if value is None:
                raise DamagedMessageError(f"unknown TV parameter {kind} at byte {start}")
            stop = start + 1 + value.size
            if stop > end:
                raise DamagedMessageError(f"TV parameter {kind} at byte {start} is cut off")
            yield Found(kind, start + 1, stop, True)
        else:
            if end - start < TLV_HEADER.size:
                raise DamagedMessageError(f"a parameter header at byte {start} is cut off")
            head, length = TLV_HEADER.unpack_from(data, start)
            stop = start + length
            if length < TLV_HEADER.size or stop > end:
                raise DamagedMessageError(
                    f"parameter {head & 0x3FF} at byte {start} has the impossible length {length}"
                )
            yield Found(head & 0x3FF, start + TLV_HEADER.size, stop, False)
        start = stop


def fields(layout: str, data: bytes, start: int, end: int) -> tuple[list[int | bytes], int]:
    """The values of a layout of `standard` and the position behind them. Raises DamagedMessageError when cut off."""
    values: list[int | bytes] = []
    for letter in layout:
        if letter == "*":
            return [*values, data[start:end]], end
        size = _SIZES.get(letter, 2)
        number = int.from_bytes(data[start : start + size], "big")
        start += size
        if letter not in _SIZES:
            length = (number * _ITEM_BITS[letter] + 7) // 8
            values.append(data[start : start + length])
            start += length
        else:
            values.append(number)
        if start > end:
            raise DamagedMessageError(f"a field ends at byte {start}, behind the end of its parameter at byte {end}")
    return values, start


def parameter_fields(found: Found, data: bytes) -> tuple[list[int | bytes], int]:
    """The values of one known TLV parameter and where its sub-parameters begin."""
    return fields(TLV_LAYOUTS[found.type][1], data, found.start, found.end)


def check(data: bytes, start: int, end: int, depth: int = 0) -> None:
    """Verify that parameters, theirs and so on fill the range exactly. Raises DamagedMessageError where they do not.

    A parameter type outside the standard is taken as opaque: its length was consistent.
    """
    if depth > MAX_DEPTH:
        raise DamagedMessageError(f"parameters are nested more than {MAX_DEPTH} deep")
    for found in walk(data, start, end):
        if found.tv or found.type not in TLV_LAYOUTS:
            continue
        position = parameter_fields(found, data)[1]
        if found.type == Parameter.TAG_REPORT_DATA or position < found.end:
            check(data, position, found.end, depth + 1)
