"""A user's demand and driver files as what a backtest takes: `site,sku,date,quantity,...` and `date,...,name,value,...`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from cloud.errors import BadInputError
from cloud.files import read_structs
from cloud.forecasts.forecast import Driver
from cloud.forecasts.panel import Counts, Values
from cloud.replay.backtest import Demand

#: A month as the forecasts count it, days: twelve make a season.
MONTH_DAYS = 30
#: Cells of the table that are held at once: a hundred thousand items over ten years of weeks, 400 MB.
_MOST_CELLS = 50_000_000

_Name = Annotated[str, Meta(min_length=1, max_length=200)] | int | float


class DemandRow(msgspec.Struct, frozen=True):
    """A row of a demand file; other columns are passed over."""

    sku: _Name
    date: str
    quantity: Annotated[float, Meta(ge=0)]
    site: str | int | float = ""
    price: Annotated[float, Meta(ge=0)] | None = None


class DriverRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a driver file. `known_until` at or after `date`: the value was planned and known beforehand."""

    date: str
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    value: float
    site: str | int | float = ""
    sku: str | int | float = ""
    known_until: str | None = None


@dataclass(frozen=True)
class _Periods:
    """The periods of a file: days in one, and the ordinal of a date on a calendar whose months all have MONTH_DAYS days."""

    days: int
    ordinal: Callable[[date], int]


def read_demand(path: Path, drivers: Path | None = None, country: str = "") -> Demand:
    """The demand in a file, and the drivers in another. Raises BadInputError naming file, line, field and remedy."""
    rows = read_structs(path, DemandRow, others=True)
    known: dict[str, date] = {}
    days = [_day(path, line, "date", row.date, known) for line, row in rows]
    periods = _periods(days)
    ordinals = np.asarray([periods.ordinal(day) for day in days], dtype=np.intp)
    first = int(ordinals.min())
    if periods.days == MONTH_DAYS:
        first -= first % MONTH_DAYS  # a month begins with its first day, whichever day it is dated by
    column = (ordinals - first) // periods.days
    names: dict[tuple[str, str], int] = {}
    place = np.asarray([names.setdefault((str(row.site), str(row.sku)), len(names)) for _, row in rows], dtype=np.intp)
    width = int(column.max()) + 1
    if width * len(names) > _MOST_CELLS:
        raise BadInputError(
            f"{path}: {len(names)} series over {width} periods are more than fit at once; bring a part of the items"
        )
    table = np.zeros((len(names), width))
    np.add.at(table, (place, column), [row.quantity for _, row in rows])
    labels: dict[int, str] = {}
    for at, day in zip(column.tolist(), days, strict=True):
        labels.setdefault(at, day.isoformat())
    return Demand(
        names=tuple(names),
        table=table,
        first=first,
        period_days=periods.days,
        value=_values([row for _, row in rows], place, len(names)),
        labels=tuple(labels.get(at, str(at)) for at in range(width)),
        drivers=_drivers(drivers, periods) if drivers else (),
        country=country,
    )


def _values(rows: Sequence[DemandRow], place: Counts, count: int) -> Values:
    """The mean price of each series; 1 for all where a file has none."""
    total, number = np.zeros(count), np.zeros(count)
    for at, row in zip(place.tolist(), rows, strict=True):
        if row.price is not None:
            total[at] += row.price
            number[at] += 1
    priced = number > 0
    if not priced.any():
        return np.ones(count)
    mean = total / np.maximum(number, 1)
    return np.where(priced, mean, float(np.median(mean[priced])))


def _drivers(path: Path, periods: _Periods) -> tuple[Driver, ...]:
    found: dict[tuple[str, str, str], list[tuple[int, float, bool]]] = {}
    known: dict[str, date] = {}
    for line, row in read_structs(path, DriverRow):
        day = _day(path, line, "date", row.date, known)
        planned = row.known_until is not None and _day(path, line, "known_until", row.known_until, known) >= day
        if not np.isfinite(row.value):
            raise BadInputError(f"{path}:{line}: value: {row.value} is no number; leave the row out or correct it")
        key = row.name, str(row.site), str(row.sku)
        found.setdefault(key, []).append((periods.ordinal(day), row.value, planned))
    made: list[Driver] = []
    for (name, site, sku), told in sorted(found.items()):
        told.sort(key=lambda one: one[0])
        dates, values, planned = zip(*told, strict=True)
        made.append(Driver(name, dates, values, planned, site, sku))
    return tuple(made)


def _day(path: Path, line: int, name: str, text: str, known: dict[str, date]) -> date:
    day = known.get(text)
    if day is None:
        try:
            day = date.fromisoformat(text[:10] if len(text) > 7 else f"{text}-01")
        except ValueError:
            raise BadInputError(f"{path}:{line}: {name}: {text!r} is no date; write it as 2026-03-29") from None
        known[text] = day
    return day


def _periods(days: Sequence[date]) -> _Periods:
    """Months where all dates are first or last days of one, weeks where all fall on one weekday, else days."""
    met = set(days)
    month_ends = all(date.fromordinal(day.toordinal() + 1).day == 1 for day in met)
    if len(met) > 1 and (month_ends or all(day.day == 1 for day in met)):
        return _Periods(
            MONTH_DAYS, lambda day: (day.year * 12 + day.month - 1) * MONTH_DAYS + min(day.day, MONTH_DAYS) - 1
        )
    return _Periods(7 if len({day.weekday() for day in met}) == 1 else 1, date.toordinal)
