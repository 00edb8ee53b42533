"""What headquarters derives: the same tables however the records were cut into pushes, and again when rebuilt."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from headquarters import BIN, CUSTOMER, DOCK, SUPPLIER, Gateway, Headquarters, movement, open_headquarters
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from virtual import VirtualRuntime, run

from cloud.projections.rebuild import DERIVED, verify_site
from cloud.store import schema
from cloud.store.database import writing
from vocabulary.count import Count, CountLine
from vocabulary.document import Document, DocumentLine
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.records import ClockRecord, Inspection, Record

NOW = 1_767_600_000_000_000
HOUR = 3_600_000_000


def history(seed: int, count: int = 60) -> list[Record]:
    """A mixed history: units, lots, loose goods, reversals, counts, orders, exceptions, a clock correction."""
    drawn = random.Random(seed)
    places = [DOCK, BIN, Account("bin-2"), Account("bin-1", "damaged"), Account("in-transit:T1"), Account("robot:r1")]
    records: list[Record] = []
    for number in range(count):
        at = NOW + number * HOUR
        item = drawn.choice("ABC")
        line = (
            Line(item, drawn.randrange(1, 9), lot=drawn.choice(["L1", "L2"]))
            if item == "C"
            else Line(item, drawn.randrange(1, 9))
        )
        choice = drawn.randrange(10)
        unit = f"00/10614141234567{drawn.randrange(6):04}"
        if choice < 2:
            entry = UnitEntry(unit, holds=(Content(line.item, line.quantity, line.lot),))
            records.append(Movement("receiving", SUPPLIER, DOCK, at, (line,), (entry,)))
        elif choice < 5:
            source, target = drawn.sample(places, 2)
            records.append(Movement("moving", source, target, at, (line,), (UnitEntry(unit),) if choice == 4 else ()))
        elif choice == 5:
            records.append(
                Movement("shipping", drawn.choice(places), CUSTOMER, at, (line,), document="SO-1", document_line=1)
            )
        elif choice == 6:
            records.append(Movement("shipping", CUSTOMER, BIN, at - 5 * HOUR, (line,), reverses=max(1, number - 3)))
        elif choice == 7:
            records.append(Count(BIN, "listed", "unknown", at, (CountLine("A", 5, 4, at - HOUR, at),)))
        elif choice == 8:
            lines = (DocumentLine(1, "A", drawn.randrange(1, 50)),)
            state: Any = drawn.choice(["open", "closed", "cancelled"])
            records.append(Document("SO-1", number + 1, "outbound-order", state, lines, due=at + 30 * HOUR))
        elif number > 10:
            records.append(ClockRecord(at, number - 8, number - 2, drawn.randrange(-40, 40) * HOUR))
        else:
            records.append(ExceptionRecord("device", "door-1", "open", at, f"silent {number}"))
    return [*records, Inspection(NOW, "A", "failed", "wet", rejected=2)]


async def tables(headquarters: Headquarters) -> dict[str, list[tuple[Any, ...]]]:
    """All derived rows, without times of receipt; rows of sums that are zero say nothing."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for table, _ in (*DERIVED, (schema.exception, ()), (schema.document_line, ()), (schema.ledger, ())):
        names = [name for name in table.columns.keys() if name != "received_at"]  # noqa: SIM118 - not a dict
        rows = await headquarters.rows(table, *names)
        if table.name == "ledger":  # a document says when it is due: when it happened is when it was received
            rows = [row[:5] + row[6:] if row[4] == "document" else row for row in rows]
        if table.name in ("balance", "daily", "document_done"):
            rows = [row for row in rows if any(isinstance(value, int) and value for value in row)]
        found[table.name] = rows
    return found


async def fill(path: Path, records: list[Record], pushes: list[tuple[int, int]]) -> dict[str, list[tuple[Any, ...]]]:
    runtime = VirtualRuntime()
    async with open_headquarters(path, runtime) as headquarters:
        await headquarters.add_site()
        gateway = await headquarters.add_gateway()
        gateway.record(*records)
        for first, last in pushes:
            answer = await gateway.push(first, last)
            assert answer.status_code in (200, 409), answer.text
        assert (await gateway.push()).status_code == 200
        return await tables(headquarters)


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # an example takes half a second: shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10**6),
    pushes=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 25)), max_size=8),
)
def test_any_cut_repetition_or_overlap_gives_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, seed: int, pushes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    records = history(seed)
    cut = [(first, min(first + length, len(records))) for first, length in pushes]
    cut += [(1, 20), (15, 40), (1, 40)]
    whole = run(lambda: fill(folder / "whole.db", records, []))
    parts = run(lambda: fill(folder / "parts.db", records, cut))
    assert parts == whole


@pytest.fixture
async def gateway(headquarters: Headquarters) -> Gateway:
    await headquarters.add_site()
    return await headquarters.add_gateway()


async def test_a_rebuild_gives_the_same_and_finds_what_was_changed(
    headquarters: Headquarters, gateway: Gateway
) -> None:
    gateway.record(*history(7))
    gateway.record(b'{"record":"weather/1"}')
    await gateway.push()
    before = await tables(headquarters)
    async with writing(headquarters.engine) as conn:
        report = await verify_site(conn, "north")
    assert report.differences == ()
    assert await tables(headquarters) == before
    async with writing(headquarters.engine) as conn:
        await conn.execute(update(schema.balance).where(schema.balance.c.place == "supplier").values(quantity=-1))
        await conn.execute(update(schema.ledger).where(schema.ledger.c.seq == 5).values(body=b"{}"))
    async with writing(headquarters.engine) as conn:
        report = await verify_site(conn, "north")
    assert report.differences == ("epoch 4711: row 5 is missing or was changed",)
    async with writing(headquarters.engine) as conn:
        await conn.execute(update(schema.ledger).where(schema.ledger.c.seq == 5).values(body=gateway.bodies[4]))
        report = await verify_site(conn, "north")
    assert report.differences == ("table balance differs from what the ledger gives",)


async def test_a_corrected_clock_moves_movements_to_their_day(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(movement("shipping", BIN, CUSTOMER, NOW, [("A", 3)]), ClockRecord(NOW, 1, 1, 48 * HOUR))
    await gateway.push()
    rows = [row for row in await headquarters.rows(schema.daily, "day", "issued") if row[1]]
    assert rows == [("2026-01-07", 3)]


async def test_time_without_stock_counts_opening_hours_only(headquarters: Headquarters, gateway: Gateway) -> None:
    day = 24 * HOUR
    gateway.record(
        movement("receiving", SUPPLIER, BIN, NOW, [("A", 3)]),
        movement("shipping", BIN, CUSTOMER, NOW, [("A", 3)]),
        movement("receiving", SUPPLIER, BIN, NOW + day, [("A", 3)]),
    )
    await gateway.push()
    # 09:00 to 22:00 on the first day, 06:00 to 09:00 on the second, Berlin time
    assert await headquarters.rows(schema.daily, "day", "empty_minutes") == [("2026-01-05", 780), ("2026-01-06", 180)]


async def test_a_reversal_takes_back_the_demand_of_its_day(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(
        movement("shipping", BIN, CUSTOMER, NOW, [("A", 3)]),
        movement("shipping", CUSTOMER, BIN, NOW, [("A", 3)], reverses=1),
        movement("returning", CUSTOMER, BIN, NOW, [("A", 2)]),
    )
    await gateway.push()
    assert await headquarters.rows(schema.daily, "issued", "returned") == [(0, 2)]
