"""A site's own orders out of its ledger: what came each week, and the stock at each week's begin, counted back from today's."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from headquarters import Headquarters
from replay_help import history_of
from seeded_network import seed_network
from sqlalchemy import insert

from cloud.replay.games import OWN_ORDERS, opponents
from cloud.replay.history import Calendar
from cloud.replay.ledger import Flows, read_ledger, with_own_orders
from cloud.replay.tables import Table
from cloud.situations.sites import site_settings
from cloud.store import schema
from cloud.store.database import reading, writing

WEEKS = 40


def test_stock_is_counted_back_from_today() -> None:
    table = Table(history_of(np.ones((2, 4)), period_days=7.0), ())
    begun = 100  # weeks before the first with demand are not played
    flows = Flows(
        received={("item-0", 101): 10, ("item-1", 99): 50, ("item-1", 104): 7},
        changed={("item-0", 100): -3, ("item-0", 101): 8, ("item-0", 103): -1, ("item-1", 99): 50, ("item-1", 104): 7},
        on_hand={"item-0": 9, "item-1": 57},
        first=100,
    )
    found = with_own_orders(table, flows, ["item-0", "item-1"], begun).history
    assert found.received is not None
    assert found.opening is not None
    assert found.received.tolist() == [[0, 10, 0, 0], [0, 0, 0, 0]]  # what came today is no whole week
    assert found.opening.tolist() == [[5, 2, 10, 10], [50, 50, 50, 50]]
    assert OWN_ORDERS in opponents(found, Calendar(2, 3, 4))


def test_a_ledger_younger_than_the_history_makes_no_opponent() -> None:
    table = Table(history_of(np.ones((1, WEEKS)), period_days=7.0), ())
    found = with_own_orders(table, Flows({}, {}, {}, 130), ["item-0"], 100)
    assert found.history.received is None
    assert found.supposed == (
        "your own orders are no opponent, since the ledger knows movements of the last 10 of 40 weeks",
    )


async def test_what_crossed_the_edge_is_read_by_week(headquarters: Headquarters) -> None:
    network = await seed_network(headquarters, days=15)
    async with reading(headquarters.engine) as conn:
        (setting,) = await site_settings(conn, network.now, ["north"])
    rows = [
        {"site_id": "north", "item": "TEA-100", "day": (setting.today - timedelta(days=back)).isoformat(), "ordered": 0,
         "issued": 3, "received": 0, "returned": 0, "transferred": 0, "empty_minutes": 0}
        for back in range(30, 7 * WEEKS)
    ]  # fmt: skip
    async with writing(headquarters.engine) as conn:
        await conn.execute(insert(schema.daily), rows)
    async with reading(headquarters.engine) as conn:
        table = await read_ledger(conn, "north", network.now)
    assert "the ledger knows movements of the last 3 of 40 weeks" in table.supposed[-1]
    assert table.history.lead_time_sd is not None
    assert table.history.lead_time_cv[0] == 0.25  # four days with a deviation of one
