"""What headquarters sees of its gateways: clones, refused pushes, announced stock in parts, commands that expired."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import zstandard
from headquarters import DOCK, SUPPLIER, Gateway, Headquarters, movement

from cloud.ingest import commands
from cloud.store import schema
from cloud.store.database import writing
from vocabulary import chain
from vocabulary.place import Account
from vocabulary.wire import Advisory, BalanceLine, IdentifyItem, Status

NOW = 1_767_600_000_000_000


@pytest.fixture
async def gateway(headquarters: Headquarters) -> Gateway:
    await headquarters.add_site()
    return await headquarters.add_gateway()


def said(gateway: Gateway, instance: str = "", **more: object) -> Status:
    return Status(gateway.runtime.now(), "test", len(gateway.bodies), instance=instance, **more)  # type: ignore[arg-type]


async def open_exceptions(headquarters: Headquarters) -> list[tuple[str, str, str]]:
    rows = await headquarters.rows(schema.exception, "kind", "subject", "text", "state")
    return [row[:3] for row in rows if row[3] == "open"]


async def fleet(headquarters: Headquarters) -> list[dict[str, object]]:
    answer = await headquarters.client.get("/api/v1/gateways", headers=await headquarters.key())
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_processes_that_take_turns_are_two_machines(headquarters: Headquarters, gateway: Gateway) -> None:
    for instance in ("a", "b", "a"):
        assert (await gateway.push(status=said(gateway, instance))).status_code == 200
        await asyncio.sleep(30)
    assert await open_exceptions(headquarters) == []  # the third may be a request that was held up
    await gateway.push(status=said(gateway, "b"))
    ((kind, subject, text),) = await open_exceptions(headquarters)
    assert (kind, subject) == ("gateway-clone", f"gateway {gateway.id}")
    assert "2 machines" in text
    (one,) = await fleet(headquarters)
    assert [alarm["kind"] for alarm in one["alarms"]] == ["gateway-clone"]  # type: ignore[attr-defined]
    e = schema.exception
    async with writing(headquarters.engine, "north") as conn:
        await conn.execute(e.update().values(state="assigned"))
    await gateway.push(status=said(gateway, "a"))
    assert await headquarters.rows(e, "state") == [("assigned",)]  # who works on it is left alone


async def test_returns_of_other_days_do_not_add_up(headquarters: Headquarters, gateway: Gateway) -> None:
    for _ in range(5):
        for instance in ("a", "b", "a"):
            await gateway.push(status=said(gateway, instance))
            await asyncio.sleep(1)
        await asyncio.sleep(2 * 86_400)
        await gateway.push(status=said(gateway, "c"))
        await asyncio.sleep(2 * 86_400)
    assert await open_exceptions(headquarters) == []


async def test_a_branch_that_leaves_rows_behind_is_told_with_its_history(
    headquarters: Headquarters, gateway: Gateway
) -> None:
    gateway.record(*[movement("receiving", SUPPLIER, DOCK, NOW + n, [("A", 1)]) for n in range(5)])
    await gateway.push()
    common = chain.head(chain.genesis(gateway.epoch), gateway.bodies[:3]).hex()
    gateway.bodies[3:] = []
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW + 9, [("A", 1)]))
    answer = await gateway.push(4, 4, epoch="99", parent=(str(gateway.epoch), 3, common))
    assert answer.status_code == 200, answer.text
    ((kind, _, text),) = await open_exceptions(headquarters)
    assert kind == "gateway-clone"
    assert "row 3" in text
    assert "2 rows" in text
    (one,) = await fleet(headquarters)
    branches = [(b["epoch"], b["parent"], b["parent_seq"], b["rows"]) for b in one["branches"]]  # type: ignore[attr-defined]
    assert branches == [("99", "4711", 3, 1), ("4711", "", 0, 5)]


async def test_a_branch_from_the_last_row_is_no_alarm(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)]))
    await gateway.push()
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW + 9, [("A", 1)]))
    common = chain.head(chain.genesis(gateway.epoch), gateway.bodies[:1]).hex()
    await gateway.push(2, 2, epoch="99", parent=(str(gateway.epoch), 1, common))
    assert await open_exceptions(headquarters) == []


async def test_pushes_that_are_refused_are_told_and_settle(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)]))
    for _ in range(4):
        assert (await gateway.push(head_hash="11" * 32)).status_code == 400
    assert await open_exceptions(headquarters) == []
    await gateway.push(head_hash="11" * 32)
    await gateway.push(1, 0, status=said(gateway))  # a sign of life is no row
    ((kind, _, text),) = await open_exceptions(headquarters)
    assert (kind, "head_hash" in text) == ("device", True)
    assert (await gateway.push()).status_code == 200
    assert await open_exceptions(headquarters) == []


async def test_announced_stock_in_parts_is_shown_when_it_is_whole(headquarters: Headquarters, gateway: Gateway) -> None:
    async def tell(at: int, part: int, parts: int, item: str) -> int:
        balances = (BalanceLine(Account("dock-1"), item, at),)
        body = msgspec.json.encode(Advisory(str(gateway.epoch), 9_000, at, balances, part, parts))
        answer = await gateway.send(
            "POST", f"/v1/gateways/{gateway.id}/advisory", zstandard.ZstdCompressor().compress(body)
        )
        return answer.status_code

    async def shown() -> list[str]:
        rows = await headquarters.rows(schema.advisory, "body")
        return [line.item for (body,) in rows for line in msgspec.json.decode(body, type=Advisory).balances]

    await tell(1, 0, 3, "A")
    await tell(1, 1, 3, "B")
    assert await shown() == []
    await tell(1, 1, 3, "B")  # once more: its answer was lost
    await tell(1, 2, 3, "C")
    assert await shown() == ["A", "B", "C"]
    await tell(2, 0, 2, "D")  # a newer one begins: the last whole one stays
    assert await shown() == ["A", "B", "C"]
    await tell(2, 1, 2, "E")
    assert await shown() == ["D", "E"]
    await tell(1, 0, 1, "OLD")  # held up, or played back
    assert await shown() == ["D", "E"]
    assert await headquarters.rows(schema.advisory_part) == []
    assert await tell(3, 3, 3, "F") == 400


async def test_a_command_that_has_expired_is_not_sent(headquarters: Headquarters, gateway: Gateway) -> None:
    async with writing(headquarters.engine, "north") as conn:
        await commands.send(conn, headquarters.runtime, "north", IdentifyItem("gtin:1", "A"), "maria")
    path = f"/v1/gateways/{gateway.id}/downlink"
    assert len((await gateway.send("GET", path)).json()["commands"]) == 1
    await asyncio.sleep(7 * 86_400 + 60)
    async with writing(headquarters.engine, "north") as conn:
        await commands.send(conn, headquarters.runtime, "north", IdentifyItem("gtin:2", "A"), "maria")
    told = (await gateway.send("GET", path)).json()["commands"]
    assert [command["order"]["provisional"] for command in told] == ["gtin:2"]


async def test_the_fleet_says_lag_clock_disk_and_chain(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)]))
    now = headquarters.runtime.now()
    status = said(
        gateway, disk="low", disk_days=12, disk_free=5_000_000_000, chain="", checked_at=now - 3_600_000_000,
        clock_trusted=False, oldest_unsent=now - 90_000_000, open_exceptions=3,
    )  # fmt: skip
    await gateway.push(status=msgspec.structs.replace(status, recorded=41))
    (one,) = await fleet(headquarters)
    assert (one["state"], one["lag_records"], one["lag_seconds"]) == ("catching-up", 40, 90)
    assert one["clock"] == "not trusted"
    told = one["status"]
    assert isinstance(told, dict)
    assert (told["disk"], told["disk_days"], told["open_exceptions"]) == ("low", 12, 3)
    await asyncio.sleep(130)
    (one,) = await fleet(headquarters)
    assert (one["state"], one["lag_seconds"]) == ("silent", 220)
