"""Corrections of cut rows by their numbers: each row is reversed at most once, and only as headquarters saw the event."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from ledger_world import SSCC
from msgspec import UNSET
from test_retention import NOW, opened, post
from test_retention_posting import at, cut, event, ledger, whole

from gateway.errors import PostingError
from gateway.transactions.intents import Corrected
from vocabulary.movement import Line, Movement
from vocabulary.place import Account

__all__ = ["cut", "ledger"]


async def test_a_numbered_cut_row_is_reversed_once(ledger: Path, cut: tuple[Path, list[Movement]]) -> None:
    receipt = event(cut[1], SSCC, "receiving")
    wanted = Corrected(occurred_at=NOW, group=1, reason="not ours", original=(receipt,), rows=(1,))
    async with opened(ledger) as writer:
        posted = await post(writer, wanted)
        assert [movement.reverses for movement in posted if movement.reverses is not UNSET][:1] == [1]
        with pytest.raises(PostingError, match="taken back already"):
            await writer.submit(wanted)
    whole(ledger)


async def test_each_row_of_a_cut_event_is_reversed_under_its_own_number(ledger: Path) -> None:
    """What was posted in place of row 4 is taken back, not row 4 again."""
    long_ago = NOW - 60 * 86_400_000_000
    accounts = Account("supplier"), Account("dock-1")
    first = Movement("receiving", *accounts, long_ago, lines=(Line("water", 5),), group=4)
    second = Movement("storing", Account("dock-1"), Account("bin-1"), long_ago + 1, lines=(Line("water", 5),), group=4)
    async with opened(ledger) as writer:
        before = await at(writer, "bin-1"), await at(writer, "supplier")
        posted = await post(
            writer, Corrected(occurred_at=NOW, group=4, reason="no", original=(first, second), rows=(5, 6))
        )
        taken_back = [movement for movement in posted if movement.reverses is not UNSET]
        assert [(movement.reverses, movement.group) for movement in taken_back] == [(6, 4), (5, 4)]
        assert await at(writer, "supplier") == before[1] + 5
    whole(ledger)


async def test_a_correction_of_what_has_changed_since_is_refused(ledger: Path) -> None:
    """Something was posted in place of the cut row, of which headquarters did not know yet."""
    accounts = Account("supplier"), Account("dock-1")
    row = Movement("receiving", *accounts, NOW - 60 * 86_400_000_000, lines=(Line("water", 5),), group=4)
    wanted = Corrected(occurred_at=NOW, group=4, reason="no", original=(row,), rows=(5,))
    right = Movement("receiving", Account("supplier"), Account("bin-1"), NOW)
    async with opened(ledger) as writer:
        before = await at(writer, "bin-1")
        await post(writer, msgspec.structs.replace(wanted, replacement=right))
        assert await at(writer, "bin-1") == before + 5
        with pytest.raises(PostingError, match="has changed since"):
            await writer.submit(wanted)
    whole(ledger)
