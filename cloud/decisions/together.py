"""What the orders of a site share: its budget, its room and each supplier's freight. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from cloud.decisions.candidate import LeftOut, Limits, Policy
from cloud.decisions.inventory import LONGEST_COVER, orderable
from cloud.decisions.joint import Offer, top_up
from cloud.decisions.limits import allot, want
from cloud.decisions.lots import largest_orderable
from cloud.decisions.plan import Plan, ceilings, holding_share
from cloud.decisions.terms import Freight
from cloud.decisions.words import money
from vocabulary.quantity import Money, amount, exponent
from vocabulary.recommendation import Reason

#: Millilitres in a litre.
_LITRE = 1_000


def cost_minor(plan: Plan, quantity: int) -> int:
    """What `quantity` base units of a plan's item cost, minor units of its terms' currency."""
    terms = plan.candidate.terms
    return amount(terms.price_at(quantity), quantity, terms.currency).minor


def within(plans: Sequence[Plan], others: Sequence[Plan], limits: Limits) -> tuple[list[Plan], list[LeftOut]]:
    """The orders that fit into the site's room and budget, cut where that helps most, and those that were left out;
    `others` are items that are not due.
    """
    kept, left_out = list(plans), list[LeftOut]()
    room, money_left = remaining([*plans, *others], limits)
    if room is not None:
        text = f"The site has room for {max(room, 0) // _LITRE} litres more"
        kept, out = _cut(kept, room, lambda plan, quantity: plan.candidate.keeping.volume_ml * quantity, text)
        left_out += out
    if money_left is not None:
        mine = [plan for plan in kept if plan.candidate.terms.currency == limits.currency]
        left = money(Money(max(money_left, 0), limits.currency))
        text = f"Of {money(Money(limits.budget_minor or 0, limits.currency))} for seven days {left} are left"
        cut, out = _cut(mine, money_left, cost_minor, text)
        left_out += out
        fitting = {plan.candidate.forecast.item: plan for plan in cut}
        kept = [
            fitting.get(plan.candidate.forecast.item, plan)
            for plan in kept
            if plan.candidate.terms.currency != limits.currency or plan.candidate.forecast.item in fitting
        ]
    return kept, left_out


def remaining(plans: Sequence[Plan], limits: Limits) -> tuple[int | None, int | None]:
    """(millilitres, minor units) that are left before `plans` are ordered; None where there is no limit.

    What is there when an order comes is less than what is there and coming today by what is consumed until then.
    """
    room = limits.capacity_ml
    if room is not None:
        room -= limits.filled_ml
        for plan in plans:
            gone = min(plan.rate * plan.candidate.terms.lead_time_days, max(plan.position, 0))
            room += int(gone * plan.candidate.keeping.volume_ml)
    left = None if limits.budget_minor is None else limits.budget_minor - limits.ordered_minor
    return room, left


def _cut(
    plans: Sequence[Plan], available: int, cost: Callable[[Plan, int], int], text: str
) -> tuple[list[Plan], list[LeftOut]]:
    wants = [
        want(
            plan.quantity,
            min(orderable(0, plan.candidate.terms.moq, plan.candidate.terms.pack), plan.quantity),
            plan.candidate.terms.pack,
            lambda quantity, plan=plan: float(cost(plan, quantity)),
            plan.benefit,
        )
        for plan in plans
    ]
    kept, left_out = list[Plan](), list[LeftOut]()
    for plan, quantity in zip(plans, allot(wants, float(max(available, 0))), strict=True):
        forecast = plan.candidate.forecast
        numbers: dict[str, float | int | str] = {"wanted": plan.quantity, "left": max(available, 0)}
        if quantity == plan.quantity:
            kept.append(plan)
        elif quantity:
            note = f"{text}, so {quantity} instead of {plan.quantity}: the rest goes where it avoids more stock-outs."
            kept.append(plan.with_note(Reason(note, numbers), quantity))
        else:
            reason = Reason(f"{text}, and other orders avoid more stock-outs with it.", numbers)
            left_out.append(LeftOut(forecast.site, forecast.item, plan.quantity, reason))
    return kept, left_out


def with_freight(
    ordered: Sequence[Plan], others: Sequence[Plan], policy: Policy, limits: Limits, today: date
) -> list[Plan]:
    """The orders with what comes along to save freight (`joint.top_up`), each with the note that says so; `others` are items
    that are not due.
    """
    room, money_left = remaining([*ordered, *others], limits)
    found = list(ordered)
    for supplier in dict.fromkeys(plan.candidate.terms.supplier for plan in ordered):
        freight = limits.freight.get(supplier)
        mine = [plan for plan in found if plan.candidate.terms.supplier == supplier]
        if freight is None or any(plan.candidate.terms.currency != freight.currency for plan in mine):
            continue
        value = limits.ordered_today_minor.get(supplier, 0)
        value += sum(cost_minor(plan, plan.quantity) for plan in mine)
        if value >= freight.free_minor:
            continue
        waiting = [
            plan
            for plan in others
            if plan.candidate.terms.supplier == supplier and plan.candidate.terms.currency == freight.currency
        ]
        joined = _joined(mine, waiting, freight, value, policy, today)
        if joined is not None and _fits(joined, found, room, money_left, limits):
            names = {plan.candidate.forecast.item for plan in joined}
            found = [plan for plan in found if plan.candidate.forecast.item not in names] + joined
        else:
            names = {plan.candidate.forecast.item for plan in mine}
            note = _freight_note(supplier, freight, value)
            found = [plan.with_note(note) if plan.candidate.forecast.item in names else plan for plan in found]
    return found


def _joined(
    due: Sequence[Plan], waiting: Sequence[Plan], freight: Freight, value: int, policy: Policy, today: date
) -> list[Plan] | None:
    """The orders of one supplier after what pays came along; None where nothing does."""
    major = 10 ** exponent(freight.currency)
    share = holding_share(policy)
    offered: list[tuple[Plan, Offer]] = []
    for plan in (*due, *waiting):
        offer = _offer(plan, share, today)
        if offer is not None:
            offered.append((plan, offer))
    missing = freight.free_minor - value + len(offered)  # each price is rounded once
    added = top_up(missing / major, freight.freight_minor / major, [offer for _, offer in offered])
    if added is None:
        return None
    cost = Money(round(added.cost * major), freight.currency)
    more = {
        plan.candidate.forecast.item: quantity
        for (plan, _), quantity in zip(offered, added.quantities, strict=True)
        if quantity
    }
    joined = [plan for plan in waiting if plan.candidate.forecast.item in more]
    after = [_more(plan, more.get(plan.candidate.forecast.item, 0)) for plan in (*due, *joined)]
    total = value + sum(cost_minor(plan, plan.quantity) for plan in after) - sum(cost_minor(p, p.quantity) for p in due)
    if total < freight.free_minor:
        return None
    saved = money(Money(freight.freight_minor, freight.currency))
    supplier = due[0].candidate.terms.supplier
    text = (
        f"Ordered together from {supplier} for {money(Money(total, freight.currency))}: above "
        f"{money(Money(freight.free_minor, freight.currency))} there is no freight of {saved}; what comes along early costs "
        f"{money(cost)} to hold."
    )
    note = Reason(
        text,
        {
            "joint": supplier,
            "freight_saved_minor": freight.freight_minor,
            "cost_minor": cost.minor,
            "value_minor": total,
        },
    )
    return [plan.with_note(note) for plan in after]


def _offer(plan: Plan, share: float, today: date) -> Offer | None:
    """What of an item could come along, early by the days until it would be due."""
    terms, rate = plan.candidate.terms, plan.rate
    price = terms.price_micro / 1_000_000
    if price <= 0 or rate <= 0:
        return None
    after = plan.position + plan.quantity
    wait = max((after - plan.reorder_point) / rate, 0.0)
    least = terms.pack if plan.quantity else orderable(0, terms.moq, terms.pack)
    most = min([round(rate * LONGEST_COVER), *(limit for limit, _ in ceilings(plan, today))])
    if not plan.quantity:
        most = min(most, orderable(plan.up_to - plan.position, terms.moq, terms.pack))
    most = largest_orderable(most, terms.moq, terms.pack) - plan.quantity
    return Offer(price, price * share, wait, max(least, 1), most, max(terms.pack, 1)) if most >= least else None


def _more(plan: Plan, quantity: int) -> Plan:
    if not quantity:
        return plan
    if plan.quantity:
        text = f"{quantity} more than is due, for the freight."
        return plan.with_note(Reason(text, {"early": quantity}), plan.quantity + quantity)
    days = max((plan.position - plan.reorder_point) / plan.rate, 0.0)
    text = f"Not due for about {days:.0f} days; it comes along for the freight."
    return plan.with_note(Reason(text, {"early": quantity, "due_in_days": round(days, 1)}), quantity)


def _fits(joined: Sequence[Plan], found: Sequence[Plan], room: int | None, left: int | None, limits: Limits) -> bool:
    names = {plan.candidate.forecast.item for plan in joined}
    every = [*(plan for plan in found if plan.candidate.forecast.item not in names), *joined]
    if room is not None and sum(plan.candidate.keeping.volume_ml * plan.quantity for plan in every) > room:
        return False
    spent = sum(cost_minor(plan, plan.quantity) for plan in every if plan.candidate.terms.currency == limits.currency)
    return left is None or spent <= left


def _freight_note(supplier: str, freight: Freight, value: int) -> Reason:
    text = (
        f"{supplier} asks {money(Money(freight.freight_minor, freight.currency))} for freight: the order of "
        f"{money(Money(value, freight.currency))} stays below {money(Money(freight.free_minor, freight.currency))}, and "
        "ordering early what is due later would cost more, or is more than fits."
    )
    return Reason(text, {"joint": supplier, "freight_minor": freight.freight_minor, "value_minor": value})
