"""What headquarters releases by itself: never without a row, never above a limit, never what a person has not seen once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cycle_store import empty_engine
from hypothesis import given, settings
from hypothesis import strategies as st
from purchase_bench import DAY_US, all_of, allow, issued, ordered, proposal, rows, seed, undo
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US

from cloud.recommendations.autonomy import Case, Limits, closest, judge, needs_two
from cloud.store import plans, schema
from cloud.store.database import writing
from vocabulary.quantity import Money

OPEN = {"release_minor": 100_000, "daily_minor": 100_000, "least_confidence": 900, "most_cover_days": 60}


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        await seed(conn, "screw", "nut", "bolt")
    yield engine
    await engine.dispose()


amounts = st.integers(0, 5_000)
limits = st.builds(
    Limits, st.just("north"), st.just(""), amounts, amounts, st.integers(500, 990), st.integers(0, 90),
    st.none() | amounts, st.just("EUR"),
)  # fmt: skip
cases = st.builds(
    Case, st.builds(Money, amounts, st.sampled_from(["EUR", "EUR", "EUR", "USD"])), st.integers(500, 990),
    st.floats(0, 120), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.none() | limits, st.lists(cases, max_size=12))
def test_no_stream_of_proposals_gets_past_a_limit(row: Limits | None, stream: list[Case]) -> None:
    spent = 0
    for case in stream:
        verdict = judge(row, case, spent)
        if not verdict.released:
            assert verdict.text
            continue
        assert row is not None
        spent += case.cost.minor
        assert case.cost.currency == row.currency
        assert case.cost.minor <= row.release_minor
        assert not needs_two(row, case.cost)
        assert case.confidence >= row.least_confidence
        assert case.cover_days <= row.most_cover_days
        assert case.known_supplier
        assert case.ordered_before
        assert not case.turned_down
        assert verdict.numbers["today_minor"] == spent
    assert spent <= (row.daily_minor if row else 0)


def test_an_ordinary_proposal_within_every_limit_is_released() -> None:
    row = Limits("north", "", 10_000, 20_000, 900, 60, None, "EUR")
    case = Case(Money(10_000, "EUR"), 900, 60.0, True, True)
    assert judge(row, case, 10_000).released
    assert not judge(row, case, 10_001).released
    assert not judge(msgspec.structs.replace(row, release_minor=9_999), case, 0).released


def test_the_closest_row_counts() -> None:
    def row(site: str, category: str) -> Limits:
        return Limits(site, category, 1, 1, 900, 60, None, "EUR")

    found = [row("", ""), row("", "tea"), row("north", ""), row("north", "tea"), row("south", "tea")]
    assert closest(found, "north", "tea") == row("north", "tea")
    assert closest(found[:3], "north", "tea") == row("north", "")
    assert closest(found[:2], "north", "tea") == row("", "tea")
    assert closest(found[:1], "north", "tea") == row("", "")
    assert closest(found[1:2], "north", "cups") is None


async def test_without_a_row_everything_waits(engine: AsyncEngine) -> None:
    await ordered(engine)
    assert await issued(engine, proposal("screw"), at=START_US + 1) == 0
    assert [row.state for row in await rows(engine, "auto-accepted")] == []


async def test_the_first_order_is_a_persons_the_second_releases_itself(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await allow(conn, **OPEN)
    assert await issued(engine, proposal()) == 0  # never ordered before
    await undo_nothing(engine)
    order = await ordered(engine, at=START_US + 1)
    assert await issued(engine, proposal(quantity=20), at=START_US + 2) == 1
    (row,) = await rows(engine, "auto-accepted")
    assert (row.decided_by, row.quantity, row.cost_minor) == ("policy */*", 20, 4_000)
    assert "40.00 EUR is within 1000.00 EUR" in row.reason
    assert row.document != order
    audit = (await all_of(engine, schema.audit))[-1]
    assert (audit.actor, audit.action) == ("policy */*", "recommendation.release")
    assert msgspec.json.decode(audit.detail)["today_minor"] == 4_000
    message = next(one for one in await all_of(engine, plans.purchase_message) if one.document == row.document)
    assert (message.state, message.not_before) == ("waiting", START_US + 2 + 15 * 60_000_000)


async def undo_nothing(engine: AsyncEngine) -> None:
    """Proposals of earlier steps end, so that the next ones are new."""
    await issued(engine, at=START_US + 1)


async def test_the_days_sum_holds_over_cycles_and_begins_anew_tomorrow(engine: AsyncEngine) -> None:
    for number, item in enumerate(("screw", "nut", "bolt")):
        await ordered(engine, item, 10, at=START_US + number)
    async with writing(engine) as conn:
        await allow(conn, "north", **(OPEN | {"daily_minor": 50_000}))
    at = START_US + 10
    assert await issued(engine, proposal("screw", 150), proposal("nut", 150), at=at) == 1  # 300 EUR each
    assert await issued(engine, proposal("bolt", 101), at=at + 1) == 0
    assert await issued(engine, proposal("bolt", 80), at=at + 2) == 1
    assert sum(row.cost_minor or 0 for row in await rows(engine, "auto-accepted")) <= 50_000
    assert await issued(engine, proposal("screw", 200), at=at + DAY_US) == 1


async def test_what_was_taken_back_is_not_released_again_soon(engine: AsyncEngine) -> None:
    await ordered(engine)
    async with writing(engine) as conn:
        await allow(conn, **OPEN)
    assert await issued(engine, proposal(quantity=40), at=START_US + 1) == 1
    (row,) = await rows(engine, "auto-accepted")
    assert (await undo(engine, row.id, at=START_US + 2)).state == "proposed"
    assert await issued(engine, proposal(quantity=80), at=START_US + 3) == 0
    assert await issued(engine, proposal(quantity=160), at=START_US + 5 * DAY_US) == 1


async def test_another_currency_or_an_unknown_supplier_waits(engine: AsyncEngine) -> None:
    await ordered(engine)
    async with writing(engine) as conn:
        await allow(conn, "north", **(OPEN | {"currency": "USD"}))
    assert await issued(engine, proposal(), at=START_US + 1) == 0
    async with writing(engine) as conn:
        await conn.execute(plans.autonomy.update().values(currency="EUR"))
        await conn.execute(schema.supplier.delete())
    assert await issued(engine, proposal(quantity=200), at=START_US + 2) == 0
