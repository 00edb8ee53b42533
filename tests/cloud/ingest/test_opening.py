"""The opening snapshot as headquarters tells it, and what becomes of orders that only the old gateway understood."""

from __future__ import annotations

from headquarters import DOCK, SUPPLIER, Headquarters, movement

from cloud.ingest import commands
from cloud.ingest.opening import PAGE
from cloud.store import schema
from cloud.store.database import writing
from vocabulary.wire import CorrectMovement, IdentifyItem

NOW = 1_767_600_000_000_000


async def test_pages_hold_each_line_once_and_name_their_state(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    old = await headquarters.add_gateway()
    items = [f"item-{number:04}" for number in range(PAGE + 200)]
    old.record(movement("receiving", SUPPLIER, DOCK, NOW, [(item, 1) for item in items]))
    await old.push()
    new = await headquarters.add_gateway(seed=2, epoch=5, replaces=True)
    path = f"/v1/gateways/{new.id}/opening?epoch={old.epoch}&page="
    first = (await new.send("GET", path + "0")).json()
    assert (first["pages"], first["position"], first["seq"], first["since"]) == (2, 1, 1, NOW)
    told: list[str] = []
    for page in range(first["pages"]):
        answer = (await new.send("GET", path + str(page))).json()
        assert answer["position"] == first["position"]
        told += [line["item"] for line in answer.get("balances", [])]
    assert told == items
    assert (await new.send("GET", path + "2")).status_code == 404


async def test_corrections_that_name_rows_of_the_old_ledger_are_withdrawn(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    old = await headquarters.add_gateway()
    old.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)]))
    await old.push()
    async with writing(headquarters.engine) as conn:
        await commands.send(conn, headquarters.runtime, "north", CorrectMovement(1, "wrong"), "ann")
        await commands.send(conn, headquarters.runtime, "north", IdentifyItem("gtin:1", "A"), "ann")
    new = await headquarters.add_gateway(seed=2, epoch=5, replaces=True)
    told = (await new.send("GET", f"/v1/gateways/{new.id}/downlink")).json()
    assert [one["order"]["type"] for one in told["commands"]] == ["identify-item"]
    assert sorted(row[0] for row in await headquarters.rows(schema.command, "result")) == ["", "refused"]
