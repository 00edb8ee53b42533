"""What demand the forecasts see: history before the ledger, odd orders left out, successors and like items."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cycle_store import TODAY, add_item, add_site, add_term, empty_engine
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from virtual import START_US

from cloud.errors import ConflictError, NotFoundError
from cloud.forecasts.forecast import Request
from cloud.situations.bulk import OrderLine, mark, striking, striking_lines, unmark
from cloud.situations.kinship import HISTORY_DAYS, Kin, Past, heritage
from cloud.situations.sites import site_settings
from cloud.situations.situation import situation
from cloud.store import lanes, plans, schema
from cloud.store.database import reading, writing

NOW = TODAY.toordinal()


def back(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    """North, whose ledger began ten days ago with a movement of screws."""
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        await add_site(conn, "north")
        for item in ("screw", "nut"):
            await add_item(conn, item)
        await lanes.put(conn, schema.daily, [("north", "screw", back(10), 0, 5, 0, 0, 0, 0)])
    yield engine
    await engine.dispose()


async def request(engine: AsyncEngine, item: str) -> Request:
    async with reading(engine) as conn:
        north = (await site_settings(conn, START_US, ["north"]))[0]
        found = {one.item: one for one in (await situation(conn, north, START_US)).requests}
    return found[item]


async def history(conn: AsyncConnection, item: str, *rows: tuple[int, int, bool]) -> None:
    await lanes.put(conn, plans.demand_history, [("north", item, back(days), *rest) for days, *rest in rows])


async def test_history_counts_before_the_ledger_and_never_twice(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await history(conn, "screw", (13, 7, False), (12, 4, True), (10, 99, False), (9, 99, False))
        await history(conn, "nut", (11, 2, False), (4, 99, False))
    screw = await request(engine, "screw")
    assert screw.first == NOW - 13
    assert screw.quantities == (7, 4, 0, 5, *[0] * 9)
    assert screw.censored == (1,)  # stock was out on the second day
    assert (await request(engine, "nut")).quantities == (2, *[0] * 10)


async def test_what_comes_today_and_later_is_not_looked_at(engine: AsyncEngine) -> None:
    before = await request(engine, "screw")
    async with writing(engine) as conn:
        rows: list[lanes.Row] = [("north", "screw", back(-days), 40, 50, 0, 0, 0, 900) for days in range(5)]
        await lanes.put(conn, schema.daily, rows)
        await history(conn, "screw", (0, 70, True), (-3, 80, False))
    assert await request(engine, "screw") == before


async def order(conn: AsyncConnection, document: str, days: int, quantity: int, item: str = "screw") -> None:
    """An order as the projections keep it."""
    row = ("north", document, 1, "outbound-order", "closed", item, "", quantity, back(days), 0, "")
    await lanes.append(conn, schema.document_line, [row])
    await lanes.add(conn, schema.daily, [("north", item, back(days), quantity, 0, 0, 0, 0, 0)])


async def test_an_order_left_out_is_no_demand_until_it_counts_again(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        for number in range(12):
            await order(conn, f"SO-{number}", 20 - number, 10 + number % 3)
        await order(conn, "SO-BIG", 5, 400)
        found = await striking_lines(conn, "north", "screw")
        assert [(line.document, line.quantity, line.marked) for line in found] == [("SO-BIG", 400, False)]
        await mark(conn, "north", "SO-BIG", 1, "the new hall", "ada", 7)
        with pytest.raises(ConflictError):
            await mark(conn, "north", "SO-BIG", 1, "again", "ada", 8)
        with pytest.raises(NotFoundError):
            await mark(conn, "north", "SO-NONE", 1, "", "ada", 8)
    assert (await request(engine, "screw")).quantities[-5] == 0
    async with writing(engine) as conn:
        (line,) = await striking_lines(conn, "north", "screw")
        assert (line.marked, line.reason) == (True, "the new hall")
        await unmark(conn, "north", "SO-BIG", 1, "bob", 9)
        log = (await conn.execute(select(schema.audit.c.actor, schema.audit.c.action))).all()
    assert [tuple(row) for row in log] == [("ada", "bulk-order.mark"), ("bob", "bulk-order.unmark")]
    assert (await request(engine, "screw")).quantities[-5] == 400


async def test_where_only_the_order_left_out_was_an_order_issues_stay_the_demand(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        rows: list[lanes.Row] = [("north", "nut", back(days), 0, 3, 0, 0, 0, 0) for days in range(9, 0, -1)]
        await lanes.put(conn, schema.daily, rows)
        await order(conn, "SO-BIG", 6, 50, "nut")
        await lanes.add(conn, schema.daily, [("north", "nut", back(5), 0, 48, 0, 0, 0, 0)])
        await mark(conn, "north", "SO-BIG", 1, "", "ada", 7)
    assert (await request(engine, "nut")).quantities == (3, 3, 3, 0, 4, 3, 3, 3, 3)  # 3 + 47 of the 50 went out since


def test_only_lines_far_beyond_the_ordinary_ones_strike() -> None:
    def lines(*quantities: int) -> list[OrderLine]:
        return [OrderLine(f"SO-{number}", 1, "2026-01-01", quantity) for number, quantity in enumerate(quantities)]

    ordinary = [8, 9, 10, 11, 12, 9, 10, 30, 11, 10, 12]
    assert striking(lines(*ordinary, 35)) == []
    assert [line.quantity for line in striking(lines(*ordinary, 200))] == [200]
    assert striking(lines(8, 9, 500)) == []  # too few to say what is ordinary


# ------------------------------------------------------------------------------------------------------ kinship

WEEK = (1, 2, 3, 4, 5, 0, 0)
OLD = Past(HISTORY_DAYS - 364, WEEK * 52)


def kin(**of: int | str) -> Kin:
    """`ends` of the old item, which the new one replaces; or `like`, what the new one is like."""
    ends = {"old": int(of["ends"])} if "ends" in of else {}
    return Kin({"new": ("old",)} if ends else {}, ends, {"new": str(of["like"])} if "like" in of else {})


def test_a_successor_takes_the_demand_over_on_its_day() -> None:
    new = Past(HISTORY_DAYS - 7, (5,) * 7)
    own = {"old": OLD, "new": new}
    assert heritage("old", own, kin(ends=NOW), NOW, 8.0) is None
    found = heritage("new", own, kin(ends=NOW), NOW, 8.0)
    assert found is not None
    assert found.past.quantities == (*WEEK * 51, *(one + 5 for one in WEEK))
    assert found.horizon == 8
    assert found.lent == "with the demand of old, which it replaces"
    before = heritage("new", own, kin(ends=NOW + 20), NOW, 8.0)
    assert before is not None
    assert before.past == new


def test_a_change_within_the_lead_time_is_shared_by_old_and_new() -> None:
    old, new = (heritage(item, {"old": OLD}, kin(ends=NOW + 5), NOW, 8.0) for item in ("old", "new"))
    assert old is not None
    assert new is not None
    assert (old.horizon, new.horizon) == (5, 3)
    assert old.past == new.past == OLD


def test_a_new_item_takes_the_shape_of_one_alike_at_the_level_it_shows() -> None:
    first = heritage("new", {"old": OLD}, kin(like="old"), NOW, 8.0)
    assert first is not None
    assert first.past == OLD
    assert "at 100 % of its level" in first.lent
    own = tuple(2 * one for one in WEEK * 4)
    later = heritage("new", {"old": OLD, "new": Past(HISTORY_DAYS - 28, own)}, kin(like="old"), NOW, 8.0)
    assert later is not None
    assert later.past.quantities[-28:] == own
    assert sum(later.past.quantities[:-28]) == pytest.approx(1.5 * sum(OLD.quantities[:-28]), abs=1)
    assert later.past.quantities[0] in (1, 2)
    assert later.past.quantities[5:7] == (0, 0)
    grown = Past(HISTORY_DAYS - 56, (4,) * 56)
    assert heritage("new", {"old": OLD, "new": grown}, kin(like="old"), NOW, 8.0) is not None
    known = heritage("new", {"old": OLD, "new": grown}, kin(like="old"), NOW, 8.0)
    assert known is not None
    assert known.past == grown  # eight weeks of its own are enough


def test_circles_of_successors_end() -> None:
    circle = Kin({"a": ("b",), "b": ("a",)}, {"a": NOW + 100, "b": NOW}, {})
    found = heritage("a", {"a": OLD, "b": OLD}, circle, NOW, 8.0)
    assert found is not None


async def test_item_fields_reach_the_forecasts(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await add_item(conn, "bolt")
        await add_term(conn, "north", "bolt")
        c = schema.item.c
        await conn.execute(
            update(schema.item).where(c.id == "screw").values(successor="bolt", discontinued_on=TODAY.isoformat())
        )
    bolt = await request(engine, "bolt")
    assert bolt.quantities == (5, *[0] * 9)
    assert bolt.lent == "with the demand of screw, which it replaces"
    with pytest.raises(KeyError):
        await request(engine, "screw")
