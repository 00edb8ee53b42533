"""Files that are brought: stored whole or not at all, each kind; every bad row named; over HTTP the same."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from headquarters import Headquarters

from cloud.access.principal import Principal
from cloud.errors import BadInputError, DeniedError, NotFoundError
from cloud.inputs import imports
from cloud.inputs.import_demand import DemandImport
from cloud.inputs.imports import OPERATOR, Outcome, import_bytes
from cloud.projections.documents import read_document
from cloud.store import plans, schema
from cloud.store.database import writing

DAY_US = 86_400_000_000


@pytest.fixture
async def filled(headquarters: Headquarters) -> Headquarters:
    """Two sites, two items and a supplier, all out of files."""
    await bring(headquarters, "sites", "id,zone,currency\nnorth,Europe/Berlin,EUR\nsouth,UTC,CHF\n")
    await bring(headquarters, "items", "sku,name,successor\nA,A,B\nB,B,\n")
    await bring(headquarters, "suppliers", "id,freight_free_minor\nacme,50000\n")
    return headquarters


async def bring(
    headquarters: Headquarters, kind: str, text: str, dry_run: bool = False, who: Principal = OPERATOR
) -> Outcome:
    async with writing(headquarters.engine, "") as conn:
        data = text.encode()
        return await import_bytes(conn, headquarters.runtime, who, kind, f"{kind}.csv", data, dry_run)


async def count(headquarters: Headquarters, *tables: Any) -> list[int]:
    return [len(await headquarters.rows(table)) for table in tables]


def told(outcome: Outcome) -> list[tuple[int, str]]:
    return [(one.line, one.field) for one in outcome.errors]


async def test_a_dry_run_and_a_bad_row_store_nothing(filled: Headquarters) -> None:
    good = "site,sku,day,price_micro\nnorth,A,2026-03-01,4990000\n,B,2026-03-01,1\n"
    dry = await bring(filled, "prices", good, dry_run=True)
    assert (dry.rows, dry.stored, dry.errors) == (2, 0, ())
    bad = await bring(
        filled,
        "prices",
        good + "west,A,2026-03-01,1\nnorth,Z,2026-13-01,1\nnorth,Z,2026-03-01,x\nnorth,Z,2026-03-01,1\n",
    )
    assert (bad.rows, bad.stored, bad.faults) == (6, 0, 4)
    assert told(bad) == [(4, "site_id"), (5, "day"), (6, "price_micro"), (7, "item")]
    assert await filled.rows(plans.price_plan) == []
    assert (await bring(filled, "prices", good)).stored == 2
    assert [row[:4] for row in await filled.rows(plans.price_plan)] == [
        ("", "B", "2026-03-01", 1), ("north", "A", "2026-03-01", 4_990_000),
    ]  # fmt: skip


async def test_a_key_that_stands_twice_is_named(filled: Headquarters) -> None:
    outcome = await bring(filled, "suppliers", "id,name\nbolt,Bolt\nbolt,Bolts\n")
    assert [one.text for one in outcome.errors] == ["id bolt stands in the file twice; keep one row of it"]
    assert told(outcome) == [(3, "")]


async def test_of_many_bad_rows_the_first_hundred_are_told(filled: Headquarters) -> None:
    lines = "".join(f"x{number},2026-03-01,2026-02-01\n" for number in range(250))
    outcome = await bring(filled, "campaigns", "id,first_day,last_day\n" + lines)
    assert (len(outcome.errors), outcome.faults) == (100, 250)
    assert outcome.errors[99].line == 101


async def test_demand_of_before_with_its_prices_and_promotions(filled: Headquarters) -> None:
    text = (
        "site,sku,date,quantity,price,promotion,on_hand,colour\n"
        "north,A,2025-03-01,3,4.99,0,9,red\nnorth,A,2025-03-01,2,4.99,0,9,red\nnorth,A,2025-03-02,0,4.99,1,0,red\n"
        "north,A,2025-03-04,7,3.49,1,5,red\nsouth,B,2025-03-01,1,1.1,,,red\n"
    )
    outcome = await bring(filled, "demand", text)
    assert (outcome.stored, outcome.passed_over) == (5, ("colour",))
    assert await filled.rows(plans.demand_history) == [
        ("north", "A", "2025-03-01", 5, False),
        ("north", "A", "2025-03-02", 0, True),
        ("north", "A", "2025-03-04", 7, False),
        ("south", "B", "2025-03-01", 1, False),
    ]
    prices = await filled.rows(plans.price_plan)
    assert [row[:5] for row in prices] == [
        ("north", "A", "2025-03-01", 4_990_000, "EUR"),
        ("north", "A", "2025-03-04", 3_490_000, "EUR"),
        ("south", "B", "2025-03-01", 1_100_000, "CHF"),
    ]
    assert prices[1][5] - prices[0][5] == 3 * DAY_US  # known on its day
    assert await filled.rows(plans.indicator) == [
        ("north", "promotion", "A", "2025-03-02", 1.0, "2025-03-02"),
        ("north", "promotion", "A", "2025-03-04", 1.0, "2025-03-04"),
    ]
    again = "site,sku,date,quantity,promotion\nnorth,A,2025-03-01,4,0\nnorth,A,2025-03-02,6,0\n"
    await bring(filled, "demand", again)  # the whole truth of these days, of these only
    assert [row[2:4] for row in await filled.rows(plans.demand_history)][:3] == [
        ("2025-03-01", 4), ("2025-03-02", 6), ("2025-03-04", 7),
    ]  # fmt: skip
    assert [row[3] for row in await filled.rows(plans.indicator)] == ["2025-03-04"]
    assert len(await filled.rows(plans.price_plan)) == 3
    bad = await bring(filled, "demand", "site,sku,date,quantity\nnorth,A,2025-03-01,-1\nnorth,Q,2025-03-01,2.5\n")
    assert told(bad) == [(2, "quantity"), (3, "quantity")]


async def test_prices_whose_days_do_not_rise_are_all_kept(filled: Headquarters) -> None:
    days = ((1, 5), (3, 5), (2, 6), (4, 5))
    rows = "".join(f"north,A,2026-03-0{day},1,{price}\n" for day, price in days)
    await bring(filled, "demand", "site,sku,date,quantity,price\n" + rows)
    assert [(row[2][-1], row[3] // 1_000_000) for row in await filled.rows(plans.price_plan)] == [
        ("1", 5), ("2", 6), ("3", 5), ("4", 5),
    ]  # fmt: skip


async def test_a_long_file_is_read_in_parts(filled: Headquarters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "CHUNK", 7)
    monkeypatch.setattr(imports, "KEPT", 20)
    lines = [f"north,A,20{20 + number // 28}-02-{number % 28 + 1:02d},1\n" for number in range(100)]
    assert (await bring(filled, "demand", "site,sku,date,quantity\n" + "".join(lines))).stored == 100
    assert await count(filled, plans.demand_history) == [100]
    lines.insert(60, "north,A,2026-02-30,1\n")
    assert told(await bring(filled, "demand", "site,sku,date,quantity\n" + "".join(lines))) == [(62, "day")]
    lines[60] = f"west,{'A'},2026-02-01,1\n"
    assert told(await bring(filled, "demand", "site,sku,date,quantity\n" + "".join(lines))) == [(62, "site_id")]


async def test_an_import_that_breaks_off_leaves_nothing_behind(
    filled: Headquarters, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "site,sku,date,quantity\n"
    await bring(filled, "demand", head + "north,A,2026-03-02,5\n")
    before = await count(filled, plans.demand_history, schema.audit)
    store, stored = DemandImport.store, list[int]()

    async def breaks_off(self: DemandImport, conn: Any, rows: Any, now: int) -> None:
        await store(self, conn, rows, now)
        stored.append(len(rows))
        if len(stored) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(imports, "CHUNK", 2)
    monkeypatch.setattr(DemandImport, "store", breaks_off)
    with pytest.raises(asyncio.CancelledError):
        await bring(filled, "demand", head + "".join(f"north,A,2026-03-0{day},1\n" for day in range(1, 8)))
    assert stored == [2, 2]
    assert await count(filled, plans.demand_history, schema.audit) == before


async def test_open_purchase_orders_and_the_notices_behind_them(filled: Headquarters) -> None:
    text = (
        "site,order,sku,quantity,supplier,due,ordered,unit_cost\n"
        "north,PO-1,A,10,acme,2026-04-01,2026-01-02,2000000\nnorth,PO-1,B,5,acme,,,\nnorth,PO-2,A,1,acme,,,\n"
    )
    assert (await bring(filled, "purchases", text, dry_run=True)).stored == 0
    assert await count(filled, schema.document, schema.document_line) == [0, 0]
    assert (await bring(filled, "purchases", text)).stored == 3
    found = await filled.rows(schema.document, "id", "type", "partner", "announces", "due", "opened_at")
    assert [row[:4] for row in found] == [
        ("PO-1", "expected-receipt", "acme", ""), ("PO-2", "expected-receipt", "acme", ""),
    ]  # fmt: skip
    ends, placed = found[0][4] + 1, found[0][5] + 1  # the days end where the site is: two hours, and one, before UTC
    assert (ends % DAY_US, placed % DAY_US) == (22 * DAY_US // 24, 23 * DAY_US // 24)
    asn = (
        "site,asn,order,sku,quantity,lot,unit,container\n"
        "north,N-1,PO-1,A,6,L1,106141412345678908,\nnorth,N-1,,A,4,L1,01/09506000134352/21/7,00/106141412345678908\n"
    )
    assert (await bring(filled, "asn", asn)).stored == 2
    (row,) = [
        row for row in await filled.rows(schema.document, "id", "announces", "partner", "body") if row[0] == "N-1"
    ]
    assert row[1:3] == ("PO-1", "acme")
    notice = read_document(row[3])
    assert [(line.item, line.quantity, line.lot) for line in notice.lines] == [("A", 10, "L1")]
    assert {unit.unit: [content.quantity for content in unit.holds] for unit in notice.units} == {
        "00/106141412345678908": [6], "01/09506000134352/21/7": [4],
    }  # fmt: skip
    bad = await bring(
        filled,
        "asn",
        "site,asn,order,sku,quantity,unit\nnorth,N-2,PO-9,A,1,\nnorth,N-3,,A,1,x/y\nnorth,N-4,PO-2,A,1,\n",
    )
    assert told(bad) == [(2, ""), (3, "")]
    assert "PO-9 is no purchase order of yours" in bad.errors[0].text
    assert len(await filled.rows(schema.document)) == 3
    unknown = await bring(filled, "purchases", "site,order,sku,quantity,supplier\nwest,P,A,0,acme\nnorth,P,Q,1,zeta\n")
    assert told(unknown) == [(2, "quantity"), (3, "item"), (3, "supplier")]


async def test_a_role_at_one_site_brings_rows_of_that_site(filled: Headquarters) -> None:
    ann = Principal("ann", "Ann", {"north": ("planner",)})
    text = "id,site,first_day,last_day\nspring,{},2026-03-01,2026-03-02\n"
    assert (await bring(filled, "campaigns", text.format("north"), who=ann)).stored == 1
    for site in ("south", ""):
        outcome = await bring(filled, "campaigns", text.format(site), who=ann)
        assert "your role does not allow to plan there" in outcome.errors[0].text
    with pytest.raises(DeniedError):
        await bring(filled, "items", "id,name\nC,C\n", who=ann)
    with pytest.raises(DeniedError):
        await bring(filled, "autonomy", "release_minor\n5\n", who=ann)
    with pytest.raises(NotFoundError, match="nothing is imported as boxes"):
        await bring(filled, "boxes", "id\n1\n")
    with pytest.raises(BadInputError, match="the file holds no rows"):
        await bring(filled, "campaigns", "")


async def test_files_over_http(filled: Headquarters) -> None:
    client, key = filled.client, await filled.key("planner")
    text = "id,first_day,last_day\nspring,2026-03-01,2026-03-02\n"

    async def send(body: str | bytes, kind: str = "campaigns", query: str = "", media: str = "text/csv") -> Any:
        headers = key | {"content-type": media}
        return await client.post(f"/api/v1/imports/{kind}{query}", content=body, headers=headers)

    dry = await send(text + "b,2026-03-01,2026-02-01\n", query="?dry_run=true")
    assert dry.status_code == 200
    assert dry.json()["errors"] == [
        {"line": 3, "field": "last_day", "text": "2026-02-01 is before first_day 2026-03-01; exchange or correct them"}
    ]
    bad = await send(text + "b,2026-03-01,2026-02-01\n")
    assert (bad.status_code, bad.headers["content-type"]) == (422, "application/problem+json")
    assert bad.json()["detail"].startswith("1 fault, nothing was stored; line 3: last_day: 2026-02-01 is before")
    assert bad.json()["fields"][0]["line"] == "3"
    assert await filled.rows(plans.campaign) == []
    good = await send(text, query="?format=csv", media="application/octet-stream")
    assert good.json() == {"rows": 1, "stored": 1, "errors": [], "faults": 0, "passed_over": []}
    assert (await send(text, media="application/octet-stream")).status_code == 400
    assert (await send(text, media="multipart/form-data")).status_code == 400
    assert (await send("rubbish", media="application/octet-stream", query="?format=xlsx")).status_code == 400
    assert (await send(text, "nothing")).status_code == 404
    assert (await send(b"x" * ((16 << 20) + 1))).status_code == 413
    key = await filled.key("viewer")
    assert (await send(text)).status_code == 403


async def test_the_examples_of_the_documentation_can_be_brought_in_its_order(headquarters: Headquarters) -> None:
    page = (Path(__file__).parents[3] / "docs" / "inputs.md").read_text()
    sections = re.findall(r"^## (\w+)\n.*?```\n(.*?)```(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert sorted(kind for kind, _, _ in sections) == sorted(imports.KINDS)
    for kind, example, columns in sections:
        outcome = await bring(headquarters, kind, example)
        assert (outcome.errors, outcome.stored) == ((), example.count("\n") - 1), kind
        for name in imports.KINDS[kind].row.__struct_fields__:
            assert f"`{name}`" in columns, (kind, name)
