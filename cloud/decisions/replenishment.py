"""READ FIRST of the decisions: order or not, how much, and why.

Policy (s, S): when available + on order - owed has fallen below s, the quantile of demand over lead time plus
review, order up to s + Q. The quantile's level is each item's own, by what its stock and its stock-outs cost.

    plan.py       level of service, reorder point, lot and quantity of one item; inventory.py has the formulas
    lots.py       price breaks, packs          expiry.py   what spoils, what can be sold in time
    together.py   budget and room (limits.py), freight of a supplier (joint.py)
    leadtime.py   what receipts teach          worth.py    what better terms would save
    words.py      the reasons
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

from cloud.decisions.candidate import (
    Candidate,
    Keeping,
    LeftOut,
    Limits,
    Policy,
    Position,
    Proposal,
    Replenishment,
)
from cloud.decisions.plan import Plan, economics, ended, plans, sized
from cloud.decisions.terms import Freight, PriceBreak, Promise, Terms
from cloud.decisions.together import cost_minor, with_freight, within
from cloud.decisions.words import reasons
from cloud.decisions.worth import worth_of
from cloud.forecasts.forecast import Forecast
from vocabulary.quantity import Money, amount
from vocabulary.recommendation import Basis, Effect, Worth

__all__ = [
    "Candidate", "Freight", "Keeping", "LeftOut", "Limits", "Policy", "Position", "PriceBreak", "Promise", "Proposal",
    "Replenishment", "Terms", "economics", "replenish",
]  # fmt: skip

#: Days of cover shown at most: an item that hardly moves lasts "ten years or more".
_MOST_COVER = 3_650.0
#: Bounds of a proposal's confidence, per mille: it stands on a forecast, so never certain, and was made, so never even.
_LEAST_CONFIDENCE, _MOST_CONFIDENCE = 500, 990


def replenish(
    candidates: Sequence[Candidate], policy: Policy, today: date, limits: Limits | None = None
) -> Replenishment:
    """The orders that a site should place today, by the order of `candidates`, and those that its limits forbid.

    One service target for all items together; items that ended are not ordered.
    """
    limits = Limits() if limits is None else limits
    left_out: list[LeftOut] = []
    due: list[Plan] = []
    others: list[Plan] = []
    for plan in plans([one for one in candidates if not ended(one, today)], policy, today):
        if not plan.due:
            others.append(plan)
            continue
        plan = sized(plan, policy, today)
        if plan.quantity:
            due.append(plan)
        else:
            forecast = plan.candidate.forecast
            left_out.append(LeftOut(forecast.site, forecast.item, 0, plan.notes[-1]))
    due, over_limits = within(due, others, limits)
    due = with_freight(due, others, policy, limits, today)
    place = {one.forecast.item: number for number, one in enumerate(candidates)}
    due.sort(key=lambda plan: place[plan.candidate.forecast.item])
    proposals = [_proposal(plan, worth, policy, today) for plan, worth in zip(due, worth_of(due, policy), strict=True)]
    return Replenishment(tuple(proposals), (*left_out, *over_limits))


def _proposal(plan: Plan, worth: tuple[Worth, ...], policy: Policy, today: date) -> Proposal:
    forecast, terms = plan.candidate.forecast, plan.candidate.terms
    before, after = plan.position, plan.position + plan.quantity
    price = terms.price_at(plan.quantity)
    total = plan.candidate.position.total
    effect = Effect(
        forecast.site,
        round(forecast.exceeded(before) * 1_000),
        round(forecast.exceeded(after) * 1_000),
        _cover(before, forecast),
        _cover(after, forecast),
        amount(terms.price_micro, max(total, 0), terms.currency).minor,
        amount(terms.price_micro, max(total, 0), terms.currency).minor + cost_minor(plan, plan.quantity),
    )
    return Proposal(
        site=forecast.site,
        item=forecast.item,
        supplier=terms.supplier,
        quantity=plan.quantity,
        by=(today + timedelta(days=math.ceil(terms.lead_time_days))).isoformat(),
        cost=Money(cost_minor(plan, plan.quantity), terms.currency),
        price_micro=price,
        confidence=_confidence(plan),
        forecast=forecast.version,
        reasons=reasons(plan),
        effect=effect,
        worth=worth,
        basis=_basis(plan, policy, price),
    )


def _cover(position: int, forecast: Forecast) -> float:
    """Days that a position lasts at the mean rate."""
    rate = forecast.rate / forecast.period_days
    return round(min(max(position, 0) / rate, _MOST_COVER), 1) if rate > 0 else _MOST_COVER


def _confidence(plan: Plan) -> int:
    """Per mille: how probable it is that the position is below the reorder point of the true demand, when the forecast
    errs by what its class erred at past origins (normal).
    """
    spread = plan.candidate.forecast.error * plan.reorder_point
    below = plan.reorder_point - plan.position
    sure = 0.5 * (1 + math.erf(below / spread / math.sqrt(2))) if spread > 0 else 1.0
    return min(max(round(sure * 1_000), _LEAST_CONFIDENCE), _MOST_CONFIDENCE)


def _basis(plan: Plan, policy: Policy, price: int) -> Basis:
    terms, keeping = plan.candidate.terms, plan.candidate.keeping
    promised = terms.promised or Promise(terms.lead_time_days, terms.lead_time_sd, 0)
    return Basis(
        holding_rate=policy.holding_rate,
        value_share=policy.value_share,
        service_target=policy.service,
        service_floor=keeping.service_floor,
        review_days=policy.review_days,
        stockout_value=round(plan.stockout_value, 4),
        service=round(plan.service, 4),
        reorder_point=plan.reorder_point,
        lot=plan.lot,
        price_micro=price,
        currency=terms.currency,
        moq=terms.moq,
        pack=terms.pack,
        order_cost_minor=terms.order_cost_minor,
        lead_time_days=terms.lead_time_days,
        lead_time_sd=terms.lead_time_sd,
        promised_days=promised.lead_time_days,
        promised_sd=promised.lead_time_sd,
        receipts=promised.receipts,
        breaks=tuple((one.quantity, one.price_micro) for one in terms.breaks),
        position=plan.position,
        display=keeping.display,
        spoiling=plan.spoiling,
    )
