"""A whole replay: it knows nothing of the future, gives the same numbers again, tells no saving without its service."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from replay_help import history_of, spare_parts

from cloud.forecasts.panel import Values
from cloud.replay import policies
from cloud.replay.foresight import foresee
from cloud.replay.games import DYNAMIC, OWN_LEVELS, OWN_ORDERS, STATIC, WITH_REVIEW, Game, opening_stock, opponents
from cloud.replay.history import Calendar
from cloud.replay.kpis import Kpis
from cloud.replay.replay import Replay, replay
from cloud.replay.slider import chosen_before, inner_calendars, positions, share_of
from cloud.replay.warehouse import Reorder, lead_times, play
from cloud.replay.words import as_json, sentences

HISTORY = spare_parts(24, 72)
CALENDAR = Calendar.of(HISTORY)


@pytest.fixture(scope="module")
def found() -> Replay:
    return replay(HISTORY, seeds=(1, 2))


def _orders(demand: Values, make: str) -> list[list[float]]:
    """What a policy orders in each period up to 50, at fixed positions."""
    history = replace(HISTORY, demand=demand)
    policy: Reorder
    if make == DYNAMIC:
        policy = policies.foreseen(history, foresee(history, CALENDAR), 5.0, 0.01)
    else:
        made = opponents(history, CALENDAR)[make]
        assert callable(made)
        policy = made
    return [policy(now, np.full(len(demand), 2.0)).tolist() for now in range(CALENDAR.begin, 50)]


@pytest.mark.parametrize("policy", [DYNAMIC, STATIC, WITH_REVIEW, "rolling"])
def test_shuffling_the_future_changes_no_order_before_it(policy: str) -> None:
    shuffled = HISTORY.demand.copy()
    np.random.default_rng(1).shuffle(shuffled[:, 50:], axis=1)
    shuffled[:, 50:] *= 3
    assert _orders(HISTORY.demand, policy) == _orders(shuffled, policy)


def test_the_slider_is_chosen_without_the_measured_periods() -> None:
    slider = positions(HISTORY, CALENDAR)[::5]
    other = HISTORY.demand.copy()
    other[:, CALENDAR.measured :] = other[:, CALENDAR.measured :][:, ::-1] * 5
    changed = replace(HISTORY, demand=other)
    count = lambda: None  # noqa: E731
    assert chosen_before(HISTORY, CALENDAR, slider, "waits", count) == chosen_before(
        changed, CALENDAR, positions(changed, CALENDAR)[::5], "waits", count
    )
    assert all(inner.end == CALENDAR.measured for inner in inner_calendars(CALENDAR))


def test_a_share_of_value_enters_only_where_it_wins_every_game() -> None:
    assert share_of({0.0: [0.3, 0.2], 0.01: [0.6, 0.1], 0.02: [0.35, 0.25]}) == 0.02
    assert share_of({0.0: [0.3, 0.2], 0.01: [0.9, 0.2]}) == 0.0


def test_the_oracle_alone_knows_the_future() -> None:
    other = HISTORY.demand.copy()
    other[:, 50:] *= 3
    position = np.full(len(other), 2.0)
    assert (
        policies.oracle(HISTORY)(48, position) != policies.oracle(replace(HISTORY, demand=other))(48, position)
    ).any()


def test_the_same_seeds_give_the_same_numbers(found: Replay) -> None:
    assert replay(HISTORY, seeds=(1, 2)) == found
    assert (lead_times(HISTORY, CALENDAR, 1) != lead_times(HISTORY, CALENDAR, 2)).any()


def test_everybody_begins_with_the_same_stock_and_lead_times(found: Replay) -> None:
    lead = lead_times(HISTORY, CALENDAR, 1)
    opening = opening_stock(HISTORY, CALENDAR)
    never: Reorder = lambda now, position: position * 0  # noqa: E731
    first = play(HISTORY, CALENDAR, never, opening, lead)
    assert (first.on_hand[:, 0] <= opening).all()
    longer = lead_times(HISTORY, Calendar(CALENDAR.begin, CALENDAR.measured, CALENDAR.end + 10), 1)
    assert (longer[:, : CALENDAR.end] == lead).all()
    assert set(found.policies) == {STATIC, WITH_REVIEW, "rolling", DYNAMIC}


def test_the_oracle_serves_most_and_not_with_most_stock(found: Replay) -> None:
    assert found.oracle.value_fill > 0.98
    assert found.oracle.stock_value < found.policies["rolling"].stock_value


def test_more_value_of_a_stock_out_is_more_stock_and_fewer_stock_outs(found: Replay) -> None:
    slider = [point for point in found.frontier if point.value_share == 0]
    low, high = slider[3].kpis, slider[-3].kpis
    assert high.stock_value > low.stock_value
    assert high.line_stockout < low.line_stockout
    assert high.value_fill > low.value_fill


def test_hindsight_serves_as_much_value_as_the_opponent(found: Replay) -> None:
    for one in found.comparisons:
        if one.reached:
            assert one.hindsight.kpis.value_fill >= one.opponent_kpis.value_fill - 0.02


def test_no_saving_is_told_without_its_value_fill(found: Replay) -> None:
    for one in found.comparisons:
        money, service, *_ = sentences(one)
        fill = f"{one.chosen.kpis.value_fill:.1%}"
        assert fill in money
        assert "units served" in service
        assert fill in service
        worse = one.chosen.kpis.unit_fill < one.opponent_kpis.unit_fill - 0.005
        assert ("unit fill" in sentences(one)[2]) == worse


def test_json_has_the_keys_of_the_contract(found: Replay) -> None:
    told = as_json(found)
    keys = {"turnover", "line_stockout", "unit_fill", "value_fill", "excess_obsolete", "carrying_cost", "order_cost"}
    assert all(keys <= set(one) for one in (*told["policies"].values(), told["oracle"], *told["frontier"]))
    assert all("stockout_value" in one for one in told["frontier"])
    low, mean, high = (told["comparisons"][0]["change"]["turnover"][name] for name in ("least", "mean", "most"))
    assert low <= mean <= high


def test_own_levels_and_orders_are_opponents_where_they_are_known() -> None:
    receipts = np.zeros_like(HISTORY.demand)
    receipts[:, ::4] = 8
    mine = replace(
        HISTORY,
        minimum=np.full(len(receipts), 4.0),
        maximum=np.full(len(receipts), 20.0),
        received=receipts,
        opening=np.full_like(receipts, 9.0),
    )
    game = Game(mine, CALENDAR, 1, "waits", lambda: None)
    played = game.opponents()
    assert {OWN_LEVELS, OWN_ORDERS} <= set(played)
    assert opening_stock(mine, CALENDAR).tolist() == [9.0] * len(receipts)
    assert all(isinstance(one, Kpis) for one in played.values())


def test_what_cannot_be_played_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="a replay needs 30 or more"):
        replay(history_of([[1.0] * 12]))
    with pytest.raises(ValueError, match="no item has 2 demands in its first 16 periods"):
        replay(history_of([[0.0] * 39 + [1.0]]))
