"""A site's own backtest: in the background, kept, told on its page and by the API; drivers by week."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from math import exp, log
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from headquarters import open_headquarters
from seeded_network import Network, browser, seed_network
from sqlalchemy import insert
from virtual import VirtualRuntime

from cloud.forecasts.forecast import Driver
from cloud.forecasts.panel import Values
from cloud.replay import site_backtest
from cloud.replay.backtest import Backtest, backtest
from cloud.replay.site_backtest import Task, in_a_process, in_weeks
from cloud.replay.studies import Progress, Studies
from cloud.store import plans
from cloud.store.database import writing


@pytest.fixture
async def network(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Network]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        yield await seed_network(opened)


@pytest.fixture
async def maria(network: Network) -> AsyncIterator[httpx.AsyncClient]:
    async with await browser(network.headquarters) as client:
        yield client


def naive(name: str, histories: list[Values], horizon: int, season: int) -> Values:
    """Every named model as the mean of the last weeks: what they are is not what is tested here."""
    return np.asarray([np.full(horizon, history[-8:].mean() if len(history) else 0.0) for history in histories])


def measure(task: Task, progress: Progress) -> bytes:
    """As the worker does, without its libraries."""
    found = backtest(
        task.demand, horizon=task.horizon, folds=task.folds, learn=None, path_forecasts=naive, watch=lambda: 0.0,
        progress=lambda stage, done, total: progress(done, total),
    )  # fmt: skip
    return msgspec.json.encode(found)


async def a_year_before(network: Network, site: str) -> None:
    """History of a year of two items, with the campaigns of one."""
    drawn = np.random.default_rng(4)
    today = datetime.fromtimestamp(network.now / 1e6, UTC).date()
    rows: list[dict[str, object]] = []
    for back in range(400, 30, -1):
        for item, mean in (("TEA-100", 9.0), ("KET-017", 1.4)):
            more = 1.8 if item == "TEA-100" and back % 42 < 7 else 1.0
            day = (today - timedelta(days=back)).isoformat()
            quantity = int(drawn.poisson(mean * more))
            rows.append({"site_id": site, "item": item, "day": day, "quantity": quantity, "empty": False})
    async with writing(network.headquarters.engine) as conn:
        await conn.execute(insert(plans.demand_history), rows)


async def press(client: httpx.AsyncClient, page: str, site: str) -> httpx.Response:
    """Press the page's button."""
    form = page[page.index('<form method="post" action="/forecasts"') :]
    hidden = form.split('type="hidden" name="')[1]
    name, value = hidden.split('"')[0], hidden.split('value="')[1].split('"')[0]
    return await client.post("/forecasts", data={"site": site, name: value}, follow_redirects=False)


async def test_the_page_starts_tells_and_keeps_a_backtest(
    network: Network, maria: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = await maria.get("/forecasts", params={"site": "central"})
    assert "Not measured yet" in short.text
    refused = await press(maria, short.text, "central")
    assert refused.status_code == 400
    assert "import demand history" in refused.text
    await a_year_before(network, "central")
    monkeypatch.setattr(site_backtest.begin_backtest, "__defaults__", (measure,))
    started = await press(maria, short.text, "central")
    assert started.status_code == 303, started.text
    studies = maria._transport.app.state["studies"]  # pyright: ignore
    assert isinstance(studies, Studies)
    await studies.settled()
    page = (await maria.get(started.headers["location"])).text
    for words in (
        "Evercount&#39;s forecast",
        "same week of last year",
        "Error over lead time",
        "Pinball, 99 %",
        "Bias",
    ):
        assert words in page
    told = (await maria.get("/api/v1/backtests", params={"site": "central"})).json()
    assert told["items"] == 8
    assert told["backtest"]["default"]["lead_time_wape"] < 1
    csv = (await maria.get("/forecasts", params={"site": "central", "format": "csv"})).text
    assert csv.splitlines()[0].startswith("class,model,forecasts,lead_time_wape,wape,rmsse,wrmsse,bias,kept_0.9")
    runs = (await maria.get("/api/v1/backtests/runs", params={"site": "central"})).json()["items"]
    assert [run["state"] for run in runs] == ["done"]


async def test_a_study_whose_process_is_gone_says_so(network: Network, maria: httpx.AsyncClient) -> None:
    async with writing(network.headquarters.engine) as conn:
        row = {"site_id": "north", "kind": "backtest", "started_at": 1, "actor": "ada", "state": "running", "text": "x"}
        await conn.execute(plans.study.insert().values(**row, body=b'{"done":3,"total":20,"at":5}'))
    page = (await maria.get("/forecasts", params={"site": "north"})).text
    assert "headquarters stopped while this was calculated" in page


async def test_who_may_only_read_cannot_start_one(network: Network) -> None:
    async with await browser(network.headquarters, "viewer", user="paul") as paul:
        page = await paul.get("/forecasts", params={"site": "north"})
        assert page.status_code == 200
        assert "Measure it now" not in page.text
        answer = await paul.post("/api/v1/backtests", json={"site": "north"})
        assert answer.status_code == 403


@pytest.mark.real
@pytest.mark.timeout(300)  # importing its libraries takes five seconds of a free machine
def test_the_worker_process_measures_and_tells_how_far_it_is() -> None:
    drawn = np.random.default_rng(2)
    table = drawn.poisson(8.0, (3, 40)).astype(float)
    labels = tuple(str(week) for week in range(40))
    task = Task((("n", "a"), ("n", "b"), ("n", "c")), table.tobytes(), 700_000, (1.0,) * 3, labels, (), "", 2, 2)
    steps: list[tuple[int, int]] = []
    found = msgspec.json.decode(in_a_process(task, lambda done, total: steps.append((done, total))), type=Backtest)
    assert (found.series, found.folds, found.horizon) == (3, 2, 2)
    assert set(found.models) == {"default", "SES", "IMAPA", "SeasonalNaive", "LightGBM"}
    assert steps[0] == (0, 10)
    assert steps[-1] == (10, 10)


def test_a_campaign_of_some_days_counts_for_its_part_of_the_week() -> None:
    week = 700_000
    one = Driver(
        "campaigns", (week + 12, week + 13, week + 14), (log(1.7),) * 3, (True,) * 3, since=(9, 11, 10), expected=True
    )
    made = in_weeks(one, week)
    assert made.dates == (week + 7, week + 14)
    assert [exp(value) - 1 for value in made.values] == pytest.approx([0.7 * 2 / 7, 0.7 / 7])
    assert made.since == (11, 10)
    price = Driver("price", (week + 1,), (0.2,), (True,), holds=True)
    assert in_weeks(price, week) is price
    rain = Driver("rain", (week, week + 1), (1.0, 2.0), (False, False))
    assert in_weeks(rain, week) is rain
    assert in_weeks(Driver("leaflet", (week, week + 1), (1.0, 1.0), (True, True)), week).values == pytest.approx(
        (2 / 7,)
    )
