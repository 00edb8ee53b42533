"""What a field of master data and plans may hold, its title and help: the same for API, files and forms.

`Meta.extra` of a field says in what `unit` its number is and to which kind of master data it `refers`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from cloud.files import Field, fields_of

__all__ = [
    "Count", "Currency", "Day", "DayOrNone", "Days", "Field", "Id", "IdOrNone", "ItemId", "ItemOrEvery", "Minute", "Money",
    "SiteId", "SiteOrEvery", "SupplierId", "Text", "Unit", "fields_of", "told",
]  # fmt: skip

#: In what a field's number or text is: 10^-6 of a currency per base unit, its minor units, thousandths, ISO dates ...
Unit = Literal["", "micro", "minor", "per mille", "base units", "minutes", "days", "seconds", "date", "l", "ml"]


def told(title: str, text: str = "", unit: Unit = "", refers: str = "", form: str = "") -> Meta:
    """The title and help of a field, its `unit`, the kind of master data whose ids it holds, and how its text is written."""
    extra = {name: value for name, value in (("unit", unit), ("refers", refers), ("form", form)) if value}
    return Meta(title=title, description=text or None, extra=extra or None)


_ID = r"[^\s/\x00-\x1f]([^/\x00-\x1f]*[^\s/\x00-\x1f])?"
_ID_FORM = {"form": "an id of up to 100 characters without slashes, control characters or blanks at its ends"}
#: An id that people type and that stands in paths: no blanks at its ends, no slash, no control character.
Id = Annotated[str, Meta(min_length=1, max_length=100, pattern=rf"^{_ID}$", extra=_ID_FORM)]
#: The same, or "" for none or for every one.
IdOrNone = Annotated[str, Meta(max_length=100, pattern=rf"^({_ID})?$", extra=_ID_FORM)]
Text = Annotated[str, Meta(max_length=300, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Minute = Annotated[int, Meta(ge=0, le=1_440)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", extra={"form": "three capital letters, such as EUR"})]
Days = Annotated[float, Meta(ge=0, le=3_650)]
#: Calendar days from 1970 to 2100; whether the month has that many days is checked beside it.
_DAY = r"(19[7-9][0-9]|20[0-9]{2}|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_DAY_FORM = "a day from 1970 to 2100, written as 2026-03-29"
Day = Annotated[str, Meta(pattern=rf"^{_DAY}$", extra={"unit": "date", "form": _DAY_FORM})]
#: The same, or "" for none.
DayOrNone = Annotated[str, Meta(pattern=rf"^({_DAY})?$", extra={"unit": "date", "form": _DAY_FORM})]

SiteId = Annotated[Id, told("Site", "The warehouse", refers="sites")]
SiteOrEvery = Annotated[IdOrNone, told("Site", "The warehouse; empty: every site", refers="sites")]
ItemId = Annotated[Id, told("Item", refers="items")]
ItemOrEvery = Annotated[IdOrNone, told("Item", "Empty: every item", refers="items")]
SupplierId = Annotated[Id, told("Supplier", refers="suppliers")]
Money = Annotated[Currency, told("Currency")]
