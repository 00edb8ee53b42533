"""EPC decoding: from the bits of an RFID tag to a GS1 key, by the tables of the Tag Data Standard 2.3.

`decode` never raises and never guesses: what the standard does not assign, and what contradicts it, comes back
as scheme `raw` with the reason. Section numbers are those of TDS 2.3.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from vocabulary.epc_plus import read_plus
from vocabulary.epc_tables import (
    CHARACTERS_82,
    CLASSIC,
    NOT_DECODED,
    PLUS,
    URI_ESCAPES,
    InvalidEpcError,
    Kind,
    Partition,
    Scheme,
)
from vocabulary.identifier import (
    WEIGHTED_SUM,
    check_digit,
    has_check_digit,
    path_segment,
    unit_key_giai,
    unit_key_grai,
    unit_key_sgtin,
    unit_key_sscc,
)

#: Distinct EPCs remembered: about the tags present in one building; a warehouse sees each thousands of times.
#: An entry takes about 760 bytes (measured), so the full cache 50 MB, on a Raspberry Pi too.
CACHE_SIZE = 65_536

#: Gen2 memory is read in words of 16 bits, so at most 15 zeros pad an EPC whose scheme has no whole number of them.
_WORD_BITS = 16

#: Longest EPC bank in hexadecimal digits: 31 words, the most that the PC word can state.
_LONGEST_HEX = 31 * 4


class Epc(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One decoded EPC.

    `key` is the canonical unit key, None where the EPC names no stock (place, person, paper, coupon) or did not
    decode. `uri` is the pure identity of a classic EPC, the canonical Digital Link of a '+' EPC, the raw URI
    otherwise. Keys carry their check digit; gln has 13 digits; grai, gdti and sgcn begin with 13 digits, without
    the filler zero of AI 8003. `serial` is the serial component (the extension of an SGLN). `elements` are AI
    values that follow the key on the tag (DSGTIN+ date, +AIDC data); `elements_error` says why reading them
    stopped. `error` is the reason of scheme `raw`, None where the EPC decoded.
    """

    hex: str
    scheme: str
    uri: str
    key: str | None = None
    gtin: str | None = None
    serial: str | None = None
    filter: int | None = None
    company_prefix: str | None = None
    sscc: str | None = None
    gln: str | None = None
    grai: str | None = None
    giai: str | None = None
    gsrn: str | None = None
    gsrnp: str | None = None
    gdti: str | None = None
    sgcn: str | None = None
    elements: tuple[tuple[str, str], ...] = ()
    elements_error: str | None = None
    error: str | None = None


#: SGTIN-96 is what nearly every tag in a warehouse holds, so it alone has a path of its own, without calls.
#: First 14 bits (header, filter, partition) -> filter, shift and limit of the company prefix, mask of the
#: reference, limit of the item reference (the reference without its indicator digit), end of the prefix in
#: the text of _INDICATOR. A plain tuple: it unpacks faster than a named one.
_SGTIN_96 = {
    0x30 << 6 | filter_value << 3 | partition: (
        filter_value,
        row.prefix_shift - 38,
        row.prefix_limit,
        row.reference_mask,
        row.reference_limit // 10,
        2 + row.prefix_digits,
    )
    for filter_value in range(8)
    for partition, row in enumerate(CLASSIC[0x30].partitions)
}

#: Indicator digit -> what to add to the twelve digits after it so that their text is 1, indicator, twelve digits.
_INDICATOR = tuple((10 + indicator) * 10**12 for indicator in range(10))

#: Weighted digit sum of the 13 digits before it -> check digit; three look-ups and three times the indicator: at most 54.
_CHECK_DIGIT = "0987654321" * 6


def decode_uncached(hex_epc: str) -> Epc:
    """What `decode` does, without remembering."""
    digits = hex_epc.upper()
    if len(digits) != 24 or not digits.isascii():
        return _decode_any(digits)
    try:
        value = int(digits, 16)
        # Text that int() accepts beside plain digits (a sign, blank, underscore or 0x) leaves fewer than 93 bits
        # of value, which no SGTIN-96 header does: such text finds no row. Value 7 of the partition has none either.
        filter_value, prefix_shift, prefix_limit, reference_mask, item_limit, end = _SGTIN_96[value >> 82]
        upper = value >> 38
        prefix = (upper & 0xFFF_FFFF_FFFF) >> prefix_shift
        if prefix >= prefix_limit:
            return _decode_any(digits)
        reference = upper & reference_mask
        indicator = reference // item_limit
        body = prefix * item_limit + reference % item_limit
        text = str(_INDICATOR[indicator] + body)
    except (ValueError, LookupError):
        return _decode_any(digits)
    rest = body // 10_000
    gtin = (
        text[1:]
        + _CHECK_DIGIT[
            WEIGHTED_SUM[body % 10_000] + WEIGHTED_SUM[rest % 10_000] + WEIGHTED_SUM[rest // 10_000] + 3 * indicator
        ]
    )
    company, serial = text[2:end], str(value & 0x3F_FFFF_FFFF)
    return Epc(
        digits,
        "sgtin-96",
        f"urn:epc:id:sgtin:{company}.{text[1]}{text[end:]}.{serial}",
        f"01/{gtin}/21/{serial}",
        gtin,
        serial,
        filter_value,
        company,
    )


@lru_cache(maxsize=CACHE_SIZE)
def decode(hex_epc: str) -> Epc:
    """Decode an EPC given as hexadecimal text of either case. Never raises, whatever the text.

    The text is the EPC as long as the PC word states it (what LLRP reports); see `decode_bank` for a memory dump.
    """
    return decode_uncached(hex_epc)


def decode_bank(pc: int, hex_bank: str) -> Epc:
    """Decode the EPC memory from its PC word (16 bits) on: `hex_bank` is what follows the PC word.

    The PC word says how many 16-bit words belong to the EPC, and by its toggle bit whether they are an EPC at
    all or data under an ISO/IEC 15961 application family identifier (Gen2 6.3.2.1.2.2).
    """
    words, is_iso = pc >> 11 & 0x1F, bool(pc & 0x100)
    digits = hex_bank.upper()[: 4 * words]
    if is_iso:
        return _raw(digits, f"the PC word marks ISO/IEC 15961 data (AFI {pc & 0xFF:02X}), not an EPC")
    if len(digits) < 4 * words:
        return _raw(digits, f"the PC word states {16 * words} bits, but only {4 * len(digits)} were read")
    return decode(digits)


def as_json(epc: Epc) -> dict[str, object]:
    """The fields that are set, always with hex, scheme, uri, serial and error (None where there is none)."""
    fields: dict[str, object] = msgspec.to_builtins(epc)
    if epc.elements:
        fields["elements"] = dict(epc.elements)
    return {"hex": epc.hex, "scheme": epc.scheme, "uri": epc.uri, **fields, "serial": epc.serial, "error": epc.error}


def _raw(digits: str, reason: str) -> Epc:
    """An EPC that is kept as it is; its URI is the raw form of TDS 12, or empty where the text is no hexadecimal."""
    is_hex = bool(digits) and not digits.strip("0123456789ABCDEF")
    uri = f"urn:epc:raw:{4 * len(digits)}.x{digits}" if is_hex else ""
    return Epc(hex=digits, scheme="raw", uri=uri, error=reason)


def _decode_any(digits: str) -> Epc:
    length = 4 * len(digits)
    try:
        if not digits:
            raise InvalidEpcError("the EPC is empty")
        if digits.strip("0123456789ABCDEF"):
            raise InvalidEpcError("this is not hexadecimal")
        if not 2 <= len(digits) <= _LONGEST_HEX:
            raise InvalidEpcError(f"an EPC has 8 to {4 * _LONGEST_HEX} bits, this has {length}")
        value = int(digits, 16)
        header = value >> (length - 8)
        if header in CLASSIC:
            scheme = CLASSIC[header]
            padding = length - scheme.bits
            if not 0 <= padding < _WORD_BITS:
                raise InvalidEpcError(f"{scheme.name} has {scheme.bits} bits, this EPC has {length}")
            if value & ((1 << padding) - 1):
                raise InvalidEpcError(f"bits follow the {scheme.bits} bits of {scheme.name}")
            return _decode_classic(digits, value >> padding, scheme)
        if header in PLUS:
            return _decode_plus(digits, value, length, header)
        named = f" ({NOT_DECODED[header]})" if header in NOT_DECODED else ""
        raise InvalidEpcError(f"header {header:02X}{named} is not decoded")
    except InvalidEpcError as error:
        return _raw(digits, str(error))


def _decode_classic(digits: str, value: int, scheme: Scheme) -> Epc:
    """The schemes of fixed length: header, filter, partition, company prefix, reference, last field (TDS 14.6)."""
    bits = scheme.bits
    partition = value >> (bits - 14) & 7
    if partition == 7:
        raise InvalidEpcError(f"{scheme.name}: partition value 7 is reserved")
    row = scheme.partitions[partition]
    prefix = value >> row.prefix_shift & row.prefix_mask
    reference = value >> row.reference_shift & row.reference_mask
    if prefix >= row.prefix_limit:
        raise InvalidEpcError(f"{scheme.name}: the company prefix has more than {row.prefix_digits} digits")
    if reference >= row.reference_limit:
        raise InvalidEpcError(f"{scheme.name}: the reference has more than {row.reference_digits} digits")
    tail = value & scheme.tail_mask
    company = f"{prefix:0{row.prefix_digits}d}"
    return _FINISH[scheme.kind](_Parts(digits, scheme, row, company, reference, tail, value >> (bits - 11) & 7))


class _Parts(NamedTuple):
    """The parts of a classic EPC that is no SGTIN."""

    digits: str
    scheme: Scheme
    row: Partition
    company: str
    reference: int
    tail: int
    filter: int

    @property
    def padded_reference(self) -> str:
        return f"{self.reference:0{self.row.reference_digits}d}" if self.row.reference_digits else ""

    def serial(self) -> str:
        return _text(self.tail, self.scheme.tail_mask.bit_length()) if self.scheme.text else str(self.tail)

    def epc(self, uri: str, key: str | None = None, serial: str | None = None, **names: str) -> Epc:
        uri = f"urn:epc:id:{self.scheme.kind}:{self.company}.{uri}"
        return Epc(
            self.digits,
            self.scheme.name,
            uri,
            key,
            serial=serial,
            filter=self.filter,
            company_prefix=self.company,
            elements=(),
            **names,
        )


def _sgtin(parts: _Parts) -> Epc:
    """SGTIN-198 (TDS 14.6.1.2): the indicator digit stands before the company prefix in the GTIN."""
    reference, serial = parts.padded_reference, parts.serial()
    gtin = _with_check(f"{reference[0]}{parts.company}{reference[1:]}")
    uri = f"{reference}.{serial.translate(URI_ESCAPES)}"
    return parts.epc(uri, unit_key_sgtin(gtin, serial), serial, gtin=gtin)


def _with_check(payload: str) -> str:
    return f"{payload}{check_digit(int(payload))}"


def _reserved_is_zero(parts: _Parts) -> None:
    if parts.tail:
        raise InvalidEpcError(f"{parts.scheme.name}: the reserved bits are not zero")


def _sscc(parts: _Parts) -> Epc:
    _reserved_is_zero(parts)
    reference = parts.padded_reference
    sscc = _with_check(f"{reference[0]}{parts.company}{reference[1:]}")
    return parts.epc(reference, unit_key_sscc(sscc), sscc=sscc)


def _sgln(parts: _Parts) -> Epc:
    extension = parts.serial()
    gln = _with_check(parts.company + parts.padded_reference)
    uri = f"{parts.padded_reference}.{extension.translate(URI_ESCAPES)}"
    return parts.epc(uri, serial=None if extension == "0" else extension, gln=gln)


def _grai(parts: _Parts) -> Epc:
    serial = parts.serial()
    grai = _with_check(parts.company + parts.padded_reference) + serial
    uri = f"{parts.padded_reference}.{serial.translate(URI_ESCAPES)}"
    return parts.epc(uri, unit_key_grai(grai), serial, grai=grai)


def _giai(parts: _Parts) -> Epc:
    reference = (
        _text(parts.reference, parts.row.reference_mask.bit_length()) if parts.scheme.text else str(parts.reference)
    )
    giai = parts.company + reference
    if len(giai) > 30:
        raise InvalidEpcError(f"{parts.scheme.name}: the asset identifier has more than 30 characters")
    return parts.epc(reference.translate(URI_ESCAPES), unit_key_giai(giai), giai=giai)


def _gsrn(parts: _Parts) -> Epc:
    _reserved_is_zero(parts)
    return parts.epc(parts.padded_reference, gsrn=_with_check(parts.company + parts.padded_reference))


def _gsrnp(parts: _Parts) -> Epc:
    _reserved_is_zero(parts)
    return parts.epc(parts.padded_reference, gsrnp=_with_check(parts.company + parts.padded_reference))


def _gdti(parts: _Parts) -> Epc:
    serial = parts.serial()
    gdti = _with_check(parts.company + parts.padded_reference) + serial
    return parts.epc(f"{parts.padded_reference}.{serial.translate(URI_ESCAPES)}", serial=serial, gdti=gdti)


def _sgcn(parts: _Parts) -> Epc:
    """The serial is a numeric string: a one before it keeps its leading zeros (TDS 14.3.5)."""
    serial = str(parts.tail)[1:]
    if not serial or str(parts.tail)[0] != "1":
        raise InvalidEpcError("sgcn-96: the serial number is no numeric string")
    sgcn = _with_check(parts.company + parts.padded_reference) + serial
    return parts.epc(f"{parts.padded_reference}.{serial}", serial=serial, sgcn=sgcn)


_FINISH: dict[Kind, Callable[[_Parts], Epc]] = {
    "sgtin": _sgtin,
    "sscc": _sscc,
    "sgln": _sgln,
    "grai": _grai,
    "giai": _giai,
    "gsrn": _gsrn,
    "gsrnp": _gsrnp,
    "gdti": _gdti,
    "sgcn": _sgcn,
}


def _text(value: int, bits: int) -> str:
    """Characters of 7 bits from the left, zeros after the last (TDS 14.3.2)."""
    characters: list[str] = []
    left = bits
    while left >= 7:
        left -= 7
        code = value >> left & 0x7F
        if not code:
            break
        characters.append(chr(code))
    text = "".join(characters)
    if value & ((1 << left) - 1):
        raise InvalidEpcError("a serial number goes on after its end")
    if not text:
        raise InvalidEpcError("the serial number is empty")
    if not CHARACTERS_82.issuperset(text):
        raise InvalidEpcError("a character is outside GS1 character set 82")
    return text


def _decode_plus(digits: str, value: int, length: int, header: int) -> Epc:
    """A '+' EPC: its URI is the canonical Digital Link, its keys are the AI values as they stand on the tag."""
    name, kind, ais = PLUS[header]
    try:
        fields = read_plus(value, length, ais)
        names, path = _plus_key(kind, fields.key)
    except InvalidEpcError as error:
        raise InvalidEpcError(f"{name}: {error}") from None
    query = f"?{fields.data[0][0]}={fields.data[0][1]}" if ais[0] == "date" else ""
    return Epc(
        digits,
        name,
        f"https://id.gs1.org/{path}{query}",
        path if kind in ("sgtin", "sscc", "grai", "giai") else None,
        filter=fields.filter,
        elements=fields.data,
        elements_error=fields.data_error,
        **names,
    )


def _plus_key(kind: Kind, key: dict[str, str]) -> tuple[dict[str, str], str]:
    """The named keys of a '+' EPC and its Digital Link path."""
    match kind:
        case "sgtin":
            _verify(key["01"], "GTIN")
            return {"gtin": key["01"], "serial": key["21"]}, unit_key_sgtin(key["01"], key["21"])
        case "sscc":
            _verify(key["00"], "SSCC")
            return {"sscc": key["00"]}, unit_key_sscc(key["00"])
        case "sgln":
            _verify(key["414"], "GLN")
            extension = key["254"]
            if extension == "0":
                return {"gln": key["414"]}, f"414/{key['414']}"
            return {"gln": key["414"], "serial": extension}, f"414/{key['414']}/254/{path_segment(extension)}"
        case "grai":
            grai = key["8003"][1:]
            if key["8003"][0] != "0":
                raise InvalidEpcError("the GRAI does not begin with its filler zero")
            _verify(grai[:13], "GRAI")
            return {"grai": grai, "serial": grai[13:]}, unit_key_grai(grai)
        case "giai":
            return {"giai": key["8004"]}, unit_key_giai(key["8004"])
        case "gsrn" | "gsrnp":
            ((ai, gsrn),) = key.items()
            _verify(gsrn, kind.upper())
            return {kind: gsrn}, f"{ai}/{gsrn}"
        case "gdti" | "sgcn":
            ((ai, number),) = key.items()
            _verify(number[:13], kind.upper())
            return {kind: number, "serial": number[13:]}, f"{ai}/{path_segment(number)}"


def _verify(digits: str, what: str) -> None:
    if not has_check_digit(digits):
        raise InvalidEpcError(f"the check digit of {what} {digits} is wrong")
