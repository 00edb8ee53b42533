"""A transfer: opened at headquarters, sent by one site, expected by the other with its units, closed when it is there."""

from __future__ import annotations

import msgspec
from headquarters import DOCK, Headquarters, movement

from cloud.store import schema
from vocabulary.document import Document
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account

NOW = 1_767_600_000_000_000
SSCC = "00/106141412345678908"
TRANSIT = Account("in-transit:TR-1")


async def test_what_one_site_sent_is_what_the_other_expects(headquarters: Headquarters) -> None:
    key = await headquarters.key("owner")
    for kind, rows in {"sites": [{"id": "north"}, {"id": "south"}], "items": [{"id": "A", "name": "Apples"}]}.items():
        assert (await headquarters.client.put(f"/api/v1/{kind}", json=rows, headers=key)).status_code == 200
    north = await headquarters.add_gateway("north", 1, 1)
    south = await headquarters.add_gateway("south", 2, 2)
    entry = {
        "site": "north", "type": "transfer", "id": "TR-1", "from_site": "north", "to_site": "south",
        "lines": [{"line": 1, "item": "A", "quantity": 30}],
    }  # fmt: skip
    wrong = await headquarters.client.post("/api/v1/documents", json=entry | {"to_site": "north"}, headers=key)
    assert wrong.status_code == 400
    assert (await headquarters.client.post("/api/v1/documents", json=entry, headers=key)).status_code == 201

    async def expected() -> Document:
        told = (await south.send("GET", f"/v1/gateways/{south.id}/downlink")).json()["documents"]
        return msgspec.convert(told[0], Document)

    assert (await expected()).lines[0].quantity == 30
    north.record(
        movement(
            "receiving", Account("supplier"), DOCK, NOW, (), units=(UnitEntry(SSCC, holds=(Content("A", 24, "L1"),)),)
        ),
        Movement("shipping", DOCK, TRANSIT, NOW, (Line("A", 24, "L1"),), (UnitEntry(SSCC),), "TR-1", 1),
    )
    await north.push()
    coming = await expected()
    assert [(line.line, line.item, line.lot, line.quantity) for line in coming.lines] == [(1, "A", "L1", 24)]
    assert [(unit.unit, unit.holds) for unit in coming.units] == [(SSCC, (Content("A", 24, "L1"),))]

    south.record(Movement("receiving", TRANSIT, DOCK, NOW, (Line("A", 24, "L1"),), (UnitEntry(SSCC),), "TR-1", 1))
    await south.push()
    states = await headquarters.rows(schema.document, "site_id", "state", "progress")
    assert states == [("north", "open", "partial"), ("south", "closed", "complete")]
    assert [row for row in await headquarters.rows(schema.daily, "site_id", "received", "transferred") if any(row[1:])] == [
        ("north", 0, 24), ("south", 24, 0),
    ]  # fmt: skip

    north.record(Movement("shipping", DOCK, TRANSIT, NOW, (Line("A", 6),), document="TR-1", document_line=1))
    await north.push()
    again = await expected()
    assert sorted((line.item, line.lot or "", line.quantity) for line in again.lines) == [("A", "", 6), ("A", "L1", 24)]
    assert next(line.line for line in again.lines if line.lot) == 1
