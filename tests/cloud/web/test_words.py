"""How numbers are written, and how an item's past is reckoned."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.web.history import Flow, chart, past
from cloud.web.page import href, sheet
from cloud.web.sign_in import local
from cloud.web.stock import StockFilter
from cloud.web.words import DAY_US, HOUR_US, MINUTE_US, age, from_micro, moment, money, number, permille


def test_numbers_and_money() -> None:
    assert number(1_234_567) == "1\u202f234\u202f567"
    assert number(-5) == "−5"
    assert number(None) == "–"
    assert money(123_450, "EUR") == "1\u202f234.50 EUR"
    assert money(-5, "EUR") == "−0.05 EUR"
    assert money(1_234, "JPY") == "1\u202f234 JPY"
    assert from_micro(1_234_567, "EUR") == 123
    assert from_micro(5_000, "EUR") == 1
    assert (permille(987), permille(990), permille(None)) == ("98.7 %", "99 %", "–")


def test_times() -> None:
    assert [age(us) for us in (-1, 59_999_999, 3 * MINUTE_US, 7 * HOUR_US, 12 * DAY_US)] == [
        "0 s", "59 s", "3 min", "7 h", "12 days",
    ]  # fmt: skip
    at = 1_767_592_800_000_000
    assert moment(at, "Europe/Berlin", at) == "07:00:00"
    assert moment(at, "Europe/Berlin", at + DAY_US) == "5 Jan 2026 07:00"


def test_stock_is_reckoned_back_from_today() -> None:
    flows = {"2026-01-05": Flow(issued=4), "2026-01-04": Flow(ordered=9, issued=6, received=20, empty=500)}
    days = past("2026-01-05", 3, flows, {"2026-01-04": -1}, 30, "2026-01-04", 900)
    assert [(day.day, day.demand, day.stock, day.out) for day in days] == [
        ("2026-01-03", 0, 21, False), ("2026-01-04", 9, 34, True), ("2026-01-05", 0, 30, False),
    ]  # fmt: skip
    columns = chart(days, [])
    assert columns["demand"] == [0, 9, None]
    assert columns["out"] == [None, 9, None]
    assert len({len(column) for column in columns.values()}) == 1


def test_addresses_hold_what_differs_from_the_defaults() -> None:
    assert href("/", StockFilter()) == "/"
    assert href("/", StockFilter(search="a&b", show="out"), after="X") == "/?search=a%26b&show=out&after=X"


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_sign_in_never_leads_elsewhere(path: str) -> None:
    for tried in (path, "/" + path, "//" + path, "/\\" + path):
        target = local(tried)
        assert target.startswith("/")
        assert not target.startswith(("//", "/\\"))
        assert "\n" not in target
        assert "\r" not in target


def test_a_cell_is_never_a_formula() -> None:
    text = sheet("x", ("a",), [("=1+1",), ("@x",), (-5,), ("plain",)]).content
    assert text.splitlines() == ["a", "'=1+1", "'@x", "-5", "plain"]
