"""Barcode reading: what a scanner sends becomes keys, lot, dates and measures; faults stand beside them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocabulary.barcode import as_json, read
from vocabulary.epc import decode
from vocabulary.identifier import gtin14, kind_of

GS = "\x1d"
GTIN = "09506000134352"
SSCC = "106141412345678908"


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("96385074", "00000096385074"),
        ("012345678905", "00012345678905"),
        ("4006381333931", "04006381333931"),
        ("14006381333938", "14006381333938"),
        ("]E04006381333931", "04006381333931"),
        ("]E496385074", "00000096385074"),
        ("]E3400638133393112", "04006381333931"),
        ("]I114006381333938", "14006381333938"),
        ("]I014006381333938", "14006381333938"),
        ("]E001234565", "00012345000065"),
        ("]E401234565", "00000001234565"),
        ("04252614", "00042100005264"),
    ],
)
def test_every_gtin_format_becomes_fourteen_digits(text, gtin):
    barcode = read(text)
    assert (barcode.gtin, barcode.error, barcode.unit) == (gtin, None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"]C101{GTIN}17261231" + f"10L/1{GS}21S-1",
        f"]d201{GTIN}10L/1{GS}1726123121S-1",
        f"]Q3{GS}01{GTIN}21S-1{GS}10L/1{GS}17261231{GS}",
        f"]e001{GTIN}{GS}1726123110L/1{GS}21S-1",
        f"01{GTIN}1726123110L/1{GS}21S-1",
        f"(01){GTIN}(17)261231(10)L/1(21)S-1",
        f"(01) {GTIN} (17) 261231 (10) L/1 (21) S-1",
        f"https://id.gs1.org/01/{GTIN}/10/L%2F1/21/S-1?17=261231&linkType=all",
        "]Q1HTTPS://example.com/shop/a/01/9506000134352/10/L%2F1/21/S-1?17=261231",
        f"]d1http://example.com/01/{GTIN}/21/S-1?10=L%2F1&17=261231",
    ],
)
def test_one_label_says_the_same_in_every_form(text):
    barcode = read(text)
    assert barcode.error is None
    assert barcode.elements == {"01": GTIN, "10": "L/1", "17": "261231", "21": "S-1"}
    assert (barcode.gtin, barcode.lot, barcode.expiry, barcode.serial) == (GTIN, "L/1", "2026-12-31", "S-1")
    assert barcode.unit == f"01/{GTIN}/21/S-1"


@pytest.mark.parametrize("text", [SSCC, f"00{SSCC}", f"]C100{SSCC}", f"(00){SSCC}", f"]Q1https://a.example/00/{SSCC}"])
def test_sscc(text):
    barcode = read(text)
    assert (barcode.sscc, barcode.unit, barcode.error) == (SSCC, f"00/{SSCC}", None)


def test_a_tag_and_a_barcode_name_the_same_unit():
    assert decode("3066C4409047E140075BCD15").key == read(f"]C101{GTIN}21123456789").unit
    assert decode("F73795211411234538566CB0AFC4").key == read("(01)79521141123453(10)ANY(21)32a/b").unit
    assert decode("311BA1B300CE0A6A83000000").key == read("]C100095201234567891235").unit
    assert decode("3376451FD40C0E400000162E").key == read("(8003)095211411234545678").unit
    assert decode("FA3952114132E83C2BF10").key == read("https://id.gs1.org/8004/952114132a%2Fb").unit


def test_logistic_label_with_content_count_and_weight():
    barcode = read(f"]C102{GTIN}3103001250152701003712{GS}")
    assert (barcode.content_gtin, barcode.count, barcode.gtin) == (GTIN, 12, None)
    assert barcode.measures == {"3103": "1.250"}
    assert (barcode.best_before, barcode.expiry) == ("2027-01-31", None)
    assert read(f"]C101{GTIN}3100000007304").measures == {"3100": "7"}
    assert read(f"]C101{GTIN}3100000007304").quantity == 4


def test_place():
    barcode = read("]C14149521141123454254A-01")
    assert (barcode.gln, barcode.elements["254"], barcode.unit, barcode.error) == ("9521141123454", "A-01", None, None)


@pytest.mark.parametrize("substitute", ["~", "<GS>", "^]", "\x1d"])
def test_separator_substitute(substitute):
    barcode = read(f"]C101{GTIN}10AB{substitute}21XY", fnc1=substitute)
    assert (barcode.lot, barcode.serial, barcode.error) == ("AB", "XY", None)


def test_aim_identifier_may_be_passed_beside_the_text():
    for aim in ("]C1", "C1"):
        barcode = read("10AB", aim=aim)
        assert (barcode.aim, barcode.symbology, barcode.lot, barcode.error) == ("]C1", "GS1-128", "AB", None)


def test_the_century_follows_the_year_of_the_scan():
    assert read("]C117760101", year=2026).expiry == "2076-01-01"
    assert read("]C117770101", year=2026).expiry == "1977-01-01"
    assert read("]C117000101", year=2051).expiry == "2100-01-01"
    assert read("]C117240229", year=2026).expiry == "2024-02-29"


@pytest.mark.parametrize(
    ("text", "error", "kept"),
    [
        (f"]C10109506000134353{GS}10AB", "AI 01: the check digit of 09506000134353 is wrong", {"lot": "AB"}),
        (f"]C101{GTIN}1726133110AB", "AI 17: '26133110AB' does not have the format N2+N6", {"gtin": GTIN, "lot": "AB"}),
        (f"]C101{GTIN}1726023010AB", "AI 17: there is no date 260230", {"gtin": GTIN, "lot": "AB", "expiry": None}),
        (f"]C101{GTIN}10{'9' * 21}", "AI 10: the value is longer than N2+X..20 allows", {"gtin": GTIN, "lot": None}),
        (f"]C101{GTIN}10A B{GS}21X", "AI 10", {"gtin": GTIN, "lot": None, "serial": "X"}),
        (f"]C101{GTIN}{GS}05123{GS}21X", "no application identifier begins with '0512'", {"serial": "X"}),
        (f"]C101{GTIN}21A{GS}21B", "AI 21 stands twice", {"gtin": GTIN, "serial": None, "unit": None}),
        (f"(01){GTIN}(17)261(21)X", "AI 17", {"gtin": GTIN, "serial": "X"}),
        (f"https://a.example/01/{GTIN}/21", "ends with '21'", {"gtin": GTIN}),
        ("4006381333932", "the check digit of 4006381333932 is wrong", {"gtin": None}),
        ("]E04006381333932", "the check digit of 4006381333932 is wrong", {"gtin": None}),
        ("]C0A-01-02", "Code 128 without FNC1", {"gtin": None}),
        ("10-A-03", "may be something else", {}),
        ("RACK 7", "neither a GTIN", {"gtin": None}),
        ("https://example.com/page", "no GS1 Digital Link", {"gtin": None}),
        ("(99999)x", "neither a GTIN", {}),
        ("", "empty", {}),
        ("٠٩٥٠٦٠٠٠١٣٤٣٥٢", "neither a GTIN", {"gtin": None}),
    ],
)
def test_a_fault_stands_beside_what_could_be_read(text, error, kept):
    barcode = read(text)
    assert barcode.error is not None
    assert error in barcode.error
    assert {name: getattr(barcode, name) for name in kept} == kept


def test_json_always_has_the_promised_keys():
    keys = {"text", "elements", "gtin", "lot", "expiry", "serial", "sscc", "error"}
    assert keys <= as_json(read("nothing")).keys()
    full = as_json(read(f"(01){GTIN}(21)1"))
    assert full["elements"] == {"01": GTIN, "21": "1"}
    assert full["error"] is None


pieces = st.sampled_from(
    ["]C1", "]d2", "]E0", "]Q1", "(01)", "01", "10", "17", "21", "3103", "7003", "8003", GTIN, SSCC]
)
texts = st.lists(
    pieces | st.sampled_from([GS, "http://a/01/", "/21/", "%2F", "?17="]) | st.text(max_size=6), max_size=9
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(texts.map("".join) | st.text(), st.none() | st.text(max_size=3), st.sampled_from([GS, "~", ""]))
def test_no_text_raises_and_every_answer_is_consistent(text, aim, fnc1):
    barcode = read(text, aim, fnc1)
    assert barcode.text == text
    assert barcode.error is not None or barcode.elements
    if barcode.unit is not None:
        kind_of(barcode.unit)
    if barcode.gtin is not None:
        assert gtin14(barcode.gtin) == barcode.gtin
    as_json(barcode)


serials = st.text("!\"%&'()*+,-./:;<=>?_ABCxyz0129", min_size=1, max_size=20)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(serials, serials)
def test_lot_and_serial_survive_every_character_of_the_standard(lot, serial):
    barcode = read(f"]C101{GTIN}10{lot}{GS}21{serial}")
    assert (barcode.error, barcode.lot, barcode.serial) == (None, lot, serial)
    assert barcode.unit is not None
    assert read(f"https://id.gs1.org/{barcode.unit}").unit == barcode.unit
