"""Small histories to play."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cloud.forecasts.panel import Values
from cloud.replay.history import YEAR_DAYS, History


def history_of(demand: list[list[float]] | Values, **given: Any) -> History:
    """A history with plain terms: cost 10, lead time one period, 5 an order, 20 % a year; four periods a year by default."""
    table = np.asarray(demand, dtype=np.float64)
    count = len(table)

    def each(value: float) -> Values:
        return np.full(count, float(value))

    plain = History(
        names=tuple(("site", f"item-{at}") for at in range(count)),
        period_days=YEAR_DAYS / 4,
        demand=table,
        unit_cost=each(10),
        lead_time=each(1),
        order_cost=each(5),
        holding_rate=each(0.2),
        moq=each(0),
        minimum=each(np.nan),
        maximum=each(np.nan),
    )
    return replace(
        plain, **{name: each(value) if isinstance(value, int | float) and name != "period_days" else value
                  for name, value in given.items()}
    )  # fmt: skip


def spare_parts(items: int = 60, weeks: int = 104, seed: int = 7) -> History:
    """Slow demand with some of every price: weekly, lead time four weeks."""
    drawn = np.random.default_rng(seed)
    rate = drawn.uniform(0.1, 0.8, items)
    size = drawn.integers(1, 12, items)
    wanted = (drawn.random((items, weeks)) < rate[:, None]) * drawn.poisson(size[:, None], (items, weeks))
    return history_of(wanted, period_days=7.0, lead_time=4.0, unit_cost=drawn.lognormal(2, 1, items))
