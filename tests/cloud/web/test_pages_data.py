"""Master data in the browser: lists, forms, deletion, files; who may, what is refused, and that nothing is lost or rounded."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import openpyxl
import pyarrow.parquet as parquet
import pytest
from data_seed import seed_data
from headquarters import Headquarters
from seeded_network import browser
from sqlalchemy import event, select
from test_pages_work import check

from cloud.inputs.masters import MASTERS
from cloud.store import audit, schema
from cloud.store.database import reading, writing

TERM = "/data/terms/edit?site_id=north&item=TEA-100&supplier=leaf-co"
#: Queries of one page of data at most, the session's and the frame's included.
MOST_QUERIES = 14


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


def form_of(page: str) -> dict[str, str]:
    """The controls of a page's form as a browser would send them."""
    main = page[page.index("<main") :]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", main):
        attributes = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if attributes.get("type") in ("checkbox", "radio") and " checked" not in tag:
            continue
        if "name" in attributes and attributes["name"] != "csrf_token":
            found[attributes["name"]] = unescape(attributes.get("value", "on"))
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', main, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = unescape(chosen[1]) if chosen else ""
    return found


async def term_of(shop: Headquarters, site: str = "north", item: str = "TEA-100") -> Any:
    t = schema.term.c
    async with reading(shop.engine) as conn:
        return (await conn.execute(select(schema.term).where(t.site_id == site, t.item == item))).first()


async def test_every_page_of_data_is_sound(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    paths = ["/data", TERM, TERM.replace("/edit", "/delete"), "/data/items/edit?id=JAM-034"]
    paths += [f"/data/{kind}{page}" for kind in MASTERS for page in ("", "/edit", "/import")]
    paths += [f"/data/{kind}/import" for kind in ("demand", "stock", "purchases", "asn", "orders")]
    for path in paths:
        answer = await maria.get(path)
        assert answer.status_code == 200, (path, answer.text)
        check(answer.text)
        assert "<apricot>" not in answer.text, path
    assert "Jam, &lt;apricot&gt; &amp; peach" in (await maria.get("/data/items")).text
    assert (await maria.get("/data/nonsense")).status_code == 404
    assert (await maria.get("/data/terms/edit?site_id=north")).status_code == 200  # a new one at that site


async def test_data_says_what_is_missing_and_leads_there(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/data")).text
    assert "7 items have no GTIN" in page  # one of eight has packaging
    assert "18 terms name a supplier that is not listed" in page
    found = (await maria.get("/data/items?lack=gtin")).text
    assert "CUP-050" in found
    assert "TEA-100" not in found
    assert (await maria.get("/data/items?lack=country")).status_code == 400


async def test_a_form_keeps_money_exactly_and_the_audit_log_knows_who(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    form = form_of((await maria.get(TERM)).text)
    assert (form["price_micro"], form["order_cost_minor"]) == ("3.105", "25.00")
    answer = await maria.post("/data/terms/edit", data=form | {"price_micro": "3.1049", "lead_time_days": "3.5"})
    assert answer.status_code == 303, answer.text
    row = await term_of(shop)
    assert (row.price_micro, row.lead_time_days, row.moq) == (3_104_900, 3.5, 24)
    listed = await maria.get(answer.headers["location"])
    assert "Stored." in listed.text
    assert 'class="new"' in listed.text
    a = schema.audit.c
    async with reading(shop.engine) as conn:
        last = (await conn.execute(select(schema.audit).order_by(a.n.desc()).limit(1))).one()
        assert await audit.broken_at(conn) is None
    assert (last.action, last.actor.endswith("maria")) == ("terms.put", True)
    assert json.loads(last.detail)["rows"][0]["price_micro"] == 3_104_900


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    form = form_of((await maria.get(TERM)).text)
    wrong = form | {"price_micro": "3.1234567", "pack": "0", "moq": "forty"}
    answer = await maria.post("/data/terms/edit", data=wrong)
    assert answer.status_code == 400
    assert "3 fields need another look" in answer.text
    for told in ("Price: at most 6 decimals can be kept", "Pack: at least 1", "Least order: write a number"):
        assert told in answer.text
    assert form_of(answer.text) == wrong
    new = {"site_id": "north", "item": "NOPE", "supplier": "leaf-co"} | {
        name: form[name] for name in form if name not in ("site_id", "item", "supplier", "was")
    }
    answer = await maria.post("/data/terms/edit", data=new)
    assert "Item: NOPE is not known; add it to items first" in answer.text
    campaign = {"id": "c", "first_day": "2026-02-02", "last_day": "2026-02-01", "uplift": "10"}
    answer = await maria.post("/data/campaigns/edit", data=campaign)
    assert "2026-02-01 is before first day 2026-02-02" in answer.text
    assert (await term_of(shop)).price_micro == 3_105_000


async def test_nobody_overwrites_what_another_changed_without_seeing_it(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    first = form_of((await maria.get(TERM)).text)
    second = dict(first)
    assert (await maria.post("/data/terms/edit", data=first | {"moq": "36"})).status_code == 303
    refused = await maria.post("/data/terms/edit", data=second | {"moq": "48"})
    assert refused.status_code == 400
    assert "somebody changed this row" in refused.text
    assert (await term_of(shop)).moq == 36
    again = form_of(refused.text)
    assert again["moq"] == "48"
    assert (await maria.post("/data/terms/edit", data=again)).status_code == 303
    assert (await term_of(shop)).moq == 48
    new = {name: value for name, value in again.items() if name != "was"}
    answer = await maria.post("/data/terms/edit", data=new)
    assert "there is such a term already" in answer.text
    packaging = {"gtin": "10614141000415", "item": "TEA-200", "quantity": "1"}
    assert "already" in (await maria.post("/data/packaging/edit", data=packaging)).text


async def test_rows_go_only_after_a_question_and_only_where_they_may(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    question = await maria.get(TERM.replace("/edit", "/delete"))
    assert "Delete this term?" in question.text
    assert await term_of(shop) is not None
    answer = await maria.post("/data/terms/delete", data=form_of(question.text))
    assert (answer.status_code, answer.headers["location"]) == (303, "/data/terms")
    assert await term_of(shop) is None
    assert (await maria.post("/data/terms/delete", data=form_of(question.text))).status_code == 404
    kept = await maria.get("/data/items/delete?id=TEA-100")
    assert "the ledger names items for ever" in kept.text
    assert "<button" not in kept.text[kept.text.index("<main") :]
    assert (await maria.post("/data/items/delete", data={"id": "TEA-100"})).status_code == 409


async def test_roles_decide_who_changes_what_and_where(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    form = form_of((await maria.get(TERM)).text)
    south = form_of((await maria.get(TERM.replace("north", "south"))).text)
    rule = {
        "release_minor": "100",
        "daily_minor": "500",
        "least_confidence": "90",
        "most_cover_days": "30",
        "currency": "EUR",
    }
    async with await browser(shop, "viewer", user="vic") as vic:
        assert "disabled" in (await vic.get(TERM)).text
        assert "Add" not in (await vic.get("/data/terms")).text
        assert (await vic.post("/data/terms/edit", data=form | {"moq": "1"})).status_code == 403
        assert (await vic.get("/data/terms/import")).status_code == 403
    async with await browser(shop, "planner", "north", "pia") as pia:
        assert "south" not in (await pia.get("/data/terms")).text
        assert (await pia.post("/data/terms/edit", data=form | {"moq": "2"})).status_code == 303
        assert (await pia.post("/data/terms/edit", data=south | {"moq": "2"})).status_code == 404
        assert (await pia.post("/data/items/edit", data={"id": "X", "name": "X"})).status_code == 403
        assert (await pia.post("/data/autonomy/edit", data=rule | {"site_id": "north"})).status_code == 403
        assert form_of((await pia.get(TERM.replace("north", "south"))).text)["was"] == ""  # as if it were not there
    assert (await maria.post("/data/autonomy/edit", data=rule | {"site_id": "north"})).status_code == 303
    assert (await term_of(shop)).moq == 2
    assert (await term_of(shop, "south")).moq == 24


async def test_pages_hold_each_row_once_while_rows_are_added(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    async with writing(shop.engine) as conn:
        for number in range(120):
            await conn.execute(schema.customer.insert().values(id=f"c-{number:03}", name=f"No. {number}"))
    seen: list[str] = []
    path = "/data/customers?search=c-"
    while path:
        page = (await maria.get(path)).text
        seen += re.findall(r'<a href="/data/customers/edit[^"]*">([^<]+)</a></th>', page) or re.findall(
            r'<th scope="row"><a [^>]*>([^<]+)</a>', page
        )
        following = re.search(r'<a href="([^"]+)" rel="next"', page)
        path = unescape(following[1]) if following else ""
        async with writing(shop.engine) as conn:
            await conn.execute(schema.customer.insert().values(id=f"c-0{len(seen)}-before", name=""))
    expected = [f"c-{number:03}" for number in range(120)]
    assert [one for one in seen if one in expected] == expected
    assert len(seen) == len(set(seen))
    assert (await maria.get('/data/customers?after=["x",1]')).status_code == 400


@pytest.mark.sqlite  # another process is asked for news meanwhile, which would be counted too
async def test_a_page_of_data_asks_few_queries(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    event.listen(shop.engine.sync_engine, "before_cursor_execute", note)
    for path in ("/data", "/data/terms", "/data/items?lack=terms", TERM, "/data/terms/edit", "/plans", "/plans/new"):
        count = 0
        assert (await maria.get(path)).status_code == 200
        assert count <= MOST_QUERIES, (path, count)


async def test_suggestions_follow_what_is_typed(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    found = (await maria.get("/data/suggest/items?successor=kettle")).text
    assert found.strip() == '<option value="KET-017">Kettle, steel, 1.7 L</option>'
    assert (await maria.get("/data/suggest/secrets?x=1")).status_code == 404


async def test_a_file_is_looked_through_and_stored_by_a_second_click(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    bad = b"site,sku,supplier,moq\nnorth,TEA-100,leaf-co,many\nnowhere,TEA-100,leaf-co,1\nnorth,TEA-200,leaf-co,96\n"
    answer = await maria.post("/data/terms/import", files={"file": ("terms.csv", bad)}, data={"action": "look"})
    assert answer.status_code == 400
    assert "2 faults in 3 rows" in answer.text
    assert re.search(r'<td class="num">2</td><td>moq</td><td>[^<]*whole number', answer.text)
    assert re.search(r'<td class="num">3</td><td>site_id</td><td>nowhere is not known', answer.text)
    assert 'value="store"' not in answer.text
    book = openpyxl.Workbook()
    book.worksheets[0].append(["site", "sku", "supplier", "moq", "price_micro"])
    book.worksheets[0].append(["north", "TEA-100", "leaf-co", 96, 3_000_000])
    out = io.BytesIO()
    book.save(out)
    look = await maria.post(
        "/data/terms/import", files={"file": ("terms.xlsx", out.getvalue())}, data={"action": "look"}
    )
    assert look.status_code == 200, look.text
    assert "the one row is good" in look.text
    check(look.text)
    assert (await term_of(shop)).moq == 24
    store = form_of(look.text) | {"action": "store"}
    answer = await maria.post("/data/terms/import", data=store)
    assert (answer.status_code, answer.headers["location"]) == (303, "/data/terms/import?stored=1")
    assert (await term_of(shop)).moq == 96
    broken = await maria.post("/data/terms/import", data=store | {"kept": "AAAA"})
    assert (broken.status_code, "choose it again" in broken.text) == (400, True)
    nothing = await maria.post("/data/terms/import", data={"action": "look"})
    assert nothing.status_code == 400


@pytest.mark.sqlite  # nothing of it reaches the database
async def test_a_file_may_be_larger_than_other_forms_but_is_bounded(
    shop: Headquarters, maria: httpx.AsyncClient
) -> None:
    lines = "".join(f"I-{number:06},{number:0280}\n" for number in range(8_000))
    data = f"id,name\n{lines}".encode()
    assert len(data) > 2 << 20  # what other bodies may have
    answer = await maria.post("/data/items/import", files={"file": ("items.csv", data)}, data={"action": "look"})
    assert answer.status_code == 200, answer.text[:500]
    assert "all 8\u202f000 rows are good" in answer.text
    too_large = b"id,name\n" + b"x" * (17 << 20)
    answer = await maria.post("/data/items/import", files={"file": ("items.csv", too_large)}, data={"action": "look"})
    assert answer.status_code == 413


async def test_what_is_downloaded_can_be_brought_back(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    async with writing(shop.engine) as conn:
        await conn.execute(schema.supplier.insert().values(id="hall-trade", name="=1+1, a name that is no formula"))
    for kind in ("terms", "items", "sites", "packaging", "suppliers"):
        before = await shop.rows(MASTERS[kind].table)  # type: ignore[index]
        for form in ("csv", "parquet"):
            file = await maria.get(f"/data/{kind}?format={form}")
            assert f'filename="{kind}.{form}"' in file.headers["content-disposition"]
            name = f"{kind}.{form}"
            look = await maria.post(
                f"/data/{kind}/import", files={"file": (name, file.content)}, data={"action": "look"}
            )
            assert look.status_code == 200, look.text
            answer = await maria.post(f"/data/{kind}/import", data=form_of(look.text) | {"action": "store"})
            assert answer.status_code == 303
            after = await shop.rows(MASTERS[kind].table)  # type: ignore[index]
            changing = {"changed_at", "downlink"}
            names = MASTERS[kind].table.columns.keys()  # type: ignore[index]
            kept = [place for place, column in enumerate(names) if column not in changing]
            assert [[row[place] for place in kept] for row in after] == [[row[p] for p in kept] for row in before]
    table = parquet.read_table(io.BytesIO((await maria.get("/data/terms?format=parquet&site=north")).content))
    assert table.num_rows == 8


async def test_templates_are_files_that_can_be_brought(shop: Headquarters, maria: httpx.AsyncClient) -> None:
    async with writing(shop.engine) as conn:
        await conn.execute(schema.item.insert().values(id="A-1001", name="Example"))
        term = {"site_id": "north", "item": "A-1001", "supplier": "leaf-co"}
        await conn.execute(schema.term.insert().values(**term))
    for kind in (*MASTERS, "demand", "purchases", "orders"):
        file = await maria.get(f"/data/{kind}/template.csv")
        assert len(file.text.splitlines()) == 2, kind
        look = await maria.post(
            f"/data/{kind}/import", files={"file": ("t.csv", file.content)}, data={"action": "look"}
        )
        assert look.status_code == 200, (kind, re.findall(r"<td>[^<]*</td>", look.text))
