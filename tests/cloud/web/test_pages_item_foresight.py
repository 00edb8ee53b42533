"""An item's page: campaigns and what if, what the forecast rests on, forecast against what came, odd orders left out."""

from __future__ import annotations

import re
from datetime import date, timedelta

import httpx
from seeded_network import Network, decide_network
from sqlalchemy import select

from cloud.forecasts.forecast import FAN_LEVELS, LEVELS, Forecast
from cloud.store import lanes, plans, schema
from cloud.store.database import reading, writing
from cloud.web.item_foresight import Outcome, Told, model_words, told


def a_forecast() -> Forecast:
    """Of 40 in eight days, 10 to 70 in nine of ten cases."""
    quantiles = tuple(10.0 if level <= 0.05 else 40.0 if level < 0.95 else 70.0 for level in LEVELS)
    return Forecast(
        version="v", site="north", item="tea", origin="2026-01-05", period_days=1, demand_class="smooth",
        models=("SeasonalNaive", "SES"), history=400, censored=0, lead_time=7.0, lead_time_sd=0.0, review=1.0, rate=5.0,
        line_size=5.0, mean=40.0, levels=LEVELS, quantiles=quantiles, fan_levels=FAN_LEVELS, fan=((1.0,) * 5,) * 28,
        error=0.2, inputs="", weights=(0.25, 0.75),
    )  # fmt: skip


def day(ahead: int) -> str:
    return (date(2026, 1, 5) + timedelta(days=ahead)).isoformat()


async def plan(network: Network, first: int, last: int) -> None:
    row = ("north", "C-<1>", "TEA-100", "Tea & <week>", day(first), day(last), 500, network.now)
    async with writing(network.headquarters.engine) as conn:
        await lanes.put(conn, plans.campaign, [row])


async def test_a_campaign_is_shown_and_supposed_otherwise(network: Network, maria: httpx.AsyncClient) -> None:
    await plan(network, 1, 2)
    await decide_network(network)
    page = (await maria.get("/items/TEA-100", params={"site": "north"})).text
    assert "Tea &amp; &lt;week&gt;" in page
    assert "+50 %" in page
    assert "as supposed" not in page
    wanted = {"site": "north", "campaign": "C-<1>", "out": "true"}
    supposed = (await maria.get("/items/TEA-100", params=wanted)).text
    table = supposed[supposed.index("nothing is stored") :]
    planned, other = (
        float(re.sub(r"[^\d.]", "", re.search(rf"{name}</th><td class=\"num\">([^<]+)<", table)[1]))  # type: ignore[index]
        for name in ("as planned", "as supposed")
    )
    assert other < 0.9 * planned
    answer = await maria.get(
        "/api/v1/forecasts/north/TEA-100/what-if", params={"campaign": "C-<1>", "left_out": "true"}
    )
    body = answer.json()
    assert (body["counts"], body["share"]) == (True, 1.0)
    assert body["after"]["mean"] < body["before"]["mean"]
    refused = await maria.get("/items/TEA-100", params=wanted | {"campaign": "none"})
    assert refused.status_code == 404
    assert "o campaign none concerns TEA-100 at north" in refused.text
    assert (await maria.get("/items/TEA-100", params=wanted | {"shift": "900"})).status_code == 400


async def test_an_odd_order_is_left_out_with_one_click_and_counts_again(
    network: Network, maria: httpx.AsyncClient
) -> None:
    async with writing(network.headquarters.engine) as conn:
        rows: list[lanes.Row] = [
            ("north", f"SO-{n}", 1, "outbound-order", "closed", "CUP-050", "", 900 if n == 105 else 8 + n % 3,
             day(n - 120), 0, "")
            for n in range(100, 113)
        ]  # fmt: skip
        await lanes.append(conn, schema.document_line, rows)
    where = {"site": "north", "document": "SO-105", "line": "1"}
    page = (await maria.get("/items/CUP-050", params={"site": "north"})).text
    orders = page[page.index('id="orders"') :]
    assert "SO-105" in orders
    assert "SO-106" not in orders
    answer = await maria.post("/items/CUP-050/bulk", data=where | {"action": "leave-out"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/items/CUP-050?site=north#orders")
    page = (await maria.get("/items/CUP-050", params={"site": "north"})).text
    assert "left out" in page[page.index('id="orders"') :]
    again = await maria.post("/api/v1/bulk-orders", json={"site": "north", "document": "SO-105", "line": 1})
    assert again.status_code == 409
    undone = await maria.post("/api/v1/bulk-orders/undo", json={"site": "north", "document": "SO-105", "line": 1})
    assert undone.status_code == 200
    async with reading(network.headquarters.engine) as conn:
        actions = (
            await conn.execute(select(schema.audit.c.action).where(schema.audit.c.subject == "SO-105"))
        ).scalars()
        assert list(actions) == ["bulk-order.mark", "bulk-order.unmark"]


def test_a_past_forecast_stands_beside_what_came() -> None:
    made = a_forecast()
    first = date.fromisoformat(made.origin).toordinal() - 3
    assert told(made, (9,) * 3 + (5,) * 4, first) is None  # its eight days are not over
    found = told(made, (9,) * 3 + (5,) * 8 + (9,) * 2, first)
    assert found == Told(made.origin, 8, 40.0, 10.0, 70.0, 40)
    young = told(made, (5,) * 30, first + 10)
    assert young is not None
    assert young.came == 5  # it was wanted from the last of the eight days on
    outcome = Outcome([found, Told(made.origin, 8, 40.0, 10.0, 30.0, 60)])
    assert outcome.coverage == 0.5
    assert outcome.bias is not None
    assert round(outcome.bias, 6) == -0.2


def test_models_are_told_in_words_with_their_weights() -> None:
    words = model_words(a_forecast())
    assert words == "75 % exponential smoothing, 25 % the same weeks of last year"
