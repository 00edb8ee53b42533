"""What better terms are worth: the cost function against ten thousand days of play, and what a proposal shows."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest
from forecasts_made import even_forecast

from cloud.decisions.demand import gamma_quantile
from cloud.decisions.replenishment import Candidate, Policy, Position, Proposal, Terms, replenish
from cloud.decisions.worth import Conditions, shorter, yearly_costs

TODAY = date(2026, 1, 5)


def conditions(**changed: float) -> Conditions:
    usual = {
        "rate": 10.0, "variance": 60.0, "line_size": 2.0, "lead_time": 10.0, "lead_time_sd": 0.0, "review": 1.0,
        "order_cost": 12.0, "stockout_value": 6.0, "holding_share": 0.001, "floor": 0.0, "moq": 0.0, "longest": 365.0,
    } | changed  # fmt: skip
    arrays = {name: np.asarray([value]) for name, value in usual.items()}
    return Conditions(prices=np.asarray([[2.0]]), starts=np.zeros((1, 1)), **arrays)


def played(at: Conditions, days: int = 60_000) -> float:
    """What a year costs when the policy is played: reviewed each evening, backorders wait."""
    rate, variance = float(at.rate[0]), float(at.variance[0])
    demand = np.random.default_rng(3).gamma(rate**2 / variance, variance / rate, days)
    holding = 2.0 * float(at.holding_share[0])
    lot = max(float(np.sqrt(2 * rate * at.order_cost[0] / holding)), float(at.moq[0]), rate)
    cycle = lot / rate
    risk = min(max(holding * cycle * at.line_size[0] / at.stockout_value[0], 0.002), 0.5)
    lead = int(at.lead_time[0])
    point = gamma_quantile(rate * (lead + 1), variance * (lead + 1), 1 - float(risk))
    arriving = np.zeros(days + lead + 2)
    stock, position, orders, held, short = point + lot / 2, point + lot / 2, 0, 0.0, 0.0
    for day in range(days):
        stock += arriving[day]
        before = max(stock, 0.0)
        stock -= demand[day]
        position -= demand[day]
        short += max(demand[day] - before, 0.0) if before < demand[day] else 0.0
        if position < point:
            arriving[day + lead + 1] += lot
            position += lot
            orders += 1
        held += max(stock, 0.0)
    unserved = short / at.line_size[0] * at.stockout_value[0]
    return float((2.0 * demand.sum() + orders * at.order_cost[0] + holding * held + unserved) / days * 365)


@pytest.mark.parametrize("changed", [{}, {"lead_time": 3.0}, {"moq": 900.0}, {"variance": 150.0}])
def test_the_cost_is_what_play_costs(changed: dict[str, float]) -> None:
    at = conditions(**changed)
    goods = 365 * 20.0
    foreseen, seen = float(yearly_costs(at)[0]) - goods, played(at) - goods
    assert foreseen == pytest.approx(seen, rel=0.15)


def test_a_saving_is_what_play_saves() -> None:
    for better in ({"lead_time": 3.0}, {"moq": 450.0}):
        worse = {"lead_time": 10.0} if "lead_time" in better else {"moq": 900.0}
        foreseen = float((yearly_costs(conditions(**worse)) - yearly_costs(conditions(**better)))[0])
        seen = played(conditions(**worse)) - played(conditions(**better))
        assert foreseen == pytest.approx(seen, rel=0.35)
        assert foreseen > 0


def test_a_week_less_or_half() -> None:
    assert list(shorter(np.asarray([30.0, 10.0, 7.0, 2.0]))) == [23.0, 3.0, 3.5, 1.0]


def proposal(terms: Terms) -> Proposal:
    (found,) = replenish([Candidate(even_forecast(), terms, Position(60))], Policy(), TODAY).proposals
    return found


def test_a_proposal_shows_what_better_terms_would_save() -> None:
    terms = Terms("acme", 2_000_000, "EUR", moq=900, lead_time_days=9.5, lead_time_sd=1.0, order_cost_minor=100)
    found = {one.change: one for one in proposal(terms).worth}
    assert (found["lead-time"].before, found["lead-time"].after) == (9.5, 2.5)
    assert (found["moq"].before, found["moq"].after) == (900, 450)
    assert all(one.saving_minor > 0 for one in found.values())
    small = {one.change for one in proposal(msgspec.structs.replace(terms, moq=2)).worth}
    assert small == {"lead-time"}  # the economic lot is far above the minimum
