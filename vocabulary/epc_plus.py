"""The '+' schemes of TDS 2: a toggle, a filter, then AI values in the compact forms of TDS 14.5."""

from typing import NamedTuple

from vocabulary.epc_tables import (
    AI_FIELDS,
    BASE64_URL,
    CHARACTERS_82,
    DATE_TYPES,
    HEX_LOWER,
    HEX_UPPER,
    URN_CODE_40,
    Field,
    InvalidEpcError,
)

#: Days of each month, February as in a leap year: the two-digit year of a tag does not say its century.
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class PlusFields(NamedTuple):
    """What a '+' EPC holds: the filter, its key's AI values, and the +AIDC data after them."""

    filter: int
    key: dict[str, str]
    data: tuple[tuple[str, str], ...]
    data_error: str | None  # why reading of the +AIDC data stopped, or None


class _Bits:
    """A cursor over the low `left` bits of a number, most significant first."""

    __slots__ = ("left", "value")

    def __init__(self, value: int, left: int) -> None:
        self.value = value
        self.left = left

    def read(self, count: int) -> int:
        if count > self.left:
            raise InvalidEpcError("the EPC ends before the value it announces")
        self.left -= count
        return (self.value >> self.left) & ((1 << count) - 1)

    def rest(self) -> int:
        return self.value & ((1 << self.left) - 1)


def read_plus(value: int, bits: int, ais: tuple[str, ...]) -> PlusFields:
    """Read a '+' EPC of `bits` bits (the header byte included) whose key consists of `ais`, in order.

    Raises InvalidEpcError where the key contradicts the standard, or bits follow it that its toggle denies. A fault
    in the +AIDC data leaves the key readable: it is returned as `data_error` beside what was read before it.
    """
    reader = _Bits(value, bits - 8)
    toggle = reader.read(1)
    filter_value = reader.read(3)
    key: dict[str, str] = {}
    data: list[tuple[str, str]] = []
    for ai in ais:
        if ai == "date":
            data.append(_dated(reader))
        else:
            key[ai] = _ai_value(reader, ai)
    error: str | None = None
    if toggle:
        error = _read_aidc(reader, data)
    elif reader.rest():
        raise InvalidEpcError("bits follow the EPC although its +AIDC data toggle is 0")
    return PlusFields(filter_value, key, tuple(data), error)


def _dated(reader: _Bits) -> tuple[str, str]:
    indicator = reader.read(4)
    if indicator >= len(DATE_TYPES):
        raise InvalidEpcError(f"date type {indicator} is reserved")
    return DATE_TYPES[indicator], _date(reader)


def _read_aidc(reader: _Bits, data: list[tuple[str, str]]) -> str | None:
    """Append the +AIDC data (TDS 15.3) to `data`; returns why reading stopped early, or None.

    Zeros to the end are padding: AI 00 with an all-zero SSCC is never stored beside another key.
    """
    try:
        while reader.left >= 8 and reader.rest():
            ai = _digits(reader, 2)
            while ai not in AI_FIELDS and len(ai) < 4:
                ai += _digits(reader, 1)
            if ai not in AI_FIELDS:
                return f"+AIDC data holds AI {ai}, which is not read"
            data.append((ai, _ai_value(reader, ai)))
        if reader.rest():
            return "+AIDC data ends in the middle of an AI"
    except InvalidEpcError as error:
        return f"+AIDC data: {error}"
    return None


def _ai_value(reader: _Bits, ai: str) -> str:
    return "".join(_field(reader, field) for field in AI_FIELDS[ai])


def _field(reader: _Bits, field: Field) -> str:
    match field.method:
        case "digits":
            return _digits(reader, field.size)
        case "integer":
            return _integer(reader, field.size)
        case "number":
            return _integer(reader, _length(reader, field))
        case "text":
            return _text(reader, field)
        case "delimited":
            return _delimited(reader, field)
        case "date":
            return _date(reader)
        case "datetime":
            return _date(reader) + _time(reader)


def _digits(reader: _Bits, count: int) -> str:
    """Four bits for each digit (TDS 14.5.4)."""
    text = f"{reader.read(4 * count):0{count}x}"
    if not text.isdigit():
        raise InvalidEpcError("a decimal digit is above 9")
    return text


def _integer(reader: _Bits, count: int) -> str:
    """`count` digits as one number in the fewest bits that hold them all (TDS 14.5.2, table B)."""
    text = f"{reader.read((10**count - 1).bit_length()):0{count}d}"
    if len(text) > count:
        raise InvalidEpcError(f"a number has more than its {count} digits")
    return text


def _length(reader: _Bits, field: Field) -> int:
    length = reader.read(field.size)
    if not 1 <= length <= field.maximum:
        raise InvalidEpcError(f"a length of {length} is outside 1 to {field.maximum}")
    return length


def _text(reader: _Bits, field: Field) -> str:
    """An encoding indicator (TDS table E), a length, then the characters (TDS 14.5.6)."""
    indicator = reader.read(3)
    length = _length(reader, field)
    match indicator:
        case 0:
            return _integer(reader, length)
        case 1:
            return "".join(HEX_UPPER[reader.read(4)] for _ in range(length))
        case 2:
            return "".join(HEX_LOWER[reader.read(4)] for _ in range(length))
        case 3:
            return "".join(BASE64_URL[reader.read(6)] for _ in range(length))
        case 4:
            text = "".join(chr(reader.read(7)) for _ in range(length))
            if not CHARACTERS_82.issuperset(text):
                raise InvalidEpcError("a character is outside GS1 character set 82")
            return text
        case 5:
            return _urn_code_40(reader, length)
        case _:
            raise InvalidEpcError(f"encoding indicator {indicator} is reserved")


def _urn_code_40(reader: _Bits, length: int) -> str:
    """16 bits for each group of three characters, the last filled with index 0 (TDS 14.5.6.5)."""
    text = ""
    for _ in range(-(-length // 3)):
        group = reader.read(16) - 1
        if not 0 <= group < 64_000:
            raise InvalidEpcError("a URN Code 40 group is out of range")
        text += URN_CODE_40[group // 1600] + URN_CODE_40[group // 40 % 40] + URN_CODE_40[group % 40]
    text, filler = text[:length], text[length:]
    if filler.strip() or " " in text:
        raise InvalidEpcError("a URN Code 40 group disagrees with the length")
    return text


def _delimited(reader: _Bits, field: Field) -> str:
    """Digits, then 15 ends the value, or 14 and the rest as text (TDS 14.5.5)."""
    digits = ""
    while len(digits) <= field.maximum:
        nibble = reader.read(4)
        if nibble <= 9:
            digits += str(nibble)
            continue
        if nibble not in (14, 15):
            raise InvalidEpcError("a decimal digit is above 9")
        value = digits if nibble == 15 else digits + _text(reader, field)
        if value and len(value) <= field.maximum:
            return value
        break
    raise InvalidEpcError(f"a length is outside 1 to {field.maximum}")


def _date(reader: _Bits) -> str:
    """YYMMDD in 7 + 4 + 5 bits; day 0 means the last of the month (TDS 14.5.8)."""
    year, month, day = reader.read(7), reader.read(4), reader.read(5)
    if year > 99 or not 1 <= month <= 12 or day > _DAYS[month - 1]:
        raise InvalidEpcError("there is no such date")
    return f"{year:02d}{month:02d}{day:02d}"


def _time(reader: _Bits) -> str:
    """hhmm in 5 + 6 bits (TDS 14.5.9)."""
    hour, minute = reader.read(5), reader.read(6)
    if hour > 23 or minute > 59:
        raise InvalidEpcError("there is no such time")
    return f"{hour:02d}{minute:02d}"
