"""Two people above a limit, and taking back what has not gone out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cycle_store import empty_engine
from purchase_bench import DAY_US, all_of, allow, answer, issued, ordered, proposal, rows, seed, undo
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.access import accounts
from cloud.errors import ConflictError
from cloud.projections.documents import read_document
from cloud.recommendations.decide import Decision
from cloud.store import plans, schema
from cloud.store.database import writing


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        await seed(conn)
        await conn.execute(plans.price_break.insert().values(
            site_id="north", item="screw", supplier="acme", quantity=500, price_micro=1_000_000))  # fmt: skip
    yield engine
    await engine.dispose()


async def waiting(engine: AsyncEngine, quantity: int = 100) -> str:
    async with writing(engine) as conn:
        await allow(conn, four_eyes_minor=10_000)
    await issued(engine, proposal(quantity=quantity))
    return (await rows(engine, "proposed"))[0].id


async def test_above_the_limit_two_different_people_approve(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    first = await answer(engine, name, Decision("accept", reason="sure"))
    assert (first.state, first.document, first.decided_by) == ("proposed", "", "")
    assert first.reason == "approved by ada for 100, waits for a second person: sure"
    with pytest.raises(ConflictError, match=r"you have approved .* already; a second, different person"):
        await answer(engine, name, Decision("accept"))
    assert await all_of(engine, schema.document) == []
    second = await answer(engine, name, Decision("accept"), "ben")
    assert (second.state, second.decided_by) == ("accepted", "ben")
    assert "first approved by ada" in second.reason
    actions = [(one.actor, one.action) for one in await all_of(engine, schema.audit)]
    assert actions == [("ada", "recommendation.approve"), ("ben", "recommendation.accept")]


async def test_up_to_the_limit_one_is_enough(engine: AsyncEngine) -> None:
    name = await waiting(engine, 50)
    assert (await answer(engine, name, Decision("accept"))).state == "accepted"


async def test_another_quantity_is_another_approval(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    await answer(engine, name, Decision("accept"))
    changed = await answer(engine, name, Decision("edit", quantity=150), "ben")
    assert (changed.state, changed.document) == ("proposed", "")
    agreed = await answer(engine, name, Decision("edit", quantity=150))
    assert (agreed.state, agreed.quantity) == ("edited", 150)


async def test_a_key_and_who_made_it_are_one_person(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    async with writing(engine) as conn:
        await accounts.make_key(conn, VirtualRuntime(), "robot", "approver", "", "", "ada")
        await accounts.make_key(conn, VirtualRuntime(2), "robot's robot", "approver", "", "", "key:robot")
    await answer(engine, name, Decision("accept"))
    for actor in ("key:robot", "key:robot's robot"):
        with pytest.raises(ConflictError, match="ada, who counts as the same person"):
            await answer(engine, name, Decision("accept"), actor)
    assert (await answer(engine, name, Decision("accept"), "ben")).state == "accepted"


async def test_an_approval_is_of_the_price_that_holds_for_the_quantity(engine: AsyncEngine) -> None:
    name = await waiting(engine, 500)  # 500 at the break's price are 500 EUR, and need two
    assert (await answer(engine, name, Decision("accept"))).state == "proposed"
    assert (await answer(engine, name, Decision("accept"), "ben")).cost_minor == 50_000


async def test_an_order_is_taken_back_until_it_goes_out_and_can_be_approved_again(engine: AsyncEngine) -> None:
    order = await ordered(engine)
    (row,) = await rows(engine, "accepted")
    back = await undo(engine, row.id, reason="too much")
    assert (back.state, back.document, back.decided_by, back.reason) == (
        "proposed",
        "",
        "",
        "taken back by ben: too much",
    )
    (stored,) = await all_of(engine, schema.document)
    document = read_document(stored.body)
    assert (document.state, document.revision, document.reason) == ("cancelled", 2, "taken back by ben")
    assert [one.state for one in await all_of(engine, plans.purchase_message)] == ["withdrawn"]
    with pytest.raises(ConflictError, match="is proposed: there is no order"):
        await undo(engine, row.id)
    again = await answer(engine, row.id, Decision("edit", quantity=60))
    (stored,) = await all_of(engine, schema.document)
    document = read_document(stored.body)
    assert (again.document, document.state, document.revision, document.lines[0].quantity) == (order, "open", 3, 60)
    assert [(one.revision, one.state) for one in await all_of(engine, plans.purchase_message)] == [
        (1, "withdrawn"), (3, "waiting"),
    ]  # fmt: skip


async def test_an_old_proposal_that_is_taken_back_expires(engine: AsyncEngine) -> None:
    await ordered(engine)
    (row,) = await rows(engine, "accepted")
    assert (await undo(engine, row.id, at=START_US + 8 * DAY_US)).state == "expired"


async def test_an_approval_before_the_taking_back_does_not_count_after_it(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    await answer(engine, name, Decision("accept"))
    await answer(engine, name, Decision("accept"), "ben")
    await undo(engine, name, "eve")
    assert (await answer(engine, name, Decision("accept"), "ben")).state == "proposed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "sent", "sent_at": 1}, "has gone out to acme; cancel the order"),
        ({"attempts": 1}, "is on its way to acme, who may have it"),
    ],
)
async def test_what_has_gone_out_is_not_taken_back(engine: AsyncEngine, change: dict[str, object], told: str) -> None:
    await ordered(engine)
    (row,) = await rows(engine, "accepted")
    async with writing(engine) as conn:
        await conn.execute(plans.purchase_message.update().values(**change))
    with pytest.raises(ConflictError, match=told):
        await undo(engine, row.id)
    assert [one.state for one in await rows(engine)] == ["accepted"]
