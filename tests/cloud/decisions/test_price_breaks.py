"""All-units discounts: the textbook's example, every quantity tried, and what a proposal says of them."""

from __future__ import annotations

import random
from datetime import date

import numpy as np
import pytest
from forecasts_made import even_forecast

from cloud.decisions.inventory import LONGEST_COVER
from cloud.decisions.lots import daily_cost, discounted_lot, discounted_lots, largest_orderable, worth_rounding_up
from cloud.decisions.replenishment import Candidate, Policy, Position, PriceBreak, Terms, replenish

TODAY = date(2026, 1, 5)


def test_the_textbooks_example_of_all_units_discounts() -> None:
    """Snyder and Shen (2019), section 3.4: 1,300 a year, 8 an order, holding 0.3 of the price; 800 at 0.68 cost 978.60."""
    breaks = (PriceBreak(400, 720_000), PriceBreak(800, 680_000))
    lot, price = discounted_lot(1_300.0, 8.0, 0.75, breaks, 0.3, 1.0, longest=10.0)
    assert (lot, price) == (800.0, 0.68)
    assert daily_cost(lot, price, 1_300.0, 8.0, 0.3) == pytest.approx(978.6)


@pytest.mark.parametrize("seed", range(20))
def test_no_quantity_costs_less_a_day(seed: int) -> None:
    drawn = random.Random(seed)
    rate, order_cost, share = drawn.uniform(0.2, 5), drawn.uniform(1, 50), drawn.uniform(0.0005, 0.01)
    price, least = drawn.uniform(0.5, 20), float(drawn.choice([1, 30, 200]))
    breaks: list[PriceBreak] = []
    for start in sorted(drawn.sample(range(10, 900), drawn.randrange(4))):
        previous = breaks[-1].price_micro / 1e6 if breaks else price
        breaks.append(PriceBreak(start, round(previous * drawn.uniform(0.8, 0.99) * 1e6)))
    terms = Terms("acme", round(price * 1e6), "EUR", breaks=tuple(breaks))
    most = max(rate * LONGEST_COVER, least)

    def cost(quantity: float) -> float:
        return daily_cost(quantity, terms.price_at(quantity) / 1e6, rate, order_cost, share)

    lot, paid = discounted_lot(rate, order_cost, terms.price_micro / 1e6, terms.breaks, share, least)
    assert paid == terms.price_at(lot) / 1e6
    assert least <= lot <= most
    assert cost(lot) <= min(cost(q) for q in np.arange(least, most + 0.25, 0.25) if q <= most) + 1e-9


def test_many_items_at_once_give_what_each_gives() -> None:
    prices = np.asarray([[2.0, 5.0, 1.0], [1.8, 5.0, 0.5]])
    starts = np.asarray([[0.0, 0.0, 0.0], [100.0, np.inf, 5_000.0]])
    rate, cost, share, least = (np.asarray(values) for values in ([3.0, 1.0, 0.1], [10.0] * 3, [0.001] * 3, [1.0] * 3))
    lots, paid = discounted_lots(rate, cost, prices, starts, share, least)
    breaks = ((PriceBreak(100, 1_800_000),), (), (PriceBreak(5_000, 500_000),))
    for number, each in enumerate(breaks):
        one = discounted_lot(float(rate[number]), 10.0, float(prices[0, number]), each, 0.001, 1.0)
        assert (lots[number], paid[number]) == pytest.approx(one)
    assert paid[2] == 1.0  # a break that lasts longer than a year is none


def test_an_order_goes_up_to_the_break_only_where_that_pays() -> None:
    def quantity(second: int) -> int:
        terms = Terms("acme", 1_000_000, "EUR", pack=7, breaks=(PriceBreak(100, second),))
        return worth_rounding_up(91, terms, 5.0, 0.0, 0.001)

    assert quantity(900_000) == 105  # the first whole pack from the break on
    assert quantity(1_000_000) == 91
    terms = Terms("acme", 1_000_000, "EUR", breaks=(PriceBreak(3_000, 500_000),))
    assert worth_rounding_up(91, terms, 5.0, 0.0, 0.001) == 91  # it would last nearly two years


@pytest.mark.parametrize(
    ("most", "moq", "pack", "largest"), [(99, 0, 10, 90), (99, 95, 10, 0), (95, 90, 10, 90), (-5, 0, 1, 0)]
)
def test_the_largest_quantity_within_a_limit(most: int, moq: int, pack: int, largest: int) -> None:
    assert largest_orderable(most, moq, pack) == largest


def test_a_proposal_at_a_break_pays_its_price() -> None:
    terms = Terms("acme", 2_000_000, "EUR", moq=20, lead_time_days=9.5, breaks=(PriceBreak(400, 1_500_000),))
    (found,) = replenish([Candidate(even_forecast(), terms, Position(60))], Policy(), TODAY).proposals
    assert found.quantity >= 400
    assert found.cost.minor == found.quantity * 150
    assert found.price_micro == 1_500_000
    assert found.basis is not None
    assert found.basis.breaks == ((400, 1_500_000),)
