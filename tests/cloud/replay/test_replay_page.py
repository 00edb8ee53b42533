"""The replay of the ledger's own demand: page, file and API; kept, listed, stopped; its setting put to use; who may do that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from headquarters import open_headquarters
from seeded_network import Network, browser, seed_network
from sqlalchemy import insert, select, update
from virtual import VirtualRuntime

from cloud.replay import slider
from cloud.replay.studies import Studies
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


@pytest.fixture(autouse=True)
def short_slider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole slider costs seconds."""
    monkeypatch.setattr(slider, "_POSITIONS", (0.1, 1.0, 10.0))


async def a_year_before(network: Network, site: str) -> None:
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
        await conn.execute(update(schema.term).values(lead_time_days=28.0, lead_time_sd=7.0))


async def post(client: httpx.AsyncClient, path: str, **form: object) -> httpx.Response:
    """Send a form as the page does."""
    return await client.post(path, data={name: str(value) for name, value in form.items()}, follow_redirects=False)


async def settled(network: Network) -> None:
    """Wait until nothing is calculated any more."""
    app = network.headquarters.app
    found = app.state["studies"]
    assert isinstance(found, Studies)
    await found.settled()


async def test_short_history_is_said_not_played(maria: httpx.AsyncClient) -> None:
    page = await maria.get("/replay", params={"site": "central"})
    assert page.status_code == 200
    assert "Not played yet" in page.text
    answer = await post(maria, "/replay", site="central")
    assert answer.status_code == 400
    assert "a replay needs 30" in answer.text


async def test_page_tells_words_figures_and_frontier(network: Network, maria: httpx.AsyncClient) -> None:
    await a_year_before(network, "central")
    answer = await post(maria, "/replay", site="central")
    assert answer.status_code == 303, answer.text
    await settled(network)
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
    assert (await maria.get("/api/v1/replay/runs", params={"site": "north"})).json() == {"items": []}


async def test_every_run_is_kept_with_its_settings(network: Network, maria: httpx.AsyncClient) -> None:
    await a_year_before(network, "central")
    started: list[int] = []
    for unserved in ("waits", "lost"):
        answer = await maria.post("/api/v1/replay", json={"site": "central", "unserved": unserved, "seeds": 1})
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "running"
        started.append(answer.json()["started_at"])
        await settled(network)
    runs = (await maria.get("/api/v1/replay/runs", params={"site": "central"})).json()["items"]
    assert [(one["started_at"], one["state"]) for one in runs] == [(at, "done") for at in reversed(started)]
    assert "is lost" in runs[0]["text"]
    assert "waits" in runs[1]["text"]
    first = await maria.get("/api/v1/replay", params={"site": "central", "started_at": started[0]})
    assert first.json()["replay"]["unserved"] == "waits"
    assert (await maria.get("/api/v1/replay", params={"site": "central"})).json()["replay"]["unserved"] == "lost"
    listed = (await maria.get("/replay", params={"site": "central"})).text
    assert f"run={started[0]}" in listed


async def test_a_setting_is_put_to_use_and_told(network: Network, maria: httpx.AsyncClient) -> None:
    await a_year_before(network, "central")
    await post(maria, "/replay", site="central", seeds=1)
    await settled(network)
    told = (await maria.get("/api/v1/replay", params={"site": "central"})).json()
    one = next(one for one in told["replay"]["comparisons"] if one["same_value_fill_reached"])
    asked = {"site": "central", "run": told["started_at"], "opponent": one["opponent"]}
    answer = await post(maria, "/replay/use", **asked)
    assert answer.status_code == 303, answer.text
    assert "now orders by the setting" in (await maria.get(answer.headers["location"])).text
    chosen = one["chosen_before"]
    async with reading(network.headquarters.engine) as conn:
        site = (await conn.execute(select(schema.site).where(schema.site.c.id == "central"))).mappings().one()
        audit = schema.audit.c
        rows = await conn.execute(select(audit.detail).where(audit.action == "site.use-replay"))
        (detail,) = (msgspec.json.decode(row.detail) for row in rows)
    assert site["service"] == round(chosen["cycle_service"] * 1_000)
    assert site["value_share"] == round(chosen["value_share"] * 1_000)
    assert detail["before"] == {"service": 950, "value_share": 0}
    assert detail["opponent"] == one["opponent"]
    async with writing(network.headquarters.engine) as conn:
        await conn.execute(update(schema.term).values(lead_time_days=4.0))
    await post(maria, "/replay", site="central", seeds=1)
    await settled(network)
    soon = (await maria.get("/api/v1/replay", params={"site": "central"})).json()["started_at"]
    coarse = await post(maria, "/replay/use", site="central", run=soon, opponent=one["opponent"])
    assert coarse.status_code == 409
    assert "too coarse" in coarse.text
    wrong = await post(maria, "/replay/use", site="central", run=told["started_at"], opponent="nobody")
    assert wrong.status_code == 404
    assert "nobody was not played" in wrong.text


async def test_viewers_look_and_change_nothing(network: Network, maria: httpx.AsyncClient) -> None:
    await a_year_before(network, "central")
    await post(maria, "/replay", site="central", seeds=1)
    await settled(network)
    async with await browser(network.headquarters, role="viewer", user="vera") as vera:
        page = (await vera.get("/replay", params={"site": "central"})).text
        assert "Value fill" in page
        assert "Play it now" not in page
        assert "Order by this setting" not in page
        for path, form in (
            ("/replay", {"site": "central"}),
            ("/replay/stop", {"site": "central"}),
            ("/replay/use", {"site": "central", "run": 1, "opponent": "static"}),
        ):
            assert (await post(vera, path, **form)).status_code == 403
        assert (await vera.post("/api/v1/replay", json={"site": "central"})).status_code == 403
