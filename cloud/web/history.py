"""An item's past at a site, day by day, and its forecast: the numbers behind the chart and its table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cloud.forecasts.forecast import Forecast


@dataclass(frozen=True, slots=True)
class Flow:
    """What the projection holds of a day, base units; `empty` opening minutes without available stock."""

    ordered: int = 0
    issued: int = 0
    received: int = 0
    returned: int = 0
    transferred: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """A day on the chart. `stock` at its end, `out` whether stock was out for over half of its opening hours."""

    day: str
    demand: int
    issued: int
    received: int
    returned: int
    stock: int
    out: bool


@dataclass(frozen=True, slots=True)
class Ahead:
    """A day of the forecast: quantiles of demand at 5, 25, 50, 75 and 95 %."""

    day: str
    quantiles: tuple[float, ...]


def past(
    today: str,
    days: int,
    flows: Mapping[str, Flow],
    others: Mapping[str, int],
    on_hand: int,
    first_order: str,
    open_minutes: int,
) -> list[Day]:
    """The `days` up to and with `today`, the oldest first.

    Demand is what was ordered from the first order on, before that what was issued. Stock is reckoned back from `on_hand`,
    today's; `others` is what counts and scrapping changed of it by day.
    """
    found: list[Day] = []
    stock = on_hand
    last = date.fromisoformat(today)
    for back in range(days):
        name = (last - timedelta(days=back)).isoformat()
        flow = flows.get(name, Flow())
        demand = flow.ordered if first_order and name >= first_order else flow.issued
        found.append(
            Day(name, max(demand, 0), flow.issued, flow.received, flow.returned, stock, 2 * flow.empty > open_minutes)
        )
        stock -= flow.received + flow.returned - flow.issued - flow.transferred + others.get(name, 0)
    return found[::-1]


def ahead(forecast: Forecast | None, fan: Sequence[tuple[float, ...]] | None = None) -> list[Ahead]:
    """The days that a forecast's fan covers; with another `fan` in its place."""
    if forecast is None:
        return []
    origin = date.fromisoformat(forecast.origin)
    return [
        Ahead((origin + timedelta(days=period * forecast.period_days)).isoformat(), quantiles)
        for period, quantiles in enumerate(forecast.fan if fan is None else fan)
    ]


def chart(
    days: Sequence[Day], fan: Sequence[Ahead], supposed: Sequence[Ahead] = ()
) -> dict[str, list[float | int | None]]:
    """Columns for the chart: time in seconds UTC, then demand, stock, stock-outs and five quantiles, and where a fan is
    `supposed` three of its quantiles; null where none.
    """
    known = {day.day: day for day in days}
    foreseen = {one.day: one for one in fan}
    names = sorted(known.keys() | foreseen.keys())
    today = days[-1].day if days else ""
    columns: dict[str, list[float | int | None]] = {
        "time": [
            int(datetime.combine(date.fromisoformat(name), datetime.min.time(), UTC).timestamp()) for name in names
        ],
        # today is not over: its demand so far would look like a drop
        "demand": [known[name].demand if name in known and name != today else None for name in names],
        "stock": [known[name].stock if name in known else None for name in names],
        "out": [known[name].demand if name in known and known[name].out else None for name in names],
    }
    for at, level in enumerate(("p05", "p25", "p50", "p75", "p95")):
        columns[level] = [round(foreseen[name].quantiles[at], 2) if name in foreseen else None for name in names]
    other = {one.day: one for one in supposed}
    for at, level in ((0, "w05"), (2, "w50"), (4, "w95")) if supposed else ():
        columns[level] = [round(other[name].quantiles[at], 2) if name in other else None for name in names]
    return columns


def by_day(changes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sums of changes by day."""
    sums: dict[str, int] = {}
    for day, change in changes:
        sums[day] = sums.get(day, 0) + change
    return sums
