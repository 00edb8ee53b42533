"""Past demand as a table, and what each item costs and how it is supplied: what a replay is played on. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cloud.decisions.inventory import LONGEST_COVER, ordinary_lots
from cloud.forecasts.panel import Counts, Values

#: Days of a year: carrying cost and turnover are by the year.
YEAR_DAYS = 365.25
#: Coefficient of variation of a lead time where nothing was learnt about the supplier (real suppliers: 0.32 to 0.59).
LEAD_TIME_CV = 0.3


@dataclass(frozen=True)
class History:
    """Demand of items at sites, (series, periods), in base units; and by series: unit cost, lead time in periods, fixed cost
    of an order, holding cost as a share of value and year, least order quantity, the user's own Min and Max (nan: none).

    `received` (series, periods) is what really came in and `opening` (series, periods) the stock at each period's begin,
    where they are known; `lead_time_sd` in periods, 0 or nan where nothing is known. `last` is the last period's first day,
    ISO.
    """

    names: tuple[tuple[str, str], ...]
    period_days: float
    demand: Values
    unit_cost: Values
    lead_time: Values
    order_cost: Values
    holding_rate: Values
    moq: Values
    minimum: Values
    maximum: Values
    received: Values | None = None
    opening: Values | None = None
    lead_time_sd: Values | None = None
    last: str = ""

    @property
    def periods(self) -> int:
        """Periods known."""
        return self.demand.shape[1]

    @property
    def periods_per_year(self) -> float:
        """Periods of a year."""
        return YEAR_DAYS / self.period_days

    @property
    def holding(self) -> Values:
        """Cost of holding one base unit for one period, (series,)."""
        return self.unit_cost * self.holding_rate / self.periods_per_year

    @property
    def lead_time_cv(self) -> Values:
        """Coefficient of variation of each item's lead time, (series,)."""
        if self.lead_time_sd is None:
            return np.full(len(self.lead_time), LEAD_TIME_CV)
        spread = np.nan_to_num(self.lead_time_sd) / np.maximum(self.lead_time, 1e-9)
        return np.where(spread > 0, spread, LEAD_TIME_CV)

    def rows(self, chosen: Counts) -> History:
        """Some of the series."""
        names = tuple(self.names[int(row)] for row in chosen)
        per_series = {
            name: getattr(self, name)[chosen]
            for name in (
                "demand", "unit_cost", "lead_time", "order_cost", "holding_rate", "moq", "minimum", "maximum",
            )
        }  # fmt: skip
        known = {
            name: None if (one := getattr(self, name)) is None else one[chosen]
            for name in ("received", "opening", "lead_time_sd")
        }
        return replace(self, names=names, **per_series, **known)

    def known(self, periods: int) -> History:
        """The same as it was known after so many periods."""
        cut = {
            name: None if (one := getattr(self, name)) is None else one[:, :periods]
            for name in ("demand", "received", "opening")
        }
        return replace(self, **cut)


@dataclass(frozen=True)
class Calendar:
    """Which periods are for what: parameters are learnt before `begin`, play begins there, and is measured from `measured`
    to `end`.
    """

    begin: int
    measured: int
    end: int

    @classmethod
    def of(cls, history: History) -> Calendar:
        """Two fifths to learn from, a fifth to warm up, the rest to measure: about what a year and two need."""
        periods = history.periods
        return cls(round(0.4 * periods), round(0.613 * periods), periods)


def economic_lot(rate: Values, history: History) -> Values:
    """What is ordered at a time for a demand of `rate` a period: the economic lot for a year at most, at least the minimum
    (`decisions.inventory.ordinary_lots`).
    """
    longest = LONGEST_COVER / history.period_days
    return ordinary_lots(rate, history.order_cost, history.holding, history.moq, 0.0, longest)
