"""The figures of a replay against a ledger of five periods computed by hand, and the policies against textbook optima."""

from __future__ import annotations

import numpy as np
import pytest
from replay_help import history_of
from scipy.stats import norm

from cloud.decisions.inventory import (
    Economics,
    economic_order_quantity,
    order_up_to,
    ordinary_lots,
    stockout_risk,
    stockout_risks,
    stockout_value,
)
from cloud.replay import policies
from cloud.replay.history import Calendar
from cloud.replay.kpis import kpis
from cloud.replay.warehouse import Receipts, play

FIVE = Calendar(0, 0, 5)


def test_five_periods_by_hand() -> None:
    """Two items. A (cost 10) starts with 5: wanted 2 4 0 3 1. B (cost 100) starts with 1: wanted 0 2 0 0 0. At the end of
    period 1 ten A and of period 2 one B are ordered, each comes in the next period.
    """
    history = history_of([[2, 4, 0, 3, 1], [0, 2, 0, 0, 0]], unit_cost=np.array([10.0, 100.0]))
    orders = {0: np.array([0.0, 0.0]), 1: np.array([10.0, 0.0]), 2: np.array([0.0, 1.0])}
    played = play(
        history, FIVE, lambda now, _: orders.get(now, np.zeros(2)), np.array([5.0, 1.0]), np.ones((2, 5), dtype=np.intp)
    )
    # A: 5-2=3; 4 wanted, 3 served, 1 waits; 10 come, 1 served: 9; 6; 5.
    # B: 1; 1 served, 1 waits; 0; the one that comes is served; 0
    assert played.on_hand.tolist() == [[3, 0, 9, 6, 5], [1, 0, 0, 0, 0]]
    assert played.issued.tolist() == [[2, 3, 1, 3, 1], [0, 1, 0, 1, 0]]
    assert played.short.tolist() == [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]
    found = kpis(history, FIVE, played)
    value = (30 + 100 + 0 + 90 + 60 + 50) / 5  # of the stock at each end
    years = 5 / 4
    assert found.stock_value == pytest.approx(value)
    assert found.turnover == pytest.approx((10 * 10 + 2 * 100) / years / value)
    assert found.line_stockout == pytest.approx(2 / 5)  # A was wanted in four periods, B in one
    assert found.unit_fill == pytest.approx(1 - 2 / 12)
    assert found.value_fill == pytest.approx(1 - (10 + 100) / (100 + 200))
    assert found.carrying_cost == pytest.approx(value * 0.2)
    assert found.order_cost == pytest.approx(2 * 5 / years)
    # excess: on hand above the issues of the last four periods (a year): A 3-2, 0, 9-6, 6-9, 5-8; B 1-0, then none
    assert found.excess_obsolete == pytest.approx((1 * 10 + 1 * 100 + 3 * 10) / 5)


def test_warm_up_does_not_count() -> None:
    history = history_of([[3, 0, 2, 2]])
    played = play(
        history, Calendar(0, 2, 4), lambda _, position: position * 0, np.array([3.0]), np.ones((1, 4), np.intp)
    )
    found = kpis(history, Calendar(0, 2, 4), played)
    assert found.line_stockout == 1.0
    assert found.value_fill == 0.0


def test_lost_sales_do_not_wait() -> None:
    history = history_of([[4, 0, 0]])
    orders = {0: np.array([3.0])}
    calendar, lead = Calendar(0, 0, 3), np.ones((1, 3), dtype=np.intp)
    waits = play(history, calendar, lambda now, _: orders.get(now, np.zeros(1)), np.zeros(1), lead, "waits")
    lost = play(history, calendar, lambda now, _: orders.get(now, np.zeros(1)), np.zeros(1), lead, "lost")
    assert waits.issued.tolist() == [[0, 3, 0]]
    assert lost.issued.tolist() == [[0, 0, 0]]
    assert lost.on_hand.tolist() == [[0, 3, 3]]
    assert waits.short.tolist() == lost.short.tolist() == [[4, 0, 0]]


def test_minimum_order_quantity() -> None:
    history = history_of([[1, 1, 1]], moq=20.0)
    played = play(
        history, Calendar(0, 0, 3), lambda now, _: np.array([0.5 * (now == 0)]), np.ones(1), np.ones((1, 3), np.intp)
    )
    assert played.on_hand.tolist() == [[0, 19, 18]]


def test_min_max_orders_up_to_max_below_min() -> None:
    history = history_of(
        [[0, 0], [0, 0], [0, 0]], minimum=np.array([5.0, 5.0, np.nan]), maximum=np.array([9.0, 9, np.nan])
    )
    assert policies.min_max(history)(0, np.array([4.0, 5.0, 0.0])).tolist() == [5, 0, 0]


def test_real_receipts_come_when_they_came() -> None:
    history = history_of([[1, 1, 1, 1]], received=np.array([[0.0, 5, 0, 0]]))
    assert history.received is not None
    played = play(history, Calendar(0, 0, 4), Receipts(history.received), np.ones(1), np.ones((1, 4), np.intp))
    assert played.on_hand.tolist() == [[0, 4, 3, 2]]
    assert played.orders.tolist() == [[0, 1, 0, 0]]


def test_textbook_reorder_point() -> None:
    """Mean 4, deviation 2 a period, lead time 4 periods: s = 16 + 1.645 * 2 * 2; Q = sqrt(2 * 4 * 5 / 0.5)."""
    known = np.tile([2.0, 6.0], 50)
    history = history_of([[*known, *known]], lead_time=4.0)
    calendar = Calendar(100, 100, 200)
    deviation = float(known.std(ddof=1))
    point = np.floor(16 + 1.645 * deviation * 2) + 1
    reorder = policies.static(history, calendar)
    assert reorder(100, np.array([point]))[0] == 0
    assert reorder(100, np.array([point - 1]))[0] == pytest.approx(np.sqrt(2 * 4 * 5 / 0.5))


def test_economic_lot_is_the_cheapest() -> None:
    rate, order_cost, holding = 3.0, 40.0, 0.25
    lot = economic_order_quantity(rate, order_cost, holding)
    sizes = np.linspace(lot / 4, lot * 4, 4_001)
    costs = rate / sizes * order_cost + sizes / 2 * holding
    assert sizes[costs.argmin()] == pytest.approx(lot, rel=2e-3)
    assert costs.min() == pytest.approx(np.sqrt(2 * rate * order_cost * holding), rel=1e-5)
    bounded = ordinary_lots(*(np.array([one]) for one in (rate, order_cost, holding)), np.array([100.0]), 1.0)
    assert bounded[0] == 100


def test_newsvendor_level_is_the_cheapest() -> None:
    """One cycle, single units, normal demand: service 1 - risk costs least of all stock levels."""
    holding, value, rate = 0.05, 20.0, 10.0
    item = Economics(holding, rate, 1.0, 50.0, 1.0)
    risk = stockout_risk(item, value)
    assert risk == pytest.approx(holding * 5 / value)
    mean, deviation = 100.0, 15.0
    levels = np.linspace(60, 200, 14_001)
    above = (levels - mean) / deviation
    short = deviation * (norm.pdf(above) - above * norm.sf(above))
    costs = holding * 5 * levels + value * short
    assert levels[costs.argmin()] == pytest.approx(norm.ppf(1 - risk, mean, deviation), abs=0.02)


def test_one_item_and_many_share_the_formula() -> None:
    items = [Economics(0.01 * at, at, at / 2, 10.0 * at, 1.0) for at in range(1, 8)]
    columns = np.asarray(items, dtype=np.float64).T
    assert stockout_risks(*columns[:4], 1.0, 3.0).tolist() == [stockout_risk(one, 3.0) for one in items]
    value = stockout_value(items, 0.9)
    assert np.mean([1 - stockout_risk(one, value) for one in items]) == pytest.approx(0.9, abs=1e-6)


def test_an_order_fills_up_to_the_reorder_point_and_a_lot() -> None:
    assert order_up_to(np.array([30.0]), np.array([40.0])).tolist() == [69]
