"""What the pages show is what the ledger's bytes add up to."""

from __future__ import annotations

import csv
import io
import re
from fractions import Fraction

import httpx
import ledger_sums
from seeded_network import BIN, CUSTOMER, ITEMS, SITES, Network, decide_network
from sqlalchemy import func, select

from cloud.store import schema
from cloud.store.database import reading
from vocabulary.movement import Line, Movement

PRICES = {item: price - price // 10 for item, _, price, _, _ in ITEMS}


def cells(page: str) -> dict[tuple[str, str], int]:
    """The stock page's numbers by (site, item); site "" is the total."""
    found: dict[tuple[str, str], int] = {}
    for item, row in re.findall(r'<tr data-item="([^"]+)">(.*?)</tr>', page, re.S):
        for site, value in re.findall(r'<td[^>]*data-site="([^"]*)">.*?data-value="(-?\d+)"', row, re.S):
            found[site, item] = int(value)
    return found


async def ledger_of(network: Network) -> ledger_sums.Rows:
    return await network.headquarters.rows(schema.ledger, "site_id", "seq", "body")


async def test_stock_is_the_sum_of_the_ledger(network: Network, maria: httpx.AsyncClient) -> None:
    shown, expected = cells((await maria.get("/")).text), ledger_sums.on_hand(await ledger_of(network))
    for site, _ in SITES:
        for item, *_ in ITEMS:
            assert shown[site, item] == expected[site, item], (site, item)
    for item, *_ in ITEMS:
        assert shown["", item] == sum(expected[site, item] for site, _ in SITES)


async def test_values_are_quantity_times_price(network: Network, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/")).text
    expected = ledger_sums.on_hand(await ledger_of(network))
    for site, _ in SITES:
        micro = sum(quantity * PRICES[item] for (where, item), quantity in expected.items() if where == site)
        found = re.search(rf'data-total="value" data-site="{site}".*?data-minor="(\d+)"', page, re.S)
        assert found is not None
        assert int(found[1]) == round(Fraction(micro, 10_000))


async def test_an_item_s_page_agrees_with_the_ledger(network: Network, maria: httpx.AsyncClient) -> None:
    await decide_network(network)
    expected = ledger_sums.on_hand(await ledger_of(network))
    answer = await maria.get("/items/TEA-200", params={"site": "south", "days": "30"})
    page = answer.text
    tiles = dict(re.findall(r'data-site="(\w+)">.*?data-value="(-?\d+)"', page, re.S))
    assert {site: int(value) for site, value in tiles.items()} == {site: expected[site, "TEA-200"] for site, _ in SITES}
    rows = csv.DictReader(io.StringIO((await maria.get("/items/TEA-200?site=south&days=30&format=csv")).text))
    days = {row["day"]: row for row in rows}
    past = [row for row in days.values() if row["stock"]]
    assert int(past[-1]["stock"]) == expected["south", "TEA-200"]
    shipped = sum(
        line["quantity"]
        for site, _, record in ledger_sums.movements(await ledger_of(network))
        if site == "south" and record["kind"] == "shipping"
        for line in record["lines"]
        if line["item"] == "TEA-200"
    )
    assert sum(int(row["issued"]) for row in past) == shipped
    assert int(past[0]["stock"]) == 0  # before the opening count nothing was there
    assert sum(1 for row in days.values() if row["p50"]) == 28


async def test_a_document_shows_what_its_movements_did(network: Network, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/documents/north/PO-1")).text
    shown = re.search(r'data-done><span class="n " data-value="(\d+)"', page)
    assert shown is not None
    assert int(shown[1]) == ledger_sums.done(await ledger_of(network), "north", "ASN-1") == 240
    assert "ASN-1" in page
    assert "supplier" in page


async def test_the_feed_shows_new_rows_and_is_silent_without(network: Network, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/live")).text
    again = re.search(r'hx-get="(/live\?[^"]+)"', page)
    assert again is not None
    link = again[1].replace("&amp;", "&")
    script = {"hx-request": "true"}
    assert (await maria.get(link, headers=script)).status_code == 204
    sold = Movement(
        "shipping", BIN, CUSTOMER, network.headquarters.runtime.now(), (Line("CUP-050", 7),), rule="portal/3"
    )
    await network.record("central", sold)
    fresh = await maria.get(link, headers=script)
    assert fresh.status_code == 200
    assert len(re.findall(r'<tr class="new"', fresh.text)) == 1
    assert "Cup, white" in fresh.text
    only_north = (await maria.get("/live?site=north")).text
    assert 'data-site="central"' not in only_north.partition("<tbody>")[2]


async def test_why_leads_to_the_record_and_its_place_in_the_chain(network: Network, maria: httpx.AsyncClient) -> None:
    page = (await maria.get("/live?site=north&item=TEA-100")).text
    link = re.search(r'class="why" href="([^"]+)"', page)
    assert link is not None
    record = (await maria.get(link[1])).text
    for text in ("portal/3", "for 3.0 s", "99.7 %", "c2VlbiBhdCBk", "dock-1", "ASN-1", "L-77", "00/106141412345678908"):
        assert text in record
    assert "holds</span>" in record
    assert (await maria.get("/movements/north/4712/999999")).status_code == 404
    assert (await maria.get("/movements/north/nonsense/1")).status_code == 400
    for path in (f"/movements/north/4712/{10**30}", "/movements/north/4712/0", "/movements/north/4712/-4"):
        assert (await maria.get(path)).status_code == 404
    for path in (f"/live?before={10**30}", f"/documents?before={10**30}", "/live?before=x"):
        assert (await maria.get(path)).status_code == 400


async def test_csv_twins_hold_the_rows_of_their_pages(network: Network, maria: httpx.AsyncClient) -> None:
    await decide_network(network)
    expected = ledger_sums.on_hand(await ledger_of(network))
    answer = await maria.get("/?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {(row["site"], row["item"]): int(row["on_hand"]) for row in rows} == dict(expected)
    async with reading(network.headquarters.engine) as conn:
        waiting = await conn.scalar(select(func.count()).where(schema.recommendation.c.state == "proposed"))
    for path, count in (("/recommendations", waiting), ("/exceptions", 1), ("/documents", 2), ("/gateways", 3)):
        twin = await maria.get(path, params={"format": "csv"})
        assert len(list(csv.DictReader(io.StringIO(twin.text)))) == count, path
