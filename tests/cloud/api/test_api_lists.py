"""Lists of the API: what they hold, how they page, what they cost, and who may see which site."""

from __future__ import annotations

from typing import Any

import pytest
from headquarters import BIN, CUSTOMER, DOCK, SUPPLIER, Headquarters, movement
from sqlalchemy import event

from vocabulary.movement import Content, UnitEntry
from vocabulary.place import Account

NOW = 1_767_600_000_000_000
SSCC, CASE = "00/106141412345678908", "01/09506000134352/21/4711"


async def put(headquarters: Headquarters, key: dict[str, str], kind: str, *rows: dict[str, Any]) -> None:
    answer = await headquarters.client.put(f"/api/v1/{kind}", json=list(rows), headers=key)
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def key(headquarters: Headquarters) -> dict[str, str]:
    key = await headquarters.key("owner")
    await put(headquarters, key, "sites", {"id": "north", "zone": "Europe/Berlin"}, {"id": "south"})
    await put(headquarters, key, "items", {"id": "A", "name": "Apples"}, {"id": "B", "name": "Bolts"})
    await put(headquarters, key, "places", {"site_id": "north", "id": "dock-1", "kind": "dock"})
    await put(headquarters, key, "suppliers", {"id": "acme", "name": "Acme"})
    await put(
        headquarters, key, "terms", {"site_id": "north", "item": "A", "supplier": "acme", "price_micro": 1_500_000}
    )
    for number, site in enumerate(("north", "south"), 1):
        gateway = await headquarters.add_gateway(site, seed=number, epoch=number)
        gateway.record(
            movement(
                "receiving", SUPPLIER, DOCK, NOW, (),
                units=(UnitEntry(SSCC, holds=(Content("A", 24),)), UnitEntry(CASE, container=SSCC)),
            ),
            movement("receiving", SUPPLIER, DOCK, NOW + 1, [("A", 24), ("B", 5)]),
            movement("storing", DOCK, BIN, NOW + 2, [("B", 5)]),
            movement("shipping", DOCK, CUSTOMER, NOW + 3, [("A", 4)]),
            movement("moving", BIN, Account("bin-1", "damaged"), NOW + 4, [("B", 2)]),
        )  # fmt: skip
        assert (await gateway.push()).status_code == 200
    return key


async def get(headquarters: Headquarters, key: dict[str, str], path: str) -> Any:
    answer = await headquarters.client.get(f"/api/v1/{path}", headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_stock_and_availability(headquarters: Headquarters, key: dict[str, str]) -> None:
    stock = await get(headquarters, key, "stock?site=north")
    assert [(b["place"], b["status"], b["item"], b["quantity"]) for b in stock["items"]] == [
        ("bin-1", "available", "B", 3), ("bin-1", "damaged", "B", 2), ("dock-1", "available", "A", 20),
    ]  # fmt: skip
    assert len((await get(headquarters, key, "stock?site=north&virtual=true"))["items"]) == 6
    available = await get(headquarters, key, "availability?site=north&item=B")
    assert available["items"][0]["on_hand"] == 5
    assert available["items"][0]["available"] == 3


async def test_units_movements_and_demand(headquarters: Headquarters, key: dict[str, str]) -> None:
    unit = await get(headquarters, key, f"units/north/{SSCC}")
    assert unit["holds"] == [{"item": "A", "lot": "", "expiry": "", "quantity": 24, "grams": 0}]
    assert [one["unit"] for one in unit["contains"]] == [CASE]
    lines = (await get(headquarters, key, "movements?site=north&item=A"))["items"]
    assert [(one["kind"], one["flow"], one["flow_quantity"]) for one in lines] == [
        ("shipping", "issued", 4), ("receiving", "received", 24),
    ]  # fmt: skip
    days = (await get(headquarters, key, "demand?site=north&item=A"))["items"]
    assert [(one["day"], one["demand"], one["received"]) for one in days] == [("2026-01-05", 4, 24)]


async def test_pages_join_to_the_whole_list(headquarters: Headquarters, key: dict[str, str]) -> None:
    for path in ("movements?x=1", "movements?site=north", "stock?virtual=true", "demand?x=1", "items?x=1", "units?x=1"):
        whole = (await get(headquarters, key, f"{path}&limit=1000"))["items"]
        joined, cursor = [], ""
        while True:
            page = await get(headquarters, key, f"{path}&limit=2&cursor={cursor}")
            joined += page["items"]
            cursor = page["next"]
            if not cursor:
                break
        assert joined == whole, path


async def test_a_list_costs_the_same_few_queries_whatever_its_size(
    headquarters: Headquarters, key: dict[str, str]
) -> None:
    said: list[str] = []
    event.listen(headquarters.engine.sync_engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    for path in ("stock", "availability", "movements", "units", "demand", "documents", "items", "gateways", "exceptions",
                 "recommendations", "forecasts", "audit", f"units/north/{SSCC}"):  # fmt: skip
        said.clear()
        await get(headquarters, key, path)
        reads = [one for one in said if not one.startswith("BEGIN") and "change_count" not in one]
        assert len(reads) <= (4 if path == "gateways" else 3), (path, reads)


async def test_csv_twin(headquarters: Headquarters, key: dict[str, str]) -> None:
    answer = await headquarters.client.get("/api/v1/stock?site=north&format=csv", headers=key)
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0] == "site_id,place,status,item,lot,expiry,quantity,grams,held"
    assert lines[1] == "north,bin-1,available,B,,,3,0,0"


async def test_a_role_at_one_site_sees_that_site_only(headquarters: Headquarters, key: dict[str, str]) -> None:
    south = await headquarters.key("viewer", "south")
    for path in ("stock", "availability", "movements", "units", "demand", "gateways", "sites", "places", "terms"):
        sites = {
            row.get("site_id", row["id"] if path == "sites" else None)
            for row in (await get(headquarters, south, path))["items"]
        }
        assert sites <= {"south"}, path
    client = headquarters.client
    assert (await client.get(f"/api/v1/units/north/{SSCC}", headers=south)).status_code == 404
    assert (await client.put("/api/v1/items", json=[{"id": "C", "name": "C"}], headers=south)).status_code == 403
    assert (await client.post("/api/v1/sites/south/enrolment-codes", json={}, headers=south)).status_code == 403
    assert (await client.get("/api/v1/keys", headers=south)).status_code == 403


async def test_nobody_sees_nothing(headquarters: Headquarters, key: dict[str, str]) -> None:
    for headers in ({}, {"authorization": "Bearer evk_00"}, {"authorization": "Basic x"}):
        answer = await headquarters.client.get("/api/v1/stock", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "field"),
    [("stock?limit=5000", "limit"), ("stock?cursor=xx", "cursor"), ("stock?cursor=WzFd", "cursor"), ("demand?since=x", "since"),
     ("stock?format=xml", "format")],
)  # fmt: skip
async def test_bad_parameters_are_named(headquarters: Headquarters, key: dict[str, str], path: str, field: str) -> None:
    answer = await headquarters.client.get(f"/api/v1/{path}", headers=key)
    assert answer.status_code == 400
    assert field in answer.text


async def test_bad_rows_are_named_and_none_is_stored(headquarters: Headquarters, key: dict[str, str]) -> None:
    rows = [
        {"gtin": "09506000134352", "item": "A", "quantity": 24},
        {"gtin": "09506000134353", "item": "A", "quantity": 1},
    ]
    answer = await headquarters.client.put("/api/v1/packaging", json=rows, headers=key)
    assert answer.status_code == 400
    assert "row 2: gtin: 09506000134353" in answer.json()["detail"]
    assert (await get(headquarters, key, "packaging"))["items"] == []
    answer = await headquarters.client.put("/api/v1/packaging", json=[rows[0] | {"item": "Z"}], headers=key)
    assert "item: Z is not known" in answer.json()["detail"]


async def test_a_new_time_zone_moves_demand_to_other_days(headquarters: Headquarters, key: dict[str, str]) -> None:
    await put(headquarters, key, "sites", {"id": "north", "zone": "Asia/Tokyo", "day_start": 1_035})
    days = (await get(headquarters, key, "demand?site=north&item=A"))["items"]
    assert [one["day"] for one in days] == ["2026-01-04"]
