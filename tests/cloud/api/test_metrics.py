"""/metrics: what Prometheus scrapes, for whom, and that the numbers are those of the tables."""

from __future__ import annotations

import re

from headquarters import CUSTOMER, DOCK, SUPPLIER, Headquarters, movement
from virtual import START_US


def values(text: str) -> dict[str, float]:
    """Sample -> value."""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}


async def test_the_numbers_are_those_of_the_site(headquarters: Headquarters) -> None:
    await headquarters.add_site()
    await headquarters.add_site("south")
    gateway = await headquarters.add_gateway()
    for number in range(3):
        gateway.record(movement("receiving", SUPPLIER, DOCK, START_US + number, [("A", 5)]))
    gateway.bodies.append(b'{"record":"riddle/9"}')
    assert (await gateway.push()).status_code == 200
    assert (await gateway.push(4)).status_code == 200  # again: the same row
    assert (await gateway.push(5)).status_code == 200
    for _ in range(2):
        gateway.record(movement("shipping", DOCK, CUSTOMER, START_US, [("A", 1)]))
    assert (await gateway.push(6)).status_code == 409

    answer = await headquarters.client.get("/metrics", headers=await headquarters.key("viewer"))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = values(answer.text)
    assert found['evercount_records_received_total{site="north"}'] == 4
    assert found['evercount_records_parked{site="north"}'] == 1
    assert found['evercount_records_parked{site="south"}'] == 0
    assert found['evercount_exceptions_open{kind="parked-record",site="north"}'] == 1
    assert found['evercount_push_conflicts_total{type="gap"}'] == 1
    assert found['evercount_push_seconds_count{status="200"}'] == 3
    assert found['evercount_push_seconds_count{status="409"}'] == 1
    one = f'{{gateway="{gateway.id}",site="north"}}'
    assert found[f"evercount_gateway_behind_records{one}"] == 0
    assert found[f"evercount_gateway_clock_trusted{one}"] == 1
    assert found[f"evercount_gateway_disk_days{one}"] == -1
    assert found[f"evercount_gateway_chain_good{one}"] == 1
    assert 0 <= found[f"evercount_gateway_silent_seconds{one}"] < 60
    assert found["evercount_transactions_given_up_total"] == 0
    assert not re.search(r"^evercount_cycle_age_seconds", answer.text, re.M)


async def test_metrics_are_not_for_everybody(headquarters: Headquarters) -> None:
    for site in ("north", "south"):
        await headquarters.add_site(site)
    assert (await headquarters.client.get("/metrics")).status_code == 401
    partner = await headquarters.key("partner", partner="acme")
    assert (await headquarters.client.get("/metrics", headers=partner)).status_code == 403
    found = values((await headquarters.client.get("/metrics", headers=await headquarters.key("viewer", "south"))).text)
    assert 'evercount_records_received_total{site="south"}' in found
    assert 'evercount_records_received_total{site="north"}' not in found
