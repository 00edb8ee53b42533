"""One site, one recording gateway: codes are good once and for an hour; a replacement revokes; the downlink tells."""

from __future__ import annotations

import asyncio

import pytest
from headquarters import DOCK, SUPPLIER, Gateway, Headquarters, movement

from cloud.errors import ConflictError, NotFoundError
from cloud.ingest import commands
from cloud.ingest.enrolment import make_code
from cloud.store import schema
from cloud.store.database import writing
from vocabulary.movement import Content, UnitEntry
from vocabulary.records import CommandResult
from vocabulary.wire import IdentifyItem

NOW = 1_767_600_000_000_000


async def code_for(headquarters: Headquarters, site: str, *, replaces: bool = False) -> str:
    async with writing(headquarters.engine) as conn:
        return await make_code(conn, headquarters.runtime, site, replaces=replaces, actor="test")


async def test_a_code_is_good_once(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    code = await code_for(headquarters, "north")
    first = await Gateway(headquarters.client, headquarters.runtime, seed=1).enrol(code.lower().replace("-", " "))
    assert first.json() | {"server_time": 0} == {
        "gateway": first.json()["gateway"], "site": "north", "name": "North", "zone": "Europe/Berlin",
        "opening_pages": 0, "server_time": 0,
    }  # fmt: skip
    again = await Gateway(headquarters.client, headquarters.runtime, seed=2).enrol(code)
    assert again.status_code == 403
    assert code.encode() not in (await headquarters.rows(schema.enrolment_code))[0]


@pytest.mark.sqlite
async def test_a_code_ends_after_an_hour(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    code = await code_for(headquarters, "north")
    await asyncio.sleep(3_601)
    assert (await Gateway(headquarters.client, headquarters.runtime).enrol(code)).status_code == 403


async def test_a_second_gateway_needs_a_replacing_code(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    with pytest.raises(NotFoundError):
        await code_for(headquarters, "nowhere")
    early = await code_for(headquarters, "north")
    old = await headquarters.add_gateway()
    with pytest.raises(ConflictError, match="--replace"):
        await code_for(headquarters, "north")
    assert (await Gateway(headquarters.client, headquarters.runtime, seed=2).enrol(early)).status_code == 409
    old.record(
        movement(
            "receiving",
            SUPPLIER,
            DOCK,
            NOW,
            [("A", 9)],
            units=(UnitEntry("00/106141412345678908", holds=(Content("A", 9),)),),
        )
    )
    await old.push()
    new = Gateway(headquarters.client, headquarters.runtime, seed=2, epoch=5)
    answer = await new.enrol(await code_for(headquarters, "north", replaces=True))
    assert answer.json()["opening_pages"] == 1
    page = (await new.send("GET", f"/v1/gateways/{new.id}/opening?page=0")).json()
    assert [(one["account"], one["item"], one["quantity"]) for one in page["balances"]] == [
        (["dock-1", "available"], "A", 9)
    ]
    assert [(one["unit"], one["holds"]) for one in page["units"]] == [
        ("00/106141412345678908", [{"item": "A", "quantity": 9}])
    ]
    old.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)]))
    refused = await old.push(2, 2)
    assert (refused.status_code, refused.json()["type"]) == (409, "revoked")


async def test_guessing_codes_is_slowed_down(headquarters: Headquarters) -> None:
    stranger = Gateway(headquarters.client, headquarters.runtime)
    answers = [(await stranger.enrol("AAAAA")).status_code for _ in range(12)]
    assert answers[:10] == [403] * 10
    assert answers[10:] == [429, 429]


@pytest.mark.sqlite
async def test_the_downlink_waits_for_news_and_a_command_stays_until_its_result(headquarters: Headquarters) -> None:
    await headquarters.add_site(count_difference=7)
    gateway = await headquarters.add_gateway()
    path = f"/v1/gateways/{gateway.id}/downlink"
    first = await gateway.send("GET", path)
    assert first.json()["thresholds"] == {"count_difference": 7}
    etag = first.headers["etag"]
    began = headquarters.runtime.monotonic()
    unchanged = await gateway.send("GET", path + "?wait=25", **{"if-none-match": etag})
    assert unchanged.status_code == 304
    assert 25_000_000 <= headquarters.runtime.monotonic() - began < 26_000_000

    key = await headquarters.key("owner")
    poll = asyncio.ensure_future(gateway.send("GET", path + "?wait=25", **{"if-none-match": etag}))
    await asyncio.sleep(3)
    began = headquarters.runtime.monotonic()
    await headquarters.client.put("/api/v1/items", json=[{"id": "A", "name": "Apples"}], headers=key)
    news = await poll
    assert headquarters.runtime.monotonic() - began < 1_000_000
    assert [one["id"] for one in news.json()["items"]] == ["A"]

    etag = news.headers["etag"]
    poll = asyncio.ensure_future(gateway.send("GET", path + "?wait=25", **{"if-none-match": etag}))
    await asyncio.sleep(3)
    headquarters.app.state["services"].changes.close()  # the program stops
    began = headquarters.runtime.monotonic()
    assert (await poll).status_code == 304
    assert headquarters.runtime.monotonic() - began < 1_000_000

    async with writing(headquarters.engine) as conn:
        command = await commands.send(conn, headquarters.runtime, "north", IdentifyItem("09506000134352", "A"), "ann")
    told = (await gateway.send("GET", path)).json()["commands"]
    assert [(one["id"], one["order"]["type"]) for one in told] == [(command, "identify-item")]
    gateway.record(CommandResult(command, NOW, "done"))
    await gateway.push()
    assert (
        "commands" not in (await gateway.send("GET", path)).json()
        or not (await gateway.send("GET", path)).json()["commands"]
    )
    assert await headquarters.rows(schema.command, "result") == [("done",)]
