"""A person at headquarters says that a movement did not happen so: at most once, wherever the row stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from takeover_help import (
    CATALOGUE,
    SECOND,
    SITE,
    Box,
    Headquarters,
    assert_equal,
    box,
    case_id,
    code_for,
    crossing,
    moving,
    open_headquarters,
    pallet_id,
    present,
    units,
    whereabouts,
)
from virtual import VirtualRuntime

from cloud.ingest import commands
from cloud.ingest.corrections import MAY_BE_CUT_US
from cloud.store import schema
from cloud.store.database import writing
from gateway.ledger.check import verify_ledger
from gateway.sync.downlink import DownlinkClient
from gateway.transactions.intents import Corrected, Scanned
from vocabulary.movement import Movement
from vocabulary.wire import Command, CorrectMovement

DAY = 86_400 * SECOND


@pytest.fixture
async def hq(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        await opened.add_site(SITE)
        key = await opened.key()
        for path, rows in (
            ("items", [{"id": "water", "name": "Water"}, {"id": "juice", "name": "Juice"}]),
            (
                "places",
                [{"site_id": SITE, "id": "dock-1", "kind": "dock"}, {"site_id": SITE, "id": "bin-1", "kind": "bin"}],
            ),
        ):
            answer = await opened.client.put(f"/api/v1/{path}", json=rows, headers=key)
            assert answer.status_code == 200, (answer.url, answer.text)
        yield opened


async def ask(hq: Headquarters, position: int, **wanted: Any) -> Any:
    body = {"reason": "it never came"} | wanted
    return await hq.client.post(
        f"/api/v1/sites/{SITE}/movements/{position}/correction", json=body, headers=await hq.key("site-operator", SITE)
    )


async def event(hq: Headquarters, position: int) -> dict[str, Any]:
    answer = await hq.client.get(f"/api/v1/sites/{SITE}/movements/{position}/correction", headers=await hq.key())
    assert answer.status_code == 200, answer.text
    return answer.json()


async def obey(hq: Headquarters, gateway: Box) -> list[tuple[str, str]]:
    """The gateway does its commands and tells of it; (result, text) of all commands in order of their results."""
    client = DownlinkClient(gateway.cloud, SITE, gateway.writer, gateway.runtime)
    task = asyncio.create_task(client.run())
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gateway.writer.set_catalogue(CATALOGUE)
    await gateway.sync()
    c = await hq.rows(schema.command, "created_at", "result", "text")
    return [(result, text) for _, result, text in sorted(c)]


async def position_of(hq: Headquarters, kind: str, number: int = 0) -> int:
    lines = await hq.rows(schema.movement_line, "position", "kind", "line")
    return [position for position, found, line in lines if found == kind and line == 0][number]


def receipt_of_juice(at: int, pieces: int = 12) -> Scanned:
    return Scanned(
        occurred_at=at, kind="receiving", from_place="supplier", to_place="bin-2", item="juice", pieces=pieces
    )  # fmt: skip


def orders(commands: list[tuple[bytes]]) -> list[CorrectMovement]:
    found = [msgspec.json.decode(body, type=Command).order for (body,) in commands]
    return [order for order in found if isinstance(order, CorrectMovement)]


async def test_a_receipt_is_taken_back_once_and_dated_as_it_was(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as gateway:
        await gateway.do(crossing(runtime.now(), "in", units(1)))
        await gateway.sync()
        received = await position_of(hq, "receiving")
        assert [row["standing"] for row in (await event(hq, received))["rows"]] == [True]
        answers = await asyncio.gather(ask(hq, received), ask(hq, received))
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        refused = next(answer.json()["detail"] for answer in answers if answer.status_code == 409)
        assert "on its way" in refused
        assert await obey(hq, gateway) == [("done", "")]
        stock = await assert_equal(hq, gateway)
        assert not any(present(stock).values())
        seen = await event(hq, received)
        assert [row["standing"] for row in seen["rows"]] == [False, False]
        assert len({row["occurred_at"] for row in seen["rows"]}) == 1
        again = await ask(hq, received)
        assert (again.status_code, "taken back already" in again.json()["detail"]) == (409, True)
        assert sum(row[0] for row in await hq.rows(schema.daily, "received")) == 0
        last = (await gateway.records())[-2]
        assert isinstance(last, Movement)
        assert last.actor == "key:test"


async def test_what_did_happen_is_posted_and_can_be_taken_back_in_turn(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    """Twelve of juice were scanned, and it was five of water; then even that was wrong."""
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as gateway:
        await gateway.do(receipt_of_juice(runtime.now()), receipt_of_juice(runtime.now(), 7))
        await gateway.sync()
        received = await position_of(hq, "receiving")
        right = {
            "kind": "receiving",
            "from": ["supplier"],
            "to": ["dock-1"],
            "lines": [{"item": "water", "quantity": 5}],
        }
        nowhere = await ask(hq, received, replacement=right | {"to": ["bin-77"]})
        assert (nowhere.status_code, "bin-77" in nowhere.json()["detail"]) == (400, True)
        assert (await ask(hq, received, replacement=right)).status_code == 202
        assert await obey(hq, gateway) == [("done", "")]
        stock = await assert_equal(hq, gateway)
        assert {key[:3]: amount for key, amount in present(stock).items()} == {
            ("dock-1", "available", "water"): 5, ("bin-2", "available", "juice"): 7,
        }  # fmt: skip
        seen = await event(hq, received)
        assert [row["standing"] for row in seen["rows"]] == [False, False, True]
        same = {"kind": "receiving", "from": ["customer"], "to": ["bin-1"]}
        assert (await ask(hq, received, replacement=same)).status_code == 202
        assert (await obey(hq, gateway))[-1] == ("done", "")
        stock = await assert_equal(hq, gateway)
        assert present(stock)["bin-1", "available", "water", "", ""] == 5
        seen = await event(hq, received)
        assert [row["standing"] for row in seen["rows"]] == [False, False, False, False, True]
        assert (await ask(hq, seen["rows"][-1]["position"])).status_code == 202
        await obey(hq, gateway)
        assert set(present(await assert_equal(hq, gateway)).values()) == {7}
        assert (await ask(hq, received)).status_code == 409


async def test_what_the_site_refused_or_let_expire_can_be_asked_again(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as gateway:
        await gateway.do(receipt_of_juice(runtime.now()))
        await gateway.sync()
        received = await position_of(hq, "receiving")
        assert (await ask(hq, received)).status_code == 202
        await asyncio.sleep(8 * 86_400)
        assert (await event(hq, received))["refusal"] == ""
        assert (await ask(hq, received, reason=" ")).status_code == 400
        async with writing(hq.engine) as conn:
            epoch = str(gateway.writer.head.epoch)
            await commands.send(conn, hq.runtime, SITE, CorrectMovement(2, "no such row", epoch=epoch), "ann")
        assert (await obey(hq, gateway))[-1][0] == "refused"
        assert (await event(hq, received))["refusal"] == ""
        assert (await ask(hq, received)).status_code == 202
        assert (await obey(hq, gateway))[-1] == ("done", "")
        await assert_equal(hq, gateway)
        assert (await ask(hq, received)).status_code == 409


async def test_what_the_site_took_back_meanwhile_is_refused_by_the_site(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as gateway:
        await gateway.do(receipt_of_juice(runtime.now()))
        await gateway.sync()
        received = await position_of(hq, "receiving")
        await gateway.do(Corrected(occurred_at=runtime.now(), group=1, reason="said at the site"))
        assert (await ask(hq, received)).status_code == 202
        ((result, text),) = await obey(hq, gateway)
        assert (result, "taken back already" in text) == ("refused", True)
        await assert_equal(hq, gateway)
        assert "taken back already" in (await event(hq, received))["refusal"]


async def test_rows_that_may_be_cut_travel_with_their_numbers(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as gateway:
        await gateway.do(crossing(runtime.now(), "in", units(1)), receipt_of_juice(runtime.now()))
        await gateway.sync()
        await asyncio.sleep(MAY_BE_CUT_US / SECOND + 1)
        await gateway.sync()
        received = await position_of(hq, "receiving")
        assert (await ask(hq, received)).status_code == 202
        (order,) = orders(await hq.rows(schema.command, "body"))
        assert (order.group, order.rows, len(order.original)) == (1, (1,), 1)
        assert await obey(hq, gateway) == [("done", "")]
        assert list(present(await assert_equal(hq, gateway)).values()) == [12]


@pytest.fixture
async def spare(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> AsyncIterator[Box]:
    """Took over from a gateway that received two pallets, stored one, and received twelve of juice."""
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        now = runtime.now()
        await old.do(
            crossing(now, "in", units(1)),
            crossing(now + 10 * SECOND, "in", units(2)),
            moving(now + 20 * SECOND, "bin-1", pallet_id(2)),
            receipt_of_juice(now + 30 * SECOND),
        )
        await asyncio.sleep(60)
        await old.sync()
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        new.writer.set_catalogue(CATALOGUE)
        await new.do(receipt_of_juice(runtime.now(), 7))
        await new.sync()
        yield new


async def test_a_row_from_before_a_takeover_is_taken_back_once(spare: Box, hq: Headquarters) -> None:
    """Its number is that of another row in the spare's ledger, which is left alone."""
    before = present(await spare.stock())
    juice = await position_of(hq, "receiving", 2)
    assert (await ask(hq, juice)).status_code == 202
    (order,) = orders(await hq.rows(schema.command, "body"))
    assert (len(order.original), order.epoch != str(spare.writer.head.epoch)) == (1, True)
    assert (await ask(hq, juice)).status_code == 409
    assert await obey(hq, spare) == [("done", "")]
    stock = await assert_equal(hq, spare)
    key = ("bin-2", "available", "juice", "", "")
    assert present(stock) == before | {key: before[key] - 12}
    again = await ask(hq, juice)
    assert (again.status_code, "taken back already" in again.json()["detail"]) == (409, True)
    assert sum(row[0] for row in await hq.rows(schema.daily, "received")) == 7
    # whatever headquarters believes, the gateway does it once: it knows by its mark
    async with writing(hq.engine) as conn:
        await commands.send(conn, hq.runtime, SITE, order, "ann")
    (_, (result, text)) = await obey(hq, spare)
    assert (result, "taken back already" in text) == ("refused", True)
    assert present(await assert_equal(hq, spare)) == present(stock)


async def test_a_pallet_of_the_old_ledger_goes_back_with_its_goods(spare: Box, hq: Headquarters) -> None:
    assert (await ask(hq, await position_of(hq, "receiving", 0))).status_code == 202
    assert await obey(hq, spare) == [("done", "")]
    stock = await assert_equal(hq, spare)
    assert pallet_id(1) not in whereabouts(stock)
    assert not [key for key in present(stock) if key[0] == "dock-1"]


async def test_a_pallet_that_moved_on_in_the_old_ledger_stays_where_it_is(spare: Box, hq: Headquarters) -> None:
    before = present(await spare.stock()), whereabouts(await spare.stock())
    assert (await ask(hq, await position_of(hq, "receiving", 1))).status_code == 202
    assert await obey(hq, spare) == [("done", "")]
    stock = await assert_equal(hq, spare)
    assert (present(stock), whereabouts(stock)) == before


async def test_a_pallet_that_moved_on_in_the_new_ledger_is_linked_anew(
    spare: Box, hq: Headquarters, runtime: VirtualRuntime
) -> None:
    await spare.do(moving(runtime.now(), "bin-1", pallet_id(1)))
    await spare.sync()
    assert (await ask(hq, await position_of(hq, "receiving", 0))).status_code == 202
    assert await obey(hq, spare) == [("done", "")]
    stock = await assert_equal(hq, spare)
    assert whereabouts(stock)[pallet_id(1)][0] == whereabouts(stock)[case_id(1, 0)][0] == "bin-1"
    assert not [key for key in present(stock) if key[0] == "dock-1"]


async def test_what_did_happen_stands_in_for_a_row_of_the_old_ledger(spare: Box, hq: Headquarters) -> None:
    """The pallet came back from a customer; that is an event of the spare, and can be taken back as one."""
    right = {"kind": "returning", "from": ["customer"], "to": ["bin-1"]}
    first = await position_of(hq, "receiving", 0)
    assert (await ask(hq, first, replacement=right)).status_code == 202
    assert await obey(hq, spare) == [("done", "")]
    stock = await assert_equal(hq, spare)
    assert whereabouts(stock)[pallet_id(1)][0] == "bin-1"
    assert (await ask(hq, first)).status_code == 409
    returned = await position_of(hq, "returning")
    assert (await ask(hq, returned)).status_code == 202
    assert (await obey(hq, spare))[-1] == ("done", "")
    assert pallet_id(1) not in whereabouts(await assert_equal(hq, spare))


async def test_a_number_of_another_ledger_is_never_taken_for_an_own_row(spare: Box, hq: Headquarters) -> None:
    before = present(await spare.stock())
    async with writing(hq.engine) as conn:
        await commands.send(conn, hq.runtime, SITE, CorrectMovement(1, "wrong", epoch="12345"), "ann")
    ((result, text),) = await obey(hq, spare)
    assert (result, "is not in this ledger" in text) == ("refused", True)
    assert present(await spare.stock()) == before
    assert verify_ledger(spare.folder / "ledger.db").ok
