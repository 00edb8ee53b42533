"""Acting on pages: proposals become documents, exceptions are decided, silence turns grey, queries stay few."""

from __future__ import annotations

import asyncio
import re
from html import escape
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import pytest
import zstandard
from seeded_network import ITEMS, Network, decide_network
from sqlalchemy import event, select, update

from cloud.store import schema
from cloud.store.database import reading, writing
from vocabulary.place import Account
from vocabulary.wire import Advisory, BalanceLine, Command, DecideException

#: Queries of one page at most, the session's and the frame's included.
MOST_QUERIES = 26
PAGES = (
    "/", "/live", "/live?item=TEA-100", "/items/TEA-100", "/recommendations", "/recommendations?state=under+way",
    "/documents", "/documents/north/PO-1", "/exceptions", "/gateways", "/movements/north/4712/3", "/sign-in",
)  # fmt: skip
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Checked(HTMLParser):
    """Elements that are closed in order; nothing inline that the content security policy would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        assert "style" not in names, names
        assert not [name for name in names if name.startswith("on")], names
        if tag == "script":
            assert names.get("src") or names.get("type") == "application/json", names
        if tag == "th":
            assert names.get("scope") in ("col", "row"), self.open
        if tag == "img":
            assert "alt" in names
        if names.get("id"):
            self.ids.append(str(names["id"]))
        if tag in ("input", "select") and names.get("type") != "hidden":
            assert "label" in self.open, (tag, names)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())


def check(page: str) -> None:
    parser = Checked()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids)), parser.ids


async def first_proposal(network: Network) -> Any:
    r = schema.recommendation.c
    async with reading(network.headquarters.engine) as conn:
        query = select(r.site_id, r.id, r.quantity, r.item).where(r.state == "proposed").order_by(r.site_id, r.id)
        return (await conn.execute(query.limit(1))).one()


async def test_every_page_is_sound_html_and_escapes_names(network: Network, maria: httpx.AsyncClient) -> None:
    await decide_network(network)
    for path in PAGES:
        answer = await maria.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        check(answer.text)
        assert "<apricot>" not in answer.text
    assert escape("Jam, <apricot> & peach") in (await maria.get("/")).text


@pytest.mark.sqlite  # another process is asked for news meanwhile, which would be counted too
async def test_a_page_asks_few_queries_however_much_there_is(network: Network, maria: httpx.AsyncClient) -> None:
    await decide_network(network)
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    event.listen(network.headquarters.engine.sync_engine, "before_cursor_execute", note)
    seen: dict[str, int] = {}
    for path in PAGES:
        count = 0
        assert (await maria.get(path)).status_code == 200
        seen[path] = count
        assert count <= MOST_QUERIES, (path, count)
    async with writing(network.headquarters.engine) as conn:
        for number in range(60):
            await conn.execute(schema.item.insert().values(id=f"NEW-{number:03}", name=f"New {number}"))
            await conn.execute(
                schema.exception.insert().values(
                    site_id="south",
                    kind="device",
                    subject=f"door-{number}",
                    state="open",
                    at=1,
                    opened_at=1,
                    text="silent",
                )
            )
    for path in PAGES:
        count = 0
        await maria.get(path)
        assert count == seen[path], (path, count, seen[path])


async def test_accepting_makes_an_order_and_shows_it(network: Network, maria: httpx.AsyncClient) -> None:
    await decide_network(network)
    proposal = await first_proposal(network)
    path = f"/recommendations/{proposal.site_id}/{proposal.id}"
    assert path in (await maria.get("/recommendations")).text
    answer = await maria.post(path, data={"action": "accept", "quantity": str(proposal.quantity)})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    order = "PO-" + proposal.id.removeprefix("REC-")
    page = (await maria.get(path)).text
    assert order in page
    assert "Accepted by maria" in page
    assert (await maria.get(f"/documents/{proposal.site_id}/{order}")).status_code == 200
    assert path not in (await maria.get("/recommendations")).text
    assert path in (await maria.get("/recommendations?state=under+way")).text
    again = await maria.post(path, data={"action": "accept"})
    assert again.status_code == 409
    assert "already accepted" in again.text
    r = schema.recommendation.c
    async with writing(network.headquarters.engine) as conn:
        await conn.execute(
            update(schema.recommendation)
            .where(r.site_id == proposal.site_id, r.id == proposal.id)
            .values(state="fulfilled", changed_at=network.headquarters.runtime.now())
        )
    fulfilled = (await maria.get(path)).text
    assert "Accepted by maria" in fulfilled
    assert "Fulfilled when the receipt came" in fulfilled
    assert "Fulfilled by" not in fulfilled


async def test_another_quantity_is_an_edit(network: Network, maria: httpx.AsyncClient) -> None:
    await decide_network(network)
    proposal = await first_proposal(network)
    path = f"/recommendations/{proposal.site_id}/{proposal.id}"
    script = {"hx-request": "true"}
    card = await maria.post(path, data={"action": "accept", "quantity": str(proposal.quantity + 12)}, headers=script)
    assert card.status_code == 200
    assert card.text.lstrip().startswith("<article")
    assert "Edited by maria" in card.text
    line = schema.document_line.c
    async with reading(network.headquarters.engine) as conn:
        ordered = await conn.execute(select(line.quantity).where(line.document == "PO-" + proposal.id[4:]))
        assert ordered.scalar_one() == proposal.quantity + 12


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"action": "reject"}, 400, "say why"),
        ({"action": "reject", "reason": "over budget"}, 303, ""),
        ({"action": "accept", "quantity": "many"}, 400, "quantity: write a whole number"),
        ({"action": "accept", "quantity": "0"}, 400, "quantity"),
        ({"action": "snooze", "days": "3"}, 303, ""),
        ({"action": "snooze", "days": "9000"}, 400, "days: at most 365"),
        ({"action": "burn"}, 400, "action"),
        ({}, 400, "action is missing"),
    ],
)
async def test_answers_that_cannot_be_used_are_told_in_one_sentence(
    network: Network, maria: httpx.AsyncClient, form: dict[str, str], status: int, text: str
) -> None:
    await decide_network(network)
    proposal = await first_proposal(network)
    answer = await maria.post(f"/recommendations/{proposal.site_id}/{proposal.id}", data=form)
    assert answer.status_code == status, answer.text
    assert text.lower() in answer.text.lower()
    if status == 400:
        check(answer.text)
        script = {"hx-request": "true"}
        piece = await maria.post(f"/recommendations/{proposal.site_id}/{proposal.id}", data=form, headers=script)
        assert piece.headers["hx-retarget"] == "#messages"


async def test_deciding_an_exception_is_a_command_to_its_site(network: Network, maria: httpx.AsyncClient) -> None:
    subject = "00/106141412345678915"
    page = (await maria.get("/exceptions")).text
    for text in ("120.00 EUR", "Ask the supplier for a notice", "dock-1/2", "/movements/north/4712/1"):
        assert text in page
    form = {"site": "north", "kind": "no-document", "subject": subject, "state": "decided", "back": "/exceptions"}
    assert (await maria.post("/exceptions", data=form)).status_code == 400
    assert (await maria.post("/exceptions", data=form | {"reason": "a\x00b"})).status_code == 400
    answer = await maria.post("/exceptions", data=form | {"reason": "the notice came by mail"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/exceptions")
    [[body]] = await network.headquarters.rows(schema.command, "body")
    order = msgspec.json.decode(body, type=Command).order
    assert isinstance(order, DecideException)
    assert (order.subject, order.state, order.actor) == (subject, "decided", "maria")
    assert "on its way to North" in (await maria.get("/exceptions")).text


@pytest.mark.sqlite
async def test_a_silent_site_is_not_fresh(network: Network, maria: httpx.AsyncClient) -> None:
    assert (await maria.get("/freshness")).text.count("s-fresh") == 3
    await asyncio.sleep(130)
    await network.push("north")
    strip = (await maria.get("/freshness")).text
    assert strip.count("s-fresh") == 1
    assert strip.count("s-stale") == 2
    assert 'class="num f-stale"' in (await maria.get("/")).text
    await network.push("north", recorded=len(network.gateways["north"].bodies) + 40)
    assert "40 behind" in (await maria.get("/freshness")).text
    assert "40 records" in (await maria.get("/gateways")).text


async def test_announced_stock_is_shown_until_the_history_has_arrived(
    network: Network, maria: httpx.AsyncClient
) -> None:
    gateway = network.gateways["north"]
    balances = (
        BalanceLine(Account("A-01-03"), "KET-017", 77),
        BalanceLine(Account("supplier"), "KET-017", -900),
        BalanceLine(Account("dock-1", "damaged"), "KET-017", 3),
    )
    advisory = Advisory(str(gateway.epoch), len(gateway.bodies) + 5_000, network.headquarters.runtime.now(), balances)
    body = zstandard.ZstdCompressor().compress(msgspec.json.encode(advisory))
    answer = await gateway.send("POST", f"/v1/gateways/{gateway.id}/advisory", body)
    assert answer.status_code == 204, answer.text
    page = (await maria.get("/")).text
    assert "history arriving" in page
    row = re.search(r'<tr data-item="KET-017">(.*?)</tr>', page, re.S)
    assert row is not None
    shown = re.search(r'data-site="north">.*?data-value="(\d+)"', row[1], re.S)
    assert shown is not None
    assert shown[1] == "80"
    assert "77 free" in row[1]


async def test_files_are_kept_by_their_content(network: Network, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/")).text
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(links) >= 4
    for link in links:
        answer = await maria.get(link)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await maria.get("/static/x/style.css")).headers["cache-control"] == "no-cache"
    for path in ("/static/x/../page.py", "/static/x/none.css", "/static/x/%2e%2e/page.py"):
        assert (await maria.get(path)).status_code == 404


async def test_search_pages_and_unknown_filters(network: Network, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/?search=TEA")).text
    assert set(re.findall(r'data-item="([^"]+)"', page)) == {"TEA-100", "TEA-200"}
    assert "data-item" not in (await maria.get("/?search=100%25")).text
    out = set(re.findall(r'data-item="([^"]+)"', (await maria.get("/?show=out")).text))
    assert out < {item for item, *_ in ITEMS}
    assert (await maria.get("/?show=nonsense")).status_code == 400
    async with writing(network.headquarters.engine) as conn:
        for number in range(60):
            await conn.execute(schema.item.insert().values(id=f"NEW-{number:03}", name=f"New {number}"))
    met: list[str] = []
    link: str | None = "/"
    while link:
        page = (await maria.get(link)).text
        met += re.findall(r'data-item="([^"]+)"', page)
        found = re.search(r'<a href="([^"]+)" rel="next"', page)
        link = found[1].replace("&amp;", "&") if found else None
    assert len(met) == len(set(met)) == 60 + len(ITEMS)
