"""The reasons of a proposal: sentences with the numbers that they rest on."""

from __future__ import annotations

from cloud.decisions.candidate import Event
from cloud.decisions.plan import Plan
from vocabulary.item import BaseUnit
from vocabulary.quantity import Money, exponent
from vocabulary.recommendation import Reason

#: How base units are called in sentences.
_UNITS: dict[BaseUnit, str] = {"H87": "pieces", "GRM": "g", "MLT": "mL", "MMT": "mm", "CMK": "cm2"}


def reasons(plan: Plan) -> tuple[Reason, ...]:
    """Why, in order of weight: demand, position, service, quantity, and what is special about this item."""
    events = [_event(event) for event in plan.candidate.events]
    found = [_demand(plan), *events, _position(plan), _service(plan), _quantity(plan), *plan.notes]
    forecast, promised = plan.candidate.forecast, plan.candidate.terms.promised
    if promised is not None:
        found.append(_lead_time(plan))
    if plan.candidate.keeping.fed_by:
        text = f"This item usually comes from {plan.candidate.keeping.fed_by}; look there before buying."
        found.append(Reason(text, {"fed_by": plan.candidate.keeping.fed_by}))
    if forecast.censored:
        text = f"Stock was out on {forecast.censored} days; what was wanted then is estimated, not what was issued."
        found.append(Reason(text, {"censored": forecast.censored}))
    if forecast.demand_class == "new":
        text = f"Only {forecast.history} days of demand are known, so this leans on what similar items do."
        found.append(Reason(text, {"history": forecast.history}))
    return tuple(found)


def money(amount: Money) -> str:
    """An amount for a sentence: 12.50 EUR."""
    digits = exponent(amount.currency)
    return f"{amount.minor / 10**digits:.{digits}f} {amount.currency}"


def number(value: float) -> str:
    """A number for people: three digits, whole from a hundred on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _demand(plan: Plan) -> Reason:
    forecast, unit = plan.candidate.forecast, _UNITS[plan.candidate.unit]
    rate, horizon = plan.rate, forecast.horizon * forecast.period_days
    text = (
        f"About {number(forecast.mean)} {unit} will be wanted in the {number(horizon)} days until an order placed at "
        f"the next review could arrive ({number(rate)} a day; {forecast.demand_class} demand)."
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


def _event(event: Event) -> Reason:
    text = f"{event.name}, {event.first} to {event.last}, is planned to change demand by {event.uplift:+.0%}."
    return Reason(text, {"first": event.first, "last": event.last, "uplift": event.uplift})


def _position(plan: Plan) -> Reason:
    position, unit, display = plan.candidate.position, _UNITS[plan.candidate.unit], plan.candidate.keeping.display
    text = (
        f"{plan.position} {unit} are there or coming: {position.available} available, {position.on_order} on order, "
        f"{position.owed} owed to customers."
    )
    if plan.spoiling:
        text += f" {plan.spoiling} of the available will expire before they can be consumed, so they do not count."
    if display:
        text += f" {display} stand on show and do not count."
    if position.available < 0:
        text += " The record is below zero, so a movement is missing; it counts as nothing."
    numbers: dict[str, float | int | str] = {
        "available": position.available,
        "on_order": position.on_order,
        "owed": position.owed,
        "position": plan.position,
    }
    if plan.spoiling:
        numbers["spoiling"] = plan.spoiling
    if display:
        numbers["display"] = display
    return Reason(text, numbers)


def _service(plan: Plan) -> Reason:
    unit, booked = _UNITS[plan.candidate.unit], plan.candidate.position.booked
    if booked and booked == plan.reorder_point:
        text = f"Customers have booked {booked} {unit} for this time already, more than was foreseen."
        return Reason(text, {"reorder_point": booked, "booked": booked})
    floor = plan.candidate.keeping.service_floor
    text = f"{plan.reorder_point} {unit} are enough in {plan.service * 100:.1f} of 100 such periods (cycle service), "
    if floor and round(plan.service * 1_000) == floor:
        text += "which is the least that was set for this item."
    else:
        text += (
            f"which balances the cost of holding this item with {plan.stockout_value:.2f} "
            f"{plan.candidate.terms.currency} for each demand not served."
        )
    return Reason(
        text,
        {
            "reorder_point": plan.reorder_point,
            "service": round(plan.service, 4),
            "stockout_value": round(plan.stockout_value, 2),
        },
    )


def _quantity(plan: Plan) -> Reason:
    terms, unit = plan.candidate.terms, _UNITS[plan.candidate.unit]
    limits = [f"at least {terms.moq}"] if terms.moq > 1 else []
    limits += [f"packs of {terms.pack}"] if terms.pack > 1 else []
    text = f"Order {plan.quantity} {unit}: up to {plan.reorder_point} and a lot of {plan.lot}"
    text += f", {', '.join(limits)}." if limits else "."
    if plan.candidate.suppliers > 1:
        text += f" {terms.supplier} is the preferred of {plan.candidate.suppliers} suppliers."
    return Reason(text, {"quantity": plan.quantity, "lot": plan.lot, "moq": terms.moq, "pack": terms.pack})


def _lead_time(plan: Plan) -> Reason:
    terms = plan.candidate.terms
    promised = terms.promised
    assert promised is not None
    learned = list[str]()
    if promised.receipts:
        learned.append(f"{promised.receipts} receipt{'' if promised.receipts == 1 else 's'}")
    if promised.overdue:
        learned.append(f"{promised.overdue} overdue order{'' if promised.overdue == 1 else 's'}")
    text = (
        f"Lead time learned from {' and '.join(learned)}: {number(terms.lead_time_days)} days, give or take "
        f"{number(terms.lead_time_sd)} ({terms.supplier} promised {number(promised.lead_time_days)})."
    )
    numbers: dict[str, float | int | str] = {
        "lead_time_days": terms.lead_time_days,
        "lead_time_sd": terms.lead_time_sd,
        "promised_days": promised.lead_time_days,
        "receipts": promised.receipts,
        "overdue": promised.overdue,
    }
    return Reason(text, numbers)
