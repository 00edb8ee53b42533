"""A steadier level of sparse demand, to see what it would do to decisions: TSB beside the level models of the forecast.

Teunter, Syntetos and Babai (2011): probability and size of a demand smoothed apart, here with a small parameter, beginning as
running means. An (s, S) policy buys on every upward swing of its forecast and cannot give back on the downward ones, so a level
that is right on average but restless costs stock.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cloud.forecasts import calibration
from cloud.forecasts.classes import CLASSES
from cloud.forecasts.outlook import Book, Outlook, classes_at, levels_at, over_horizon
from cloud.forecasts.panel import Counts, Panel, Values

#: Smoothing parameter, and the weight beside the forecast's own level; both chosen on the even half of the spare parts.
ALPHA, WEIGHT = 0.05, 0.75


def steady_level(calibrated: bool) -> dict[str, Any]:
    """Names of `cloud.replay.foresight` to replace; uncalibrated quantiles besides where not `calibrated`."""
    return {"outlook_at": _outlook_at} | ({} if calibrated else {"_asked": _anchors})


def _outlook_at(book: Book, origins: Counts, horizon: Values) -> tuple[Outlook, list[Values]]:
    classes = classes_at(book, origins)
    own = levels_at(book, origins, classes)
    sparse = (classes == CLASSES.index("intermittent")) | (classes == CLASSES.index("lumpy"))
    level = np.where(sparse, WEIGHT * tsb(book.buckets, origins) + (1 - WEIGHT) * own, own)
    return over_horizon(book, origins, classes, level, horizon), []


def _anchors(classes: Counts, over: object, came: Values, origins: Counts, horizon: Values) -> Values:
    told = np.asarray(calibration.ANCHORS, dtype=np.float64)
    return np.broadcast_to(told, (*came.shape, len(told))).copy()


def tsb(panel: Panel, origins: Counts, alpha: float = ALPHA) -> Values:
    """Mean demand of one period ahead, (series, origins); 0 before the first demand."""
    demand = panel.demand
    count, periods = demand.shape
    probability, size, age, number = (np.zeros(count) for _ in range(4))
    found = np.zeros((count, periods + 1))
    for at in range(periods):
        wanted = demand[:, at] > 0
        first = wanted & (number == 0)
        age += number > 0
        number += wanted
        moved = probability + np.maximum(alpha, 1 / (age + 1)) * (wanted - probability)
        probability = np.where(first, 1 / (at + 1), np.where(number > 0, moved, 0.0))
        step = np.maximum(alpha, 1 / np.maximum(number, 1))
        size = np.where(wanted, size + step * (demand[:, at] - size), size)
        found[:, at + 1] = probability * size
    return found[:, origins]
