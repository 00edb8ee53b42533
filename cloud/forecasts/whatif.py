"""What a forecast would be if what is planned ahead were otherwise. Pure.

What is planned multiplies demand (`drivers.py`), so a forecast that was made with one plan becomes that of another by the
ratio of both: over the horizon mean and quantiles alike; of a single day the spread by its root, as in `answers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from math import ceil, exp, sqrt

import msgspec

from cloud.forecasts.forecast import Forecast

#: Place of the median among the quantiles of the fan.
_MEDIAN = 2


class Foreseen(msgspec.Struct, frozen=True):
    """Demand over the horizon, mean and quantiles at the forecast's levels, and the fan day by day, base units."""

    mean: float
    quantiles: tuple[float, ...]
    fan: tuple[tuple[float, ...], ...]


def foreseen(forecast: Forecast) -> Foreseen:
    """What a forecast says."""
    return Foreseen(forecast.mean, forecast.quantiles, forecast.fan)


def instead(forecast: Forecast, planned: Mapping[int, float], other: Mapping[int, float], share: float) -> Foreseen:
    """What a daily `forecast` would say with the `other` plan in place of the one `planned`.

    Plans are log changes of demand by ordinal date, of which `share` is expected to come.
    """
    origin = date.fromisoformat(forecast.origin).toordinal()
    reach = max(1, ceil(forecast.horizon))
    before, after = ([exp(share * plan.get(origin + day, 0.0)) for day in range(reach)] for plan in (planned, other))
    lift = sum(after) / sum(before)
    fan: list[tuple[float, ...]] = []
    for day, quantiles in enumerate(forecast.fan):
        ratio = exp(share * (other.get(origin + day, 0.0) - planned.get(origin + day, 0.0)))
        middle, wider = quantiles[_MEDIAN] * ratio, sqrt(ratio)
        fan.append(tuple(round(max(0.0, middle + wider * (one - quantiles[_MEDIAN])), 4) for one in quantiles))
    return Foreseen(
        round(forecast.mean * lift, 4), tuple(round(one * lift, 4) for one in forecast.quantiles), tuple(fan)
    )
