"""Lead times as receipts teach them: a supplier's, then an item's, each drawn towards what stands above it. Pure.

Credibility (Buehlmann 1967; with moments estimated from the data it is empirical Bayes): the mean of n receipts counts for
n / (n + k), the prior for the rest, where k is how much receipts of one item scatter compared with how much the items of a
supplier differ. All in shares of the promised lead time, so that items with long and short promises teach each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: The promise counts as this many receipts of the supplier: fewer, and two late lorries make a rule.
PROMISE_RECEIPTS = 4.0
#: Bounds of k, receipts: one receipt is never believed whole, and what twenty say is not drowned.
_LEAST_PRIOR, _MOST_PRIOR = 2.0, 20.0
#: Shares of the promise beyond which a receipt is taken as this: a mistyped date is no lead time.
_LEAST_SHARE, _MOST_SHARE = 0.05, 5.0
#: A promise counts as at least this, days, when shares of it are made.
_SHORTEST = 0.5
#: What is learned is rounded to this, days: forecasts stay in force while nothing that matters has changed.
_ROUNDED = 0.1


class Promised(NamedTuple):
    """The lead time that was agreed for an item of a supplier, days: mean and standard deviation."""

    mean: float
    sd: float


class Receipts(NamedTuple):
    """What is known of the orders of an item from one supplier: days that each took until the first of it arrived, and
    the ages in days of those of which nothing has come yet.
    """

    days: tuple[float, ...]
    waiting: tuple[float, ...] = ()


class Learned(NamedTuple):
    """A lead time, days, and what it rests on: receipts of the item, and its orders that are overdue."""

    mean: float
    sd: float
    receipts: int
    overdue: int


def learn(receipts: Mapping[str, Receipts], promised: Mapping[str, Promised]) -> dict[str, Learned]:
    """The lead times of one supplier's items at one site, for the items that have receipts or overdue orders.

    An order that nothing has come of counts, once it is older than the promise, as taking at least its age (a censored
    observation with its least value, so a late supplier is seen before its goods are).
    """
    shares: dict[str, list[float]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for item in sorted(receipts):
        if item not in promised:
            continue
        scale = max(promised[item].mean, _SHORTEST)
        overdue = [age for age in receipts[item].waiting if age > promised[item].mean]
        seen = [*receipts[item].days, *overdue]
        if seen:
            shares[item] = [min(max(days / scale, _LEAST_SHARE), _MOST_SHARE) for days in seen]
            counts[item] = len(receipts[item].days), len(overdue)
    if not shares:
        return {}
    every = [share for item in shares for share in shares[item]]
    mean = credible(1.0, PROMISE_RECEIPTS, every)
    prior = _prior_receipts(list(shares.values()))
    pooled = _pooled_variance(list(shares.values()), mean)
    found: dict[str, Learned] = {}
    for item, seen in shares.items():
        scale = max(promised[item].mean, _SHORTEST)
        share = credible(mean, prior, seen)
        variance = (promised[item].sd / scale) ** 2
        # the promise's spread, then the supplier's, then the item's own, each with as many receipts as stand behind it
        variance = (PROMISE_RECEIPTS * variance + len(every) * pooled) / (PROMISE_RECEIPTS + len(every))
        own = sum((one - share) ** 2 for one in seen)
        variance = (prior * variance + own) / (prior + len(seen))
        count, overdue = counts[item]
        found[item] = Learned(_round(share * scale), _round(math.sqrt(variance) * scale), count, overdue)
    return found


def credible(prior: float, prior_receipts: float, seen: Sequence[float]) -> float:
    """The mean of `seen`, drawn towards `prior`, which counts as `prior_receipts` of them."""
    return (prior_receipts * prior + sum(seen)) / (prior_receipts + len(seen))


def _pooled_variance(groups: Sequence[Sequence[float]], mean: float) -> float:
    """How much receipts of one item scatter; where no item has two, how they scatter around the supplier's mean."""
    within, freedom = _within(groups)
    if freedom > 0:
        return within / freedom
    every = [one for group in groups for one in group]
    return sum((one - mean) ** 2 for one in every) / len(every)


def _prior_receipts(groups: Sequence[Sequence[float]]) -> float:
    """k = variance within items / variance between their means, by the moments of a one-way layout (Searle 1971)."""
    total = sum(len(group) for group in groups)
    within, freedom = _within(groups)
    if len(groups) < 2 or freedom <= 0:
        return PROMISE_RECEIPTS
    grand = sum(one for group in groups for one in group) / total
    between = sum(len(group) * (sum(group) / len(group) - grand) ** 2 for group in groups) / (len(groups) - 1)
    size = (total - sum(len(group) ** 2 for group in groups) / total) / (len(groups) - 1)
    residual = within / freedom
    differing = (between - residual) / size
    if differing <= 0:
        return _MOST_PRIOR
    return min(max(residual / differing, _LEAST_PRIOR), _MOST_PRIOR)


def _within(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Sum of squares around each group's mean, and its degrees of freedom."""
    squares = 0.0
    for group in groups:
        mean = sum(group) / len(group)
        squares += sum((one - mean) ** 2 for one in group)
    return squares, sum(len(group) - 1 for group in groups)


def _round(days: float) -> float:
    return round(max(round(days / _ROUNDED), 1) * _ROUNDED, 1)
