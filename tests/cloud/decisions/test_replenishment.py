"""Replenishment: the textbook's numbers, what suppliers accept, and reasons that name the numbers they rest on."""

from __future__ import annotations

import math
from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.decisions.inventory import (
    LEAST_RISK,
    MOST_RISK,
    Economics,
    economic_order_quantity,
    orderable,
    stockout_risk,
    stockout_value,
)
from cloud.decisions.replenishment import Candidate, Policy, Position, Proposal, Terms, replenish
from cloud.forecasts.forecast import LEVELS, Forecast

TODAY = date(2026, 1, 5)
TERMS = Terms("acme", 2_500_000, "EUR", moq=50, pack=24, lead_time_days=9.5, lead_time_sd=2.0, order_cost_minor=800)


def forecast(rate: float = 10.0, item: str = "screw", **changes: object) -> Forecast:
    """Demand over 10.5 days between half and twice its mean, evenly."""
    mean = rate * 10.5
    one = Forecast(
        version="v1", site="north", item=item, origin=TODAY.isoformat(), period_days=1, demand_class="smooth",
        models=("SES",), history=365, censored=0, lead_time=9.5, lead_time_sd=2.0, review=1.0, rate=rate, line_size=4.0,
        mean=mean, levels=LEVELS, quantiles=tuple(mean * (0.5 + 1.5 * level) for level in LEVELS), fan_levels=(), fan=(),
        error=0.2, inputs="i1",
    )  # fmt: skip
    return msgspec.structs.replace(one, **changes)


def proposal(
    position: Position, terms: Terms = TERMS, made: Forecast | None = None, policy: Policy | None = None
) -> Proposal | None:
    found = replenish([Candidate(made or forecast(), terms, position)], policy or Policy(), TODAY).proposals
    return found[0] if found else None


def test_economic_order_quantity_balances_ordering_and_holding() -> None:
    lot = economic_order_quantity(1_000.0, 20.0, 4.0)
    assert lot == pytest.approx(100.0)  # sqrt(2 * 1000 * 20 / 4)
    assert 20.0 * 1_000.0 / lot == pytest.approx(4.0 * lot / 2)
    assert economic_order_quantity(0.0, 20.0, 4.0) == 0.0
    assert economic_order_quantity(5.0, 20.0, 0.0) == 0.0


def test_at_the_chosen_risk_one_more_unit_costs_what_it_saves() -> None:
    item = Economics(holding=0.01, rate=5.0, line_size=2.0, lot=100.0, review=1.0)
    risk = stockout_risk(item, 8.0)
    cycle = 100.0 / 5.0
    assert risk * 8.0 / 2.0 == pytest.approx(0.01 * cycle)
    assert stockout_risk(item, 16.0) == pytest.approx(risk / 2)
    assert stockout_risk(item._replace(holding=0.02), 8.0) == pytest.approx(2 * risk)
    assert stockout_risk(item, 1e9) == LEAST_RISK
    assert stockout_risk(item, 1e-9) == MOST_RISK


def test_the_slider_is_the_average_service_and_cheap_items_get_more_of_it() -> None:
    items = [Economics(0.0001 * 3**number, 5.0, 1.0, 60.0, 1.0) for number in range(6)]
    for service in (0.9, 0.95, 0.98):
        value = stockout_value(items, service)
        risks = [stockout_risk(item, value) for item in items]
        assert 1 - sum(risks) / len(risks) == pytest.approx(service, abs=1e-6)
        assert risks == sorted(risks)
    assert stockout_value([], 0.95) == 0.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(0, 1e6), st.integers(0, 10_000), st.integers(0, 500))
def test_what_is_ordered_is_what_a_supplier_accepts(wanted: float, moq: int, pack: int) -> None:
    quantity = orderable(wanted, moq, pack)
    assert quantity >= max(wanted, moq, 1)
    assert quantity % max(pack, 1) == 0
    assert quantity - max(math.ceil(wanted), moq, 1) < max(pack, 1)


def test_nothing_is_ordered_while_there_is_enough() -> None:
    one = forecast()
    assert proposal(Position(available=round(one.quantiles[-1]) + 1)) is None
    assert proposal(Position(available=100, on_order=200)) is None


def test_a_proposal_says_what_when_and_what_it_changes() -> None:
    found = proposal(Position(available=60, on_order=24, owed=4))
    assert found is not None
    assert found.quantity % 24 == 0
    assert found.quantity >= 50
    assert found.by == "2026-01-15"  # 9.5 days of lead time
    assert found.cost.minor == found.quantity * 250
    assert found.forecast == "v1"
    assert found.effect.stockout_before > 800 > 20 > found.effect.stockout_after
    assert found.effect.cover_before == 8.0
    assert found.effect.cover_after == pytest.approx(8.0 + found.quantity / 10.0)
    assert 500 <= found.confidence <= 990


def test_reasons_mention_the_numbers_that_were_used() -> None:
    found = proposal(Position(available=60, on_order=24, owed=4))
    assert found is not None
    numbers = {name: value for reason in found.reasons for name, value in reason.numbers.items()}
    texts = " ".join(reason.text for reason in found.reasons)
    assert numbers["position"] == 60 + 24 - 4
    assert numbers["quantity"] == found.quantity
    assert numbers["moq"] == 50
    for name in ("position", "available", "on_order", "owed", "reorder_point", "quantity", "lot", "moq", "pack"):
        assert str(numbers[name]) in texts, name
    assert f"{float(numbers['service']) * 100:.1f}" in texts
    assert f"{numbers['stockout_value']:.2f} EUR" in texts
    assert "10.5 days" in texts


def test_special_circumstances_are_reasons_too() -> None:
    found = proposal(Position(available=-5), made=forecast(censored=12, demand_class="new", history=20))
    assert found is not None
    texts = " ".join(reason.text for reason in found.reasons)
    assert "Stock was out on 12 days" in texts
    assert "Only 20 days" in texts
    assert "below zero" in texts
    assert found.effect.cover_before == 0.0


def test_booked_orders_beyond_the_forecast_raise_the_reorder_point() -> None:
    found = proposal(Position(available=250, booked=400))
    assert found is not None
    assert found.quantity >= 150
    assert "booked 400" in " ".join(reason.text for reason in found.reasons)


def test_without_demand_only_what_is_owed_is_ordered() -> None:
    dead = forecast(rate=0.0, demand_class="dead", line_size=0.0)
    assert proposal(Position(available=0), made=dead) is None
    found = proposal(Position(available=0, owed=3), made=dead)
    assert found is not None
    assert found.quantity == 72  # 3 owed, at least 50, packs of 24
    assert found.effect.cover_after == 3_650.0


def test_a_dearer_item_is_kept_at_a_lower_service() -> None:
    cheap = Candidate(forecast(item="cheap"), msgspec.structs.replace(TERMS, price_micro=100_000), Position(0))
    dear = Candidate(forecast(item="dear"), msgspec.structs.replace(TERMS, price_micro=50_000_000), Position(0))
    service = {
        one.item: next(reason.numbers["service"] for reason in one.reasons if "service" in reason.numbers)
        for one in replenish([cheap, dear], Policy(), TODAY).proposals
    }
    assert float(service["cheap"]) > 0.95 > float(service["dear"])


def test_more_service_never_orders_less() -> None:
    quantities = [
        found.quantity
        for service in (800, 900, 950, 980)
        if (found := proposal(Position(available=40), policy=Policy(service=service))) is not None
    ]
    assert quantities == sorted(quantities)
    assert len(quantities) == 4
