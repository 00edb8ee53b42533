"""What better conditions would be worth: the policy's yearly cost with a shorter lead time, or half the minimum. Pure.

The cost function is that of an (s, Q) policy (Hadley and Whitin 1963, chapter 4): goods, orders, holding half a lot and
what is left when a cycle ends, and what is short then, each at the policy's own choice of lot and level of service.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cloud.decisions.candidate import Policy
from cloud.decisions.demand import daily, gamma_quantiles, gamma_shortage
from cloud.decisions.inventory import Values, stockout_risks
from cloud.decisions.lots import discounted_lots
from cloud.decisions.plan import YEAR, Plan, holding_share, longest_cover, order_cost
from vocabulary.quantity import exponent
from vocabulary.recommendation import Worth

#: How much shorter a lead time is supposed to become, days; of one that is not longer, half.
WEEK = 7.0
#: Savings below this share of the goods' yearly cost are noise of the model, and not shown.
_LEAST_SHARE = 0.001


class Conditions(NamedTuple):
    """Arrays over items: demand of a day (mean and variance) and size of a demand, lead time and its deviation in days, time
    between orders, costs in one currency (of an order, of a demand not served), the share of the price that a day of holding
    costs, the least level of service, prices by break (breaks, items) and where they start, the supplier's
    minimum, and the days that a lot lasts at most.
    """

    rate: Values
    variance: Values
    line_size: Values
    lead_time: Values
    lead_time_sd: Values
    review: Values
    order_cost: Values
    stockout_value: Values
    holding_share: Values
    floor: Values
    prices: Values
    starts: Values
    moq: Values
    longest: Values


def yearly_costs(at: Conditions) -> Values:
    """What the policy costs each item in a year: goods, orders, holding and stock-outs."""
    least = np.maximum(np.maximum(at.moq, at.rate * at.review), 1.0)
    lot, price = discounted_lots(at.rate, at.order_cost, at.prices, at.starts, at.holding_share, least, at.longest)
    holding = price * at.holding_share
    risk = stockout_risks(holding, at.rate, at.line_size, lot, 0.0, at.stockout_value)
    service = np.maximum(1 - risk, at.floor)
    horizon = at.lead_time + at.review
    mean = at.rate * horizon
    variance = at.variance * horizon + (at.rate * at.lead_time_sd) ** 2
    point = gamma_quantiles(mean, variance, service)
    short = gamma_shortage(mean, variance, point)
    left = point - mean + short
    cycles = at.rate * YEAR / lot
    unserved = short / np.maximum(at.line_size, 1.0) * at.stockout_value
    return at.rate * YEAR * price + cycles * (at.order_cost + unserved) + YEAR * holding * (lot / 2 + left)


def shorter(lead_time: Values) -> Values:
    """A week less, or half of a lead time that is not longer than a week."""
    return np.where(lead_time > WEEK, lead_time - WEEK, lead_time / 2)


def conditions(plans: Sequence[Plan], policy: Policy) -> Conditions:
    """The present conditions of items whose orders were planned."""
    demands = [daily(plan.candidate.forecast) for plan in plans]
    terms = [plan.candidate.terms for plan in plans]
    rows = 1 + max((len(one.breaks) for one in terms), default=0)
    prices = np.tile(np.asarray([one.price_micro / 1e6 for one in terms]), (rows, 1))
    starts = np.full((rows, len(plans)), np.inf)
    starts[0] = 0.0
    for column, one in enumerate(terms):
        for row, step in enumerate(one.breaks, start=1):
            prices[row, column], starts[row, column] = step.price_micro / 1e6, step.quantity
    return Conditions(
        rate=np.asarray([plan.rate for plan in plans]),
        variance=np.asarray([demand.variance for demand in demands]),
        line_size=np.asarray([plan.candidate.forecast.line_size for plan in plans]),
        lead_time=np.asarray([one.lead_time_days for one in terms]),
        lead_time_sd=np.asarray([one.lead_time_sd for one in terms]),
        review=np.full(len(plans), float(policy.review_days)),
        order_cost=np.asarray([order_cost(plan.candidate) for plan in plans]),
        stockout_value=np.asarray([plan.stockout_value for plan in plans]),
        holding_share=np.full(len(plans), holding_share(policy)),
        floor=np.asarray([plan.candidate.keeping.service_floor / 1_000 for plan in plans]),
        prices=prices,
        starts=starts,
        moq=np.asarray([float(one.moq) for one in terms]),
        longest=np.asarray([longest_cover(plan.candidate) for plan in plans]),
    )


def worth_of(plans: Sequence[Plan], policy: Policy) -> list[tuple[Worth, ...]]:
    """What a shorter lead time and half the minimum would save of each plan's item in a year, where it is worth a word."""
    if not plans:
        return []
    now = conditions(plans, policy)
    cost = yearly_costs(now)
    quicker = shorter(now.lead_time)
    sooner = cost - yearly_costs(now._replace(lead_time=quicker, lead_time_sd=np.minimum(now.lead_time_sd, quicker)))
    fewer = np.floor(now.moq / 2)
    smaller = cost - yearly_costs(now._replace(moq=fewer))
    goods = now.rate * YEAR * now.prices[0]
    found: list[tuple[Worth, ...]] = []
    for place, plan in enumerate(plans):
        currency = plan.candidate.terms.currency
        told: list[Worth] = []
        before, after = float(now.lead_time[place]), float(quicker[place])
        if sooner[place] > _LEAST_SHARE * goods[place] and before > 0:
            minor = round(float(sooner[place]) * 10 ** exponent(currency))
            told.append(Worth("lead-time", round(before, 1), round(after, 1), minor, currency))
        if smaller[place] > _LEAST_SHARE * goods[place] and now.moq[place] > 1:
            minor = round(float(smaller[place]) * 10 ** exponent(currency))
            told.append(Worth("moq", float(now.moq[place]), float(fewer[place]), minor, currency))
        found.append(tuple(one for one in told if one.saving_minor > 0))
    return found
