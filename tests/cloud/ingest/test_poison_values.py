"""A record whose effect no column can hold is parked; the queue goes on, on both engines alike."""

from __future__ import annotations

from headquarters import DOCK, SUPPLIER, Headquarters, movement
from virtual import START_US

from cloud.projections.rebuild import verify_site
from cloud.store import schema
from cloud.store.database import writing


async def test_sums_beyond_64_bits_do_not_block_a_site(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    gateway = await headquarters.add_gateway()
    for number in range(1_030):  # the 1024th would make the balance 2^63
        gateway.record(movement("receiving", SUPPLIER, DOCK, START_US + number, [("A", 1 << 53)]))
    gateway.record(movement("receiving", SUPPLIER, DOCK, START_US, [("B", 7)]))
    assert (await gateway.push(1, 1_000)).status_code == 200
    answer = await gateway.push(1_001)
    assert (answer.status_code, answer.json()["acked_seq"]) == (200, 1_031)
    assert [row[0] for row in await headquarters.rows(schema.parked, "seq")] == list(range(1_024, 1_031))
    stock = dict(await headquarters.rows(schema.item_stock, "item", "on_hand"))
    assert stock == {"A": 1_023 << 53, "B": 7}
    async with writing(headquarters.engine, "north") as conn:
        report = await verify_site(conn, "north")
    assert report.differences == ()
