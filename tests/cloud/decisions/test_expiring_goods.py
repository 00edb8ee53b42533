"""Goods that do not keep: against a day by day play, and in proposals."""

from __future__ import annotations

import random
from datetime import date

import msgspec
import numpy as np
import pytest
from forecasts_made import even_forecast

from cloud.decisions.demand import daily
from cloud.decisions.expiry import WASTE_RISK, Lot, consumable, expected_waste, spoiling
from cloud.decisions.replenishment import Candidate, Keeping, Policy, Position, Replenishment, Terms, replenish

TODAY = date(2026, 1, 5)
TERMS = Terms("acme", 2_000_000, "EUR", lead_time_days=9.5)


def decided(position: Position, keeping: Keeping, terms: Terms = TERMS) -> Replenishment:
    return replenish([Candidate(even_forecast(), terms, position, keeping=keeping)], Policy(), TODAY)


def texts(found: Replenishment) -> str:
    return " ".join(reason.text for one in found.proposals for reason in one.reasons)


@pytest.mark.parametrize("seed", range(10))
def test_first_to_expire_is_first_to_go(seed: int) -> None:
    drawn = random.Random(seed)
    rate = drawn.randrange(1, 12)
    lots = [Lot(drawn.randrange(0, 20), drawn.randrange(1, 60)) for _ in range(drawn.randrange(1, 6))]
    left = sorted([lot.days, lot.quantity] for lot in lots)
    wasted = 0
    for day in range(21):
        wasted += sum(quantity for days, quantity in left if days <= day)
        left = [lot for lot in left if lot[0] > day]
        wanted = rate
        for lot in left:
            eaten = min(wanted, lot[1])
            lot[1] -= eaten
            wanted -= eaten
    assert spoiling(lots, float(rate)) == wasted


def test_what_can_be_consumed_in_time_is_a_low_quantile() -> None:
    demand = daily(even_forecast())
    drawn = np.random.default_rng(1).gamma
    mean, variance = demand.rate * 30, demand.variance * 30
    seen = drawn(mean**2 / variance, variance / mean, 200_000)
    most = consumable(demand, 30.0, 40)
    assert (seen < 40 + most).mean() == pytest.approx(WASTE_RISK, abs=0.01)
    waste = np.maximum(40 + 300 - seen, 0).mean() - np.maximum(40 - seen, 0).mean()
    assert expected_waste(demand, 30.0, 40, 300) == pytest.approx(float(waste), rel=0.05)


def test_a_short_life_cuts_the_order_and_says_so() -> None:
    (free,) = decided(Position(20), Keeping()).proposals
    found = decided(Position(20), Keeping(shelf_life_days=9))
    (cut,) = found.proposals
    assert 0 < cut.quantity < free.quantity
    assert "It keeps for 9 days" in texts(found)
    assert 20 + cut.quantity <= consumable(daily(even_forecast()), 18.5, 0)


def test_a_lot_lasts_no_longer_than_the_goods_keep() -> None:
    costly = msgspec.structs.replace(TERMS, order_cost_minor=50_000)
    (found,) = decided(Position(20), Keeping(shelf_life_days=30), costly).proposals
    (free,) = decided(Position(20), Keeping(), costly).proposals
    assert found.basis is not None
    assert free.basis is not None
    assert (found.basis.lot, free.basis.lot) == (300, 3_021)  # sqrt(2 * 10 * 500 * 365 / (2 * 0.2)); thirty days of it
    assert found.basis.service > free.basis.service - 1e-9


def test_a_minimum_beyond_the_life_is_ordered_only_where_the_stock_out_costs_more() -> None:
    dear = msgspec.structs.replace(TERMS, moq=900)
    found = decided(Position(100), Keeping(shelf_life_days=3), dear)
    assert not found.proposals
    (left,) = found.left_out
    assert "no less than 900" in left.reason.text
    little = msgspec.structs.replace(TERMS, moq=90)
    found = decided(Position(0), Keeping(shelf_life_days=3, service_floor=990), little)
    (one,) = found.proposals
    assert one.quantity == 90
    assert "what may spoil" in texts(found)


def test_lots_that_expire_before_they_are_eaten_do_not_count() -> None:
    lots = (Lot(3, 100), Lot(40, 100))  # 30 of the first are eaten in three days, at ten a day
    found = decided(Position(200, lots=lots), Keeping())
    (one,) = found.proposals
    assert one.basis is not None
    assert (one.basis.spoiling, one.basis.position) == (70, 130)
    assert "70 of the available will expire" in texts(found)
    assert not decided(Position(200), Keeping()).proposals


def test_what_is_on_show_is_not_for_sale() -> None:
    assert not decided(Position(170), Keeping()).proposals
    found = decided(Position(170), Keeping(display=60))
    assert "60 stand on show" in texts(found)
    (one,) = found.proposals
    assert one.effect.stockout_before > 0


def test_no_more_may_be_there_than_fits() -> None:
    (one,) = decided(Position(30, on_hand=50), Keeping(most=100)).proposals
    (two,) = decided(Position(30, on_hand=30), Keeping(most=100)).proposals
    assert two.quantity == one.quantity + 20
    found = decided(Position(30, on_hand=130), Keeping(most=100))
    assert not found.proposals
    assert "At most 100" in found.left_out[0].reason.text


def test_an_item_that_ends_is_ordered_only_as_far_as_it_sells() -> None:
    (whole,) = decided(Position(20), Keeping()).proposals
    found = decided(Position(20), Keeping(discontinued_on="2026-01-20", successor="bolt"))
    (cut,) = found.proposals
    assert cut.quantity < whole.quantity
    assert 20 + cut.quantity <= 150  # what fifteen days sell on average
    assert "bolt takes over" in texts(found)
    assert not decided(Position(20), Keeping(discontinued_on="2026-01-12")).proposals  # gone before an order comes
    ended = decided(Position(0), Keeping(discontinued_on="2026-01-05"))
    assert not ended.proposals
    assert not ended.left_out
