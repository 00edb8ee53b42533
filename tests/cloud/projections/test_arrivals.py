"""When an order's first goods arrived: by its own movements or its notice's, through corrections, cuts and rebuilds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from headquarters import BIN, DOCK, SUPPLIER, Gateway, Headquarters, movement, open_headquarters
from virtual import VirtualRuntime, run

from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DailyChanges
from cloud.projections.documents import store_document
from cloud.projections.rebuild import verify_site
from cloud.store import schema
from cloud.store.database import writing
from vocabulary.document import Document, DocumentLine
from vocabulary.movement import Movement
from vocabulary.records import ClockRecord, Record

NOW = 1_767_600_000_000_000
HOUR = 3_600_000_000


def came(document: str, at: int, quantity: int = 5, item: str = "A") -> Movement:
    return movement("receiving", SUPPLIER, DOCK, at, [(item, quantity)], document=document, document_line=1)


def taken_back(document: str, at: int, seq: int, quantity: int = 5) -> Movement:
    back = [("A", quantity)]
    return movement("receiving", DOCK, SUPPLIER, at, back, document=document, document_line=1, reverses=seq)


async def opened(headquarters: Headquarters) -> Gateway:
    """A site with an order of ten A, announced by a notice, and another order."""
    await headquarters.add_site()
    gateway = await headquarters.add_gateway()
    async with writing(headquarters.engine, "north") as conn:
        for name, source in (("PO-1", ""), ("ASN-1", "PO-1"), ("PO-2", "")):
            lines = (DocumentLine(1, "A", 10),)
            document = Document(name, 1, "expected-receipt", "open", lines, partner="acme")
            if source:
                document = Document(name, 1, "expected-receipt", "open", lines, partner="acme", source=source)
            await store_document(
                conn, "north", document, opened_by="cloud", at=NOW - 90 * HOUR, days=BusinessDays("UTC"),
                daily=DailyChanges(),
            )  # fmt: skip
    return gateway


async def arrivals(headquarters: Headquarters) -> dict[str, float | None]:
    """Hours after NOW, by document; none for those that nothing has come of."""
    rows = await headquarters.rows(schema.document, "id", "arrived_at")
    return {name: None if at is None else (at - NOW) / HOUR for name, at in rows}


async def agreed(headquarters: Headquarters) -> bool:
    async with writing(headquarters.engine, "north") as conn:
        return (await verify_site(conn, "north")).differences == ()


async def test_the_first_goods_count_for_the_notice_and_its_order(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    gateway.record(came("ASN-1", NOW + 3 * HOUR), came("ASN-1", NOW + 5 * HOUR))
    await gateway.push()
    assert await arrivals(headquarters) == {"PO-1": 3, "ASN-1": 3, "PO-2": None}
    assert await agreed(headquarters)


async def test_a_receipt_on_the_wrong_order_is_taken_back(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    gateway.record(came("PO-2", NOW + HOUR), taken_back("PO-2", NOW + 2 * HOUR, 1), came("PO-1", NOW + HOUR))
    await gateway.push()
    assert await arrivals(headquarters) == {"PO-1": 1, "ASN-1": None, "PO-2": None}
    gateway.record(came("PO-2", NOW + 9 * HOUR))
    await gateway.push(4)
    assert (await arrivals(headquarters))["PO-2"] == 9
    assert await agreed(headquarters)


async def test_what_the_order_does_not_name_is_not_its_arrival(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    gateway.record(came("PO-1", NOW + HOUR, item="B"), movement("receiving", SUPPLIER, BIN, NOW, [("A", 5)]))
    await gateway.push()
    assert (await arrivals(headquarters))["PO-1"] is None


async def test_a_corrected_clock_moves_the_arrival(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    gateway.record(came("ASN-1", NOW + 3 * HOUR), ClockRecord(NOW, 1, 1, 48 * HOUR))
    await gateway.push()
    assert await arrivals(headquarters) == {"PO-1": 51, "ASN-1": 51, "PO-2": None}
    assert await agreed(headquarters)


async def test_verification_finds_an_arrival_that_was_changed(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    gateway.record(came("PO-2", NOW))
    await gateway.push()
    async with writing(headquarters.engine, "north") as conn:
        await conn.execute(schema.document.update().values(arrived_at=7))
    async with writing(headquarters.engine, "north") as conn:
        assert (await verify_site(conn, "north")).differences == ("table document differs from what the ledger gives",)
    assert await arrivals(headquarters) == {"PO-1": None, "ASN-1": None, "PO-2": 0}


@pytest.mark.parametrize("seed", range(2))
def test_any_cut_gives_the_same_arrivals(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    history: list[Record] = []
    for number in range(40):
        name, at = drawn.choice(["PO-1", "ASN-1", "PO-2"]), NOW + number * HOUR
        history.append(came(name, at) if drawn.random() < 0.75 else taken_back(name, at, 1))
    cuts = sorted(drawn.sample(range(2, 40), 6))

    async def pushed(path: Path, firsts: list[int]) -> dict[str, float | None]:
        async with open_headquarters(path, VirtualRuntime()) as headquarters:
            gateway = await opened(headquarters)
            gateway.record(*history)
            for first, following in zip(firsts, [*firsts[1:], 41], strict=True):
                assert (await gateway.push(first, following - 1)).status_code == 200
            found = await arrivals(headquarters)
            assert await agreed(headquarters)
            return found

    whole = run(lambda: pushed(tmp_path / "whole.db", [1]))
    parts = run(lambda: pushed(tmp_path / "parts.db", [1, *cuts]))
    assert parts == whole
    assert any(at is not None for at in whole.values())
