"""Master data and plans: each kind's rows are stored, listed and deleted, or refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from headquarters import Headquarters

from cloud.errors import BadInputError, BadRowsError, ConflictError, NotFoundError
from cloud.inputs.masters import (
    MASTERS,
    Autonomy,
    Campaign,
    Indicator,
    ItemRow,
    Lane,
    MasterName,
    PackagingRow,
    PlaceRow,
    PriceBreak,
    PricePlan,
    Site,
    Stocking,
    SupplierRow,
    Term,
    delete_masters,
    put_masters,
)
from cloud.store import plans, schema
from cloud.store.database import writing

GTIN = "09506000134352"


@pytest.fixture
async def filled(headquarters: Headquarters) -> Headquarters:
    """Two sites, three items, a supplier with terms for one of them."""
    await put(headquarters, "sites", Site("north", country="DE-BY", value_share=300), Site("south", budget_minor=5))
    await put(headquarters, "items", ItemRow("A", "A"), ItemRow("B", "B", successor="C"), ItemRow("C", "C"))
    await put(headquarters, "suppliers", SupplierRow("acme", freight_minor=5_000, url="https://acme.example/orders"))
    await put(headquarters, "terms", Term("north", "A", "acme", price_micro=2_000_000))
    return headquarters


async def put(headquarters: Headquarters, kind: MasterName, *rows: msgspec.Struct, now: int = 5) -> None:
    async with writing(headquarters.engine, "") as conn:
        await put_masters(conn, kind, rows, now, "ann")


async def delete(headquarters: Headquarters, kind: MasterName, *keys: tuple[str | int, ...]) -> None:
    async with writing(headquarters.engine, "") as conn:
        await delete_masters(conn, kind, keys, 9, "ann")


def campaign(**changed: Any) -> Campaign:
    spring = Campaign(id="spring", first_day="2026-03-01", last_day="2026-03-14", uplift=300)
    return msgspec.structs.replace(spring, **changed)


GOOD: list[tuple[MasterName, msgspec.Struct, tuple[str | int, ...]]] = [
    ("packaging", PackagingRow("9506000134352", "A", 24), (GTIN,)),
    ("terms", Term("south", "A", "acme"), ("south", "A", "acme")),
    ("lanes", Lane("north", "south"), ("north", "south")),
    ("campaigns", campaign(site_id="north", item="A"), ("north", "spring", "A")),
    ("campaigns", campaign(), ("", "spring", "")),
    ("prices", PricePlan(item="A", day="2026-03-01", price_micro=1), ("", "A", "2026-03-01")),
    ("indicators", Indicator(name="heat", day="2026-03-01", value=-3.5), ("", "heat", "", "2026-03-01")),
    ("stocking", Stocking(site_id="south", item="A", display=3, fed_by="north"), ("south", "A")),
    ("breaks", PriceBreak(site_id="north", item="A", supplier="acme", quantity=100, price_micro=3_000_000),
     ("north", "A", "acme", 100)),
    ("autonomy", Autonomy(release_minor=50_000, daily_minor=200_000), ("", "")),
]  # fmt: skip


async def test_rows_of_each_kind_are_stored_and_deleted(filled: Headquarters) -> None:
    for kind, row, key in GOOD:
        table = MASTERS[kind].table
        before = await filled.rows(table)
        await put(filled, kind, row)
        added = set(await filled.rows(table)) - set(before)
        assert len(added) == 1, kind
        await delete(filled, kind, key)
        assert await filled.rows(table) == before, kind
        with pytest.raises(NotFoundError, match=f"{kind} have no row"):
            await delete(filled, kind, key)
    audit = await filled.rows(schema.audit, "action", "actor", "detail")
    assert [row[0] for row in audit[-2:]] == ["autonomy.put", "autonomy.delete"]
    assert all("50000" in row[2] and row[1] == "ann" for row in audit[-2:])


BAD: list[tuple[MasterName, msgspec.Struct, str]] = [
    ("sites", Site("x", zone="Europe/Berlim"), "zone: 'Europe/Berlim' is no IANA time zone"),
    ("sites", Site("x", zone=".."), "zone: '..' is no IANA time zone"),
    ("sites", Site("x", country="XX"), "country: no holidays are known for XX"),
    ("sites", Site("x", country="DE-XX"), "country: no holidays are known for DE-XX"),
    ("places", PlaceRow("nowhere", "bin-1", "bin"), "site_id: nowhere is not known; add it to sites first"),
    ("places", PlaceRow("north", "customer", "bin"), "id: customer is the name of a virtual place"),
    ("places", PlaceRow("north", "bin-1", "bin", "bin-1"), "parent: a place cannot be within itself"),
    ("items", ItemRow("D", "D", successor="D"), "successor: an item cannot follow itself"),
    ("items", ItemRow("C", "C", successor="B"), "successor: C > B > C is a circle"),
    ("items", ItemRow("D", "D", successor="E"), "successor: E is not known; add it to items first"),
    ("items", ItemRow("D", "D", like_item="E"), "like_item: E is not known; add it to items first"),
    ("items", ItemRow("D", "D", discontinued_on="2026-02-30"), "discontinued_on: there is no 2026-02-30"),
    ("items", ItemRow("D", "D\x01"), "name: holds a character that cannot be printed"),
    ("packaging", PackagingRow("09506000134353", "A", 1), "gtin: 09506000134353 has a wrong length or check digit"),
    ("terms", Term("north", "Z", "acme"), "item: Z is not known"),
    ("terms", Term("north", "A", "zeta"), "supplier: zeta is not known; add it to suppliers first"),
    ("lanes", Lane("north", "north"), "to_site: a lane leads to another site"),
    ("campaigns", campaign(last_day="2026-02-28"), "last_day: 2026-02-28 is before first_day 2026-03-01"),
    ("campaigns", campaign(site_id="west"), "site_id: west is not known"),
    ("prices", PricePlan(item="A", day="2026-02-29", price_micro=1), "day: there is no 2026-02-29"),
    ("indicators", Indicator(name="h", day="2026-03-01", value=float("nan")), "value: is no finite number"),
    ("stocking", Stocking(site_id="south", fed_by="south"), "fed_by: a site cannot be fed by itself"),
    ("stocking", Stocking(item="A", display=5, most=4), "most: 4 is below the 5 that always stand on show"),
    ("breaks", PriceBreak(site_id="south", item="A", supplier="acme", quantity=9, price_micro=1),
     "supplier: acme has no terms for item A at site south; add them to terms first"),
    ("autonomy", Autonomy(site_id="west"), "site_id: west is not known"),
]  # fmt: skip


async def test_every_bad_row_is_named(filled: Headquarters) -> None:
    for kind, row, text in BAD:
        with pytest.raises(BadRowsError) as caught:
            await put(filled, kind, row)
        assert caught.value.rows[0].line == 1
        assert text in str(caught.value), kind
    with pytest.raises(BadRowsError) as caught:
        await put(filled, "campaigns", campaign(item="Y"), campaign(), campaign(item="Z", last_day="2026-01-01"))
    assert [(one.line, one.field) for one in caught.value.rows] == [(1, "item"), (3, "last_day"), (3, "item")]
    assert str(caught.value) == "row 1: item: Y is not known; add it to items first (and 2 more faults)"
    assert await filled.rows(plans.campaign) == []


async def test_items_of_one_request_may_name_each_other(filled: Headquarters) -> None:
    await put(filled, "items", ItemRow("D", "D", successor="E"), ItemRow("E", "E", like_item="D"))
    with pytest.raises(BadRowsError, match="row 1: successor: E > D > E is a circle"):
        await put(filled, "items", ItemRow("E", "E", successor="D"))


async def test_a_plan_is_known_since_it_was_made_or_changed(filled: Headquarters) -> None:
    async def known() -> list[tuple[Any, ...]]:
        return await filled.rows(plans.campaign, "item", "planned_at")

    await put(filled, "campaigns", campaign(item="A"), campaign(item="B"), now=10)
    await put(filled, "campaigns", campaign(item="A"), campaign(item="B", uplift=400), campaign(item="C"), now=20)
    assert await known() == [("A", 10), ("B", 20), ("C", 20)]
    await put(filled, "campaigns", campaign(item="A", name="Spring"), now=30)
    assert await known() == [("A", 30), ("B", 20), ("C", 20)]


async def test_what_others_rely_on_is_not_deleted(filled: Headquarters) -> None:
    kept: list[tuple[MasterName, tuple[str, ...]]] = [
        ("sites", ("north",)), ("items", ("A",)), ("suppliers", ("acme",)), ("places", ("north", "x")),
    ]  # fmt: skip
    for kind, key in kept:
        with pytest.raises(ConflictError):
            await delete(filled, kind, key)
        assert not MASTERS[kind].deletable
    with pytest.raises(BadInputError, match="a key of terms holds site_id, item, supplier"):
        await delete(filled, "terms", ("north", "A"))
    await put(filled, "breaks", PriceBreak(site_id="north", item="A", supplier="acme", quantity=9, price_micro=1))
    with pytest.raises(NotFoundError, match="terms have no row north, B, acme"):
        await delete(filled, "terms", ("north", "A", "acme"), ("north", "B", "acme"))
    assert len(await filled.rows(plans.price_break)) == 1
    await delete(filled, "terms", ("north", "A", "acme"))
    assert await filled.rows(plans.price_break) == []


async def test_plans_over_the_api(filled: Headquarters) -> None:
    client, owner = filled.client, await filled.key("owner")
    planner, north = await filled.key("planner"), await filled.key("planner", "north")
    row = {"id": "spring", "site_id": "north", "item": "A", "first_day": "2026-03-01", "last_day": "2026-03-14"}

    async def send(method: str, path: str, key: dict[str, str], **more: Any) -> int:
        return (await client.request(method, f"/api/v1/{path}", headers=key, **more)).status_code

    assert await send("PUT", "campaigns", north, json=[row]) == 200
    assert await send("PUT", "campaigns", planner, json=[row | {"site_id": ""}]) == 200
    assert await send("PUT", "campaigns", north, json=[row | {"site_id": ""}]) == 403
    assert await send("PUT", "campaigns", north, json=[row | {"site_id": "south"}]) == 404
    listed = (await client.get("/api/v1/campaigns?item=A", headers=north)).json()["items"]
    assert [one["site_id"] for one in listed] == ["", "north"]
    assert listed[1] == row | {"name": "", "uplift": 0}
    assert await send("DELETE", "campaigns?campaign=spring&item=A", north) == 403
    assert await send("DELETE", "campaigns?campaign=spring&item=A&site=north", north) == 204
    assert await send("DELETE", "campaigns?campaign=spring&item=A&site=north", north) == 404
    assert await send("PUT", "autonomy", planner, json=[{"release_minor": 5}]) == 403
    assert await send("PUT", "autonomy", owner, json=[{"release_minor": 5}]) == 200
    answer = await client.put("/api/v1/items", headers=owner, json=[{"id": "Y", "name": "Y", "successor": "Z"}] * 2)
    assert answer.status_code == 400
    assert [(one["line"], one["field"]) for one in answer.json()["fields"]] == [("1", "successor"), ("2", "successor")]
