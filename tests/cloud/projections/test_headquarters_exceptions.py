"""What only headquarters can see: returns of goods that their site forgot, and rests of transfers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from headquarters import CUSTOMER, DOCK, SUPPLIER, Headquarters, movement

from cloud.projections.exceptions import report_rests
from cloud.store import schema
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account

NOW = 1_767_600_000_000_000
PIECE = "01/09506000134352/21/77"
OTHER = "01/09506000134352/21/78"
TRANSIT = Account("in-transit:TR-1")
DAY_S = 86_400


async def exceptions(headquarters: Headquarters, kind: str) -> list[tuple[str, str, str, str]]:
    found = await headquarters.rows(schema.exception, "kind", "site_id", "subject", "state", "origin")
    return [row[1:] for row in found if row[0] == kind]


async def test_a_return_that_its_site_forgot_is_told(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    gateway = await headquarters.add_gateway()
    entry = UnitEntry(PIECE, holds=(Content("A", 1),))
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)], units=(entry,)))
    gateway.record(movement("shipping", DOCK, CUSTOMER, NOW + 1, [("A", 1)], units=(UnitEntry(PIECE),)))
    await gateway.push()
    assert await exceptions(headquarters, "late-return") == []
    # a year later: the gateway knows the piece no more, headquarters does
    new = UnitEntry(OTHER, holds=(Content("A", 1),))
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW + 2, [("A", 2)], units=(entry, new)))
    await gateway.push(3)
    assert await exceptions(headquarters, "late-return") == [("north", PIECE, "open", "cloud")]


async def test_a_receipt_taken_back_of_goods_that_left_is_none(headquarters: Headquarters) -> None:
    """A correction that follows the shipment: the reversal is of kind receiving too, and nothing came in."""
    await headquarters.add_site()
    gateway = await headquarters.add_gateway()
    entry = UnitEntry(PIECE, holds=(Content("A", 1),))
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)], units=(entry,)))
    gateway.record(movement("shipping", DOCK, CUSTOMER, NOW + 1, [("A", 1)], units=(UnitEntry(PIECE),)))
    back = movement("receiving", DOCK, SUPPLIER, NOW, [("A", 1)], units=(UnitEntry(PIECE, past=True),))
    gateway.record(msgspec.structs.replace(back, reverses=1, group=1))
    await gateway.push()
    assert await exceptions(headquarters, "late-return") == []


async def test_a_known_return_is_none(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    gateway = await headquarters.add_gateway()
    entry = UnitEntry(PIECE, holds=(Content("A", 1),))
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)], units=(entry,)))
    gateway.record(movement("shipping", DOCK, CUSTOMER, NOW + 1, [("A", 1)], units=(UnitEntry(PIECE),)))
    gateway.record(movement("returning", CUSTOMER, DOCK, NOW + 2, [("A", 1)], units=(UnitEntry(PIECE),)))
    await gateway.push()
    assert await exceptions(headquarters, "late-return") == []


@pytest.mark.sqlite
async def test_a_rest_is_told_after_the_lanes_lead_time_and_settles_itself(headquarters: Headquarters) -> None:
    key = await headquarters.key("owner")
    lane = {"from_site": "north", "to_site": "south", "lead_time_days": 2, "lead_time_sd": 1}
    for kind, rows in {
        "sites": [{"id": "north"}, {"id": "south"}], "items": [{"id": "A", "name": "Apples"}], "lanes": [lane],
    }.items():  # fmt: skip
        answer = await headquarters.client.put(f"/api/v1/{kind}", json=rows, headers=key)
        assert answer.status_code == 200, answer.text
    north, south = await headquarters.add_gateway("north", 1, 1), await headquarters.add_gateway("south", 2, 2)
    entry = {
        "site": "north", "type": "transfer", "id": "TR-1", "from_site": "north", "to_site": "south",
        "lines": [{"line": 1, "item": "A", "quantity": 30}],
    }  # fmt: skip
    assert (await headquarters.client.post("/api/v1/documents", json=entry, headers=key)).status_code == 201
    now = headquarters.runtime.now
    north.record(movement("receiving", SUPPLIER, DOCK, now(), [("A", 30)]))
    north.record(Movement("shipping", DOCK, TRANSIT, now(), (Line("A", 30),), (), "TR-1", 1))
    await north.push()
    await asyncio.sleep(3 * DAY_S)
    south.record(Movement("receiving", TRANSIT, DOCK, now(), (Line("A", 24),), (), "TR-1", 1))
    await south.push()
    assert await report_rests(headquarters.engine, now()) == 0
    await asyncio.sleep(DAY_S)  # 4 days: beyond 2 + 1.645
    assert await report_rests(headquarters.engine, now()) == 1
    assert await report_rests(headquarters.engine, now()) == 0
    assert await exceptions(headquarters, "in-transit-rest") == [("south", "TR-1", "open", "cloud")]
    south.record(Movement("receiving", TRANSIT, DOCK, now(), (Line("A", 6),), (), "TR-1", 1))
    await south.push(2)
    assert await report_rests(headquarters.engine, now()) == 0
    assert await exceptions(headquarters, "in-transit-rest") == [("south", "TR-1", "decided", "cloud")]
