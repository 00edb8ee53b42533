"""A row is taken back once, also where the branch that took it back is not the one that survived."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from takeover_help import (
    SECOND,
    SITE,
    Headquarters,
    assert_equal,
    box,
    case_id,
    code_for,
    crossing,
    moving,
    open_headquarters,
    units,
)
from virtual import VirtualRuntime

from cloud.store import schema
from gateway.errors import PostingError
from gateway.ledger.check import verify_ledger
from gateway.sync.opening import reconcile
from gateway.sync.salvaged import CardRow, facts_in
from gateway.transactions.intents import Corrected, SeenUnit
from vocabulary.movement import Line, Movement
from vocabulary.place import Account
from vocabulary.records import decode
from vocabulary.wire import OPENING_SNAPSHOT

SUPPLIER, BIN, OTHER_BIN = Account("supplier"), Account("bin-1"), Account("bin-2")


@pytest.fixture
async def hq(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        await opened.add_site(SITE)
        yield opened


async def reversals(hq: Headquarters, row: int) -> int:
    """How often row `row` is taken back by movements at headquarters; what a snapshot only repeats is none."""
    found = [decode(bytes(body)) for (body,) in await hq.rows(schema.ledger, "body")]
    return sum(isinstance(one, Movement) and one.reverses == row and one.rule != OPENING_SNAPSHOT for one in found)


@pytest.mark.parametrize("how", ["correction", "late fact"])
async def test_what_the_lost_tail_took_back_is_not_taken_back_again(
    how: str, tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    card, image = tmp_path / "card", tmp_path / "image"
    at, case = runtime.now(), case_id(1, 0)
    async with box(card, hq, runtime, await code_for(hq)) as old:
        await old.do(crossing(at, "in", (SeenUnit(case),)), moving(at + 60 * SECOND, "bin-1", case))
        await old.sync()
        records = await old.records()
        (moved,) = (
            seq
            for seq, one in enumerate(records, 1)
            if isinstance(one, Movement) and one.occurred_at == at + 60 * SECOND
        )
    shutil.copytree(card, image)
    again = Corrected(occurred_at=at, group=moved, reason="it was never moved")
    late = moving(at + 40 * SECOND, "bin-2", case)
    async with box(card, hq, runtime) as old:
        await old.do(again if how == "correction" else moving(at + 30 * SECOND, "bin-2", case))
        await old.sync()
        assert await reversals(hq, moved) == 1
    async with box(image, hq, runtime) as new:
        await new.do(crossing(at + 90 * SECOND, "in", units(2)))
        await new.sync(60)
        assert new.uplink.forks == 1
        await reconcile(new.cloud, new.writer, runtime, "asked")
        assert await reconcile(new.cloud, new.writer, runtime, "asked again") == 0
    async with box(image, hq, runtime) as new:  # a restart knows it too
        if how == "late fact":
            await new.do(late)
        with pytest.raises(PostingError, match="taken back already"):
            await new.do(again)
        await new.sync()
        await assert_equal(hq, new)
        assert await reversals(hq, moved) == 1
    assert verify_ledger(image / "ledger.db").ok


def test_two_corrections_of_another_ledger_on_a_card_keep_their_own_replacements() -> None:
    """Both name row 0, for what they take back stands elsewhere: the event tells what belongs together."""

    def back(item: str, quantity: int) -> Movement:
        return Movement("receiving", BIN, SUPPLIER, 1_000, (Line(item, quantity),), reverses=0)

    def instead(item: str, quantity: int, group: int) -> Movement:
        return Movement("receiving", SUPPLIER, OTHER_BIN, 1_000, (Line(item, quantity),), group=group, replaces=0)

    told = (back("water", 5), instead("water", 3, 1), back("juice", 9), instead("juice", 7, 3))
    facts = facts_in([CardRow(seq, 7, record) for seq, record in enumerate(told, 1)], 0)
    movements = [fact.record for fact in facts if isinstance(fact.record, Movement)]
    assert [sorted((line.item, line.quantity) for line in one.lines) for one in movements] == [
        [("water", 3), ("water", 5)],
        [("juice", 7), ("juice", 9)],
    ]
