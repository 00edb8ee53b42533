"""The dead card's own rows stand at headquarters as evidence: byte for byte, chained to what it held, without effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from takeover_help import (
    SECOND,
    Box,
    Headquarters,
    assert_equal,
    box,
    code_for,
    crossing,
    hq_stock,
    moving,
    open_headquarters,
    pallet_id,
    units,
)
from virtual import VirtualRuntime

from cloud.ingest.fleet import read_fleet
from cloud.store import schema
from cloud.store.database import reading
from gateway.errors import GatewayError, LinkDownError
from gateway.sync import card_rows
from gateway.sync.card_rows import CardTail, keep_at_headquarters, tail_of
from gateway.sync.salvage import examine, read_card
from gateway.transactions.intents import AnyIntent, Recorded
from vocabulary.records import ClockRecord

Card = tuple[Path, int]


@pytest.fixture
async def hq(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        await opened.add_site("north")
        yield opened


@pytest.fixture
async def card(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> Card:
    """A dead gateway's ledger, and the last row of it that headquarters holds, whose times a clock record of the card moves."""
    now = runtime.now()
    told: list[AnyIntent] = [crossing(now + number * SECOND, "in", units(number)) for number in (1, 2)]
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        await old.do(*told)
        await old.sync()
        held = old.writer.head.seq
        await old.do(*(crossing(now + (20 + number) * SECOND, "in", units(number)) for number in range(3, 13)))
        await old.do(moving(now + 90 * SECOND, "bin-1", pallet_id(1)))
        await old.do(Recorded(occurred_at=now, record=ClockRecord(now + 91 * SECOND, 1, held, 50 * SECOND)))
    return tmp_path / "old" / "ledger.db", held


@pytest.fixture
async def survivor(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters, card: Card) -> AsyncIterator[Box]:
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        yield new


async def kept(hq: Headquarters) -> list[tuple[int, int, bytes]]:
    rows = await hq.rows(schema.ledger, "epoch", "seq", "body", "kind")
    return [(epoch, seq, bytes(body)) for epoch, seq, body, kind in rows if kind == schema.SALVAGED]


async def times(hq: Headquarters) -> list[int]:
    """When the movements of the dead gateway that had arrived happened, as headquarters says now."""
    rows = await hq.rows(schema.movement_line, "occurred_at", "position")
    return [at for at, _ in sorted(rows, key=lambda row: row[1])]


async def test_the_rows_are_kept_as_they_are_and_change_but_times(hq: Headquarters, card: Card, survivor: Box) -> None:
    db, held = card
    await survivor.sync()
    derived = (schema.daily, schema.item_stock)
    before = [await hq.rows(table, "item") for table in derived], await hq_stock(hq)
    told = await times(hq)
    found, _ = await examine(db, survivor.cloud, "north", survivor.writer.branch.epoch, keep=True)
    tail = read_card(db)[held:]
    assert (found.kept, found.kept) == (len(tail), found.lacking)
    assert await kept(hq) == [(int(found.kept_as), row.seq, row.body) for row in tail]
    assert ([await hq.rows(table, "item") for table in derived], await hq_stock(hq)) == before
    assert await times(hq) == [at + 50 * SECOND for at in told]
    await assert_equal(hq, survivor)  # the chain of every epoch holds, and all that is derived comes out the same
    again, _ = await examine(db, survivor.cloud, "north", survivor.writer.branch.epoch, keep=True)
    assert (again.kept, again.kept_as, again.held) == (found.kept, found.kept_as, held)
    assert len(await kept(hq)) == len(tail)


async def test_people_see_a_salvaged_card_and_no_movement_of_it(hq: Headquarters, card: Card, survivor: Box) -> None:
    db, held = card
    found, _ = await examine(db, survivor.cloud, "north", survivor.writer.branch.epoch, keep=True)
    async with reading(hq.engine) as conn:
        fleet = await read_fleet(conn, lambda column: column == "north", hq.runtime.now())
    mine = next(one for one in fleet if one.id == survivor.identity.gateway)
    (branch,) = (one for one in mine.branches if one.salvaged)
    assert (branch.epoch, branch.parent_seq, branch.rows) == (found.kept_as, held, found.kept)
    assert mine.head is None or not mine.head.salvaged
    key = await hq.key()
    feed = await hq.client.get("/live?site=north&format=csv", headers=key)
    assert feed.status_code == 200
    assert found.kept_as not in feed.text


async def test_a_cut_in_the_middle_is_gone_on_from(
    hq: Headquarters, card: Card, survivor: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, held = card
    monkeypatch.setattr(card_rows, "BATCH_RECORDS", 4)
    tail = tail_of(read_card(db), held)
    ask, posts = survivor.cloud.ask, 0

    async def breaks(method: str, path: str, **more: object) -> object:
        nonlocal posts
        posts += method == "POST"
        if posts == 3 and method == "POST":
            raise LinkDownError("the cable was pulled")
        return await ask(method, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(survivor.cloud, "ask", breaks)
    with pytest.raises(LinkDownError):
        await keep_at_headquarters(survivor.cloud, "north", tail)
    assert len(await kept(hq)) == 8
    posts = 3
    assert await keep_at_headquarters(survivor.cloud, "north", tail) == len(tail.rows)
    assert posts == 3 + -(-(len(tail.rows) - 8) // 4)
    assert [row[1:] for row in await kept(hq)] == [(row.seq, row.body) for row in tail.rows]


async def test_rows_that_grow_from_nothing_known_are_refused(hq: Headquarters, card: Card, survivor: Box) -> None:
    db, held = card
    rows = read_card(db)
    strange = tail_of(rows, held + 2)  # headquarters has no row held + 2
    with pytest.raises(
        GatewayError, match=f"row {held + 2} of epoch {rows[0].epoch}, from which this one grows, is not"
    ):
        await keep_at_headquarters(survivor.cloud, "north", strange)
    assert await kept(hq) == []
    assert not [row for row in await hq.rows(schema.epoch, "salvaged") if row[0]]


async def test_salvaged_rows_and_rows_that_count_stay_apart(hq: Headquarters, card: Card, survivor: Box) -> None:
    db, held = card
    tail = tail_of(read_card(db), held)
    await keep_at_headquarters(survivor.cloud, "north", tail)
    body = card_rows._packed(survivor.identity.gateway, "north", tail, tail.rows)
    path = f"/v1/gateways/{survivor.identity.gateway}/"
    answer = await survivor.cloud.ask("POST", path + "ledger", body=body)
    assert (answer.status, "keeps the rows of a salvaged card" in answer.reason) == (400, True)
    alive = tail_of(read_card(db)[:held], 0)
    body = card_rows._packed(survivor.identity.gateway, "north", _under(alive), alive.rows)
    answer = await survivor.cloud.ask("POST", path + "salvaged", body=body)
    assert (answer.status, "is a ledger whose rows count" in answer.reason) == (400, True)


class _Live(CardTail):
    @property
    def epoch(self) -> int:
        return self.parent


def _under(tail: CardTail) -> CardTail:
    """The rows under the label of the ledger itself."""
    return _Live(*tail)


async def test_rows_behind_damage_are_not_kept_where_nothing_proves_their_place(card: Card) -> None:
    db, held = card
    rows = read_card(db)
    broken = [row for row in rows if row.seq != held + 4]
    assert [row.seq for row in tail_of(broken, held).rows] == [held + 1, held + 2, held + 3]
    changed = [row._replace(body=row.body + b" ") if row.seq == held + 2 else row for row in rows]
    assert [row.seq for row in tail_of(changed, held).rows] == [held + 1]
