"""Campaigns and prices on their time axis: planned for several items at once, moved, ended, called off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import pytest
from data_seed import seed_data
from headquarters import Headquarters
from seeded_network import browser
from test_pages_work import check

from cloud.store import plans
from cloud.store.database import writing
from cloud.web.plan_calendar import axis_of, campaign_lines, price_lines, state_of

#: The first day is Monday 2026-01-05.
NEW = {"site_id": "north", "name": "Tea weeks", "first_day": "2026-01-26", "last_day": "2026-02-08", "uplift": "30"}


@pytest.fixture
async def shop(headquarters: Headquarters) -> Headquarters:
    """A headquarters with master data."""
    await seed_data(headquarters)
    return headquarters


@pytest.fixture
async def maria(shop: Headquarters) -> AsyncIterator[httpx.AsyncClient]:
    """An owner at the keyboard."""
    async with await browser(shop) as client:
        yield client


def change(action: str, first_day: str, last_day: str, site: str = "north") -> dict[str, str]:
    name = "tea-weeks-2026-01-26"
    return {"site_id": site, "id": name, "first_day": first_day, "last_day": last_day, "action": action}


async def campaigns(shop: Headquarters) -> list[tuple[Any, ...]]:
    return await shop.rows(plans.campaign, "site_id", "item", "first_day", "last_day", "uplift")


async def plan(maria: httpx.AsyncClient) -> None:
    answer = await maria.post("/plans/new", data=NEW | {"which": "found", "search": "tea"})
    assert (answer.status_code, answer.headers.get("location")) == (303, "/plans"), answer.text


async def test_a_campaign_is_planned_for_all_items_that_are_found(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/plans/new?search=tea&name=Tea+weeks")).text
    check(page)
    assert 'value="TEA-100"' in page
    assert 'value="CUP-050"' not in page
    await plan(maria)
    assert await campaigns(shop) == [
        ("north", "TEA-100", "2026-01-26", "2026-02-08", 300),
        ("north", "TEA-200", "2026-01-26", "2026-02-08", 300),
    ]
    page = (await maria.get("/plans")).text
    check(page)
    assert "Tea weeks" in page
    assert "+30 %" in page
    assert "/items/TEA-200?site=north" in page
    assert await plan(maria) is None  # the same once more is another campaign, not the first one overwritten
    assert len(await campaigns(shop)) == 4


async def test_what_is_wrong_with_a_campaign_is_told_and_what_was_typed_stays(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    for changed, told in (
        ({"first_day": "2026-02-09"}, "is before first day"),
        ({"name": ""}, "Name: is missing"),
        ({"uplift": "lots"}, "Planned uplift: write a number"),
        ({"first_day": "2025-12-01", "last_day": "2025-12-31"}, "is over; today is 2026-01-05"),
        ({"which": "chosen"}, "choose some"),
        ({"which": "chosen", "item": "NOPE"}, "NOPE is not known"),
    ):
        form = NEW | {"which": "every"} | changed
        answer = await maria.post("/plans/new", data=form)
        assert answer.status_code == 400, changed
        assert told in answer.text, (changed, told)
        assert f'name="last_day" value="{form["last_day"]}"' in answer.text
    assert await campaigns(shop) == []


async def test_a_campaign_moves_by_weeks_until_it_has_begun(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    await plan(maria)
    assert (await maria.post("/plans/change", data=change("later", "2026-01-26", "2026-02-08"))).status_code == 303
    assert {row[2:4] for row in await campaigns(shop)} == {("2026-02-02", "2026-02-15")}
    stale = await maria.post("/plans/change", data=change("earlier", "2026-01-26", "2026-02-08"))
    assert stale.status_code == 409  # somebody's page is older than the campaign
    days = [("2026-02-02", "2026-02-15"), ("2026-01-26", "2026-02-08"), ("2026-01-19", "2026-02-01")]
    for first, last in (*days, ("2026-01-12", "2026-01-25")):
        assert (await maria.post("/plans/change", data=change("earlier", first, last))).status_code == 303
    # it begins today: only its end moves now
    assert (await maria.post("/plans/change", data=change("later", "2026-01-05", "2026-01-18"))).status_code == 303
    assert {row[2:4] for row in await campaigns(shop)} == {("2026-01-05", "2026-01-25")}
    called_off = await maria.post("/plans/change", data=change("call off", "2026-01-05", "2026-01-25"))
    assert called_off.status_code == 409
    assert (await maria.post("/plans/change", data=change("end", "2026-01-05", "2026-01-25"))).status_code == 303
    assert {row[2:4] for row in await campaigns(shop)} == {("2026-01-05", "2026-01-05")}


async def test_a_campaign_that_has_not_begun_is_called_off_after_a_question(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    await plan(maria)
    question = await maria.get("/plans/call-off?site_id=north&id=tea-weeks-2026-01-26")
    check(question.text)
    assert "Call off Tea weeks?" in question.text
    assert (await maria.post("/plans/change", data=change("end", "2026-01-26", "2026-02-08"))).status_code == 400
    assert (await maria.post("/plans/change", data=change("call off", "2026-01-26", "2026-02-08"))).status_code == 303
    assert await campaigns(shop) == []
    assert (await maria.get("/plans/call-off?site_id=north&id=tea-weeks-2026-01-26")).status_code == 404


async def test_planners_plan_for_their_sites_alone(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    await maria.post("/plans/new", data=NEW | {"site_id": "", "which": "every"})
    async with await browser(shop, "planner", "north", "pia") as pia:
        page = (await pia.get("/plans")).text
        assert "Tea weeks" in page  # what holds everywhere holds here
        assert "Call off" not in page
        assert "every site" not in (await pia.get("/plans/new")).text
        assert (await pia.post("/plans/new", data=NEW | {"which": "every"})).status_code == 303
        for other in ("", "south"):
            assert (await pia.post("/plans/new", data=NEW | {"site_id": other, "which": "every"})).status_code in (
                403,
                404,
            )
        refused = await pia.post("/plans/change", data=change("later", "2026-01-26", "2026-02-08", ""))
        assert refused.status_code == 403
    async with await browser(shop, "viewer", user="vic") as vic:
        assert (await vic.get("/plans")).status_code == 200
        assert (await vic.get("/plans/new")).status_code == 403
    assert [row[0] for row in await campaigns(shop)] == ["", "north"]


async def test_prices_are_shown_with_what_held_before(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    async with writing(shop.engine) as conn:
        for day, price in (("2025-11-01", 4_990_000), ("2026-02-02", 4_490_000), ("2026-03-02", 5_290_000)):
            row = {"site_id": "north", "item": "TEA-100", "day": day, "price_micro": price}
            await conn.execute(plans.price_plan.insert().values(**row))
    page = (await maria.get("/plans?site=north")).text
    assert "▼ 2026-02-02: 4.49 EUR, was 4.99 EUR" in page
    assert "▲ 2026-03-02: 5.29 EUR, was 4.49 EUR" in page
    assert "2025-11-01" not in page
    assert "4.49" not in (await maria.get("/plans?site=south")).text


def test_the_axis_begins_on_monday_and_places_days_on_it() -> None:
    axis = axis_of(date(2026, 1, 8))
    assert (axis.first, axis.last) == (date(2026, 1, 5), date(2026, 7, 5))
    assert [axis.place(day) for day in (date(2025, 12, 1), axis.first, date(2026, 4, 6), date(2027, 1, 1))] == [
        0,
        0,
        50,
        100,
    ]
    assert [name for _, name in axis.months()] == ["Jan 2026", "Feb", "Mar", "Apr", "May", "Jun"]
    assert state_of(date(2026, 1, 8), date(2026, 1, 8), date(2026, 1, 8)) == "running"


def test_rows_of_one_campaign_are_one_line() -> None:
    row = {"site_id": "n", "id": "c", "name": "C", "first_day": "2026-01-05", "last_day": "2026-01-11", "uplift": 200}
    rows = [row | {"item": "a"}, row | {"item": "b", "uplift": -55, "last_day": "2026-01-18"}, row | {"item": ""}]
    axis = axis_of(date(2026, 1, 5))
    (line,) = campaign_lines(rows, {"a": "A"}, axis, {"n": date(2026, 1, 1)})
    assert (line.uplift, line.days, line.every_item, line.state) == ("−5.5 % to +20 %", 14, True, "planned")
    assert line.items == [("a", "A"), ("b", "")]
    assert (line.left, line.width) == (0, axis.place(date(2026, 1, 19)))
    price = {"site_id": "", "item": "a", "currency": "EUR"}
    changes = [
        price | {"day": "2026-02-02", "price_micro": 1_234_567},
        price | {"day": "2026-02-09", "price_micro": 1_000_000},
    ]
    (marks,) = price_lines(changes, {}, {}, axis)
    assert [mark.way for mark in marks.marks] == ["new", "down"]
    assert marks.marks[1].text == "2026-02-09: 1.00 EUR, was 1.234567 EUR"
