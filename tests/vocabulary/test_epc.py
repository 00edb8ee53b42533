"""EPC decoding against the examples of the Tag Data Standard and against an independent decoder."""

import sys
from random import Random

import msgspec
import pytest
from epcpy.epc_schemes import GDTI, GIAI, GRAI, GSRN, GSRNP, SGCN, SGLN, SGTIN, SSCC
from hypothesis import given, settings
from hypothesis import strategies as st

from vocabulary.epc import as_json, decode, decode_bank, decode_uncached
from vocabulary.identifier import check_digit, gtin_of, kind_of, serial_of, unit_key_serial

# (scheme, EPC in hexadecimal, Digital Link path): TDS 2.3, annex E.3.
EXAMPLES = [
    ("sgtin-96", "3066C4409047E140075BCD15", "01/09506000134352/21/123456789"),
    ("sgtin-198", "3666C4409047E159B2C2BF100000000000000000000000000000", "01/09506000134352/21/32a%2Fb"),
    ("sgtin+", "F73795211411234538566CB0AFC4", "01/79521141123453/21/32a%2Fb"),
    ("dsgtin+", "FB342CDE795211411234538566CB0AFC4", "01/79521141123453/21/32a%2Fb?17=220630"),
    ("sscc-96", "311BA1B300CE0A6A83000000", "00/095201234567891235"),
    ("sscc+", "F90095201234567891235", "00/095201234567891235"),
    ("sgln-96", "3276451FD46072000000162E", "414/9521141123454/254/5678"),
    ("sgln-195", "3976451FD46072CD9615F8800000000000000000000000000000", "414/9521141123454/254/32a%2Fb"),
    ("sgln+", "F2395211411234548566CB0AFC4", "414/9521141123454/254/32a%2Fb"),
    ("grai-96", "3376451FD40C0E400000162E", "8003/095211411234545678"),
    ("grai-170", "3776451FD40C0E59B2C2BF1000000000000000000000", "8003/0952114112345432a%2Fb"),
    ("grai+", "F13095211411234548566CB0AFC4", "8003/0952114112345432a%2Fb"),
    ("giai-96", "3476451FD40000000000162E", "8004/95211415678"),
    ("giai-202", "3876451FD59B2C2BF10000000000000000000000000000000000", "8004/952114132a%2Fb"),
    ("giai+", "FA3952114132E83C2BF10", "8004/952114132a%2Fb"),
    ("gsrn-96", "2D76451FD4499602D2000000", "8018/952114112345678906"),
    ("gsrn+", "F43952114112345678906", "8018/952114112345678906"),
    ("gsrnp-96", "2E76451FD4499602D2000000", "8017/952114112345678906"),
    ("gsrnp+", "F53952114112345678906", "8017/952114112345678906"),
    ("gdti-96", "2C76451FD46072000000162E", "253/95211411234545678"),
    ("gdti-174", "3E76451FD7039B061438997367D0C18B266D1AB66EE0", "253/9521141987650ABCDefgh012345678"),
    ("gdti+", "F6395211411234540458B8", "253/95211411234545678"),
    ("sgcn-96", "3F76451FD612640000019907", "255/952114167890904711"),
    ("sgcn+", "F839521141678909509338", "255/952114167890904711"),
]

STOCK = ("sgtin", "dsgtin", "sscc", "grai", "giai")


def link_path(epc) -> str:
    """The Digital Link path of a decoded EPC, from its named keys, written here a second time."""
    fields = msgspec.to_builtins(epc)
    if epc.gtin:
        path = f"01/{epc.gtin}/21/{epc.serial}"
    elif epc.gln:
        path = f"414/{epc.gln}/254/{epc.serial}"
    elif epc.grai:
        path = f"8003/0{epc.grai}"
    else:
        ais = {"sscc": "00", "giai": "8004", "gsrn": "8018", "gsrnp": "8017", "gdti": "253", "sgcn": "255"}
        (name,) = ais.keys() & fields.keys()
        path = f"{ais[name]}/{fields[name]}"
    return path.replace("a/b", "a%2Fb")


@pytest.mark.parametrize(("scheme", "hexadecimal", "path"), EXAMPLES)
def test_examples_of_the_standard(scheme, hexadecimal, path):
    epc = decode(hexadecimal)
    assert (epc.scheme, epc.error) == (scheme, None)
    bare = path.partition("?")[0]
    assert link_path(epc) == bare
    assert epc.key == (bare if scheme.startswith(STOCK) else None)
    if "+" in scheme:
        assert epc.uri == f"https://id.gs1.org/{path}"
    if epc.key:
        assert scheme.lstrip("d").startswith(kind_of(epc.key))


@pytest.mark.parametrize(("scheme", "hexadecimal", "path"), EXAMPLES)
def test_lower_case_is_the_same_epc(scheme, hexadecimal, path):
    assert decode(hexadecimal.lower()) == decode(hexadecimal)


def test_the_same_unit_has_one_key_in_both_encodings():
    assert decode("3776451FD40C0E59B2C2BF1000000000000000000000").key == decode("F13095211411234548566CB0AFC4").key
    assert decode("311BA1B300CE0A6A83000000").key == decode("F90095201234567891235").key


# ---- the independent decoder ----------------------------------------------------------------------------------


def digits(random: Random, count: int) -> str:
    return "".join(random.choice("0123456789") for _ in range(count))


def text(random: Random, most: int) -> str:
    """A serial number of the characters that the independent encoder reads rightly (it fails at some others)."""
    alphabet = [*"ABCxyz0123456789-_"]
    return "A" + "".join(random.choice(alphabet) for _ in range(random.randint(0, most - 1)))


def number(random: Random, bits: int) -> str:
    return str(random.choice([0, 1, (1 << bits) - 1, random.getrandbits(bits), random.getrandbits(bits // 2)]))


def cases(random: Random, prefix: int):
    """One EPC URI of every classic scheme for a company prefix of `prefix` digits."""
    company, rest = digits(random, prefix), 12 - prefix
    yield SGTIN, SGTIN.BinaryCodingScheme.SGTIN_96, f"sgtin:{company}.{digits(random, rest + 1)}.{number(random, 38)}"
    yield SGTIN, SGTIN.BinaryCodingScheme.SGTIN_198, f"sgtin:{company}.{digits(random, rest + 1)}.{text(random, 20)}"
    yield SSCC, None, f"sscc:{company}.{digits(random, rest + 5)}"
    yield SGLN, SGLN.BinaryCodingScheme.SGLN_96, f"sgln:{company}.{digits(random, rest)}.{number(random, 41)}"
    yield SGLN, SGLN.BinaryCodingScheme.SGLN_195, f"sgln:{company}.{digits(random, rest)}.{text(random, 20)}"
    yield GRAI, GRAI.BinaryCodingScheme.GRAI_96, f"grai:{company}.{digits(random, rest)}.{number(random, 38)}"
    yield GRAI, GRAI.BinaryCodingScheme.GRAI_170, f"grai:{company}.{digits(random, rest)}.{text(random, 16)}"
    yield GIAI, GIAI.BinaryCodingScheme.GIAI_96, f"giai:{company}.{number(random, 42)}"
    yield GIAI, GIAI.BinaryCodingScheme.GIAI_202, f"giai:{company}.{text(random, 18)}"
    yield GSRN, None, f"gsrn:{company}.{digits(random, rest + 5)}"
    yield GSRNP, None, f"gsrnp:{company}.{digits(random, rest + 5)}"
    yield GDTI, GDTI.BinaryCodingScheme.GDTI_96, f"gdti:{company}.{digits(random, rest)}.{number(random, 41)}"
    yield GDTI, GDTI.BinaryCodingScheme.GDTI_174, f"gdti:{company}.{digits(random, rest)}.{text(random, 17)}"
    yield SGCN, None, f"sgcn:{company}.{digits(random, rest)}.{digits(random, random.randint(1, 12))}"


@pytest.mark.parametrize("prefix", range(6, 13))
def test_agrees_with_an_independent_encoder_and_its_keys(prefix):
    random = Random(prefix)
    for _ in range(25):
        for scheme_class, coding, uri in cases(random, prefix):
            oracle = scheme_class(f"urn:epc:id:{uri}")
            filter_value = random.randrange(8)
            wanted = next(iter(scheme_class.BinaryCodingScheme)) if coding is None else coding
            module = vars(sys.modules[scheme_class.__module__])
            filters = next(value for name, value in module.items() if name.endswith("FilterValue"))
            binary = oracle.binary(binary_coding_scheme=wanted, filter_value=filters(str(filter_value)))
            padded = binary + "0" * (-len(binary) % 16)
            epc = decode_uncached(f"{int(padded, 2):0{len(padded) // 4}X}")
            assert epc.error is None, (uri, epc)
            assert (epc.scheme, epc.uri, epc.filter) == (wanted.value, f"urn:epc:id:{uri}", filter_value)
            assert epc.company_prefix == uri.split(":")[1].split(".")[0]
            if scheme_class in (SGTIN, SSCC, GRAI, GIAI, GDTI, GSRN, GSRNP, SGCN):
                assert oracle.gs1_element_string() == element_string(epc), uri


def element_string(epc) -> str:
    if epc.gtin:
        return f"(01){epc.gtin}(21){epc.serial}"
    ais = {"sscc": "00", "grai": "8003", "giai": "8004", "gsrn": "8018", "gsrnp": "8017", "gdti": "253", "sgcn": "255"}
    name = next(name for name in ais if getattr(epc, name))
    return f"({ais[name]}){'0' if name == 'grai' else ''}{getattr(epc, name)}"


# ---- refusals: never a guess ----------------------------------------------------------------------------------

SGTIN_96 = "3034257BF7194E4000001A85"


@pytest.mark.parametrize(
    ("hexadecimal", "reason"),
    [
        ("", "empty"),
        ("3", "8 to 496 bits"),
        ("zz", "not hexadecimal"),
        ("+034257BF7194E4000001A85", "not hexadecimal"),
        ("30_4257BF7194E4000001A85", "not hexadecimal"),
        ("0x34257BF7194E4000001A85", "not hexadecimal"),
        ("٣٠34257BF7194E4000001A85", "not hexadecimal"),
        (" 034257BF7194E4000001A85", "not hexadecimal"),
        ("3" * 125, "8 to 496 bits"),
        (SGTIN_96 + "00000000", "sgtin-96 has 96 bits, this EPC has 128"),
        (SGTIN_96[:-2], "sgtin-96 has 96 bits, this EPC has 88"),
        ("303C" + SGTIN_96[4:], "partition value 7"),
        ("301BFFFFFFFFFFFFFFFFFFFF", "company prefix has more than 6 digits"),
        ("311BA1B300CE0A6A83000001", "reserved bits are not zero"),
        ("3666C4409047E159B2C2BF100000000000000000000000001000", "goes on after its end"),
        ("3666C4409047E1400000000000000000000000000000000000", "serial number is empty"),
        ("3F76451FD612640000000001", "sgcn-96"),
        ("000000000000000000000000", "header 00 (an unprogrammed tag)"),
        ("E28011606000020000000001", "header E2 (reserved for tag identifiers"),
        ("3500E86F8000A9E000000586", "header 35 (GID-96)"),
        ("FD3795211411234538566CB0AFC525065F1876F0D996D800", "header FD (SGTIN++)"),
        ("AB0000000000000000000000", "header AB is not decoded"),
        ("F73795211411234638566CB0AFC4", "check digit of GTIN 79521141123463 is wrong"),
        ("F7379521141123453", "ends before the value"),
        ("F90095201234567891235001", "toggle is 0"),
        ("F900952012345678912A5", "digit is above 9"),
        ("F13195211411234548566CB0AFC4", "filler zero"),
        ("FB372CDE795211411234538566CB0AFC4", "date type 7 is reserved"),
    ],
)
def test_what_the_standard_does_not_assign_stays_raw(hexadecimal, reason):
    epc = decode(hexadecimal)
    assert (epc.scheme, epc.key, epc.gtin) == ("raw", None, None)
    assert epc.error is not None
    assert reason is None or reason in epc.error
    assert "not hexadecimal" in epc.error or epc.uri in ("", f"urn:epc:raw:{4 * len(hexadecimal)}.x{hexadecimal}")


def test_the_pc_word_decides_length_and_meaning():
    assert decode_bank(0x3000, SGTIN_96 + "00000000").scheme == "sgtin-96"
    assert decode_bank(0x4000, SGTIN_96 + "00000000").error == "sgtin-96 has 96 bits, this EPC has 128"
    assert decode_bank(0x31A1, SGTIN_96).error == "the PC word marks ISO/IEC 15961 data (AFI A1), not an EPC"
    assert "only 64 were read" in str(decode_bank(0x3000, SGTIN_96[:16]).error)
    assert decode_bank(0x0000, SGTIN_96).error == "the EPC is empty"


def test_places_people_and_papers_are_decoded_but_are_no_stock():
    for hexadecimal in ("3276451FD46072000000162E", "2D76451FD4499602D2000000", "F6395211411234540458B8"):
        epc = decode(hexadecimal)
        assert (epc.error, epc.key) == (None, None)


def test_json_of_the_command_line():
    assert as_json(decode(SGTIN_96)) == {
        "hex": SGTIN_96,
        "scheme": "sgtin-96",
        "uri": "urn:epc:id:sgtin:0614141.812345.6789",
        "key": "01/80614141123458/21/6789",
        "gtin": "80614141123458",
        "serial": "6789",
        "filter": 1,
        "company_prefix": "0614141",
        "error": None,
    }
    assert as_json(decode("zz"))["error"] == "this is not hexadecimal"


# ---- '+' EPCs: every text form, and the data behind the key ---------------------------------------------------

GTIN = "09506000134352"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
CODE_40 = "\0ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:0123456789"


def bits(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def nibbles(numbers: str) -> str:
    return "".join(bits(int(digit), 4) for digit in numbers)


def alphanumeric(value: str, method: int) -> str:
    head = bits(method, 3) + bits(len(value), 5)
    if method == 0:
        return head + bits(int(value), (10 ** len(value) - 1).bit_length())
    if method in (1, 2):
        return head + "".join(bits(int(character, 16), 4) for character in value)
    if method == 3:
        return head + "".join(bits(BASE64.index(character), 6) for character in value)
    if method == 4:
        return head + "".join(bits(ord(character), 7) for character in value)
    indexes = [CODE_40.index(character) for character in value] + [0] * (-len(value) % 3)
    groups = [indexes[at : at + 3] for at in range(0, len(indexes), 3)]
    return head + "".join(bits(1600 * a + 40 * b + c + 1, 16) for a, b, c in groups)


def hexadecimal(binary: str) -> str:
    binary += "0" * (-len(binary) % 16)
    return f"{int(binary, 2):0{len(binary) // 4}X}"


def sgtin_plus(serial: str, method: int, data: str = "") -> str:
    return hexadecimal(
        bits(0xF7, 8) + ("1" if data else "0") + "011" + nibbles(GTIN) + alphanumeric(serial, method) + data
    )


@pytest.mark.parametrize(
    ("serial", "method"),
    [("00042", 0), ("9" * 20, 0), ("0AF", 1), ("0af", 2), ("a-_Z9", 3), ('A/b%c"?', 4), ("AB-1.2:3", 5), ("ABC", 5)],
)
def test_every_text_form_of_a_plus_epc(serial, method):
    epc = decode(sgtin_plus(serial, method))
    assert (epc.error, epc.gtin, epc.serial, epc.filter) == (None, GTIN, serial, 3)


def test_data_behind_the_key_is_read_and_its_faults_do_not_hide_the_key():
    date = bits(26, 7) + bits(12, 4) + bits(31, 5)
    lot = nibbles("10") + alphanumeric("L-1", 3)
    weight = nibbles("3103") + bits(1250, 20)
    epc = decode(sgtin_plus("S1", 3, lot + nibbles("17") + date + weight))
    assert (epc.key, epc.elements_error) == (f"01/{GTIN}/21/S1", None)
    assert dict(epc.elements) == {"10": "L-1", "17": "261231", "3103": "001250"}
    unknown = decode(sgtin_plus("S1", 3, lot + nibbles("8008") + date))
    assert (unknown.error, unknown.key) == (None, epc.key)
    assert (unknown.elements, unknown.elements_error) == (
        (("10", "L-1"),),
        "+AIDC data holds AI 8008, which is not read",
    )
    broken = decode(sgtin_plus("S1", 3, lot + nibbles("17") + bits(26, 7) + bits(13, 4) + bits(1, 5)))
    assert (broken.key, broken.elements_error) == (epc.key, "+AIDC data: there is no such date")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.text(max_size=30)
    | st.text("0123456789abcdefABCDEF", max_size=60)
    | st.builds(
        lambda row, tail: row[1][: len(row[1]) // 2] + tail, st.sampled_from(EXAMPLES), st.text("0123456789ABCDEF")
    )
)
def test_no_text_raises_and_every_answer_is_consistent(text):
    epc = decode_uncached(text)
    assert (epc.scheme == "raw") == (epc.error is not None)
    if epc.key is not None:
        kind_of(epc.key)
    as_json(epc)


def test_unit_keys_are_checked():
    for text in ("", "01/123", "00/12", "414/9521141123454", "01/09506000134352/21/a/b", "serial/x"):
        with pytest.raises(ValueError, match="is no unit key"):
            kind_of(text)
    assert (gtin_of(f"01/{GTIN}/21/32a%2Fb"), serial_of(f"01/{GTIN}/21/32a%2Fb")) == (GTIN, "32a/b")
    assert kind_of(unit_key_serial("pump/3", "7 b")) == "serial"
    assert gtin_of("00/106141412345678908") is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**17 - 1))
def test_check_digit_is_the_weighted_sum_of_the_standard(payload):
    total = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(reversed(str(payload))))
    assert (total + check_digit(payload)) % 10 == 0
