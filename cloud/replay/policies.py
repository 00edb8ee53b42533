"""Policies that a replay can play: the forecast-driven one and its opponents. Each is a Reorder, made for one history. Pure.

All order up to s - 1 + Q once the position is at or below s - 1; they differ in how s and Q are found, and how often.
"""

from __future__ import annotations

import numpy as np

from cloud.decisions.inventory import order_up_to, stockout_risks, unserved_values
from cloud.forecasts.panel import Values
from cloud.replay.foresight import Foresight
from cloud.replay.history import Calendar, History, economic_lot
from cloud.replay.warehouse import Reorder

#: z of the textbook's 95 % cycle service.
TEXTBOOK_Z = 1.645
#: Days between two reviews of a textbook policy: a buyer goes through the list once in four weeks.
TEXTBOOK_REVIEW_DAYS = 28.0
#: Periods behind the moving mean and deviation of the rolling policy: a year of weeks.
ROLLING_PERIODS = 52


def static(history: History, calendar: Calendar, *, with_review: bool = False, z: float = TEXTBOOK_Z) -> Reorder:
    """Textbook ROP/EOQ from the periods before play begins, never looked at again: s = mean L + z sd sqrt(L), every four
    weeks. `with_review`: its correct form, over lead time plus review.
    """
    every = textbook_review(history)
    span = history.lead_time + (every if with_review else 0)
    point, lot = _normal(history, slice(0, calendar.begin), span, z)

    def reorder(now: int, position: Values) -> Values:
        return up_to(point, lot, position) if (now - calendar.begin) % every == 0 else np.zeros(len(position))

    return reorder


def rolling(history: History, calendar: Calendar, z: float = TEXTBOOK_Z) -> Reorder:
    """Mean and deviation of the last year, recomputed every four weeks, reviewed each period, over lead time plus review."""
    every = textbook_review(history)
    known: dict[int, tuple[Values, Values]] = {}

    def reorder(now: int, position: Values) -> Values:
        at = now - (now - calendar.begin) % every
        if at not in known:
            known[at] = _normal(history, slice(max(0, at - ROLLING_PERIODS), at), history.lead_time + 1, z)
        return up_to(*known[at], position)

    return reorder


def min_max(history: History) -> Reorder:
    """The user's own: below Min order up to Max, each period; items without them are never ordered."""
    minimum, maximum = np.nan_to_num(history.minimum), np.nan_to_num(history.maximum)
    return lambda now, position: np.where(position < minimum, np.maximum(maximum - position, 0.0), 0.0)


def foreseen(history: History, foresight: Foresight, stockout_value: float, value_share: float = 0.0) -> Reorder:
    """The product's policy (decisions/replenishment.py): s the quantile of demand over lead time plus review, at each item's
    own newsvendor level when one unserved demand costs `stockout_value` and `value_share` of its goods; S by the economic
    lot at the present rate.
    """

    def reorder(now: int, position: Values) -> Values:
        column = now + 1 - int(foresight.origins[0])  # a review ends the period: its own demand is known
        rate, lot, risk = _balanced(history, foresight, column, stockout_value, value_share)
        point = np.ceil(foresight.quantiles(column, 1 - risk))
        wanted = order_up_to(point, lot) - position
        return np.where((rate > 0) & (position < point), wanted, 0.0)

    return reorder


def cycle_service(history: History, foresight: Foresight, stockout_value: float, value_share: float) -> float:
    """The mean cycle service of the moving items at the last origin: what a site's `service` says of the same slider."""
    rate, _, risk = _balanced(history, foresight, len(foresight.origins) - 1, stockout_value, value_share)
    moving = rate > 0
    return float(1 - risk[moving].mean()) if moving.any() else 0.0


def _balanced(
    history: History, foresight: Foresight, column: int, stockout_value: float, value_share: float
) -> tuple[Values, Values, Values]:
    """(rate, lot, risk) of each item at an origin."""
    rate = foresight.rate[:, column]
    lot = economic_lot(rate, history)
    line = np.maximum(foresight.line_size[:, column], 1.0)
    value = unserved_values(stockout_value, value_share, history.unit_cost, line)
    return rate, lot, stockout_risks(history.holding, rate, line, lot, 1.0, value)


def oracle(history: History) -> Reorder:
    """Knows all demand to come, not how long each order takes: covers it over the 95 % point of lead time plus review."""
    total = np.concatenate([np.zeros((len(history.demand), 1)), np.cumsum(history.demand, axis=1)], axis=1)
    sigma = np.sqrt(np.log1p(history.lead_time_cv**2))
    span = np.ceil(history.lead_time * np.exp(TEXTBOOK_Z * sigma - sigma**2 / 2) + 1).astype(np.intp)
    rows = np.arange(len(span))

    def reorder(now: int, position: Values) -> Values:
        ahead = total[rows, np.minimum(now + 1 + span, history.periods)] - total[:, now + 1]
        year = min(now + 1 + round(history.periods_per_year), history.periods)
        rate = (total[:, year] - total[:, now + 1]) / max(year - now - 1, 1)
        ever = total[:, -1] - total[:, now + 1] - position
        return np.where(position < ahead, np.minimum(up_to(ahead, economic_lot(rate, history), position), ever), 0.0)

    return reorder


def textbook_review(history: History) -> int:
    """Periods between two reviews of a textbook policy."""
    return max(1, round(TEXTBOOK_REVIEW_DAYS / history.period_days))


def up_to(point: Values, lot: Values, position: Values) -> Values:
    """What an (s, S) policy with S = s - 1 + Q orders at a position."""
    return np.where(position <= point - 1, point - 1 + lot - position, 0.0)


def _normal(history: History, known: slice, span: Values, z: float) -> tuple[Values, Values]:
    """(s, Q) of a normal demand with the moments of the known periods."""
    demand = history.demand[:, known]
    rate = demand.mean(axis=1)
    return np.floor(rate * span + z * demand.std(axis=1, ddof=1) * np.sqrt(span)) + 1, economic_lot(rate, history)
