"""The figures that a policy is judged by, over the measured periods; the formulas are those of docs/forecasting.md. Pure."""

from __future__ import annotations

import msgspec
import numpy as np

from cloud.forecasts.panel import Values
from cloud.replay.history import Calendar, History
from cloud.replay.warehouse import Played


class Kpis(msgspec.Struct, frozen=True):
    """What a policy came to. Shares between 0 and 1; `excess_obsolete` an average value, costs per year, all in the
    currency of the unit costs.

    turnover          issued value a year / average on-hand value
    line_stockout     periods with demand not fully served at once / periods with demand
    unit_fill         1 - units not served at once / units wanted;  value_fill the same weighted by cost
    excess_obsolete   average over periods of sum(max(0, on hand - issues of the 12 months before) x cost)
    carrying_cost     on-hand value x holding rate;  order_cost: orders x fixed cost
    """

    turnover: float
    line_stockout: float
    unit_fill: float
    value_fill: float
    excess_obsolete: float
    carrying_cost: float
    order_cost: float
    stock_value: float


def kpis(history: History, calendar: Calendar, played: Played) -> Kpis:
    """The figures of what was played, from `calendar.measured` on."""
    measured = slice(calendar.measured - calendar.begin, None)
    cost = history.unit_cost[:, None]
    on_hand, issued = played.on_hand[:, measured], played.issued[:, measured]
    demand, short = played.demand[:, measured], played.short[:, measured]
    years = demand.shape[1] / history.periods_per_year
    value = float((on_hand * cost).sum(axis=0).mean())
    holding = (on_hand * cost * history.holding_rate[:, None]).sum() / history.periods_per_year
    excess = np.maximum(on_hand - _issued_in_a_year(history, calendar, played), 0.0)
    wanted = demand > 0
    return Kpis(
        turnover=float((issued * cost).sum()) / years / max(value, 1e-9),
        line_stockout=float((short > 0)[wanted].mean()) if wanted.any() else 0.0,
        unit_fill=1 - _share(short.sum(), demand.sum()),
        value_fill=1 - _share((short * cost).sum(), (demand * cost).sum()),
        excess_obsolete=float((excess * cost).sum(axis=0).mean()),
        carrying_cost=float(holding) / years,
        order_cost=float((played.orders[:, measured] * history.order_cost[:, None]).sum()) / years,
        stock_value=value,
    )


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole > 0 else 0.0


def _issued_in_a_year(history: History, calendar: Calendar, played: Played) -> Values:
    """Issues of the trailing 12 months at each measured period; before play began, demand stands for them."""
    year = max(1, round(history.periods_per_year))
    issues = np.concatenate([history.demand[:, : calendar.begin], played.issued], axis=1)
    sums = np.concatenate([np.zeros((len(issues), 1)), np.cumsum(issues, axis=1)], axis=1)
    ends = np.arange(calendar.measured, calendar.end) + 1
    return sums[:, ends] - sums[:, np.maximum(ends - year, 0)]
