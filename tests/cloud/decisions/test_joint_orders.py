"""What comes along for the freight: the cheapest choice of all, only where it pays, and told on each proposal."""

from __future__ import annotations

import itertools
import random
from datetime import date

import msgspec
import pytest
from forecasts_made import even_forecast

from cloud.decisions.joint import Offer, top_up
from cloud.decisions.replenishment import Candidate, Freight, Limits, Policy, Position, Replenishment, Terms, replenish

TODAY = date(2026, 1, 5)
TERMS = Terms("acme", 2_000_000, "EUR", moq=20, pack=10, lead_time_days=9.5)


def cheapest(missing: float, offers: list[Offer]) -> float:
    """Every choice, tried."""
    found = float("inf")
    ranges = [[0, *range(offer.least, offer.most + 1, offer.pack)] for offer in offers]
    for choice in itertools.product(*ranges):
        if sum(n * offer.price for n, offer in zip(choice, offers, strict=True)) >= missing:
            cost = sum(n * offer.holding * offer.wait for n, offer in zip(choice, offers, strict=True))
            found = min(found, cost)
    return found


@pytest.mark.parametrize("seed", range(15))
def test_no_choice_that_reaches_the_threshold_costs_less(seed: int) -> None:
    drawn = random.Random(seed)
    offers = [
        Offer(
            price=drawn.uniform(1, 20), holding=drawn.uniform(0.001, 0.02), wait=drawn.uniform(0, 40),
            least=drawn.choice([1, 4]), most=drawn.randrange(6, 14), pack=drawn.choice([1, 2]),
        )
        for _ in range(4)
    ]  # fmt: skip
    missing = drawn.uniform(20, 200)
    found = top_up(missing, 1e9, offers)
    if found is None:
        assert cheapest(missing * 1.02, offers) == float("inf")
        return
    assert sum(n * offer.price for n, offer in zip(found.quantities, offers, strict=True)) >= missing - 1e-9
    cost = sum(n * offer.holding * offer.wait for n, offer in zip(found.quantities, offers, strict=True))
    assert found.cost == pytest.approx(cost)
    assert found.cost <= cheapest(missing * 1.01, offers) + 1e-9  # values are rounded down to 1/500 each
    assert found.cost >= cheapest(missing, offers) - 1e-9


def test_nothing_comes_along_that_costs_more_than_the_freight() -> None:
    offers = [Offer(price=10.0, holding=0.01, wait=30.0, least=1, most=100)]
    assert top_up(100.0, 3.1, offers) is not None  # ten for thirty days cost 3.00
    assert top_up(100.0, 2.9, offers) is None
    assert top_up(0.0, 50.0, offers) is None
    assert top_up(100.0, 50.0, []) is None


def site(freight: Freight, **limits: object) -> Replenishment:
    """One item that is due, one due in two days, one in fifty; and one of another supplier."""
    other = msgspec.structs.replace(TERMS, supplier="other")
    candidates = [
        Candidate(even_forecast(item="due"), TERMS, Position(130)),
        Candidate(even_forecast(item="late"), TERMS, Position(650)),
        Candidate(even_forecast(item="soon"), TERMS, Position(175)),
        Candidate(even_forecast(item="other"), other, Position(160)),
    ]
    given = Limits(freight={"acme": freight})
    return replenish(candidates, Policy(), TODAY, msgspec.structs.replace(given, **limits))


def test_what_is_due_soon_comes_along() -> None:
    (alone,) = site(Freight(0, 0, "EUR")).proposals
    found = site(Freight(alone.cost.minor + 3_000, 2_000, "EUR"))
    assert {one.item for one in found.proposals} <= {"due", "soon"}
    assert sum(one.cost.minor for one in found.proposals) >= alone.cost.minor + 3_000
    for one in found.proposals:
        (joint,) = [reason for reason in one.reasons if reason.numbers.get("joint") == "acme"]
        assert joint.numbers["freight_saved_minor"] == 2_000
        assert "no freight of 20.00 EUR" in joint.text
        assert int(joint.numbers["cost_minor"]) < 2_000


def test_freight_that_is_cheaper_than_holding_is_paid_and_told() -> None:
    (alone,) = site(Freight(0, 0, "EUR")).proposals
    (found,) = site(Freight(alone.cost.minor + 90_000, 100, "EUR")).proposals
    assert found.quantity == alone.quantity
    assert "asks 1.00 EUR for freight" in " ".join(reason.text for reason in found.reasons)


def test_what_was_ordered_today_counts_and_the_budget_is_kept() -> None:
    (alone,) = site(Freight(0, 0, "EUR")).proposals
    freight = Freight(alone.cost.minor + 3_000, 2_000, "EUR")
    (found,) = site(freight, ordered_today_minor={"acme": 3_000}).proposals
    assert found.quantity == alone.quantity
    assert not [reason for reason in found.reasons if "joint" in reason.numbers]
    (found,) = site(freight, budget_minor=alone.cost.minor + 100).proposals
    assert found.quantity == alone.quantity
