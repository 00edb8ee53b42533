"""Barcodes: from the text of a scanner to GS1 keys, lot, dates and measures.

`read` never raises. What it cannot read stands in `error` beside what it could: a wrong check digit late in a
label does not hide the product in front of it. Element strings are cut and checked by biip; what lies around
them (symbology, separators, brackets, Digital Link) is decided here. Section numbers are those of the GS1
General Specifications 26.
"""

import calendar
import re
from datetime import date
from urllib.parse import unquote, urlsplit

import msgspec
from biip import ParseConfig, ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier
from biip.gs1_element_strings import GS1ElementString
from biip.upc import Upc

from vocabulary.identifier import (
    gtin14,
    has_check_digit,
    is_digits,
    unit_key_giai,
    unit_key_grai,
    unit_key_sgtin,
    unit_key_sscc,
)

#: Year around which two-digit years are read when the caller gives none: 49 years before to 50 after (7.12).
#: A fixed year, because this function has no clock; whoever scans passes the year of the site's clock.
DEFAULT_YEAR = 2026

#: Longest text that is read, in characters: a QR code holds at most 4,296 alphanumeric ones.
MAX_LENGTH = 4_296

#: What separates elements of variable length (ASCII 29), in place of the FNC1 symbol character.
FNC1 = "\x1d"

#: biip parses dates by the system clock; they are checked here instead.
_CONFIG = ParseConfig(gs1_element_strings_verify_date=False, separator_chars=(FNC1,))

#: AIM identifier (ISO/IEC 15424) -> name, of what a warehouse meets.
SYMBOLOGIES = {
    "A": "Code 39",
    "C0": "Code 128",
    "C1": "GS1-128",
    "E0": "EAN/UPC",
    "E3": "EAN/UPC with add-on",
    "E4": "EAN-8",
    "G": "Code 93",
    "I": "ITF",
    "I1": "ITF-14",
    "J0": "DotCode",
    "J1": "GS1 DotCode",
    "L": "PDF417",
    "Q": "QR Code",
    "Q3": "GS1 QR Code",
    "X": "other",
    "d": "Data Matrix",
    "d2": "GS1 DataMatrix",
    "e0": "GS1 DataBar",
    "e1": "GS1 Composite",
    "e2": "GS1 Composite",
    "z": "Aztec",
}

#: Those that carry element strings by definition (figure 5.1.2-2).
_ELEMENT_STRINGS = frozenset(("C1", "d2", "Q3", "J1", "e0", "e1", "e2"))

#: Those that carry nothing but a GTIN.
_GTIN_ONLY = frozenset(("E0", "E3", "E4", "I1"))

#: AIs that name something by themselves; a text without AIM identifier, separator or one of them may be anything.
_PRIMARY = ("00", "01", "02", "253", "255", "401", "402", "8003", "8004", "8006", "8010", "8013", "8017", "8018")
_PRIMARY_OR_PLACE = frozenset((*_PRIMARY, *(str(ai) for ai in range(410, 418))))

#: AIs that may begin the path of a Digital Link (GS1 Digital Link URI syntax 4.3).
_LINK_PRIMARY = (_PRIMARY_OR_PLACE - {"02"}) | {"8013"}

#: AIs whose value, or the part of it up to this length, ends with a check digit (7.9).
_CHECKED = {"00": 18, "01": 14, "02": 14, "253": 13, "255": 13, "402": 17, "8003": 14, "8017": 18, "8018": 18} | {
    str(ai): 13 for ai in range(410, 418)
}

#: AIs that are a date YYMMDD, with a time behind it in 7003 (3.4, 3.8).
_DATES = ("11", "12", "13", "15", "16", "17", "4326", "7003", "7006")

#: AI (in brackets) as people print it under the bars.
_BRACKETED = re.compile(r"\(([0-9]{2,4})\)")


class Barcode(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one scan says.

    `elements` maps each AI to its value as printed. `gtin` has 14 digits. `expiry` is AI 17 (or the date of
    7003), `best_before` AI 15, both ISO dates. `content_gtin` and `count` are AI 02 and 37; `quantity` is AI 30;
    `measures` maps each AI 31nn to 36nn to its exact decimal value. `gln` is AI 414. `unit` is the canonical
    unit key where the code names one unit. `error` says what could not be read, or None.
    """

    text: str
    aim: str | None = None
    symbology: str | None = None
    elements: dict[str, str] = {}
    gtin: str | None = None
    lot: str | None = None
    expiry: str | None = None
    best_before: str | None = None
    serial: str | None = None
    sscc: str | None = None
    gln: str | None = None
    quantity: int | None = None
    content_gtin: str | None = None
    count: int | None = None
    measures: dict[str, str] = {}
    unit: str | None = None
    error: str | None = None


def read(text: str, aim: str | None = None, fnc1: str = FNC1, year: int = DEFAULT_YEAR) -> Barcode:
    """Read the text of one scan. Never raises, whatever the text.

    The text may begin with its AIM identifier (`]C1`), or `aim` gives it (`]C1` or `C1`). `fnc1` is what the
    scanner sends between elements instead of ASCII 29, which is always understood too. `year` decides the
    century of two-digit years.
    """
    content = text.strip(" \t\r\n")
    if aim is None and re.match(r"\][A-Za-z][0-9A-Za-z]", content):
        aim, content = content[:3], content[3:]
    code = aim.removeprefix("]") if aim else None
    if fnc1:
        content = content.replace(fnc1, FNC1)
    found = _Found(year)
    if len(content) > MAX_LENGTH:
        found.fault(f"the text has {len(content)} characters, more than any barcode holds")
    elif not content.strip(FNC1):
        found.fault("the text is empty")
    else:
        _dispatch(content, code, found)
    symbology = SYMBOLOGIES.get(code, SYMBOLOGIES.get(code[:1])) if code else None
    return found.barcode(text, f"]{code}" if code else None, symbology)


def as_json(barcode: Barcode) -> dict[str, object]:
    """The fields that are set, always with text, elements, gtin, lot, expiry, serial, sscc and error."""
    always = {"text": barcode.text, "elements": barcode.elements, "gtin": barcode.gtin, "lot": barcode.lot}
    always |= {"expiry": barcode.expiry, "serial": barcode.serial, "sscc": barcode.sscc}
    return {**always, **msgspec.to_builtins(barcode), "error": barcode.error}


class _Found:
    """What was read of one text so far; the first fault is the one reported."""

    def __init__(self, year: int) -> None:
        self.year = year
        self.elements: dict[str, str] = {}
        self.error: str | None = None
        self.bad: set[str] = set()

    def fault(self, reason: str, ai: str | None = None) -> None:
        self.error = self.error or reason
        if ai is not None:
            self.bad.add(ai)

    def add(self, ai: str, value: str) -> None:
        if self.elements.setdefault(ai, value) != value:
            self.fault(f"AI {ai} stands twice, with different values", ai)
            return
        length = _CHECKED.get(ai)
        if length is not None and not has_check_digit(value[:length]):
            self.fault(f"AI {ai}: the check digit of {value[:length]} is wrong", ai)
        if ai in _DATES and self.date(ai) is None:
            self.fault(f"AI {ai}: there is no date {value[:6]}", ai)

    def valid(self, ai: str) -> str | None:
        return None if ai in self.bad else self.elements.get(ai)

    def date(self, ai: str) -> str | None:
        """The ISO date of an AI; day 00 is the last of the month (7.12)."""
        value = self.elements.get(ai)
        if value is None or not is_digits(value[:6]):
            return None
        short, month, day = int(value[:2]), int(value[2:4]), int(value[4:6])
        full = self.year - self.year % 100 + short
        full += 100 * ((full - self.year < -49) - (full - self.year > 50))
        if not 1 <= month <= 12 or not 1 <= full <= 9999:
            return None
        days = calendar.monthrange(full, month)[1]
        return date(full, month, day or days).isoformat() if day <= days else None

    def measures(self) -> dict[str, str]:
        values = {ai: value for ai, value in self.elements.items() if len(ai) == 4 and "31" <= ai[:2] <= "36"}
        return {ai: _decimal(value, int(ai[3])) for ai, value in values.items() if is_digits(value)}

    def number(self, ai: str) -> int | None:
        value = self.elements.get(ai)
        return int(value) if value else None

    def unit(self) -> str | None:
        sscc, gtin, serial = self.valid("00"), self.valid("01"), self.valid("21")
        grai, giai = self.valid("8003"), self.valid("8004")
        if sscc:
            return unit_key_sscc(sscc)
        if gtin and serial:
            return unit_key_sgtin(gtin, serial)
        if grai and len(grai) > 14:
            return unit_key_grai(grai[1:])
        return unit_key_giai(giai) if giai else None

    def barcode(self, text: str, aim: str | None, symbology: str | None) -> Barcode:
        return Barcode(
            text=text,
            aim=aim,
            symbology=symbology,
            elements=self.elements,
            gtin=self.valid("01"),
            lot=self.valid("10"),
            expiry=self.date("17") or self.date("7003"),
            best_before=self.date("15"),
            serial=self.valid("21"),
            sscc=self.valid("00"),
            gln=self.valid("414"),
            quantity=self.number("30"),
            content_gtin=self.valid("02"),
            count=self.number("37"),
            measures=self.measures(),
            unit=self.unit(),
            error=self.error,
        )


def _decimal(digits: str, places: int) -> str:
    """Six digits with an implied decimal point, exact: no leading zeros, all decimal places kept."""
    whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{int(whole or '0')}.{fraction}" if fraction else str(int(whole))


def _dispatch(content: str, code: str | None, found: _Found) -> None:
    if re.match(r"https?://", content, re.IGNORECASE):
        _read_link(content, found)
    elif code in _ELEMENT_STRINGS:
        _read_elements(content, found)
    elif code in _GTIN_ONLY:
        _read_gtin(content, code or "", found)
    elif _BRACKETED.match(content):
        _read_bracketed(content, found)
    elif code and not (code[0] == "I" and len(content) == 14):
        found.fault(f"{SYMBOLOGIES.get(code, SYMBOLOGIES.get(code[:1], code))} without FNC1 carries no GS1 data")
    else:
        _read_unmarked(content, found)


def _read_unmarked(content: str, found: _Found) -> None:
    """Text of which nothing is known: a bare key where its check digit holds, else element strings."""
    if is_digits(content):
        gtin = gtin14(content)
        if gtin is not None:
            found.add("01", gtin)
            return
        if len(content) == 18 and has_check_digit(content):
            found.add("00", content)
            return
        expanded = _expand_upc_e(content)
        if expanded is not None:
            found.add("01", expanded)
            return
    _read_elements(content, found)
    if FNC1 in content or not _PRIMARY_OR_PLACE.isdisjoint(found.elements):
        return
    if found.error is not None or _has_key_length(content):
        found.elements.clear()
        found.error = _no_gs1_data(content)
    else:
        found.fault("without AIM identifier, separator or key this text may be something else than GS1 data")


def _has_key_length(content: str) -> bool:
    return is_digits(content) and len(content) in (8, 12, 13, 14, 18)


def _no_gs1_data(content: str) -> str:
    if _has_key_length(content):
        return f"the check digit of {content} is wrong"
    return "this is neither a GTIN, an SSCC, an element string nor a Digital Link"


def _expand_upc_e(content: str) -> str | None:
    """An eight-digit UPC-E (with number system and check digit) as a GTIN-14, or None."""
    if len(content) != 8:
        return None
    try:
        return gtin14(Upc.parse(content).as_gtin_14())
    except ParseError:
        return None


def _read_gtin(content: str, code: str, found: _Found) -> None:
    """EAN/UPC and ITF-14: digits only; an add-on symbol (2 or 5 digits behind 13) is no part of the GTIN."""
    digits = content[:13] if code == "E3" else content
    # EAN-8 has an identifier of its own, so eight digits under another one are a UPC-E left as it was.
    upc_e = _expand_upc_e(digits) if code in ("E0", "E3") and is_digits(digits) else None
    gtin = upc_e or gtin14(digits)
    if gtin is not None:
        found.add("01", gtin)
    elif is_digits(digits) and len(digits) in (8, 12, 13, 14):
        found.fault(f"the check digit of {digits} is wrong")
    else:
        found.fault(f"{SYMBOLOGIES[code]} carries a GTIN of 8, 12, 13 or 14 digits, not {digits[:20]!r}")


def _read_elements(content: str, found: _Found) -> None:
    """Concatenated element strings (7.8): each is cut by its AI's format, the variable ones by a separator.

    After a fault reading goes on behind the next separator, where an AI must begin again.
    """
    rest = content.lstrip(FNC1)
    while rest:
        head, _, behind = rest.partition(FNC1)
        ai, value = _cut(head, found, whole=False)
        if ai is None:
            rest = behind.lstrip(FNC1)
            continue
        found.add(ai.ai, value)
        used = len(ai.ai) + len(value)
        if used < len(head) and ai.separator_required:
            found.fault(f"AI {ai.ai}: the value is longer than {ai.format} allows, or no separator follows it", ai.ai)
            used = len(head)
        rest = rest[used:].lstrip(FNC1)


def _cut(text: str, found: _Found, whole: bool) -> tuple[GS1ApplicationIdentifier | None, str]:
    """AI and value at the start of `text`, or None with the fault noted; `whole`: the value must use all of it."""
    if not text.isascii():
        found.fault("element strings consist of ASCII characters only")
        return None, ""
    try:
        ai = GS1ApplicationIdentifier.extract(text)
    except ParseError:
        found.fault(f"no application identifier begins with {text[:4]!r}")
        return None, ""
    try:
        parse = GS1ElementString.parse if whole else GS1ElementString.extract
        return ai, parse(text, config=_CONFIG).value
    except (ParseError, ValueError):
        value = text[len(ai.ai) :]
        found.fault(f"AI {ai.ai}: {value[:90]!r} does not have the format {ai.format}", ai.ai)
    # A value of fixed length can be stepped over: a thirteenth month does not hide the serial number behind it.
    fixed = re.fullmatch(r"N[2-4]\+N([0-9]+)", ai.format)
    if fixed is None or ai.separator_required or len(value) < int(fixed[1]) or (whole and len(value) > int(fixed[1])):
        return None, ""
    return ai, value[: int(fixed[1])]


def _read_bracketed(content: str, found: _Found) -> None:
    """The human-readable form `(01)...(21)...`. A bracket that is no AI belongs to the value in front of it."""
    compact = "".join(content.replace(FNC1, "").split())
    starts = [match for match in _BRACKETED.finditer(compact) if _is_ai(match[1])]
    if not starts or starts[0].start() != 0:
        found.fault(f"no application identifier is {compact[1:5].partition(')')[0]!r}")
        return
    ends = [*(match.start() for match in starts[1:]), len(compact)]
    for match, end in zip(starts, ends, strict=True):
        ai, value = _cut(match[1] + compact[match.end() : end], found, whole=True)
        if ai is not None:
            found.add(ai.ai, value)


def _is_ai(ai: str) -> bool:
    try:
        return GS1ApplicationIdentifier.extract(ai).ai == ai
    except ParseError:
        return False


def _read_link(content: str, found: _Found) -> None:
    """A GS1 Digital Link URI of any domain: key and qualifiers in the path, attributes in the query."""
    try:
        parts = urlsplit(content)
    except ValueError:
        found.fault("this is no URI")
        return
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    start = next((at for at, segment in enumerate(segments[:-1]) if segment in _LINK_PRIMARY), None)
    if start is None:
        found.fault("this URI is no GS1 Digital Link: no key in its path")
        return
    pairs = list(zip(segments[start::2], segments[start + 1 :: 2], strict=False))
    if (len(segments) - start) % 2:
        found.fault(f"the Digital Link ends with {segments[-1]!r}, which has no value")
    attributes = [pair.partition("=") for pair in re.split("[&;]", parts.query)]
    pairs += [(unquote(name), unquote(value)) for name, _, value in attributes if _is_ai(unquote(name))]
    for name, text in pairs:
        ai, value = _cut(name + (text.zfill(14) if name == "01" and is_digits(text) else text), found, whole=True)
        if ai is not None:
            found.add(ai.ai, value)
