"""What a site's decisions rest on, read from the store: learned lead times, how items are kept, budget, room, freight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cycle_store import TODAY, add_demand, add_item, add_site, add_term, empty_engine, set_stock
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.cycle import run_cycle
from cloud.decisions.expiry import Lot
from cloud.decisions.replenishment import Freight, Keeping, PriceBreak
from cloud.forecasts.forecast import Batch, Forecasts
from cloud.forecasts.predict import forecast
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import store_document
from cloud.recommendations.rows import of_row, query
from cloud.situations.conditions import keepings, limits_of
from cloud.situations.sites import site_settings
from cloud.situations.supply import positions, terms_of
from cloud.store import lanes, plans, schema
from cloud.store.database import reading, writing
from vocabulary.document import Document, DocumentLine

DAY_US = 86_400_000_000


class Mean:
    """Forecasts at once, in this process."""

    async def forecast(self, batch: Batch) -> Forecasts:
        return forecast(batch)


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        await add_site(conn, "north", currency="EUR")
        for item in ("nut", "screw"):
            await add_item(conn, item)
            await add_term(conn, "north", item)
    yield engine
    await engine.dispose()


async def order(
    conn: AsyncConnection, name: str, item: str, age: float, took: float | None, quantity: int = 10, **more: str | int
) -> None:
    """A purchase order of `age` days ago; its first goods came `took` days later."""
    at = START_US - round(age * DAY_US)
    line = DocumentLine(1, item, quantity, unit_cost=2_000_000, currency="EUR")
    document = Document(name, 1, "expected-receipt", "open", (line,), partner="acme")
    await store_document(
        conn, "north", msgspec.structs.replace(document, **more), opened_by="cloud", at=at, days=BusinessDays("UTC"),
        daily=DailyChanges(),
    )  # fmt: skip
    if took is not None:
        arrived = at + round(took * DAY_US)
        await conn.execute(update(schema.document).where(schema.document.c.id == name).values(arrived_at=arrived))


async def test_lead_times_are_learned_from_the_orders_of_two_years(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        for number in range(12):
            await order(conn, f"PO-{number}", "nut", 20.0 + 30 * number, 10.0)
        await order(conn, "PO-old", "nut", 900.0, 90.0)
        await order(conn, "PO-later", "nut", 90.0, 60.0, due=START_US - 30 * DAY_US)  # was not wanted before
        await order(conn, "PO-odd", "nut", 50.0, -3.0)  # written down after its goods had come
        await order(conn, "PO-gone", "nut", 80.0, None, state="cancelled")
        await order(conn, "ASN-1", "nut", 19.0, 1.0, source="PO-0")
        await order(conn, "PO-late", "screw", 25.0, None)
        await order(conn, "PO-fresh", "screw", 2.0, None)
    async with reading(engine) as conn:
        agreed, _ = await terms_of(conn, "north")
        terms, _ = await terms_of(conn, "north", START_US)
    nut, screw = terms["nut"], terms["screw"]
    assert agreed["nut"].promised is None
    assert nut.promised is not None
    assert (nut.promised.lead_time_days, nut.promised.receipts, nut.promised.overdue) == (5.0, 12, 0)
    assert 9.0 < nut.lead_time_days <= 10.5
    assert screw.promised is not None
    assert (screw.promised.receipts, screw.promised.overdue) == (0, 1)
    assert screw.lead_time_days > nut.lead_time_days


async def test_price_breaks_come_with_the_terms(engine: AsyncEngine) -> None:
    rows: list[lanes.Row] = [
        ("north", "nut", "acme", 500, 1_800_000),
        ("north", "nut", "acme", 100, 1_900_000),
        ("north", "nut", "other", 50, 1_000_000),
    ]
    async with writing(engine) as conn:
        await lanes.append(conn, plans.price_break, rows)
    async with reading(engine) as conn:
        terms, _ = await terms_of(conn, "north")
    assert terms["nut"].breaks == (PriceBreak(100, 1_900_000), PriceBreak(500, 1_800_000))
    assert [terms["nut"].price_at(n) for n in (99, 100, 700)] == [2_000_000, 1_900_000, 1_800_000]
    assert terms["screw"].breaks == ()


async def test_the_closest_row_says_how_an_item_is_kept(engine: AsyncEngine) -> None:
    async with reading(engine) as conn:
        assert await keepings(conn, "north") == {}
    rows: list[lanes.Row] = [
        ("", "nut", 3, 900, None, ""),
        ("", "screw", 4, 0, 50, ""),
        ("north", "screw", 6, 0, 70, "hub"),
    ]
    autonomy = {"release_minor": 0, "daily_minor": 0, "least_confidence": 900, "most_cover_days": 60}
    async with writing(engine) as conn:
        await lanes.append(conn, plans.stocking, rows)
        await conn.execute(
            update(schema.item)
            .where(schema.item.c.id == "screw")
            .values(category="metal", shelf_life_days=30, volume_ml=5, discontinued_on="2026-03-01", successor="bolt")
        )
        for site, category, floor in (("", "metal", 970), ("", "", 500)):
            row = {"site_id": site, "category": category, "service_floor": floor}
            await conn.execute(plans.autonomy.insert().values(**row, **autonomy, currency="EUR"))
    async with reading(engine) as conn:
        found = await keepings(conn, "north")
    assert found["nut"] == Keeping(3, 900)
    assert found["screw"] == Keeping(6, 970, 70, 30, 5, "2026-03-01", "bolt", "hub")
    async with writing(engine) as conn:
        await lanes.append(conn, plans.stocking, [("north", "", 9, 0, None, "")])
    async with reading(engine) as conn:
        assert (await keepings(conn, "north"))["nut"] == Keeping(
            9, 500
        )  # the site's word for all comes before every site's


async def test_what_expires_is_told_by_day(engine: AsyncEngine) -> None:
    rows: list[lanes.Row] = [
        ("north", "A-01", "available", "nut", "L1", "", 30, 0, 0, 0),
        ("north", "A-02", "available", "nut", "", "2026-01-05", 7, 0, 0, 0),
        ("north", "A-02", "blocked", "nut", "L1", "", 99, 0, 0, 0),
        ("north", "customer", "available", "nut", "L1", "", 500, 0, 0, 0),
        ("north", "A-03", "available", "nut", "", "", 40, 0, 0, 0),
    ]
    async with writing(engine) as conn:
        await lanes.append(conn, schema.balance, rows)
        await lanes.append(conn, schema.lot, [("north", "nut", "L1", "2026-01-14")])
        await set_stock(conn, "north", "nut", 77)
    async with reading(engine) as conn:
        (site,) = await site_settings(conn, START_US)
        found = (await positions(conn, site, {}))["nut"]
    assert found.lots == (Lot(10, 30), Lot(1, 7))
    assert (found.available, found.on_hand) == (77, 77)


async def test_budget_room_and_freight_know_what_was_ordered(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await conn.execute(update(schema.site).values(budget_minor=50_000, capacity_l=3))
        await conn.execute(update(schema.item).where(schema.item.c.id == "nut").values(volume_ml=20))
        await conn.execute(
            schema.supplier.insert().values(
                id="acme", name="Acme", freight_free_minor=40_000, freight_minor=1_500, currency="EUR"
            )
        )
        await set_stock(conn, "north", "nut", 30)
        await order(conn, "PO-1", "nut", 0.0, None, quantity=10)
        await order(conn, "PO-2", "screw", 3.0, None, quantity=7)
        await order(conn, "PO-3", "nut", 9.0, None, quantity=5)
    async with reading(engine) as conn:
        (site,) = await site_settings(conn, START_US)
        held, kept = await positions(conn, site, {}), await keepings(conn, "north")
        found = await limits_of(conn, site, held, kept, START_US)
    assert (found.budget_minor, found.ordered_minor) == (50_000, 3_400)
    assert (found.capacity_ml, found.filled_ml) == (3_000, (30 + 15) * 20)
    assert found.freight == {"acme": Freight(40_000, 1_500, "EUR")}
    assert found.ordered_today_minor == {"acme": 2_000}


async def test_a_cycle_keeps_the_limits_and_the_parameters(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        for item in ("nut", "screw"):
            await add_demand(conn, "north", item, 20)
            await set_stock(conn, "north", item, 30)
        await lanes.append(conn, plans.price_break, [("north", "nut", "acme", 5, 1_000_000)])
        await conn.execute(
            update(schema.item).where(schema.item.c.id == "screw").values(discontinued_on=TODAY.isoformat())
        )
    report = await run_cycle(engine, VirtualRuntime(), Mean())
    assert report.proposals.made == 1
    async with reading(engine) as conn:
        (row,) = [of_row(one) for one in await conn.execute(query())]
    assert row.item == "nut"
    assert row.cost_minor == row.quantity * 100
    basis = row.proposal.basis
    assert basis is not None
    assert (basis.price_micro, basis.breaks, basis.position) == (1_000_000, ((5, 1_000_000),), 30)
    assert row.proposal.effects[0].tied_after > row.proposal.effects[0].tied_before > 0
    assert {one.change for one in row.proposal.worth} <= {"lead-time", "moq"}
    async with writing(engine) as conn:
        await conn.execute(update(schema.site).values(budget_minor=0))
    runtime = VirtualRuntime()
    runtime.start_us += 60_000_000
    report = await run_cycle(engine, runtime, Mean())
    assert report.proposals.ended == 1
    assert [(one.site, one.item) for one in report.left_out] == [("north", "nut")]
    assert "0.00 EUR are left" in report.left_out[0].reason.text
