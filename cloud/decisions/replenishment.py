"""Order or not, how much, and why: a reorder point from the forecast's quantile, an economic lot, both in words.

Policy (s, S): when available + on order - owed has fallen below s, the quantile of demand over lead time plus
review, order up to s + Q. The quantile's level is each item's own, by what its stock and its stock-outs cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from cloud.decisions.inventory import (
    LONGEST_COVER,
    Economics,
    economic_order_quantity,
    order_up_to,
    orderable,
    stockout_risk,
    stockout_value,
)
from cloud.forecasts.forecast import Forecast
from vocabulary.item import BaseUnit
from vocabulary.quantity import Money, amount, exponent
from vocabulary.recommendation import Effect, Reason

#: Days in the year of a holding rate.
_YEAR = 365.0
#: Days of cover shown at most: an item that hardly moves lasts "ten years or more".
_MOST_COVER = 3_650.0
#: Bounds of a proposal's confidence, per mille: it stands on a forecast, so never certain, and was made, so never even.
_LEAST_CONFIDENCE, _MOST_CONFIDENCE = 500, 990
#: How base units are called in sentences.
_UNITS: dict[BaseUnit, str] = {"H87": "pieces", "GRM": "g", "MLT": "mL", "MMT": "mm", "CMK": "cm2"}


class Terms(msgspec.Struct, frozen=True):
    """On what terms a supplier delivers an item to a site: price in 10^-6 major units per base unit, lead time in days."""

    supplier: str
    price_micro: int
    currency: str
    moq: int = 0
    pack: int = 1
    lead_time_days: float = 7.0
    lead_time_sd: float = 0.0
    order_cost_minor: int = 0


class Position(msgspec.Struct, frozen=True):
    """What there is and will be, base units: available now, still to come from orders, owed to customers since before
    today, and booked by customers for within the horizon (part of the demand that is forecast, so not taken off).
    """

    available: int
    on_order: int = 0
    owed: int = 0
    booked: int = 0

    @property
    def total(self) -> int:
        """The inventory position. A negative record is a missing movement, not goods that could be owed: it counts as 0."""
        return max(self.available, 0) + self.on_order - self.owed


class Policy(msgspec.Struct, frozen=True):
    """A site's policy: holding cost per mille of value and year; mean cycle service aimed at, per mille; review, days."""

    holding_rate: int = 200
    service: int = 950
    review_days: int = 1


class Candidate(msgspec.Struct, frozen=True):
    """Everything a decision about one item at one site rests on."""

    forecast: Forecast
    terms: Terms
    position: Position
    unit: BaseUnit = "H87"
    suppliers: int = 1


class Proposal(msgspec.Struct, frozen=True):
    """Buy `quantity` base units from `supplier`, to be there `by` (ISO date)."""

    site: str
    item: str
    supplier: str
    quantity: int
    by: str
    cost: Money
    price_micro: int
    confidence: int
    forecast: str
    reasons: tuple[Reason, ...]
    effect: Effect


class _Plan(msgspec.Struct, frozen=True):
    """The numbers of one decision, for its reasons."""

    candidate: Candidate
    service: float
    stockout_value: float
    reorder_point: int
    lot: int
    quantity: int


def replenish(candidates: Sequence[Candidate], policy: Policy, today: date) -> list[Proposal]:
    """The orders that a site should place today, in the order of `candidates`; one service target for them together."""
    value: dict[str, float] = {}
    for currency in sorted({candidate.terms.currency for candidate in candidates}):
        group = [economics(one, policy) for one in candidates if one.terms.currency == currency]
        value[currency] = stockout_value(group, policy.service / 1_000)
    proposals: list[Proposal] = []
    for candidate in candidates:
        plan = _plan(candidate, policy, value[candidate.terms.currency])
        if candidate.position.total < plan.reorder_point:
            proposals.append(_proposal(plan, today))
    return proposals


def economics(candidate: Candidate, policy: Policy) -> Economics:
    """What the item costs to hold, and its ordinary lot: economic, not below the minimum, at least one review's demand."""
    terms, forecast = candidate.terms, candidate.forecast
    rate = forecast.rate / forecast.period_days
    holding = terms.price_micro / 1_000_000 * policy.holding_rate / 1_000 / _YEAR
    order_cost = terms.order_cost_minor / 10 ** exponent(terms.currency)
    lot = economic_order_quantity(rate, order_cost, holding)
    lot = max(min(lot, rate * LONGEST_COVER), rate * policy.review_days, float(terms.moq), 1.0)
    return Economics(holding, rate, forecast.line_size, lot, float(policy.review_days))


def _plan(candidate: Candidate, policy: Policy, value: float) -> _Plan:
    costs = economics(candidate, policy)
    service = 1 - stockout_risk(costs, value)
    reorder_point = max(math.ceil(candidate.forecast.quantile(service)), candidate.position.booked)
    lot = math.ceil(costs.lot)
    wanted = order_up_to(reorder_point, lot) - candidate.position.total
    quantity = orderable(wanted, candidate.terms.moq, candidate.terms.pack)
    return _Plan(candidate, service, value, reorder_point, lot, quantity)


def _proposal(plan: _Plan, today: date) -> Proposal:
    candidate, forecast, terms = plan.candidate, plan.candidate.forecast, plan.candidate.terms
    before, after = candidate.position.total, candidate.position.total + plan.quantity
    effect = Effect(
        forecast.site,
        round(forecast.exceeded(before) * 1_000),
        round(forecast.exceeded(after) * 1_000),
        _cover(before, forecast),
        _cover(after, forecast),
    )
    return Proposal(
        site=forecast.site,
        item=forecast.item,
        supplier=terms.supplier,
        quantity=plan.quantity,
        by=(today + timedelta(days=math.ceil(terms.lead_time_days))).isoformat(),
        cost=amount(terms.price_micro, plan.quantity, terms.currency),
        price_micro=terms.price_micro,
        confidence=_confidence(plan),
        forecast=forecast.version,
        reasons=_reasons(plan),
        effect=effect,
    )


def _cover(position: int, forecast: Forecast) -> float:
    """Days that a position lasts at the mean rate."""
    rate = forecast.rate / forecast.period_days
    return round(min(max(position, 0) / rate, _MOST_COVER), 1) if rate > 0 else _MOST_COVER


def _confidence(plan: _Plan) -> int:
    """Per mille: how probable it is that the position is below the reorder point of the true demand, when the forecast
    errs by what its class erred at past origins (normal).
    """
    spread = plan.candidate.forecast.error * plan.reorder_point
    below = plan.reorder_point - plan.candidate.position.total
    sure = 0.5 * (1 + math.erf(below / spread / math.sqrt(2))) if spread > 0 else 1.0
    return min(max(round(sure * 1_000), _LEAST_CONFIDENCE), _MOST_CONFIDENCE)


def _reasons(plan: _Plan) -> tuple[Reason, ...]:
    reasons = [_demand_reason(plan), _position_reason(plan), _service_reason(plan), _quantity_reason(plan)]
    forecast = plan.candidate.forecast
    if forecast.censored:
        reasons.append(
            Reason(
                f"Stock was out on {forecast.censored} days; what was wanted then is estimated, not what was issued.",
                {"censored": forecast.censored},
            )
        )
    if forecast.demand_class == "new":
        reasons.append(
            Reason(
                f"Only {forecast.history} days of demand are known, so this leans on what similar items do.",
                {"history": forecast.history},
            )
        )
    return tuple(reasons)


def _demand_reason(plan: _Plan) -> Reason:
    forecast, unit = plan.candidate.forecast, _UNITS[plan.candidate.unit]
    rate, horizon = forecast.rate / forecast.period_days, forecast.horizon * forecast.period_days
    text = (
        f"About {_number(forecast.mean)} {unit} will be wanted in the {_number(horizon)} days until an order placed at "
        f"the next review could arrive ({_number(rate)} a day; {forecast.demand_class} demand)."
    )
    numbers: dict[str, float | int | str] = {
        "rate": rate,
        "mean": forecast.mean,
        "horizon_days": horizon,
        "lead_time_days": forecast.lead_time * forecast.period_days,
        "review_days": forecast.review * forecast.period_days,
        "demand_class": forecast.demand_class,
    }
    return Reason(text, numbers)


def _position_reason(plan: _Plan) -> Reason:
    position, unit = plan.candidate.position, _UNITS[plan.candidate.unit]
    text = (
        f"{position.total} {unit} are there or coming: {position.available} available, {position.on_order} on order, "
        f"{position.owed} owed to customers."
    )
    if position.available < 0:
        text += " The record is below zero, so a movement is missing; it counts as nothing."
    return Reason(
        text,
        {
            "available": position.available,
            "on_order": position.on_order,
            "owed": position.owed,
            "position": position.total,
        },
    )


def _service_reason(plan: _Plan) -> Reason:
    unit = _UNITS[plan.candidate.unit]
    booked = plan.candidate.position.booked
    if booked and booked == plan.reorder_point:
        text = f"Customers have booked {booked} {unit} for this time already, more than was foreseen."
        return Reason(text, {"reorder_point": booked, "booked": booked})
    text = (
        f"{plan.reorder_point} {unit} are enough in {plan.service * 100:.1f} of 100 such periods (cycle service), which "
        f"balances the cost of holding this item with {plan.stockout_value:.2f} {plan.candidate.terms.currency} for "
        f"each demand not served."
    )
    return Reason(
        text,
        {
            "reorder_point": plan.reorder_point,
            "service": round(plan.service, 4),
            "stockout_value": round(plan.stockout_value, 2),
        },
    )


def _quantity_reason(plan: _Plan) -> Reason:
    terms, unit = plan.candidate.terms, _UNITS[plan.candidate.unit]
    limits = [f"at least {terms.moq}"] if terms.moq > 1 else []
    limits += [f"packs of {terms.pack}"] if terms.pack > 1 else []
    text = f"Order {plan.quantity} {unit}: up to {plan.reorder_point} and a lot of {plan.lot}"
    text += f", {', '.join(limits)}." if limits else "."
    if plan.candidate.suppliers > 1:
        text += f" {terms.supplier} is the preferred of {plan.candidate.suppliers} suppliers."
    return Reason(text, {"quantity": plan.quantity, "lot": plan.lot, "moq": terms.moq, "pack": terms.pack})


def _number(value: float) -> str:
    """A number for people: three digits, whole from a hundred on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
