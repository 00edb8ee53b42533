"""Public holidays of a country by period (`holidays` library, MIT): a calendar that models may look ahead in."""

from __future__ import annotations

import importlib
from datetime import date
from typing import Any

import numpy as np

from cloud.forecasts.panel import Values


def holidays_before(country: str, first: int, period_days: int, periods: int) -> Values:
    """Public holidays before each of `periods` periods from `first` (an ordinal date) on, and their number in all.

    `country` in ISO 3166 letters; all 0 where it is empty or the library does not know it.
    """
    counted = np.zeros(periods + 1)
    if not country or periods <= 0:
        return counted
    library: Any = importlib.import_module("holidays")
    last = first + periods * period_days
    years = range(date.fromordinal(max(first, 1)).year, date.fromordinal(last).year + 1)
    try:
        days: Any = library.country_holidays(country, years=years)
    except (NotImplementedError, KeyError):
        return counted
    for day in days:
        at = (day.toordinal() - first) // period_days
        if 0 <= at < periods:
            counted[at + 1] += 1
    return np.cumsum(counted)
