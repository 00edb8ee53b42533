"""Ledger push v1: what is acknowledged is stored once, in order, and what does not fit is answered with what is expected."""

from __future__ import annotations

import msgspec
import pytest
import zstandard
from headquarters import BIN, CUSTOMER, DOCK, SUPPLIER, Gateway, Headquarters, movement

from cloud.store import schema
from vocabulary import chain
from vocabulary.movement import UnitEntry

NOW = 1_767_600_000_000_000


@pytest.fixture
async def gateway(headquarters: Headquarters) -> Gateway:
    await headquarters.add_site()
    return await headquarters.add_gateway()


def rows(count: int) -> list:
    return [movement("receiving", SUPPLIER, DOCK, NOW + n, [("A", n + 1)]) for n in range(count)]


async def test_a_push_is_stored_projected_and_acknowledged(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(
        movement("receiving", SUPPLIER, DOCK, NOW, [("A", 24)], units=(UnitEntry("00/106141412345678908"),)),
        movement("storing", DOCK, BIN, NOW + 1, [("A", 24)]),
        movement("shipping", BIN, CUSTOMER, NOW + 2, [("A", 4)]),
    )
    answer = await gateway.push()
    assert answer.status_code == 200, answer.text
    head = chain.head(chain.genesis(gateway.epoch), gateway.bodies).hex()
    assert (answer.json()["acked_seq"], answer.json()["head_hash"]) == (3, head)
    balances = {
        row[:3]: row[3] for row in await headquarters.rows(schema.balance, "place", "item", "site_id", "quantity")
    }
    assert balances["bin-1", "A", "north"] == 20
    assert balances["customer", "A", "north"] == 4
    assert sum(balances.values()) == 0
    assert await headquarters.rows(schema.item_stock, "item", "on_hand", "available") == [("A", 20, 20)]
    assert await headquarters.rows(schema.daily, "item", "day", "issued", "received") == [("A", "2026-01-05", 4, 24)]
    assert await headquarters.rows(schema.unit, "unit", "place", "first_place") == [
        ("00/106141412345678908", "dock-1", "supplier")
    ]


async def test_the_same_push_twice_is_stored_once(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(5))
    first, second = await gateway.push(), await gateway.push()
    assert first.json()["head_hash"] == second.json()["head_hash"]
    assert second.status_code == 200
    assert len(await headquarters.rows(schema.ledger)) == 5
    assert await headquarters.rows(schema.item_stock, "on_hand") == [(15,)]


async def test_an_overlap_stores_the_tail_only(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(6))
    await gateway.push(1, 4)
    answer = await gateway.push(3, 6)
    assert answer.json()["acked_seq"] == 6
    assert await headquarters.rows(schema.item_stock, "on_hand") == [(21,)]


async def test_a_gap_is_answered_with_what_is_expected(gateway: Gateway) -> None:
    gateway.record(*rows(6))
    await gateway.push(1, 2)
    answer = await gateway.push(5, 6)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["type"], answer.json()["expected_seq"]) == ("gap", 3)


async def test_a_fork_is_refused_and_its_tail_accepted_as_a_branch(
    headquarters: Headquarters, gateway: Gateway
) -> None:
    gateway.record(*rows(4))
    await gateway.push()
    gateway.bodies[2:] = []
    gateway.record(movement("shipping", DOCK, CUSTOMER, NOW, [("A", 1)]), *rows(1))
    refused = await gateway.push()
    assert (refused.status_code, refused.json()["type"], refused.json()["expected_seq"]) == (409, "fork", 5)
    head = await gateway.send("GET", f"/v1/gateways/{gateway.id}/head?epoch={gateway.epoch}&seq=2")
    common = chain.head(chain.genesis(gateway.epoch), gateway.bodies[:2]).hex()
    assert (head.json()["seq"], head.json()["hash_at"]) == (4, common)
    accepted = await gateway.push(3, 4, epoch="99", parent=(str(gateway.epoch), 2, common))
    assert accepted.status_code == 200, accepted.text
    assert await headquarters.rows(schema.epoch, "epoch", "ordinal", "seq") == [(99, 2, 4), (4_711, 1, 4)]
    assert await headquarters.rows(schema.item_stock, "on_hand") == [(10 - 1 + 1,)]
    at_one = await gateway.send("GET", f"/v1/gateways/{gateway.id}/head?epoch=99&seq=1")
    assert at_one.json()["hash_at"] == chain.head(chain.genesis(gateway.epoch), gateway.bodies[:1]).hex()


async def test_a_branch_from_a_row_that_is_not_here_is_refused(gateway: Gateway) -> None:
    gateway.record(*rows(4))
    await gateway.push()
    answer = await gateway.push(3, 4, epoch="99", parent=(str(gateway.epoch), 2, "00" * 32))
    assert (answer.status_code, answer.json()["type"]) == (409, "fork")


async def test_a_damaged_batch_changes_nothing(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(3))
    answer = await gateway.push(head_hash="11" * 32)
    assert answer.status_code == 400
    assert "head_hash" in answer.json()["detail"]
    assert await headquarters.rows(schema.ledger) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"record":"movement/2","kind":"teleporting"}',
        b'{"record":"weather/1","rain":true}',
        b"not JSON at all",
        b"",
        b'{"record":"movement/1","kind":"moving","from":["a"],"to":["b"],"occurred_at":1767600000000000,"lines":'
        b'[{"item":"A","quantity":99999999999999999999}]}',
        b'{"record":"movement/1","kind":"moving","from":["a"],"to":["b"],"occurred_at":5,"lines":[{"item":"A","quantity":1}]}',
        b'{"record":"movement/1","kind":"moving","from":["a"],"to":["b"],"occurred_at":1767600000000000}',
        b'{"record":"exception/1","kind":"device","subject":"a\\u0000b","state":"open","at":1767600000000000,"text":"x"}',
    ],
)
async def test_what_cannot_be_digested_is_kept_and_parked(
    headquarters: Headquarters, gateway: Gateway, body: bytes
) -> None:
    gateway.record(*rows(1), body, *rows(1))
    answer = await gateway.push()
    assert (answer.status_code, answer.json().get("acked_seq")) == (200, 3), answer.text
    stored = await headquarters.rows(schema.ledger, "seq", "body")
    assert stored[1] == (2, body)
    assert await headquarters.rows(schema.parked, "epoch", "seq") == [(gateway.epoch, 2)]
    exceptions = await headquarters.rows(schema.exception, "kind", "subject", "state")
    tag = body[11:].split(b'"')[0].decode() if body.startswith(b'{"record"') else "unreadable"
    assert exceptions == [("parked-record", tag, "open")]
    assert await headquarters.rows(schema.item_stock, "on_hand") == [(2,)]


async def test_another_gateway_and_other_sites_are_refused(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(1))
    assert (await gateway.push(site="south")).status_code == 403
    stranger = Gateway(headquarters.client, headquarters.runtime, seed=9)
    stranger.id, stranger.site = gateway.id, "north"
    stranger.record(*rows(1))
    answer = await stranger.push()
    assert answer.status_code == 401
    assert await headquarters.rows(schema.ledger) == []


async def test_a_wrong_clock_is_told_the_time(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(1))
    gateway.clock_offset_s = -400
    answer = await gateway.push()
    assert answer.status_code == 401
    assert abs(int(answer.headers["evercount-time"]) - headquarters.runtime.now()) < 1_000_000


async def test_a_changed_body_is_refused(gateway: Gateway) -> None:
    gateway.record(*rows(2))
    good, other = gateway.batch(1, 2), gateway.batch(1, 1)
    request = gateway.client.build_request("POST", f"/v1/gateways/{gateway.id}/ledger", content=good)
    gateway.signer.sign(
        request, key_id=gateway.id, tag="evercount", body=good,
        covered_component_ids=("@method", "@authority", "@path", "@query"),
    )  # fmt: skip
    forged = gateway.client.build_request("POST", request.url, content=other)
    for name in ("signature", "signature-input", "content-digest"):
        forged.headers[name] = request.headers[name]
    assert (await gateway.client.send(forged)).status_code == 401


async def test_bombs_are_not_inflated(gateway: Gateway) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(64 << 20))
    answer = await gateway.push_body(bomb)
    assert answer.status_code == 413
    for damaged in (b"", b"xx", gateway.batch(1, 0)[:-3], gateway.batch(1, 0) * 2):
        assert (await gateway.push_body(damaged)).status_code == 400


async def test_status_and_lag_are_kept(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(9))
    await gateway.push(1, 4)
    assert await headquarters.rows(schema.gateway, "behind") == [(5,)]
    await gateway.push(5, 9)
    assert await headquarters.rows(schema.gateway, "behind") == [(0,)]


async def test_an_advisory_is_shown_until_its_rows_arrived(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(*rows(9))
    told = {
        "epoch": str(gateway.epoch),
        "seq": 9,
        "at": NOW,
        "balances": [{"account": ["dock-1"], "item": "A", "quantity": 45}],
    }
    body = zstandard.ZstdCompressor().compress(msgspec.json.encode(told))
    answer = await gateway.send("POST", f"/v1/gateways/{gateway.id}/advisory", body)
    assert answer.status_code == 204, answer.text
    await gateway.push(1, 4)
    assert len(await headquarters.rows(schema.advisory)) == 1
    await gateway.push(5, 9)
    assert await headquarters.rows(schema.advisory) == []
