"""Exact amounts: measures on labels become integers of the base unit once, at the edge; money is integers too."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from vocabulary.item import BaseUnit

_KILOGRAM = Fraction(1_000)
_POUND = Fraction(45_359_237, 100_000)
_OUNCE = _POUND / 16
_TROY_OUNCE = Fraction(311_034_768, 10_000_000)
_METRE = Fraction(1_000)
_INCH = Fraction(254, 10)
_SQUARE_METRE = Fraction(10_000)
_SQUARE_INCH = Fraction(64_516, 10_000)
_LITRE = Fraction(1_000)
_CUBIC_METRE = Fraction(1_000_000)
_QUART = Fraction(946_352_946, 1_000_000)
_CUBIC_INCH = Fraction(16_387_064, 1_000_000)

#: First three digits of a GS1 trade-measure AI -> base unit and how many of it one unit of the label is.
#: Ratios: GS1 General Specifications 3.6; international yard and pound (1959); US liquid quart.
MEASURES: dict[str, tuple[BaseUnit, Fraction]] = {
    "310": ("GRM", _KILOGRAM),
    **dict.fromkeys(("311", "312", "313"), ("MMT", _METRE)),
    "314": ("CMK", _SQUARE_METRE),
    "315": ("MLT", _LITRE),
    "316": ("MLT", _CUBIC_METRE),
    "320": ("GRM", _POUND),
    **dict.fromkeys(("321", "324", "327"), ("MMT", _INCH)),
    **dict.fromkeys(("322", "325", "328"), ("MMT", _INCH * 12)),
    **dict.fromkeys(("323", "326", "329"), ("MMT", _INCH * 36)),
    "350": ("CMK", _SQUARE_INCH),
    "351": ("CMK", _SQUARE_INCH * 144),
    "352": ("CMK", _SQUARE_INCH * 1_296),
    "356": ("GRM", _TROY_OUNCE),
    "357": ("GRM", _OUNCE),
    "360": ("MLT", _QUART),
    "361": ("MLT", _QUART * 4),
    "364": ("MLT", _CUBIC_INCH),
    "365": ("MLT", _CUBIC_INCH * 1_728),
    "366": ("MLT", _CUBIC_INCH * 46_656),
}


def from_measure(ai: str, digits: str) -> tuple[BaseUnit, int] | None:
    """The base unit and quantity of a GS1 measure (AI 31nn-36nn, six digits), rounded half-even once; None if it is none."""
    known = MEASURES.get(ai[:3])
    if known is None or len(ai) != 4 or not (ai + digits).isascii() or not (ai + digits).isdigit():
        return None
    unit, ratio = known
    return unit, round(Fraction(int(digits), 10 ** int(ai[3])) * ratio)


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in integer minor units of an ISO 4217 currency (1999, EUR = 19.99 EUR)."""

    minor: int
    currency: str


#: Minor-unit exponents that differ from 2 (ISO 4217).
_EXPONENTS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "TND": 3, "OMR": 3, "JOD": 3}


def exponent(currency: str) -> int:
    """How many decimals the minor unit of `currency` has."""
    return _EXPONENTS.get(currency, 2)


def amount(price_micro: int, quantity: int, currency: str) -> Money:
    """What `quantity` base units cost at `price_micro` (10^-6 major units each): multiplied first, rounded half-even once."""
    return Money(round(Fraction(price_micro * quantity * 10 ** exponent(currency), 1_000_000)), currency)
