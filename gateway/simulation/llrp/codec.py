"""LLRP messages to bytes and back, driven by the grammar."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.simulation.llrp.grammar import (
    FIRST_TLV,
    MESSAGE_BY_NUMBER,
    MESSAGES,
    PARAMETER_BY_NUMBER,
    PARAMETERS,
    Definition,
    Field,
)
from gateway.simulation.llrp.status import RequestError, StatusCode

#: Message header (LLRP 1.0.1 section 16.1.1): 3 reserved bits, 3 of version, 10 of type; length; message id.
HEADER = struct.Struct(">HII")
#: TLV parameter header (section 16.1.2): 6 reserved bits, 10 of type; length with the header.
TLV_HEADER = struct.Struct(">HH")
#: Parameters nest at most this deep: the standard reaches 7; deeper input is hostile.
MAX_DEPTH = 12


class Bits(NamedTuple):
    """A bit string: `length` bits, left-aligned in `data`."""

    length: int
    data: bytes


Value = int | str | bytes | tuple[int, ...] | Bits


@dataclass(frozen=True, slots=True)
class Element:
    """One message body or parameter: its name in the standard, its fields and its children."""

    name: str
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    children: tuple[Element, ...] = ()

    def integer(self, name: str) -> int:
        """The integer field `name`. Raises TypeError for another kind of field."""
        value = self.values[name]
        if not isinstance(value, int):
            raise TypeError(f"{self.name}.{name} is no integer")
        return value

    def numbers(self, name: str) -> tuple[int, ...]:
        """The counted array `name`. Raises TypeError for another kind of field."""
        value = self.values[name]
        if not isinstance(value, tuple) or isinstance(value, Bits):
            raise TypeError(f"{self.name}.{name} is no array")
        return value

    def find(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> tuple[Element, ...]:
        """All children of that name."""
        return tuple(child for child in self.children if child.name == name)


@dataclass(frozen=True, slots=True)
class Message:
    """One framed message. `body.name` is the message's name."""

    body: Element
    id: int
    version: int


def make(name: str, *children: Element, **values: Value) -> Element:
    """An element of the grammar; fields left out become 0 when encoded."""
    return Element(name, values, children)


def encode_message(body: Element, message_id: int, version: int = 1) -> bytes:
    """One whole frame."""
    definition = MESSAGES[body.name]
    content = _encode_body(definition, body)
    return HEADER.pack(version << 10 | definition.number, HEADER.size + len(content), message_id) + content


def encode_parameter(element: Element) -> bytes:
    """One parameter with its header, TV or TLV as its number demands."""
    definition = PARAMETERS[element.name]
    content = _encode_body(definition, element)
    if definition.number < FIRST_TLV:
        return bytes((0x80 | definition.number,)) + content
    return TLV_HEADER.pack(definition.number, TLV_HEADER.size + len(content)) + content


def _encode_body(definition: Definition, element: Element) -> bytes:
    out = bytearray()
    bits = width = 0
    for item in definition.fields:
        if item.width:
            number = element.integer(item.name) if item.name in element.values else 0
            bits = bits << item.width | number & (1 << item.width) - 1
            width += item.width
            if width % 8 == 0:
                out += bits.to_bytes(width // 8, "big")
                bits = width = 0
        else:
            out += _encode_counted(item, element.values.get(item.name))
    for child in element.children:
        out += encode_parameter(child)
    return bytes(out)


def _encode_counted(item: Field, value: Value | None) -> bytes:
    if item.kind == "rest":
        return value if isinstance(value, bytes) else b""
    if item.kind == "bits":
        return struct.pack(">H", value.length) + value.data if isinstance(value, Bits) else b"\0\0"
    if item.kind == "utf8":
        data = value.encode() if isinstance(value, str) else b""
        return struct.pack(">H", len(data)) + data
    code = {"u8v": "B", "u16v": "H", "u32v": "I"}[item.kind]
    numbers = tuple(value) if isinstance(value, tuple | bytes) else ()
    return struct.pack(f">H{len(numbers)}{code}", len(numbers), *numbers)


def decode_message(frame: bytes) -> Message:
    """Decode one whole frame whose length the framing has checked. Raises RequestError."""
    head, _, message_id = HEADER.unpack_from(frame)
    number = head & 0x3FF
    definition = MESSAGE_BY_NUMBER.get(number)
    if definition is None:
        raise RequestError(StatusCode.M_UNSUPPORTED_MESSAGE, f"message type {number} is not supported")
    return Message(_decode_body(definition, frame[HEADER.size :], 0), message_id, head >> 10 & 0x07)


def decode_parameters(data: bytes) -> tuple[Element, ...]:
    """A run of parameters, such as the content of a Custom parameter. Raises RequestError."""
    return _decode_children(data, 0)


def _decode_body(definition: Definition, data: bytes, depth: int) -> Element:
    values: dict[str, Value] = {}
    at = width = 0
    run: list[tuple[int, Field]] = []
    for index, item in enumerate(definition.fields):
        if item.width:
            run.append((index, item))
            width += item.width
            if width % 8 == 0:
                end = at + width // 8
                _decode_run(run, data[at:end], width, values)
                at, width = end, 0
                run.clear()
        else:
            value, at = _decode_counted(index, item, data, at)
            values[item.name] = value
    children = _decode_children(data[at:], depth) if definition.slots or at < len(data) else ()
    _check_children(definition, children)
    return Element(definition.name, values, children)


def _short(index: int, item: Field) -> RequestError:
    return RequestError(
        StatusCode.P_FIELD_ERROR, f"the data ends inside the field {item.name or 'reserved'}", (), index
    )


def _decode_run(run: list[tuple[int, Field]], data: bytes, width: int, values: dict[str, Value]) -> None:
    if len(data) * 8 < width:
        raise _short(*run[0])
    bits = int.from_bytes(data, "big")
    for _, item in run:
        width -= item.width
        number = bits >> width & (1 << item.width) - 1
        if item.kind == "s" and number >> item.width - 1:
            number -= 1 << item.width
        if item.kind != "r":
            values[item.name] = number


def _decode_counted(index: int, item: Field, data: bytes, at: int) -> tuple[Value, int]:
    if item.kind == "rest":
        return data[at:], len(data)
    if at + 2 > len(data):
        raise _short(index, item)
    count = int.from_bytes(data[at : at + 2], "big")
    at += 2
    size = {"bits": (count + 7) // 8, "utf8": count, "u8v": count, "u16v": 2 * count, "u32v": 4 * count}[item.kind]
    content = data[at : at + size]
    if len(content) < size:
        raise _short(index, item)
    if item.kind == "bits":
        return Bits(count, content), at + size
    if item.kind == "utf8":
        return content.decode("utf-8", "replace"), at + size
    code = {"u8v": "B", "u16v": "H", "u32v": "I"}[item.kind]
    return tuple(struct.unpack(f">{count}{code}", content)), at + size


def _decode_children(data: bytes, depth: int) -> tuple[Element, ...]:
    if depth > MAX_DEPTH:
        raise RequestError(StatusCode.P_OVERFLOW_PARAMETER, f"parameters nest deeper than {MAX_DEPTH}")
    children: list[Element] = []
    at = 0
    while at < len(data):
        number, start, end = _parameter_span(data, at)
        definition = PARAMETER_BY_NUMBER.get(number)
        if definition is None:
            raise RequestError(StatusCode.P_UNKNOWN_PARAMETER, f"parameter type {number} is unknown", (number,))
        try:
            children.append(_decode_body(definition, data[start:end], depth + 1))
        except RequestError as refused:
            raise refused.inside(number) from None
        at = end
    return tuple(children)


def _parameter_span(data: bytes, at: int) -> tuple[int, int, int]:
    """Number, start and end of the content of the parameter at `at`."""
    if data[at] & 0x80:
        number = data[at] & 0x7F
        definition = PARAMETER_BY_NUMBER.get(number)
        if definition is None:
            raise RequestError(StatusCode.P_UNKNOWN_PARAMETER, f"parameter type {number} is unknown", (number,))
        return number, at + 1, min(len(data), at + 1 + sum(item.width for item in definition.fields) // 8)
    if at + TLV_HEADER.size > len(data):
        raise RequestError(StatusCode.P_PARAMETER_ERROR, "the data ends inside a parameter header")
    head, length = TLV_HEADER.unpack_from(data, at)
    number = head & 0x3FF
    if length < TLV_HEADER.size or at + length > len(data):
        raise RequestError(
            StatusCode.P_PARAMETER_ERROR, f"parameter {number} has the impossible length {length}", (number,)
        )
    return number, at + TLV_HEADER.size, at + length


def _check_children(definition: Definition, children: tuple[Element, ...]) -> None:
    counts: dict[str, int] = {}
    for child in children:
        counts[child.name] = counts.get(child.name, 0) + 1
    for slot in definition.slots:
        count = sum(counts.pop(name, 0) for name in slot.names)
        number = PARAMETERS[slot.names[0]].number
        if count < slot.minimum:
            text = f"{definition.name} lacks {' or '.join(slot.names)}"
            raise RequestError(StatusCode.P_MISSING_PARAMETER, text, (number,))
        if slot.maximum is not None and count > slot.maximum:
            text = f"{definition.name} holds {count} of {slot.names[0]}, at most {slot.maximum} allowed"
            raise RequestError(StatusCode.P_DUPLICATE_PARAMETER, text, (number,))
    for name in counts:
        raise RequestError(
            StatusCode.P_UNEXPECTED_PARAMETER, f"{name} has no place in {definition.name}", (PARAMETERS[name].number,)
        )


def status_element(refused: RequestError | None = None) -> Element:
    """The LLRPStatus of an answer: success, or what was refused and where (sections 15.2.1 and 15.2.2)."""
    if refused is None:
        return make("LLRPStatus", StatusCode=int(StatusCode.SUCCESS), ErrorDescription="")
    detail: Element | None = None
    if refused.field is not None:
        detail = make("FieldError", FieldNum=refused.field, ErrorCode=int(refused.code))
    code = refused.code
    for depth, number in enumerate(reversed(refused.path)):
        inner = (detail,) if detail else ()
        at_fault = depth == 0 and refused.field is None
        code = refused.code if at_fault else StatusCode.P_FIELD_ERROR if depth == 0 else StatusCode.P_PARAMETER_ERROR
        detail = make("ParameterError", *inner, ParameterType=number, ErrorCode=int(code))
    if refused.path:
        code = StatusCode.M_PARAMETER_ERROR
    elif refused.field is not None:
        code = StatusCode.M_FIELD_ERROR
    return make(
        "LLRPStatus", *((detail,) if detail else ()), StatusCode=int(code), ErrorDescription=refused.description
    )
