"""A user's files as a history to replay: demand (`site,sku,date,quantity,...`) and items (`sku,unit_cost,...`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from cloud.errors import BadInputError
from cloud.files import read_structs
from cloud.forecasts.panel import Values
from cloud.replay.history import YEAR_DAYS, History

#: Supposed where no item file says otherwise, and told beside the result: lead time in days, cost of an order and holding
#: cost as a share of value and year as of an ordinary parts dealer, unit cost where no price is known.
LEAD_TIME_DAYS, ORDER_COST, HOLDING_RATE, UNIT_COST = 28.0, 5.0, 0.2, 1.0
#: Days of a mean month.
MONTH_DAYS = YEAR_DAYS / 12

_Name = Annotated[str, Meta(min_length=1, max_length=200)] | int | float
_Amount = Annotated[float, Meta(ge=0)]
_Positive = Annotated[float, Meta(gt=0)]


class DemandRow(msgspec.Struct, frozen=True):
    """A row of a demand file; `received`, `on_hand` (at the period's begin) base units, where they are known."""

    sku: _Name
    date: str
    quantity: _Amount
    site: str | int | float = ""
    price: _Amount | None = None
    received: _Amount | None = None
    on_hand: float | None = None


class ItemRow(msgspec.Struct, frozen=True):
    """A row of an item file. `site` "": the same at every site."""

    sku: _Name
    site: str | int | float = ""
    unit_cost: _Positive | None = None
    lead_time_days: _Positive = LEAD_TIME_DAYS
    order_cost: _Amount = ORDER_COST
    holding_rate: _Positive = HOLDING_RATE
    moq: _Amount = 0.0
    min: _Amount | None = None
    max: _Amount | None = None


@dataclass(frozen=True)
class Table:
    """A history, and in sentences what was supposed because no file said it."""

    history: History
    supposed: tuple[str, ...]


@dataclass(frozen=True)
class _Periods:
    """The periods of a file: their length in days and, from a date, the period's number."""

    days: float
    number: Callable[[date], int]
    count: int
    last: str


def read_history(demand: Path, items: Path | None = None) -> Table:
    """The history in a demand file and, where there is one, an item file. Days are put together into weeks, as the product's
    forecasts do. Raises BadInputError naming file, line, field and remedy.
    """
    rows = read_structs(demand, DemandRow, others=True)
    terms = {} if items is None else _terms(items)
    days = [_day(demand, line, row.date) for line, row in rows]
    names = sorted({(str(row.site), str(row.sku)) for _, row in rows})
    known = names if items is None else [name for name in names if _term(terms, name) is not None]
    if not known:
        raise BadInputError(f"{items}: none of its skus has demand in {demand}; use the same sku in both files")
    periods = _periods(days)
    wanted, supply, prices = _columns([row for _, row in rows], days, known, periods)
    history, supposed = _history(known, wanted, [_term(terms, name) for name in known], prices, periods)
    if len(known) < len(names):
        supposed += (f"{len(names) - len(known)} items stand in no row of the item file and were left out",)
    if supply is not None:
        history = replace(history, received=supply[0], opening=supply[1])
    return Table(history, supposed)


def _term(terms: Mapping[tuple[str, str], ItemRow], name: tuple[str, str]) -> ItemRow | None:
    return terms.get(name) or terms.get(("", name[1]))


def _terms(items: Path) -> dict[tuple[str, str], ItemRow]:
    found: dict[tuple[str, str], ItemRow] = {}
    for line, row in read_structs(items, ItemRow, others=True):
        name = str(row.site), str(row.sku)
        if name in found:
            raise BadInputError(f"{items}:{line}: sku: {row.sku} stands there twice; keep one row of it")
        if row.min is not None and row.max is not None and row.max < row.min:
            raise BadInputError(f"{items}:{line}: max: {row.max:g} is below min {row.min:g}; exchange or correct them")
        found[name] = row
    return found


def _day(path: Path, line: int, text: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BadInputError(f"{path}:{line}: date: {text!r} is no date; write it as 2026-03-29") from None


def _periods(days: Sequence[date]) -> _Periods:
    """Months where all dates are first or last days of one, weeks where all fall on one weekday, else days: by weeks that
    end with the last date.
    """
    first, last = min(days), max(days)
    month_ends = all(date.fromordinal(day.toordinal() + 1).day == 1 for day in set(days))
    if len(set(days)) > 1 and (month_ends or all(day.day == 1 for day in set(days))):
        start = first.year * 12 + first.month
        count = last.year * 12 + last.month - start + 1
        return _Periods(MONTH_DAYS, lambda day: day.year * 12 + day.month - start, count, last.isoformat())
    if len({day.weekday() for day in days}) == 1:
        begin = first.toordinal()
        return _Periods(
            7.0, lambda day: (day.toordinal() - begin) // 7, (last.toordinal() - begin) // 7 + 1, last.isoformat()
        )
    # a part of a week at the beginning is left with its week: it holds what there was
    weeks = -(-(last.toordinal() - first.toordinal() + 1) // 7)
    begin = last.toordinal() + 1 - 7 * weeks
    return _Periods(
        7.0, lambda day: (day.toordinal() - begin) // 7, weeks, date.fromordinal(last.toordinal() - 6).isoformat()
    )


def _columns(
    rows: Sequence[DemandRow], days: Sequence[date], names: Sequence[tuple[str, str]], periods: _Periods
) -> tuple[Values, tuple[Values, Values] | None, dict[int, list[float]]]:
    """Demand; what came and the stock at each period's begin, where the file has both; prices by series."""
    number = {name: at for at, name in enumerate(names)}
    wanted, received = (np.zeros((len(names), periods.count)) for _ in range(2))
    opening = np.zeros((len(names), periods.count))
    told: dict[tuple[int, int], date] = {}
    came = False
    prices: dict[int, list[float]] = {}
    for row, day in zip(rows, days, strict=True):
        at = number.get((str(row.site), str(row.sku)))
        if at is None:
            continue
        column = periods.number(day)
        wanted[at, column] += row.quantity
        if row.price is not None:
            prices.setdefault(at, []).append(row.price)
        if row.received is not None:
            came = True
            received[at, column] += row.received
        if row.on_hand is not None and day < told.get((at, column), date.max):
            told[at, column] = day
            opening[at, column] = row.on_hand
    # what came says nothing without the stock it came upon
    return wanted, (received, opening) if came and told else None, prices


def _history(
    names: Sequence[tuple[str, str]],
    wanted: Values,
    terms: Sequence[ItemRow | None],
    prices: Mapping[int, list[float]],
    periods: _Periods,
) -> tuple[History, tuple[str, ...]]:
    supposed: list[str] = []
    costs = [None if term is None else term.unit_cost for term in terms]
    middle = [float(np.median(prices[at])) if at in prices else None for at in range(len(names))]
    priced = sum(cost is None and price is not None for cost, price in zip(costs, middle, strict=True))
    unknown = sum(cost is None and not price for cost, price in zip(costs, middle, strict=True))
    if priced:
        supposed.append(f"the unit cost of {priced} items is the median price of the demand file")
    if unknown:
        supposed.append(f"the unit cost of {unknown} items is not known and counts as {UNIT_COST:g}")
    if any(term is None for term in terms):
        supposed.append(
            f"lead time {LEAD_TIME_DAYS:g} days, {ORDER_COST:g} an order and {HOLDING_RATE:.0%} of value a year to hold: "
            "an item file (--items) would tell them"
        )
    rows = [term or ItemRow("") for term in terms]
    own = [(row.min, row.max) if row.min is not None and row.max is not None else (np.nan, np.nan) for row in rows]
    history = History(
        names=tuple(names),
        period_days=periods.days,
        demand=wanted,
        unit_cost=_values(cost or price or UNIT_COST for cost, price in zip(costs, middle, strict=True)),
        lead_time=_values(row.lead_time_days / periods.days for row in rows),
        order_cost=_values(row.order_cost for row in rows),
        holding_rate=_values(row.holding_rate for row in rows),
        moq=_values(row.moq for row in rows),
        minimum=_values(low for low, _ in own),
        maximum=_values(high for _, high in own),
        last=periods.last,
    )
    return history, tuple(supposed)


def _values(found: Iterable[float]) -> Values:
    return np.fromiter(found, dtype=np.float64)
