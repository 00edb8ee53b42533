"""Test bench for purchase orders: a site, an item, suppliers and proposals in an engine of their own."""

from __future__ import annotations

from typing import Any

from cycle_store import add_item, add_site, add_term
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.decisions.replenishment import Proposal
from cloud.projections.calendar import BusinessDays
from cloud.recommendations.decide import Decision, decide
from cloud.recommendations.issue import issue
from cloud.recommendations.release import release
from cloud.recommendations.rows import RecommendationRow, of_row, query
from cloud.recommendations.undo import take_back
from cloud.store import plans, schema
from cloud.store.database import reading, writing
from vocabulary.quantity import amount
from vocabulary.recommendation import Effect, Reason

DAY_US = 86_400_000_000
PRICE = 2_000_000  # 2 EUR, as cycle_store.add_term has it


class Later(VirtualRuntime):
    """A runtime whose wall clock stands where a test puts it."""

    def __init__(self, at: int = START_US) -> None:
        super().__init__()
        self.at = at

    def now(self) -> int:
        return self.at


async def seed(conn: AsyncConnection, *items: str, url: str = "", undo_minutes: int = 15) -> None:
    """Site north, the items with terms of acme, whose address is `url`."""
    await add_site(conn, "north", undo_minutes=undo_minutes)
    await conn.execute(schema.supplier.insert().values(id="acme", name="Acme", url=url))
    for item in items or ("screw",):
        await add_item(conn, item)
        await add_term(conn, "north", item)


def proposal(item: str = "screw", quantity: int = 100, cover: float = 20.0, confidence: int = 950) -> Proposal:
    return Proposal(
        site="north", item=item, supplier="acme", quantity=quantity, by="2026-01-10", cost=amount(PRICE, quantity, "EUR"),
        price_micro=PRICE, confidence=confidence, forecast="v1", reasons=(Reason("Because.", {"quantity": quantity}),),
        effect=Effect("north", 500, 10, 1.0, cover),
    )  # fmt: skip


async def allow(conn: AsyncConnection, site: str = "", category: str = "", **limits: Any) -> None:
    """A row of autonomy."""
    await conn.execute(plans.autonomy.insert().values(site_id=site, category=category, **limits))


async def issued(engine: AsyncEngine, *proposals: Proposal, at: int = START_US) -> int:
    """What a cycle does with its proposals; how many were released."""
    async with writing(engine, "north") as conn:
        await issue(conn, "north", proposals, at)
        return await release(conn, "north", BusinessDays("UTC"), at)


async def rows(engine: AsyncEngine, *states: str) -> list[RecommendationRow]:
    c = schema.recommendation.c
    found = query().order_by(c.created_at, c.id)
    async with reading(engine) as conn:
        return [of_row(row) for row in await conn.execute(found.where(c.state.in_(states)) if states else found)]


async def answer(
    engine: AsyncEngine, name: str, decision: Decision, actor: str = "ada", at: int = START_US
) -> RecommendationRow:
    async with writing(engine, "north") as conn:
        return await decide(conn, Later(at), actor, "north", name, decision)


async def undo(
    engine: AsyncEngine, name: str, actor: str = "ben", at: int = START_US, reason: str = ""
) -> RecommendationRow:
    async with writing(engine, "north") as conn:
        return await take_back(conn, Later(at), actor, "north", name, reason)


async def ordered(engine: AsyncEngine, item: str = "screw", quantity: int = 100, at: int = START_US) -> str:
    """An order that a person accepted; its number."""
    await issued(engine, proposal(item, quantity), at=at)
    (row,) = [one for one in await rows(engine, "proposed") if one.item == item]
    return (await answer(engine, row.id, Decision("accept"), at=at)).document


async def all_of(engine: AsyncEngine, table: Table) -> list[Any]:
    async with reading(engine) as conn:
        return list(await conn.execute(select(table).order_by(*table.primary_key)))
