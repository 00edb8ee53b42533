"""Tables of the GS1 EPC Tag Data Standard (TDS 2.3) as data: headers, partitions, AI formats, characters."""

from typing import Literal, NamedTuple

Kind = Literal["sgtin", "sscc", "sgln", "grai", "giai", "gsrn", "gsrnp", "gdti", "sgcn"]


class InvalidEpcError(ValueError):
    """The bits contradict the standard; the message says how."""


class Partition(NamedTuple):
    """How one partition value splits the bits between company prefix and reference."""

    prefix_shift: int
    prefix_mask: int
    prefix_limit: int  # 10 ** digits: the first value that has too many digits
    prefix_digits: int
    reference_shift: int
    reference_mask: int
    reference_limit: int
    reference_digits: int


class Scheme(NamedTuple):
    """One binary coding scheme of fixed length."""

    name: str
    kind: Kind
    bits: int
    text: bool  # the last field is 7-bit characters, not a number
    tail_mask: int  # bits of the last field: serial, extension, or 24 reserved zeros
    partitions: tuple[Partition, ...]


#: Bits and digits of the company prefix for the partition values 0 to 6 (TDS 14.3.3 and its tables); value 7 is reserved.
_PREFIX = ((40, 12), (37, 11), (34, 10), (30, 9), (27, 8), (24, 7), (20, 6))

#: Bits and digits of the reference beside it, by what the tables of 14.3.3 call the other field.
_REFERENCE: dict[str, tuple[tuple[int, int], ...]] = {
    "item": ((4, 1), (7, 2), (10, 3), (14, 4), (17, 5), (20, 6), (24, 7)),
    "serial": ((18, 5), (21, 6), (24, 7), (28, 8), (31, 9), (34, 10), (38, 11)),
    "location": ((1, 0), (4, 1), (7, 2), (11, 3), (14, 4), (17, 5), (21, 6)),
    "asset type": ((4, 0), (7, 1), (10, 2), (14, 3), (17, 4), (20, 5), (24, 6)),
    "asset": ((42, 13), (45, 14), (48, 15), (52, 16), (55, 17), (58, 18), (62, 19)),
    "asset text": ((148, 0), (151, 0), (154, 0), (158, 0), (161, 0), (164, 0), (168, 0)),
}

#: header: (name, kind, bits, reference, whether the last field is text). Bits are those before padding to words.
_CLASSIC: dict[int, tuple[str, Kind, int, str, bool]] = {
    0x2C: ("gdti-96", "gdti", 96, "location", False),
    0x2D: ("gsrn-96", "gsrn", 96, "serial", False),
    0x2E: ("gsrnp-96", "gsrnp", 96, "serial", False),
    0x30: ("sgtin-96", "sgtin", 96, "item", False),
    0x31: ("sscc-96", "sscc", 96, "serial", False),
    0x32: ("sgln-96", "sgln", 96, "location", False),
    0x33: ("grai-96", "grai", 96, "asset type", False),
    0x34: ("giai-96", "giai", 96, "asset", False),
    0x36: ("sgtin-198", "sgtin", 198, "item", True),
    0x37: ("grai-170", "grai", 170, "asset type", True),
    0x38: ("giai-202", "giai", 202, "asset text", True),
    0x39: ("sgln-195", "sgln", 195, "location", True),
    0x3E: ("gdti-174", "gdti", 174, "location", True),
    0x3F: ("sgcn-96", "sgcn", 96, "location", False),
}

#: Bits before the company prefix: header 8, filter 3, partition 3.
PREAMBLE_BITS = 14


def _scheme(name: str, kind: Kind, bits: int, reference: str, text: bool) -> Scheme:
    rows: list[Partition] = []
    for (prefix_bits, prefix_digits), (ref_bits, ref_digits) in zip(_PREFIX, _REFERENCE[reference], strict=True):
        prefix_shift = bits - PREAMBLE_BITS - prefix_bits
        shift = prefix_shift - ref_bits
        limit = 10**ref_digits if reference != "asset text" else 1 << ref_bits
        rows.append(
            Partition(
                prefix_shift,
                (1 << prefix_bits) - 1,
                10**prefix_digits,
                prefix_digits,
                shift,
                (1 << ref_bits) - 1,
                limit,
                ref_digits,
            )
        )
    tail_bits = bits - PREAMBLE_BITS - _PREFIX[0][0] - _REFERENCE[reference][0][0]
    return Scheme(name, kind, bits, text, (1 << tail_bits) - 1, tuple(rows))


#: Header byte -> scheme of fixed length (TDS table 14-1).
CLASSIC: dict[int, Scheme] = {header: _scheme(*row) for header, row in _CLASSIC.items()}

#: Header byte -> (name, kind, AIs in the order encoded) of the '+' schemes (TDS 14.6). `date` marks the date
#: that DSGTIN+ puts before the GTIN.
PLUS: dict[int, tuple[str, Kind, tuple[str, ...]]] = {
    0xF1: ("grai+", "grai", ("8003",)),
    0xF2: ("sgln+", "sgln", ("414", "254")),
    0xF4: ("gsrn+", "gsrn", ("8018",)),
    0xF5: ("gsrnp+", "gsrnp", ("8017",)),
    0xF6: ("gdti+", "gdti", ("253",)),
    0xF7: ("sgtin+", "sgtin", ("01", "21")),
    0xF8: ("sgcn+", "sgcn", ("255",)),
    0xF9: ("sscc+", "sscc", ("00",)),
    0xFA: ("giai+", "giai", ("8004",)),
    0xFB: ("dsgtin+", "sgtin", ("date", "01", "21")),
}

#: Headers that the standard assigns to something this decoder does not read: named in the reason, never guessed at.
NOT_DECODED: dict[int, str] = {
    0x00: "an unprogrammed tag",
    0x2F: "USDOD-96",
    0x35: "GID-96",
    0x3A: "GDTI-113, withdrawn",
    0x3B: "ADI-var",
    0x3C: "CPI-96",
    0x3D: "CPI-var",
    0x40: "ITIP-110",
    0x41: "ITIP-212",
    0xE2: "reserved for tag identifiers (TID)",
    0xE6: "CPI++",
    0xE7: "GSRN++",
    0xE8: "GSRNP++",
    0xE9: "SGLN++",
    0xEA: "GDTI++",
    0xEB: "GRAI++",
    0xEC: "SGCN++",
    0xED: "ITIP++",
    0xEE: "GIAI++",
    0xEF: "SSCC++",
    0xF0: "CPI+",
    0xF3: "ITIP+",
    0xFC: "DSGTIN++",
    0xFD: "SGTIN++",
}

#: Date type indicator of DSGTIN+ -> AI of the date (TDS 14.5.3); the other nine values are reserved.
DATE_TYPES = ("11", "13", "15", "16", "17", "7006", "7007")

#: GS1 AI encodable character set 82 (General Specifications figure 7.11-1).
CHARACTERS_82 = frozenset(
    "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
)

#: Those of them that are written %hh in an EPC URI (TDS table A-1).
URI_ESCAPES = str.maketrans({character: f"%{ord(character):02X}" for character in '"%&/<>?'})

#: Alphabets of the encoding indicators 1, 2, 3 (TDS 14.5.6.2 to 14.5.6.4) and 5, URN Code 40 (14.5.6.5).
HEX_UPPER = "0123456789ABCDEF"
HEX_LOWER = "0123456789abcdef"
BASE64_URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
URN_CODE_40 = " ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:0123456789"


class Field(NamedTuple):
    """One component of an AI's value: how it is encoded and how long it may be (TDS table F)."""

    method: Literal["digits", "integer", "number", "text", "delimited", "date", "datetime"]
    size: int  # digits of a fixed length; bits of the length indicator otherwise
    maximum: int = 0  # characters, where the length varies


_TEXT_20 = (Field("text", 5, 20),)
_TEXT_30 = (Field("text", 5, 30),)
_TEXT_90 = (Field("text", 7, 90),)
_DATE = (Field("date", 6),)
_MEASURE = (Field("integer", 6),)
_GLN = (Field("digits", 13),)

#: AI -> components (TDS table F), for the keys of the '+' schemes and the AIs that matter to a warehouse.
#: Reading of +AIDC data stops with a reason at any other AI.
AI_FIELDS: dict[str, tuple[Field, ...]] = {
    "00": (Field("digits", 18),),
    "01": (Field("digits", 14),),
    "02": (Field("digits", 14),),
    "10": _TEXT_20,
    **dict.fromkeys(("11", "12", "13", "15", "16", "17", "7006"), _DATE),
    "20": (Field("integer", 2),),
    "21": _TEXT_20,
    "22": _TEXT_20,
    "235": (Field("text", 5, 28),),
    **dict.fromkeys(("240", "241", "250", "251", "400", "401", "403"), _TEXT_30),
    "243": _TEXT_20,
    "253": (Field("digits", 13), Field("text", 5, 17)),
    "254": _TEXT_20,
    "255": (Field("digits", 13), Field("number", 4, 12)),
    "30": (Field("number", 4, 8),),
    "37": (Field("number", 4, 8),),
    **{f"{unit}{decimals}": _MEASURE for unit in range(310, 317) for decimals in range(6)},
    **{f"{unit}{decimals}": _MEASURE for unit in range(320, 338) for decimals in range(6)},
    **{f"{unit}{decimals}": _MEASURE for unit in range(340, 370) for decimals in range(6)},
    "402": (Field("integer", 17),),
    **{str(ai): _GLN for ai in range(410, 418)},
    "7003": (Field("datetime", 10),),
    "8003": (Field("digits", 14), Field("text", 5, 16)),
    "8004": (Field("delimited", 5, 30),),
    "8017": (Field("digits", 18),),
    "8018": (Field("digits", 18),),
    "90": _TEXT_30,
    **{str(ai): _TEXT_90 for ai in range(91, 100)},
}
