"""Purchase orders on pages: two people, taking back, sending by hand, the supplier's answer, and what is late."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest
from seeded_network import Network, browser, decide_network
from sqlalchemy import event
from test_pages_work import check, first_proposal

from cloud.store import plans, schema
from cloud.store.database import writing

#: Queries of one page at most, the session's and the frame's included.
MOST_QUERIES = 18


async def accepted(network: Network, maria: httpx.AsyncClient) -> tuple[Any, str, str]:
    """A proposal that maria accepted, its order's number, and its page."""
    await decide_network(network)
    proposal = await first_proposal(network)
    await maria.post(f"/recommendations/{proposal.site_id}/{proposal.id}", data={"action": "accept"})
    order = "PO-" + proposal.id.removeprefix("REC-")
    return proposal, order, f"/purchases/{proposal.site_id}/{order}"


async def test_an_order_is_followed_from_its_reason_to_the_suppliers_answer(
    network: Network, maria: httpx.AsyncClient
) -> None:
    proposal, order, path = await accepted(network, maria)
    listed = (await maria.get("/purchases")).text
    check(listed)
    assert path in listed
    page = (await maria.get(path)).text
    check(page)
    assert "should be sent by hand in 15 min" in page
    assert f"/recommendations/{proposal.site_id}/{proposal.id}" in page
    assert (await maria.post(path, data={"action": "sent", "reason": "by fax"})).status_code == 303
    page = (await maria.get(path)).text
    assert "It went out" in page
    assert "Take back" not in page
    day = (await rows(maria, "state=open"))[0]["due_day"]
    form = {
        "action": "answer",
        "state": "changed",
        "quantity-1": "12",
        "day-1": "2027-03-01",
        "reason": "a <b>strike</b>",
    }
    assert (await maria.post(path, data=form)).status_code == 303
    page = (await maria.get(path)).text
    check(page)
    assert "It is promised for 2027-03-01, after the day it is wanted" in page
    assert "<b>strike</b>" not in page
    (row,) = [one for one in await rows(maria, "state=open") if one["order"] == order]
    assert (row["due_day"], row["answer"], row["promised_late"], row["sending"]) == (
        "2027-03-01",
        "changed",
        "yes",
        "sent",
    )
    assert row["wanted_day"] == day
    assert order in (await maria.get("/exceptions")).text


async def rows(client: httpx.AsyncClient, query: str) -> list[dict[str, str]]:
    """The list's CSV twin."""
    return list(csv.DictReader(io.StringIO((await client.get(f"/purchases?{query}&format=csv")).text)))


async def test_an_order_is_taken_back_on_its_card_and_on_its_page(network: Network, maria: httpx.AsyncClient) -> None:
    proposal, order, path = await accepted(network, maria)
    card = f"/recommendations/{proposal.site_id}/{proposal.id}"
    assert "goes out in 15 min" in (await maria.get(card)).text
    script = {"hx-request": "true"}
    back = await maria.post(card, data={"action": "undo", "reason": "wrong shop"}, headers=script)
    assert "Taken back by maria: wrong shop." in back.text
    assert 'value="accept"' in back.text
    assert [one for one in await rows(maria, "state=open") if one["order"] == order] == []
    await maria.post(card, data={"action": "accept"})
    assert (await maria.post(path, data={"action": "undo"})).status_code == 303
    assert "cancelled" in (await maria.get(path)).text
    late = await maria.post(path, data={"action": "undo"})
    assert late.status_code in (404, 409)
    check(late.text)


async def test_a_second_person_is_asked_for_on_the_card(network: Network, maria: httpx.AsyncClient) -> None:
    async with writing(network.headquarters.engine) as conn:
        await conn.execute(plans.autonomy.insert().values(site_id="", category="", four_eyes_minor=0))
    proposal, order, _ = await accepted(network, maria)
    card = f"/recommendations/{proposal.site_id}/{proposal.id}"
    page = (await maria.get(card)).text
    check(page)
    assert f"Approved by maria for {proposal.quantity}, waits for a second person." in page
    again = await maria.post(card, data={"action": "accept"})
    assert again.status_code == 409
    assert "a second, different person must approve it now" in again.text
    async with await browser(network.headquarters, user="ben") as ben:
        await ben.post(card, data={"action": "accept", "quantity": str(proposal.quantity)})
        page = (await ben.get(card)).text
    assert "Accepted by ben" in page
    assert "first approved by maria" in page
    assert order in page


async def test_what_the_policy_released_says_so(network: Network, maria: httpx.AsyncClient) -> None:
    limits = {"release_minor": 10**9, "daily_minor": 10**9, "least_confidence": 0, "most_cover_days": 10**6}
    async with writing(network.headquarters.engine) as conn:
        await conn.execute(schema.supplier.insert().values(id="hall-trade"))
        await conn.execute(plans.autonomy.insert().values(site_id="", category="", **limits))
    proposal, _, _ = await accepted(network, maria)  # the first order is a person's
    engine = network.headquarters.engine
    r = schema.recommendation.c
    async with writing(engine) as conn:
        await conn.execute(schema.recommendation.delete().where(r.state == "proposed"))
        await conn.execute(schema.recommendation.update().values(state="fulfilled"))
        await conn.execute(schema.document.update().where(schema.document.c.id != "PO-1").values(state="closed"))
        await conn.execute(schema.document_line.update().values(state="closed"))
    network.headquarters.runtime.start_us += 1_000_000
    await decide_network(network)
    done = (await maria.get(f"/recommendations?state=under+way&site={proposal.site_id}")).text
    check(done)
    assert "Auto-accepted by policy */*" in done
    assert "Released by policy */*:" in done
    assert "Take back" in done


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"action": "answer", "state": "changed"}, 400, "change a quantity or a day"),
        (
            {"action": "answer", "state": "changed", "quantity-1": "many"},
            400,
            "quantity of line 1: write a whole number",
        ),
        ({"action": "answer", "state": "changed", "day-1": "soon"}, 400, "day of line 1: soon is no date"),
        ({"action": "answer", "state": "perhaps"}, 400, "state"),
        ({"action": "burn"}, 400, "action"),
        ({"action": "again"}, 409, "did not fail"),
        ({}, 400, "action is missing"),
    ],
)
async def test_a_form_that_cannot_be_used_is_told_in_one_sentence(
    network: Network, maria: httpx.AsyncClient, form: dict[str, str], status: int, text: str
) -> None:
    _, _, path = await accepted(network, maria)
    answer = await maria.post(path, data=form)
    assert answer.status_code == status, answer.text
    assert text in answer.text.lower()
    check(answer.text)


async def test_who_may_only_look_sees_no_button_and_cannot_act(network: Network, maria: httpx.AsyncClient) -> None:
    _, _, path = await accepted(network, maria)
    async with await browser(network.headquarters, role="viewer", user="vic") as vic:
        page = (await vic.get(path)).text
        assert "Take back" not in page
        assert "Sent by hand" not in page
        assert (await vic.post(path, data={"action": "sent"})).status_code == 403
        assert (await vic.post(path, data={"action": "undo"})).status_code == 403


@pytest.mark.sqlite  # another process is asked for news meanwhile, which would be counted too
async def test_the_pages_ask_few_queries_however_many_orders_there_are(
    network: Network, maria: httpx.AsyncClient
) -> None:
    _, _, path = await accepted(network, maria)
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    seen: list[int] = []
    event.listen(network.headquarters.engine.sync_engine, "before_cursor_execute", note)
    for _ in range(2):
        for one in ("/purchases", path, "/recommendations?state=under+way"):
            count = 0
            assert (await maria.get(one)).status_code == 200
            assert count <= MOST_QUERIES, (one, count)
            seen.append(count)
        for row in await network.headquarters.rows(schema.recommendation, "site_id", "id", "state"):
            if row[2] == "proposed":
                await maria.post(f"/recommendations/{row[0]}/{row[1]}", data={"action": "accept"})
    assert seen[:3] == seen[3:]
