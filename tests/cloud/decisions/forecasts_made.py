"""Forecasts for tests of decisions: demand over lead time and review between half and twice its mean, evenly."""

from __future__ import annotations

import msgspec

from cloud.forecasts.forecast import LEVELS, Forecast


def even_forecast(rate: float = 10.0, item: str = "screw", **changes: object) -> Forecast:
    """10.5 days of demand, 9.5 of them lead time."""
    mean = rate * 10.5
    one = Forecast(
        version="v1", site="north", item=item, origin="2026-01-05", period_days=1, demand_class="smooth",
        models=("SES",), history=365, censored=0, lead_time=9.5, lead_time_sd=0.0, review=1.0, rate=rate, line_size=4.0,
        mean=mean, levels=LEVELS, quantiles=tuple(mean * (0.5 + level) for level in LEVELS), fan_levels=(), fan=(),
        error=0.2, inputs="i1",
    )  # fmt: skip
    return msgspec.structs.replace(one, **changes)
