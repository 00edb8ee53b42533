"""The form of a row of data: its controls with what was typed, what is wrong beside each, and the row that it means. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec

from cloud.errors import BadInputError, BadRow
from cloud.files import Field, fields_of
from cloud.web.data_fields import Control, control_of, refers_of, typed, unit_of, value_of
from cloud.web.data_words import CHOICES, HELP

#: What the money of a row without a currency of its own is in: only its decimals matter, and most have two.
USUAL_CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class Entry:
    """A control as a form shows it: `locked` where it names a row that is there already."""

    field: Field
    control: Control
    text: str
    unit: str
    help: str
    error: str
    locked: bool
    refers: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form said: the texts, the values they mean, and what is wrong by field ("" = the row as a whole)."""

    texts: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    errors: dict[str, str] = field(default_factory=dict[str, str])


def currency_of(values: Mapping[str, object]) -> str:
    """The currency of a row's amounts, "" where it has none."""
    found = str(values.get("currency", ""))
    return found if re.fullmatch("[A-Z]{3}", found) else ""


def texts_of(row: type[msgspec.Struct], values: Mapping[str, object]) -> dict[str, str]:
    """A row as a person types it; fields that `values` does not have stand at their defaults."""
    fields = fields_of(row)
    filled = {one.name: values.get(one.name, one.default) for one in fields}
    currency = currency_of(filled) or USUAL_CURRENCY
    return {one.name: typed(one, filled[one.name], currency) for one in fields}


def entries_of(row: type[msgspec.Struct], said: Typed, locked: Sequence[str] = ()) -> list[Entry]:
    """The controls of a row's form, in the order of its fields."""
    currency = currency_of(said.texts)
    return [
        Entry(
            one,
            control_of(one),
            said.texts.get(one.name, ""),
            unit_of(one, currency),
            HELP.get(one.name, one.text),
            said.errors.get(one.name, ""),
            one.name in locked,
            refers_of(one),
            tuple((value, CHOICES.get(value, value)) for value in one.choices),
        )
        for one in fields_of(row)
    ]


def read(row: type[msgspec.Struct], texts: Mapping[str, str]) -> Typed:
    """The values that the texts of a form mean, and what is wrong with them; all fields are looked at."""
    kept = {one.name: texts.get(one.name, "").strip() for one in fields_of(row)}
    if "currency" in kept:
        kept["currency"] = kept["currency"].upper()
    said = Typed(kept)
    for one in fields_of(row):
        try:
            value = value_of(one, kept[one.name], currency_of(kept) or USUAL_CURRENCY)
            said.values[one.name] = msgspec.convert(value, _types(row)[one.name])
        except BadInputError as error:
            said.errors[one.name] = str(error)
        except msgspec.ValidationError as error:
            said.errors[one.name] = _wrong(one, str(error))
    return said


def with_errors(row: type[msgspec.Struct], said: Typed, rows: Sequence[BadRow]) -> Typed:
    """The same with what the check of the whole row found."""
    found: dict[str, str] = {}
    for one in rows:
        place = one.field if one.field in said.texts else ""
        found.setdefault(place, _in_titles(row, one.text if place else one.sentence()))
    return Typed(said.texts, said.values, said.errors | found)


def _in_titles(row: type[msgspec.Struct], text: str) -> str:
    """A sentence in which fields have their titles: first_day -> first day."""
    for one in fields_of(row):
        if "_" in one.name:
            text = re.sub(rf"\b{one.name}\b", one.title.lower(), text)
    return text


@lru_cache(maxsize=64)
def _types(row: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(row, include_extras=True)


def _wrong(one: Field, text: str) -> str:
    """What to write instead, without the words of types."""
    if one.form:
        return f"write {one.form}"
    if bound := re.search(r"([<>]=) (-?[0-9.e+]+)", text):
        length = " characters" if "length" in text else ""
        return f"{'at most' if bound[1] == '<=' else 'at least'} {bound[2]}{length}, please"
    if "multiple" in text:
        return "write a quarter of an hour, such as 06:15"
    if "pattern" in text or "regex" in text:
        return "leave out what cannot be printed"
    return text[:1].lower() + text[1:]
