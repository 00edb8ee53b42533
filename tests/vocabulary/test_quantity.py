"""Measures on labels and money: exact, rounded half-even once."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocabulary.quantity import MEASURES, Money, amount, exponent, from_measure


@pytest.mark.parametrize(
    ("ai", "digits", "expected"),
    [
        ("3103", "001250", ("GRM", 1_250)),
        ("3100", "000002", ("GRM", 2_000)),
        ("3105", "000001", ("GRM", 0)),
        ("3202", "000100", ("GRM", 454)),
        ("3111", "000015", ("MMT", 1_500)),
        ("3152", "000150", ("MLT", 1_500)),
        ("3145", "000005", ("CMK", 0)),
        ("3145", "000015", ("CMK", 2)),
        ("3210", "000001", ("MMT", 25)),
        ("3610", "000001", ("MLT", 3_785)),
        ("3703", "001250", None),
        ("3103", "00125x", None),
        ("310", "001250", None),
        ("310³", "001250", None),
    ],
)
def test_measures(ai: str, digits: str, expected: tuple[str, int] | None) -> None:
    assert from_measure(ai, digits) == expected


@given(st.sampled_from(sorted(MEASURES)), st.integers(0, 5), st.integers(0, 999_999))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_measures_agree_with_decimal_arithmetic(prefix: str, places: int, value: int) -> None:
    measure = from_measure(f"{prefix}{places}", f"{value:06}")
    ratio = MEASURES[prefix][1]
    exact = Decimal(value * ratio.numerator) / Decimal(ratio.denominator * 10**places)
    assert measure is not None
    assert abs(Decimal(measure[1]) - exact) <= Decimal("0.5")


def test_money_is_multiplied_before_it_is_rounded() -> None:
    assert amount(333_333, 3, "EUR") == Money(100, "EUR")
    assert amount(5_000, 1, "EUR") == Money(0, "EUR")
    assert amount(15_000, 1, "EUR") == Money(2, "EUR")
    assert amount(1_500_000, 1, "JPY") == Money(2, "JPY")
    assert amount(-1_999_999, 1, "EUR") == Money(-200, "EUR")
    assert (exponent("EUR"), exponent("KWD"), exponent("JPY")) == (2, 3, 0)


@given(st.integers(0, 10**12), st.integers(0, 10**9), st.sampled_from(("EUR", "JPY", "KWD")))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_money_agrees_with_decimal_arithmetic(price: int, quantity: int, currency: str) -> None:
    exact = Decimal(price * quantity).scaleb(exponent(currency) - 6)
    assert amount(price, quantity, currency).minor == int(exact.to_integral_value(ROUND_HALF_EVEN))
