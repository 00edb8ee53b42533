"""The page of a movement that did not happen so: what would be reversed, the reason, and that it is on its way."""

from __future__ import annotations

import re

import httpx
import msgspec
from seeded_network import Network, browser
from sqlalchemy import select

from cloud.store import schema
from cloud.store.database import reading
from vocabulary.wire import Command, CorrectMovement


async def a_movement(network: Network) -> str:
    """The page of a movement at north."""
    row = schema.ledger.c
    async with reading(network.headquarters.engine) as conn:
        newest = select(row.epoch, row.seq).where(row.site_id == "north", row.kind == "movement")
        found = (await conn.execute(newest.order_by(row.seq.desc()).limit(1))).one()
    return f"/movements/north/{found.epoch}/{found.seq}"


async def sent(network: Network) -> list[CorrectMovement]:
    bodies = [body for (body,) in await network.headquarters.rows(schema.command, "body")]
    orders = [msgspec.json.decode(body, type=Command).order for body in bodies]
    return [order for order in orders if isinstance(order, CorrectMovement)]


async def test_a_movement_is_taken_back_with_a_reason_once(network: Network, maria: httpx.AsyncClient) -> None:
    path = await a_movement(network)
    text = (await maria.get(path)).text
    assert "reverses it" in text
    assert re.search(rf'<form method="post" action="{path}/correction"', text)
    assert (await maria.post(f"{path}/correction", data={"reason": " "})).status_code == 400
    answer = await maria.post(f"{path}/correction", data={"reason": "it went out by the other door"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    text = (await maria.get(path)).text
    assert "on its way to the site" in text
    assert '<form method="post" action="/movements' not in text
    again = await maria.post(f"{path}/correction", data={"reason": "once more"}, headers={"accept": "text/html"})
    assert (again.status_code, "on its way" in again.text) == (409, True)
    (order,) = await sent(network)
    assert (order.reason, order.replacement) == ("it went out by the other door", None)


async def test_what_happened_instead_is_said_whole(network: Network, maria: httpx.AsyncClient) -> None:
    path = await a_movement(network) + "/correction"
    form = {"reason": "wrong way", "kind": "returning", "source": "customer", "target": "dock-1"}
    for wrong in ({"kind": ""}, {"source": ""}, {"quantity": "5"}, {"lot": "L1"}, {"target": "no such place"}):
        assert (await maria.post(path, data=form | wrong)).status_code == 400, wrong
    answer = await maria.post(path, data=form | {"item": "TEA-100", "quantity": "7"})
    assert answer.status_code == 303, answer.text
    (order,) = await sent(network)
    assert order.replacement is not None
    assert (order.replacement.kind, order.replacement.to.place) == ("returning", "dock-1")
    assert [(line.item, line.quantity) for line in order.replacement.lines] == [("TEA-100", 7)]


async def test_who_only_looks_sees_the_event_and_no_form(network: Network) -> None:
    path = await a_movement(network)
    async with await browser(network.headquarters, "viewer", "north", "vera") as vera:
        text = (await vera.get(path)).text
        assert "reverses it" in text
        assert f"{path}/correction" not in text
        assert (await vera.post(f"{path}/correction", data={"reason": "no"})).status_code == 403
    async with await browser(network.headquarters, "owner", "south", "sven") as sven:
        assert (await sven.post(f"{path}/correction", data={"reason": "no"})).status_code == 404
    assert await sent(network) == []
