"""The numbers of one decision: level of service, reorder point, lot and quantity, within what can be sold in time. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np

from cloud.decisions.candidate import Candidate, Policy
from cloud.decisions.demand import daily, gamma_quantile, over, shortage
from cloud.decisions.expiry import WASTE_RISK, consumable, expected_waste, spoiling
from cloud.decisions.inventory import (
    LONGEST_COVER,
    MOST_RISK,
    Economics,
    economic_order_quantity,
    order_up_to,
    orderable,
    stockout_risks,
    stockout_value,
    unserved_values,
)
from cloud.decisions.lots import discounted_lot, largest_orderable, worth_rounding_up
from vocabulary.quantity import exponent
from vocabulary.recommendation import Reason

#: Days in the year of a holding rate.
YEAR = 365.0


class Plan(msgspec.Struct, frozen=True):
    """The numbers of one decision. `slider` is what a demand not served costs by the site's policy, `stockout_value` the
    same with the share of this item's goods; `position` without what is on show or will spoil; `price` major units.
    """

    candidate: Candidate
    slider: float
    stockout_value: float
    service: float
    reorder_point: int
    lot: int
    price: float
    position: int
    spoiling: int
    quantity: int = 0
    notes: tuple[Reason, ...] = ()

    @property
    def rate(self) -> float:
        """Base units a day."""
        return self.candidate.forecast.rate / self.candidate.forecast.period_days

    @property
    def due(self) -> bool:
        """Whether the position has fallen below the reorder point."""
        return self.position < self.reorder_point

    @property
    def up_to(self) -> int:
        """The position that an order aims at."""
        return order_up_to(self.reorder_point, self.lot)

    def benefit(self, quantity: int) -> float:
        """By how much an order of `quantity` lowers the expected cost of stock-outs over the horizon, major units."""
        forecast = self.candidate.forecast
        saved = shortage(forecast, self.position) - shortage(forecast, self.position + quantity)
        return self.stockout_value * saved / max(forecast.line_size, 1.0)

    def with_note(self, note: Reason, quantity: int | None = None) -> Plan:
        """The plan with a further reason, and another quantity."""
        wanted = self.quantity if quantity is None else quantity
        return msgspec.structs.replace(self, notes=(*self.notes, note), quantity=wanted)


def economics(candidate: Candidate, policy: Policy) -> Economics:
    """What the item costs to hold, and its ordinary lot: the cheapest with its price breaks (`lots`), not below the minimum,
    at least one review's demand.
    """
    return _economics(candidate, policy)[0]


def _economics(candidate: Candidate, policy: Policy) -> tuple[Economics, float]:
    """(`economics`, the price of a base unit in major units at that lot)."""
    terms, forecast = candidate.terms, candidate.forecast
    rate = forecast.rate / forecast.period_days
    share, cost = holding_share(policy), order_cost(candidate)
    price = terms.price_micro / 1_000_000
    least = max(rate * policy.review_days, float(terms.moq), 1.0)
    longest = longest_cover(candidate)
    if terms.breaks:
        lot, price = discounted_lot(rate, cost, price, terms.breaks, share, least, longest)
    else:
        lot = economic_order_quantity(rate, cost, price * share)
        lot = max(min(lot, rate * longest), least)
    return Economics(price * share, rate, forecast.line_size, lot, float(policy.review_days)), price


def longest_cover(candidate: Candidate) -> float:
    """Days that an ordinary lot lasts at most: no longer than the goods keep."""
    life = candidate.keeping.shelf_life_days
    return LONGEST_COVER if life is None else min(LONGEST_COVER, max(float(life), 1.0))


def holding_share(policy: Policy) -> float:
    """The share of its price that holding a unit for a day costs."""
    return policy.holding_rate / 1_000 / YEAR


def order_cost(candidate: Candidate) -> float:
    """What one order costs, major units."""
    return candidate.terms.order_cost_minor / 10 ** exponent(candidate.terms.currency)


def plans(candidates: Sequence[Candidate], policy: Policy, today: date) -> list[Plan]:
    """The numbers for each candidate, in order; one service target for the items of each currency together."""
    found: dict[int, Plan] = {}
    for currency in sorted({candidate.terms.currency for candidate in candidates}):
        places = [place for place, one in enumerate(candidates) if one.terms.currency == currency]
        group = [_economics(candidates[place], policy) for place in places]
        price = np.asarray([one[1] for one in group])
        holding, rate, line, lot, _ = np.asarray([one[0] for one in group], dtype=np.float64).T
        share = unserved_values(0.0, policy.value_share / 1_000, price, line)
        slider = stockout_value([one[0] for one in group], policy.service / 1_000, share)
        value = slider + share
        risk = stockout_risks(holding, rate, line, lot, float(policy.review_days), value)
        for place, (costs, paid), worth, odds in zip(places, group, value.tolist(), risk.tolist(), strict=True):
            floor = candidates[place].keeping.service_floor / 1_000
            service = max(1 - min(odds, MOST_RISK), floor)
            found[place] = _plan(candidates[place], costs, paid, slider, worth, service)
    return [found[place] for place in range(len(candidates))]


def _plan(candidate: Candidate, costs: Economics, price: float, slider: float, value: float, service: float) -> Plan:
    position, forecast = candidate.position, candidate.forecast
    lost = spoiling(position.lots, costs.rate) if position.lots else 0
    point = max(math.ceil(forecast.quantile(service)), position.booked)
    there = position.without(candidate.keeping.display + lost)
    return Plan(candidate, slider, value, service, point, math.ceil(costs.lot), price, there, lost)


def sized(plan: Plan, policy: Policy, today: date) -> Plan:
    """The plan of an item that is due with the quantity to order: up to its target, to the next price break where that
    pays, and not beyond what can be sold in time or kept. Quantity 0 where nothing sensible can be ordered; the last note
    says why.
    """
    candidate, terms = plan.candidate, plan.candidate.terms
    quantity = orderable(plan.up_to - plan.position, terms.moq, terms.pack)
    bounds = ceilings(plan, today)
    if terms.breaks:
        more = worth_rounding_up(
            quantity, terms, plan.rate, order_cost(candidate), holding_share(policy), longest_cover(candidate)
        )
        if quantity < more <= min((most for most, _ in bounds), default=more):
            price = terms.price_at(more) / 1_000_000
            text = f"{more} instead of {quantity}: from there on a unit costs {price:g} {terms.currency}."
            note = Reason(text, {"wanted": quantity, "price_micro": terms.price_at(more)})
            quantity, plan = more, plan.with_note(note)
    for most, why in bounds:
        if quantity <= most:
            continue
        least = orderable(0, terms.moq, terms.pack)
        cut = largest_orderable(most, terms.moq, terms.pack)
        numbers: dict[str, float | int | str] = {"wanted": quantity, "most": max(most, 0)}
        if not cut and why.startswith("It keeps") and _pays_in_spite_of_waste(plan, least):
            text = f"{why} The least that {terms.supplier} delivers is more; the stock-out would cost more than what may spoil."
            quantity, plan = least, plan.with_note(Reason(text, numbers | {"cut": least}))
            continue
        if not cut:
            return plan.with_note(Reason(f"{why} {terms.supplier} delivers no less than {least}.", numbers), 0)
        quantity, plan = cut, plan.with_note(Reason(why, numbers | {"cut": cut}))
    return msgspec.structs.replace(plan, quantity=quantity)


def ceilings(plan: Plan, today: date) -> list[tuple[int, str]]:
    """(the most that should be ordered, why) for each thing that bounds an order of this item."""
    keeping, terms, position = plan.candidate.keeping, plan.candidate.terms, plan.candidate.position
    found: list[tuple[int, str]] = []
    if not (keeping.discontinued_on or keeping.shelf_life_days is not None or keeping.most is not None):
        return found
    demand = daily(plan.candidate.forecast)
    if keeping.discontinued_on:
        days = (date.fromisoformat(keeping.discontinued_on) - today).days
        most = consumable(demand, days, position.without(plan.spoiling)) if days > terms.lead_time_days else 0
        heir = f" and {keeping.successor} takes over" if keeping.successor else ""
        found.append((most, f"It ends on {keeping.discontinued_on}{heir}; {max(most, 0)} more can be sold by then."))
    if keeping.shelf_life_days is not None:
        most = consumable(demand, terms.lead_time_days + keeping.shelf_life_days, plan.position)
        text = f"It keeps for {keeping.shelf_life_days} days; in that time {max(most, 0)} more are consumed in 19 of 20 cases."
        found.append((most, text))
    if keeping.most is not None:
        mean, variance = over(demand, terms.lead_time_days)
        gone = min(int(gamma_quantile(mean, variance, WASTE_RISK)), max(plan.position, 0))
        there = max(position.on_hand, position.available, 0) + position.on_order
        text = f"At most {keeping.most} may be there at once; {there} are there or coming."
        found.append((keeping.most - there + gone, text))
    return found


def _pays_in_spite_of_waste(plan: Plan, least: int) -> bool:
    keeping, terms = plan.candidate.keeping, plan.candidate.terms
    days = terms.lead_time_days + (keeping.shelf_life_days or 0)
    waste = expected_waste(daily(plan.candidate.forecast), days, plan.position, least)
    return plan.benefit(least) > waste * plan.price


def ended(candidate: Candidate, today: date) -> bool:
    """Whether the item is not sold any more."""
    return bool(candidate.keeping.discontinued_on) and candidate.keeping.discontinued_on <= today.isoformat()
