"""How far the decision cycle is, as people and programs see it."""

from __future__ import annotations

import httpx
from seeded_network import Network, browser, decide_network
from sqlalchemy import update

from cloud.store import leases, schema
from cloud.store.database import writing


async def test_the_last_cycle_is_told(network: Network, maria: httpx.AsyncClient) -> None:
    headquarters = network.headquarters
    key = await headquarters.key("viewer")
    assert (await headquarters.client.get("/api/v1/cycle", headers=key)).json()["state"] == "none"
    assert "no cycle yet" in (await maria.get("/cycle")).text
    await decide_network(network)
    told = (await headquarters.client.get("/api/v1/cycle", headers=key)).json()
    assert (told["state"], told["done"]) == ("done", told["report"]["series"])
    page = (await maria.get("/cycle")).text
    assert f"{told['report']['proposals']['made']} new" in page
    assert "every 2s" not in page


async def test_one_that_runs_shows_its_progress_and_asks_again(network: Network, maria: httpx.AsyncClient) -> None:
    headquarters = network.headquarters
    await decide_network(network)
    now = headquarters.runtime.now()
    async with writing(headquarters.engine) as conn:
        await leases.take(conn, "cycle", "somebody", now, 60_000_000)
        told = '{"stage": "forecast", "done": 1200, "total": 5000}'
        await conn.execute(update(schema.cycle_run).values(state="running", report=told))
    part = (await maria.get("/cycle", headers={"hx-request": "true"})).text
    assert "<h1" not in part
    for text in ("forecasting", 'value="1200"', 'max="5000"', "every 2s"):
        assert text in part
    async with await browser(headquarters, "viewer", "", "nils") as nils:
        page = (await nils.get("/cycle")).text
    assert 'http-equiv="refresh"' in page
    assert "Forecast and decide now" not in page
