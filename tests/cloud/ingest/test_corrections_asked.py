"""Who may ask for a correction, of which rows, and what the site is told: on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import zstandard
from headquarters import CUSTOMER, DOCK, SUPPLIER, Gateway, Headquarters, movement
from sqlalchemy import event, update

from cloud.ingest.corrections import MAY_BE_CUT_US
from cloud.ingest.events import Branches
from cloud.store import schema
from cloud.store.database import writing
from vocabulary import chain
from vocabulary.movement import UnitEntry
from vocabulary.place import Account
from vocabulary.records import CommandResult
from vocabulary.wire import OPENING_SNAPSHOT, WIRE_VERSION, BatchHeader, Command, CorrectMovement, Status

NOW = 1_767_592_800_000_000
BIN = Account("bin-1")


async def opened(headquarters: Headquarters) -> Gateway:
    """A site with a gateway that received twice; the second time the pallet was seen in the bin before it was stored."""
    await headquarters.add_site()
    gateway = await headquarters.add_gateway()
    at = headquarters.runtime.now()
    gateway.record(
        movement("receiving", SUPPLIER, DOCK, at, [("A", 10)]),
        movement("receiving", SUPPLIER, DOCK, at + 1, [("B", 5)], units=(UnitEntry("00/1"),)),
        movement("moving", DOCK, BIN, at + 2, [("B", 5)], units=(UnitEntry("00/1"),), group=2, implied=True),
        movement("shipping", BIN, CUSTOMER, at + 9, (), units=(UnitEntry("00/2"),)),
        movement("counting", Account("unknown"), DOCK, at + 10, [("A", 1)]),
        movement("receiving", SUPPLIER, DOCK, at + 11, [("A", 1)], rule=OPENING_SNAPSHOT),
        movement("storing", DOCK, BIN, at + 12, [("A", 2)]),
    )
    assert (await gateway.push()).status_code == 200
    return gateway


async def ask(headquarters: Headquarters, position: int, role: str = "owner", **wanted: Any) -> httpx.Response:
    return await headquarters.client.post(
        f"/api/v1/sites/north/movements/{position}/correction",
        json={"reason": "it never came"} | wanted,
        headers=await headquarters.key(role, "" if role == "owner" else "north"),
    )


async def view(headquarters: Headquarters, position: int) -> dict[str, Any]:
    answer = await headquarters.client.get(
        f"/api/v1/sites/north/movements/{position}/correction", headers=await headquarters.key("viewer")
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def orders(headquarters: Headquarters) -> list[CorrectMovement]:
    rows = await headquarters.rows(schema.command, "created_at", "body")
    found = [msgspec.json.decode(body, type=Command).order for _, body in sorted(rows)]
    return [order for order in found if isinstance(order, CorrectMovement)]


async def standing(headquarters: Headquarters, position: int) -> list[int]:
    return [row["seq"] for row in (await view(headquarters, position))["rows"] if row["standing"]]


async def test_the_role_and_the_reason_are_asked_for_and_the_audit_log_tells(headquarters: Headquarters) -> None:
    await opened(headquarters)
    assert [(await ask(headquarters, 1, role)).status_code for role in ("viewer", "planner", "fleet-admin")] == [
        403
    ] * 3
    assert (await ask(headquarters, 1, reason="  ")).status_code == 400
    assert (await ask(headquarters, 99)).status_code == 404
    assert (await ask(headquarters, 1, "site-operator")).status_code == 202
    (order,) = await orders(headquarters)
    assert (order.group, order.epoch, order.reason, order.original) == (1, "4711", "it never came", ())
    log = await headquarters.rows(schema.audit, "action", "site_id", "subject")
    assert ("movement.correct", "north", "4711/1") in log


async def test_two_clicks_at_once_send_one_command(headquarters: Headquarters) -> None:
    await opened(headquarters)
    answers = await asyncio.gather(*(ask(headquarters, position) for position in (2, 3, 2)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
    assert len(await orders(headquarters)) == 1
    assert [row["seq"] for row in (await view(headquarters, 3))["rows"]] == [2, 3]


async def test_what_is_no_movement_of_its_own_is_refused_in_one_sentence(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    gateway.record(CommandResult("x", NOW, "done"))
    await gateway.push(8)
    refusals = [(await ask(headquarters, position)).json()["detail"] for position in (5, 6, 8)]
    assert [text.split(";")[0] for text in refusals] == [
        "This comes from a count", "This only repeats to a new gateway what headquarters held",
        "This is no movement that counts",
    ]  # fmt: skip


async def test_a_refused_or_expired_command_frees_the_event(headquarters: Headquarters) -> None:
    gateway = await opened(headquarters)
    command = (await ask(headquarters, 1)).json()["command"]
    gateway.record(CommandResult(command, NOW, "refused", "no"))
    await gateway.push(8)
    assert (await ask(headquarters, 1)).status_code == 202
    assert (await ask(headquarters, 1)).status_code == 409
    async with writing(headquarters.engine) as conn:
        await conn.execute(update(schema.command).values(expires_at=headquarters.runtime.now() - 1))
    assert (await ask(headquarters, 1)).status_code == 202


async def test_rows_taken_back_and_posted_anew_later_are_found(headquarters: Headquarters) -> None:
    """Also what stands for them when it is of other goods, and events without any goods."""
    gateway = await opened(headquarters)
    at = headquarters.runtime.now()
    first = msgspec.json.decode(gateway.bodies[0])["occurred_at"]
    fourth = msgspec.json.decode(gateway.bodies[3])["occurred_at"]
    gateway.record(
        movement("receiving", DOCK, SUPPLIER, first, [("A", 10)], group=1, reverses=1),
        movement("receiving", SUPPLIER, DOCK, first, [("C", 3)], group=1, replaces=1),
        movement("receiving", SUPPLIER, DOCK, at, [("A", 8)]),
        movement("receiving", DOCK, SUPPLIER, first, [("C", 3)], group=1, reverses=9),
        movement("receiving", SUPPLIER, BIN, first, [("D", 4)], group=1, replaces=1),
        movement("shipping", CUSTOMER, BIN, fourth, (), units=(UnitEntry("00/2"),), group=4, reverses=4),
    )
    assert (await gateway.push(8)).status_code == 200
    assert [row["seq"] for row in (await view(headquarters, 1))["rows"]] == [1, 8, 9, 11, 12]
    assert await standing(headquarters, 9) == [12]
    assert (await standing(headquarters, 4), (await ask(headquarters, 4)).status_code) == ([], 409)


async def test_rows_of_a_gateway_before_travel_and_are_taken_back_once(headquarters: Headquarters) -> None:
    await opened(headquarters)
    await headquarters.add_gateway(seed=2, epoch=5, replaces=True)
    assert (await ask(headquarters, 3)).status_code == 202
    assert (await ask(headquarters, 2)).status_code == 409
    (order,) = await orders(headquarters)
    assert (order.epoch, order.group, order.rows, len(order.original)) == ("4711", 2, (2, 3), 2)
    async with writing(headquarters.engine) as conn:
        await conn.execute(update(schema.command).values(result="done"))
    assert "taken back already" in (await ask(headquarters, 2)).json()["detail"]
    assert (await ask(headquarters, 1)).status_code == 202


async def test_a_fork_keeps_its_part_of_the_numbers(headquarters: Headquarters) -> None:
    """Rows up to the fork are those of the new branch too; the others stand in a branch that the site has left."""
    gateway = await opened(headquarters)
    fork = Gateway(headquarters.client, headquarters.runtime, gateway.seed, 6, gateway.id, gateway.site)
    head = chain.head(chain.genesis(4_711), gateway.bodies[:3]).hex()
    fork.bodies = gateway.bodies[:3]
    fork.record(movement("receiving", DOCK, SUPPLIER, headquarters.runtime.now(), [("A", 4)]))
    told = await _push_fork(fork, head)
    assert told.status_code == 200, told.text
    assert (await ask(headquarters, 1)).status_code == 202
    assert (await ask(headquarters, 7)).status_code == 202
    own, left = await orders(headquarters)
    assert (own.epoch, own.group, own.original) == ("4711", 1, ())
    assert (left.epoch, left.group, left.rows) == ("4711", 7, (7,))


async def _push_fork(fork: Gateway, head: str) -> httpx.Response:
    """Row 4 of the branch that left epoch 4711 behind row 3, whose hash is `head`."""
    after = chain.link(bytes.fromhex(head), fork.bodies[3])
    status = Status(fork.runtime.now(), "test", 4)
    header = BatchHeader(
        WIRE_VERSION, fork.site, fork.id, "6", 4, head, after.hex(), status, ("4711", 3, head)
    )  # fmt: skip
    body = b"\n".join([msgspec.json.encode(header), fork.bodies[3]])
    return await fork.push_body(zstandard.ZstdCompressor(level=3).compress(body))


async def test_old_rows_travel_with_their_corrected_time(headquarters: Headquarters) -> None:
    await opened(headquarters)
    long_ago = headquarters.runtime.now() - MAY_BE_CUT_US - 10**9
    async with writing(headquarters.engine) as conn:
        await conn.execute(update(schema.ledger).where(schema.ledger.c.seq == 7).values(occurred_at=long_ago))
    right = {"kind": "shipping", "from": ["dock-9"], "to": ["customer"]}
    refused = await ask(headquarters, 7, replacement=right)
    assert (refused.status_code, "dock-9" in refused.json()["detail"]) == (400, True)
    assert (await ask(headquarters, 7, replacement=right | {"from": ["unknown"]})).status_code == 202
    (order,) = await orders(headquarters)
    assert [(row.occurred_at, row.kind) for row in order.original] == [(long_ago, "storing")]
    assert order.replacement is not None
    assert (order.replacement.kind, order.replacement.lines) == ("shipping", ())


async def test_the_view_needs_few_queries(headquarters: Headquarters) -> None:
    await opened(headquarters)
    key = await headquarters.key()
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(headquarters.engine.sync_engine, "before_cursor_execute", count)
    answer = await headquarters.client.get("/api/v1/sites/north/movements/2/correction", headers=key)
    event.remove(headquarters.engine.sync_engine, "before_cursor_execute", count)
    assert answer.status_code == 200
    assert len([text for text in statements if text.startswith("SELECT")]) <= 9


def test_a_row_is_found_under_the_branch_that_stores_it() -> None:
    branches = Branches({1: (None, 0), 2: (1, 10), 3: (2, 15), 4: (1, 5)})
    assert [branches.stored_in(3, seq) for seq in (10, 11, 15, 16)] == [1, 2, 2, 3]
    assert [branches.stored_in(4, seq) for seq in (5, 6)] == [1, 4]
    assert branches.with_row(1, 7) == [1, 2, 3]
    assert branches.stored_in(9, 1) is None
