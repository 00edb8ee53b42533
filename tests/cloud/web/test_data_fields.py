"""What a person types into a form of data, and what is kept of it: exactly that, or a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.errors import BadInputError
from cloud.files import Field, fields_of
from cloud.inputs.masters import MASTERS
from cloud.web.data_fields import control_of, shown, typed, value_of
from cloud.web.data_forms import read, texts_of


def field(kind: str, name: str) -> Field:
    return next(one for one in fields_of(MASTERS[kind].row) if one.name == name)  # type: ignore[index]


@given(st.integers(0, 10**12), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_amounts_come_back_exactly_as_they_were_kept(amount: int, currency: str) -> None:
    for one in (field("terms", "price_micro"), field("terms", "order_cost_minor")):
        assert value_of(one, typed(one, amount, currency), currency) == amount
        assert value_of(one, shown(one, amount, ""), "EUR") == value_of(one, typed(one, amount, "EUR"), "EUR")


@given(st.integers(-1_000, 100_000))
def test_shares_are_typed_in_per_cent_and_kept_in_per_mille(share: int) -> None:
    uplift = field("campaigns", "uplift")
    assert value_of(uplift, typed(uplift, share, ""), "") == share
    assert value_of(uplift, shown(uplift, share, ""), "") == share  # "−12.5 %", as the list shows it


@given(st.integers(0, 1_440))
def test_times_of_day_are_typed_as_such(minute: int) -> None:
    closes = field("sites", "closes")
    assert value_of(closes, typed(closes, minute, ""), "") == minute


def test_currencies_decide_where_the_point_stands() -> None:
    budget = field("sites", "budget_minor")
    assert value_of(budget, "1 234.50", "EUR") == 123_450
    assert value_of(budget, "1234,5", "EUR") == 123_450
    assert value_of(budget, "1234", "JPY") == 1_234
    assert typed(budget, 123_450, "EUR") == "1234.50"
    assert shown(budget, 123_450, "EUR") == "1\u202f234.50 EUR"
    assert shown(field("items", "price_micro"), 3_105_000, "EUR") == "3.105 EUR"
    assert value_of(budget, "", "EUR") is None  # no limit


@pytest.mark.parametrize(
    ("kind", "name", "text", "told"),
    [
        ("sites", "budget_minor", "1.005", "at most 2 decimals"),
        ("sites", "budget_minor", "1,234", "write a number"),  # a group, or a decimal comma: nobody can know
        ("sites", "service", "99.95", "at most 1 decimals"),
        ("sites", "service", "100", "at most 99.9, please"),
        ("sites", "service", "", "95 is usual"),
        ("sites", "opens", "6 o'clock", "06:00"),
        ("sites", "opens", "24:01", "06:00"),
        ("terms", "pack", "0", "at least 1, please"),
        ("terms", "pack", "1.5", "whole number"),
        ("terms", "lead_time_days", "-1", "at least 0, please"),
        ("terms", "lead_time_days", "nan", "too large"),
        ("terms", "moq", "1e400", "too large"),
        ("terms", "item", "", "missing"),
        ("items", "unit", "KGM", "choose one"),
        ("campaigns", "first_day", "2026-02-30", "write a date"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_what_to_write(kind: str, name: str, text: str, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        value_of(field(kind, name), text, "EUR")


def test_every_form_means_its_defaults_where_nothing_is_typed_over_them() -> None:
    for kind, master in MASTERS.items():
        said = read(master.row, texts_of(master.row, {}))
        needed = {one.name for one in fields_of(master.row) if one.required}
        assert set(said.errors) == needed, kind
        for one in fields_of(master.row):
            if not one.required:
                assert said.values[one.name] == one.default, (kind, one.name)


@settings(deadline=None)
@given(st.data())
def test_any_text_gives_a_value_or_a_sentence(data: st.DataObject) -> None:
    master = data.draw(st.sampled_from(list(MASTERS.values())))
    texts = {one.name: data.draw(st.text(max_size=12)) for one in fields_of(master.row)}
    said = read(master.row, texts)
    assert set(said.values) | set(said.errors) == set(texts)
    assert not any("$" in text or "expected `" in text.lower() for text in said.errors.values()), said.errors


def test_a_price_is_no_duration_and_minutes_of_a_day_are_no_duration() -> None:
    assert control_of(field("sites", "opens")) == "time"
    assert control_of(field("sites", "undo_minutes")) == "whole"
    assert control_of(field("items", "successor")) == "name"
    assert control_of(field("items", "discontinued_on")) == "date"
