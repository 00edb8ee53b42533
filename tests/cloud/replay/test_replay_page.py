"""The replay of the ledger's own demand: page, file and API; who may start it; what it says where history is short."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from headquarters import open_headquarters
from seeded_network import Network, browser, seed_network
from sqlalchemy import insert, select
from virtual import VirtualRuntime

from cloud.replay import slider
from cloud.store import schema
from cloud.store.database import reading, writing


@pytest.fixture
async def network(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Network]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        yield await seed_network(opened)


@pytest.fixture
async def maria(network: Network) -> AsyncIterator[httpx.AsyncClient]:
    async with await browser(network.headquarters) as client:
        yield client


async def _a_year_before(network: Network, site: str) -> None:
    """Sixty weeks of issues of two items before what the network knows."""
    engine = network.headquarters.engine
    async with reading(engine) as conn:
        daily = schema.daily.c
        first = (
            await conn.execute(select(daily.day).where(daily.site_id == site).order_by(daily.day).limit(1))
        ).scalar_one()
    drawn = np.random.default_rng(4)
    rows = [
        {"site_id": site, "item": item, "day": (date.fromisoformat(first) - timedelta(days=back)).isoformat(),
         "ordered": 0, "issued": int(drawn.poisson(mean)), "received": 0, "returned": 0, "transferred": 0,
         "empty_minutes": 0}
        for back in range(1, 60 * 7)
        for item, mean in (("TEA-100", 3), ("KET-017", 0.4))
    ]  # fmt: skip
    async with writing(engine) as conn:
        await conn.execute(insert(schema.daily), rows)


async def _start(client: httpx.AsyncClient, page: str, site: str) -> httpx.Response:
    """Press the page's button."""
    hidden = page.split('type="hidden" name="')[1]
    name, value = hidden.split('"')[0], hidden.split('value="')[1].split('"')[0]
    return await client.post("/replay", data={"site": site, name: value}, follow_redirects=False)


async def test_short_history_is_said_not_played(maria: httpx.AsyncClient) -> None:
    page = await maria.get("/replay", params={"site": "central"})
    assert page.status_code == 200
    assert "Not played yet" in page.text
    answer = await _start(maria, page.text, "central")
    assert answer.status_code == 400
    assert "a replay needs 30" in answer.text


async def test_page_tells_words_figures_and_frontier(
    network: Network, maria: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slider, "_POSITIONS", (0.1, 1.0, 10.0))  # the whole slider costs seconds
    await _a_year_before(network, "central")
    page = await maria.get("/replay", params={"site": "central"})
    answer = await _start(maria, page.text, "central")
    assert answer.status_code == 303, answer.text
    shown = (await maria.get(answer.headers["location"])).text
    for words in ("Value fill", "Unit fill", "Line stock-outs", "with a value fill of", "oracle", "best in hindsight"):
        assert words in shown
    assert 'id="frontier-data"' in shown
    csv = await maria.get("/replay", params={"site": "central", "format": "csv"})
    assert csv.text.splitlines()[0].startswith(
        "policy,stockout_value,value_share,turnover,line_stockout,unit_fill,value_fill"
    )
    told = await maria.get("/api/v1/replay", params={"site": "central"})
    assert told.status_code == 200
    assert {"policies", "frontier", "oracle", "comparisons"} <= set(told.json()["replay"])


async def test_api_says_that_nothing_was_played(maria: httpx.AsyncClient) -> None:
    assert (await maria.get("/api/v1/replay", params={"site": "north"})).status_code == 404
    assert (await maria.get("/api/v1/replay")).status_code == 400
