"""The demo's year: the same for the same seed, kept by the ledger as it happened, and known to the partners."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from demo.catalogue import CUSTOMERS, SITES, STORAGE, items
from demo.history import DAYS, year
from demo.past import Past, write
from demo.shelves import after_history
from gateway.ledger.check import verify_ledger
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import Recorded
from runtime import SystemRuntime
from vocabulary.document import Document
from vocabulary.stock import Stock

UNTIL = date(2026, 1, 5)
GATEWAY = "0123456789abcdef"


def test_a_year_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    catalogue = items(1)
    assert list(year(1, SITES[0], catalogue, 0)) == list(year(1, SITES[0], catalogue, 0))
    assert list(year(1, SITES[0], catalogue, 0)) != list(year(2, SITES[0], catalogue, 0))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_year_has_lost_sales_dead_items_and_never_sells_what_is_not_there(seed: int) -> None:
    catalogue = items(seed)
    stock: Counter[str] = Counter()
    lost = 0
    last_sale: dict[str, int] = {}
    bought: Counter[tuple[str, int]] = Counter()
    for event in year(seed, SITES[2], catalogue, 0):
        if event.kind == "bought":
            bought[event.item, event.number] += event.quantity
            continue
        if event.kind == "received":
            assert bought.pop((event.item, event.number)) == event.quantity
        if event.kind == "sold":
            lost += event.wanted - event.quantity
            last_sale[event.item] = event.day
        stock[event.item] += -event.quantity if event.kind == "sold" else event.quantity
        assert stock[event.item] >= 0
    assert lost > 0
    assert not bought, "what is ordered arrives within the year"
    assert min(last_sale.values()) < DAYS - 30


def test_the_intents_stand_in_order_and_every_order_is_closed_on_its_day() -> None:
    intents = list(Past(1, SITES[0], items(1), UNTIL, GATEWAY).intents())
    times = [intent.occurred_at for intent in intents]
    days = [time // 86_400_000_000 for time in times]
    assert days == sorted(days)
    opened = [one.record for one in intents if isinstance(one, Recorded) and isinstance(one.record, Document)]
    assert {document.id for document in opened if document.state == "open"} == {
        document.id for document in opened if document.state == "closed"
    }
    assert {document.partner for document in opened if document.type == "outbound-order"} == set(CUSTOMERS)
    assert all(document.id.startswith(GATEWAY) for document in opened)


@pytest.mark.real
async def test_the_ledger_holds_what_the_year_left_on_the_shelves(tmp_path: Path) -> None:
    catalogue = items(1)[:6]
    path = tmp_path / "ledger.db"
    writer = await LedgerWriter.open(path, SystemRuntime())
    heard: list[tuple[int, int]] = []
    try:
        rows = await write(writer, Past(1, SITES[1], catalogue, UNTIL, GATEWAY), lambda *said: heard.append(said))
        held = await writer.read(lambda state: _stored(state.stock))
    finally:
        await writer.close()
    weekday = Past(1, SITES[1], catalogue, UNTIL, GATEWAY).first.weekday()
    expected = after_history(1, SITES[1], catalogue, weekday)
    assert held == {item: quantity for item, quantity in expected.items() if quantity}
    assert heard[-1][1] == rows
    report = verify_ledger(path)
    assert report.ok
    assert report.rows == rows


def _stored(stock: Stock) -> dict[str, int]:
    return {key.item: one.quantity for key, one in stock.balances.items() if key.place == STORAGE and one.quantity}
