"""Proposals in the inbox and people's answers: each once, with its order, its audit entry and a clear refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cycle_store import TODAY, add_item, add_site, add_term, empty_engine
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.decisions.replenishment import Proposal
from cloud.errors import BadInputError, ConflictError, NotFoundError
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import advance, read_document, store_document
from cloud.recommendations.decide import Decision, decide
from cloud.recommendations.issue import DAY_US, EXPIRES_US, REST_US, Issued, issue
from cloud.recommendations.rows import RecommendationRow, find, of_row, query
from cloud.situations.sites import site_settings
from cloud.situations.supply import positions
from cloud.store import schema
from cloud.store.database import reading, writing
from vocabulary.document import Document, DocumentLine
from vocabulary.quantity import Money, amount
from vocabulary.recommendation import Effect, Reason


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        await add_site(conn, "north")
        await add_item(conn, "screw")
        await add_term(conn, "north", "screw")
    yield engine
    await engine.dispose()


def proposal(quantity: int = 100, supplier: str = "acme") -> Proposal:
    return Proposal(
        "north", "screw", supplier, quantity, "2026-01-10", amount(2_000_000, quantity, "EUR"), 2_000_000, 900, "v1",
        (Reason("Because.", {"quantity": quantity}),), Effect("north", 500, 10, 1.0, 20.0),
    )  # fmt: skip


async def issued(engine: AsyncEngine, *proposals: Proposal, at: int = START_US) -> Issued:
    async with writing(engine) as conn:
        return await issue(conn, "north", proposals, at)


async def rows(engine: AsyncEngine, state: str = "proposed") -> list[RecommendationRow]:
    c = schema.recommendation.c
    async with reading(engine) as conn:
        return [of_row(row) for row in await conn.execute(query().where(c.state == state).order_by(c.created_at))]


async def answer(engine: AsyncEngine, name: str, decision: Decision) -> RecommendationRow:
    async with writing(engine) as conn:
        return await decide(conn, VirtualRuntime(), "ada", "north", name, decision)


async def waiting(engine: AsyncEngine) -> str:
    await issued(engine, proposal())
    (row,) = await rows(engine)
    return row.id


async def test_accepting_opens_a_purchase_order_that_the_site_is_told(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    row = await answer(engine, name, Decision("accept"))
    assert (row.state, row.decided_by, row.quantity) == ("accepted", "ada", 100)
    assert row.document == name.replace("REC-", "PO-")
    async with reading(engine) as conn:
        stored = (await conn.execute(select(schema.document))).mappings().one()
        line = (await conn.execute(select(schema.document_line))).mappings().one()
        site = (await conn.execute(select(schema.site))).mappings().one()
        log = (await conn.execute(select(schema.audit))).mappings().one()
        (setting,) = await site_settings(conn, START_US)
        held = await positions(conn, setting, {})
    document = read_document(stored["body"])
    assert (document.type, document.state, document.partner, document.source) == (
        "expected-receipt",
        "open",
        "acme",
        name,
    )
    assert (document.lines[0].quantity, document.lines[0].unit_cost) == (100, 2_000_000)
    assert document.value == Money(20_000, "EUR")
    assert document.due == START_US + 5 * DAY_US + 16 * 3_600_000_000  # closing time, 22:00, of the tenth
    assert (line["item"], line["quantity"], line["state"]) == ("screw", 100, "open")
    assert site["downlink"] == 2
    assert (log["actor"], log["action"], log["subject"]) == ("ada", "recommendation.accept", name)
    assert held["screw"].on_order == 100


async def test_the_order_is_fulfilled_by_what_arrives_against_its_notice(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    order = (await answer(engine, name, Decision("accept"))).document
    notice = Document("ASN-1", 1, "expected-receipt", "open", (DocumentLine(1, "screw", 100),), source=order)
    async with writing(engine) as conn:
        days = BusinessDays("UTC")
        await store_document(
            conn, "north", notice, opened_by="cloud", at=START_US, days=days, daily=DailyChanges(), actor="acme"
        )
        (setting,) = await site_settings(conn, START_US)
        assert (await positions(conn, setting, {}))["screw"].on_order == 100  # the notice repeats the order
        await advance(conn, "north", {"ASN-1": {1: 60}}, START_US, live=True)
        assert (await positions(conn, setting, {}))["screw"].on_order == 40
        assert (await find(conn, "north", name)).state == "accepted"
        await advance(conn, "north", {"ASN-1": {1: 40}}, START_US, live=True)
        assert "screw" not in await positions(conn, setting, {})
        assert (await find(conn, "north", name)).state == "fulfilled"


async def test_an_edited_quantity_is_the_ordered_one_and_the_proposal_stays_as_it_was(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    row = await answer(engine, name, Decision("edit", quantity=60, reason="one pallet"))
    assert (row.state, row.quantity, row.cost_minor, row.reason) == ("edited", 60, 12_000, "one pallet")
    assert row.proposal.quantity == 100
    async with reading(engine) as conn:
        assert (await conn.execute(select(schema.document_line.c.quantity))).scalar_one() == 60


@pytest.mark.parametrize("second", [Decision("accept"), Decision("reject", reason="no")])
async def test_a_proposal_is_answered_once(engine: AsyncEngine, second: Decision) -> None:
    name = await waiting(engine)
    await answer(engine, name, Decision("accept"))
    with pytest.raises(ConflictError) as refused:
        await answer(engine, name, second)
    assert str(refused.value) == f"recommendation {name} is already accepted by ada; look at the newest one of screw"
    async with reading(engine) as conn:
        assert len((await conn.execute(select(schema.document.c.id))).all()) == 1
        assert len((await conn.execute(select(schema.audit.c.n))).all()) == 1


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        (Decision("edit"), "quantity"),
        (Decision("accept", quantity=5), "quantity"),
        (Decision("edit", quantity=0), "quantity"),
        (Decision("edit", quantity=10**12), "quantity"),
        (Decision("snooze"), "until"),
        (Decision("snooze", until=START_US - 1), "until"),
        (Decision("accept", until=START_US + 1), "until"),
        (Decision("reject", reason="  "), "reason"),
        (Decision("accept", reason="x" * 501), "reason"),
    ],
)
async def test_an_unusable_answer_is_refused_by_its_field(engine: AsyncEngine, decision: Decision, field: str) -> None:
    name = await waiting(engine)
    with pytest.raises(BadInputError) as refused:
        await answer(engine, name, decision)
    assert str(refused.value).startswith(f"{field}: ")
    assert (await rows(engine))[0].id == name


async def test_what_is_not_there_or_too_old_is_refused(engine: AsyncEngine) -> None:
    with pytest.raises(NotFoundError):
        await answer(engine, "REC-NONE", Decision("accept"))
    await issued(engine, proposal(), at=START_US - EXPIRES_US)
    (old,) = await rows(engine)
    with pytest.raises(ConflictError) as refused:
        await answer(engine, old.id, Decision("accept"))
    assert "expired" in str(refused.value)


async def test_a_supplier_without_terms_cannot_be_ordered_from(engine: AsyncEngine) -> None:
    await issued(engine, proposal(supplier="gone"))
    (row,) = await rows(engine)
    with pytest.raises(ConflictError) as refused:
        await answer(engine, row.id, Decision("accept"))
    assert "gone has no terms for screw at north" in str(refused.value)


async def test_an_unchanged_proposal_stays_and_a_changed_one_replaces(engine: AsyncEngine) -> None:
    assert await issued(engine, proposal(100)) == Issued(1, 0, 0, 0)
    (first,) = await rows(engine)
    assert await issued(engine, proposal(105), at=START_US + 1) == Issued(0, 1, 0, 0)
    assert await rows(engine) == [first]
    assert await issued(engine, proposal(150), at=START_US + 2) == Issued(1, 0, 1, 0)
    (second,) = await rows(engine)
    assert second.quantity == 150
    with pytest.raises(ConflictError) as refused:
        await answer(engine, first.id, Decision("accept"))
    assert "newer proposal" in str(refused.value)
    assert await issued(engine, at=START_US + 3) == Issued(0, 0, 1, 0)
    assert not await rows(engine)


async def test_an_expired_proposal_is_made_anew(engine: AsyncEngine) -> None:
    await issued(engine, proposal())
    assert await issued(engine, proposal(), at=START_US + EXPIRES_US) == Issued(1, 0, 1, 0)


async def test_a_rejection_is_heeded_for_some_days(engine: AsyncEngine) -> None:
    await answer(engine, await waiting(engine), Decision("reject", reason="shop closes"))
    assert await issued(engine, proposal(), at=START_US + DAY_US) == Issued(0, 0, 0, 1)
    assert await issued(engine, proposal(), at=START_US + REST_US + DAY_US) == Issued(1, 0, 0, 0)
    assert (await rows(engine, "rejected"))[0].reason == "shop closes"


async def test_a_snoozed_proposal_comes_back_when_its_time_is_over(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    row = await answer(engine, name, Decision("snooze", until=START_US + DAY_US))
    assert (row.state, row.snoozed_until) == ("snoozed", START_US + DAY_US)
    assert await issued(engine, proposal(), at=START_US + DAY_US - 1) == Issued(0, 0, 0, 1)
    assert await issued(engine, proposal(), at=START_US + DAY_US) == Issued(1, 0, 1, 0)


async def test_a_snoozed_proposal_can_still_be_accepted(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    await answer(engine, name, Decision("snooze", until=START_US + DAY_US))
    assert (await answer(engine, name, Decision("accept"))).state == "accepted"


async def test_a_row_says_what_was_proposed(engine: AsyncEngine) -> None:
    name = await waiting(engine)
    async with reading(engine) as conn:
        row = await find(conn, "north", name)
    assert row.proposal.reasons == proposal().reasons
    assert row.proposal.effects == (proposal().effect,)
    assert msgspec.json.decode(msgspec.json.encode(row), type=RecommendationRow) == row
    assert row.by_day > TODAY.isoformat()
