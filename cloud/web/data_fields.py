"""How a field of a row of data stands in a form: its control, its unit, and its exact value out of what was typed. Pure.

Money is typed in major units and kept in minor ones or 10^-6, shares are typed in per cent and kept in per mille, times of
day as 06:00 and kept in minutes after midnight; what cannot be kept exactly is refused, never rounded.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeVar

from cloud.errors import BadInputError
from cloud.files import Field
from cloud.web.data_words import CHOICES
from cloud.web.words import number
from vocabulary.quantity import exponent

T = TypeVar("T", int, float)
Control = Literal["text", "choice", "flag", "whole", "number", "money", "price", "percent", "time", "date", "name"]

#: Fields kept in minutes after local midnight; other minutes are durations.
_TIMES = frozenset({"day_start", "opens", "closes"})
#: Which controls hold numbers, so that they stand right-aligned.
NUMERIC = frozenset({"whole", "number", "money", "price", "percent"})
#: Decimals of a price: 10^-6 of its currency.
MICRO = 6
#: Units behind a control, where they are not the row's currency.
_UNITS = {"per mille": "%", "base units": "base units", "minutes": "minutes", "days": "days", "seconds": "s", "l": "L",
          "ml": "mL"}  # fmt: skip
#: What a field holds the ids of, where that is no kind of data of its own.
_REFERS = {"parent": "places", "category": "categories"}


def refers_of(field: Field) -> str:
    """The kind whose ids a field holds, for suggestions; "" for none."""
    return field.refers or _REFERS.get(field.name, "")


def control_of(field: Field) -> Control:
    """The control in which a person fills a field."""
    if field.kind in ("flag", "choice"):
        return "flag" if field.kind == "flag" else "choice"
    if field.kind == "text":
        return "date" if field.unit == "date" else "name" if refers_of(field) else "text"
    if field.name in _TIMES:
        return "time"
    units: dict[str, Control] = {"minor": "money", "micro": "price", "per mille": "percent"}
    return units.get(field.unit) or ("whole" if field.kind == "integer" else "number")


def numeric(field: Field) -> bool:
    """Whether a field holds a number."""
    return control_of(field) in NUMERIC


def unit_of(field: Field, currency: str) -> str:
    """What stands behind the control: the unit of its number."""
    control = control_of(field)
    if control == "money":
        return currency
    if control == "price":
        return f"{currency} a base unit".strip()
    return "" if control == "time" else _UNITS.get(field.unit, "")


def title_of(field: Field) -> str:
    """What stands above a column of it: its title, and the unit where its numbers do not say it."""
    unit = _UNITS.get(field.unit, "")
    said = unit in ("", "%", "base units") or unit in field.title.lower()
    return field.title if said else f"{field.title}, {unit}"


def typed(field: Field, value: object, currency: str) -> str:
    """A value as a person types it; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    if not isinstance(value, int | float):
        return str(value)
    if control_of(field) == "time":
        return f"{int(value) // 60:02}:{int(value) % 60:02}"
    places = _decimals(field, currency)
    if places is None:
        return _short(Decimal(str(value)))
    text = _short(Decimal(int(value)).scaleb(-places))
    whole, _, rest = text.partition(".")
    usual = exponent(currency)
    if value and usual and control_of(field) in ("money", "price"):
        return f"{whole}.{rest:0<{usual}}"
    return text


def shown(field: Field, value: object, currency: str) -> str:
    """A value as a table shows it: grouped digits with the sign of per cent or the currency; "" for none."""
    if value is None or value == "":
        return ""
    if field.kind == "flag":
        return "yes" if value else ""
    if field.kind == "choice":
        return CHOICES.get(str(value), str(value))
    text = typed(field, value, currency)
    if not numeric(field):
        return text
    whole, point, rest = text.partition(".")
    grouped = ("−" if whole.startswith("-") else "") + number(abs(int(whole))) + point + rest
    unit = {"percent": "%", "money": currency, "price": currency}.get(control_of(field), "")
    return f"{grouped} {unit}".rstrip()


def _short(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(field: Field, currency: str) -> int | None:
    """How many decimals of what is typed are kept; None for a number that is kept as it is."""
    control = control_of(field)
    if control == "money":
        return exponent(currency)
    return {"price": MICRO, "percent": 1, "whole": 0}.get(control)


def value_of(field: Field, text: str, currency: str) -> object:
    """The value that a typed text means. Raises BadInputError saying what to write instead."""
    text = text.strip()
    control = control_of(field)
    if control == "flag":
        return text != ""
    if not text:
        return _nothing(field)
    if control == "time":
        return _minutes(text)
    if control == "date":
        return _day(text)
    if numeric(field):
        return _number(field, text, currency)
    if control == "choice" and text not in field.choices:
        raise BadInputError("choose one of the list")
    return text


def _nothing(field: Field) -> object:
    """What an empty control means. Raises BadInputError where it means nothing."""
    if field.nullable:
        return None
    if field.required:
        raise BadInputError("is missing")
    if numeric(field) and field.default:
        raise BadInputError(f"write a number; {typed(field, field.default, 'EUR')} is usual")
    if control_of(field) == "time":
        raise BadInputError("write a time such as 06:00")
    return "" if field.kind == "text" else field.default


def _minutes(text: str) -> int:
    """Minutes after midnight; 24:00 is the day's end."""
    found = re.fullmatch(r"([0-9]{1,2})[:.]([0-9]{2})", text)
    if found is None or int(found[2]) > 59 or int(found[1]) * 60 + int(found[2]) > 1_440:
        raise BadInputError("write a time such as 06:00")
    return int(found[1]) * 60 + int(found[2])


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadInputError("write a date such as 2026-03-31") from None


def _number(field: Field, text: str, currency: str) -> int | float:
    """A number, exactly. One comma stands for the decimal point, unless three digits follow it: that may be a group."""
    plain = re.sub(r"\s", "", text).replace("−", "-").removesuffix("%")
    if re.fullmatch(r"[+-]?[0-9]*,[0-9]+", plain) and not re.search(r",[0-9]{3}$", plain):
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise BadInputError(f"write a number such as {'1234' if control_of(field) == 'whole' else '1234.5'}") from None
    if not value.is_finite() or abs(value) > Decimal(10) ** 15:
        raise BadInputError("the number is too large")
    places = _decimals(field, currency)
    if places is None:
        return _within(field, float(value), currency)
    scaled = value.scaleb(places)
    if scaled != scaled.to_integral_value():
        raise BadInputError("write a whole number" if not places else f"at most {places} decimals can be kept")
    return _within(field, int(scaled), currency)


def _within(field: Field, value: T, currency: str) -> T:
    """A number within its bounds, which are told as a person types them."""
    if field.least is not None and value < field.least:
        raise BadInputError(f"at least {typed(field, field.least, currency)}, please")
    if field.most is not None and value > field.most:
        raise BadInputError(f"at most {typed(field, field.most, currency)}, please")
    return value
