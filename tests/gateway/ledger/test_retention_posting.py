"""Facts and corrections that reach behind the rows that are kept (rules 7 to 10): the present stays what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ledger_help import AT
from ledger_world import SSCC, case, crossed, moved
from msgspec import UNSET
from test_retention import DAY, HOUR, NOW, cut_whole, old_life, opened, post
from virtual import run

from gateway.errors import PostingError
from gateway.ledger.check import rebuild_ledger, verify_ledger
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import Corrected, Counted, CountedLine, Scanned
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.records import decode


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Movement]]:
    """A cut ledger's folder, and all movements that it ever held."""
    folder = tmp_path_factory.mktemp("cut")
    movements: list[Movement] = []

    async def main() -> None:
        async with opened(folder / "ledger.db") as writer:
            await old_life(writer)
        reader = await LedgerReader.open(folder / "ledger.db")
        for row in await reader.rows(1, 1_000, 1 << 20):
            record = decode(row.body)
            movements.extend([record] if isinstance(record, Movement) else [])
        await reader.close()
        assert await cut_whole(folder / "ledger.db") > 0

    run(main)
    return folder, movements


@pytest.fixture
def ledger(cut: tuple[Path, list[Movement]], tmp_path: Path) -> Path:
    shutil.copytree(cut[0], tmp_path / "box")
    return tmp_path / "box" / "ledger.db"


async def at(writer: LedgerWriter, place: str) -> int:
    return await writer.read(
        lambda state: sum(amount.quantity for key, amount in state.stock.balances.items() if key.place == place)
    )


async def where(writer: LedgerWriter, unit: str) -> str:
    return await writer.read(lambda state: state.stock.units[unit].account.place)


def event(movements: list[Movement], unit: str, kind: str) -> Movement:
    return next(one for one in movements if one.kind == kind and any(entry.unit == unit for entry in one.units))


def whole(path: Path) -> None:
    assert verify_ledger(path).faults == []
    rebuild_ledger(path)
    assert verify_ledger(path).faults == []


async def test_a_late_fact_before_a_cut_movement_posts_and_moves_nothing(ledger: Path) -> None:
    """The pallet stands in bin-1 since a row that is cut; that it was seen at dock-2 before tells nothing of today."""
    async with opened(ledger) as writer:
        before = await at(writer, "bin-1")
        posted = await post(writer, moved("dock-2", AT + HOUR // 2, SSCC))
        assert [movement.implied for movement in posted] == [UNSET, True]
        assert (await at(writer, "bin-1"), await at(writer, "dock-2")) == (before, 0)
        assert await where(writer, SSCC) == "bin-1"
        assert await writer.read(lambda state: len(state.stock.inside(SSCC))) == 5
        (now,) = await post(writer, moved("bin-2", NOW, SSCC))
        assert (now.from_.place, sum(line.quantity for line in now.lines)) == ("bin-1", 96)
    whole(ledger)


async def test_a_late_fact_between_the_cut_and_a_kept_movement_is_joined_to_it(ledger: Path) -> None:
    """The case came on night 9 (kept) and went to bin-2 on night 34; on night 20 it was seen at dock-2."""
    async with opened(ledger) as writer:
        await post(writer, moved("dock-2", AT + 20 * DAY, case(109)))
        assert (await where(writer, case(109)), await at(writer, "dock-2"), await at(writer, "bin-2")) == (
            "bin-2",
            0,
            24,
        )
    whole(ledger)


async def test_a_late_fact_of_a_unit_whose_first_rows_are_cut_is_joined_to_its_next_kept_movement(ledger: Path) -> None:
    async with opened(ledger) as writer:
        await post(writer, moved("bin-2", NOW, SSCC))
        await post(writer, moved("dock-2", AT + 20 * DAY, SSCC))
        assert await where(writer, SSCC) == "bin-2"
        assert (await at(writer, "dock-2"), await at(writer, "bin-1")) == (0, 0)
    whole(ledger)


async def test_a_cut_receipt_is_taken_back_and_the_unit_stays_where_it_went(
    ledger: Path, cut: tuple[Path, list[Movement]]
) -> None:
    """That the receipt was wrong says nothing of where the pallet stands: what follows begins where the row is cut."""
    receipt = event(cut[1], SSCC, "receiving")
    async with opened(ledger) as writer:
        before = await at(writer, "bin-1"), await at(writer, "dock-1")
        posted = await post(writer, Corrected(occurred_at=NOW, group=1, reason="not ours", original=(receipt,)))
        assert posted[0].reverses == 1
        assert posted[0].occurred_at == receipt.occurred_at
        assert (await at(writer, "bin-1"), await at(writer, "dock-1")) == before
        assert await where(writer, SSCC) == "bin-1"
        with pytest.raises(PostingError, match="taken back already"):
            await writer.submit(Corrected(occurred_at=NOW, group=1, reason="again", original=(receipt,)))
    whole(ledger)


async def test_a_cut_shipment_is_taken_back_as_loose_stock_and_counts_before_it_stand(
    ledger: Path, cut: tuple[Path, list[Movement]]
) -> None:
    """The case that left is forgotten: its goods come back loose, and the case is a piece of them when it is seen."""
    shipment = event(cut[1], case(50), "shipping")
    async with opened(ledger) as writer:
        before = await at(writer, "dock-1")
        posted = await post(writer, Corrected(occurred_at=NOW, group=7, reason="stayed", original=(shipment,)))
        assert [len(movement.units) for movement in posted] == [0]
        assert await at(writer, "dock-1") == before + 24
        (seen,) = await post(writer, moved("bin-1", NOW + HOUR, case(50)))
        assert seen.from_.place == "dock-1"
        assert sum(line.quantity for line in seen.lines) == 24
    whole(ledger)


async def test_a_correction_of_a_cut_row_is_compensated_at_a_cut_count(
    ledger: Path, cut: tuple[Path, list[Movement]]
) -> None:
    """The dock was counted an hour after the case came, with all that stood there: the receipt's end changes nothing."""
    receipt = event(cut[1], case(50), "receiving")
    async with opened(ledger) as writer:
        before = await at(writer, "dock-1"), await at(writer, "unknown")
        loose = Movement("receiving", receipt.from_, Account("dock-1"), receipt.occurred_at, lines=(Line("water", 5),))
        posted = await post(writer, Corrected(occurred_at=NOW, group=4, reason="no", original=(loose,)))
        assert [movement.compensates is UNSET for movement in posted] == [True, False]
        after = await at(writer, "dock-1"), await at(writer, "unknown")
        assert after[0] == before[0]
    whole(ledger)


async def test_a_replacement_of_a_cut_row_takes_the_goods_of_the_rows(
    ledger: Path, cut: tuple[Path, list[Movement]]
) -> None:
    shipment = event(cut[1], case(50), "shipping")
    right = Movement("destroying", Account("dock-1"), Account("scrap"), NOW, units=(UnitEntry(case(50)),))
    async with opened(ledger) as writer:
        customers = await at(writer, "customer")
        await post(
            writer, Corrected(occurred_at=NOW, group=7, reason="it broke", original=(shipment,), replacement=right)
        )
        assert await at(writer, "scrap") == 24
        assert await at(writer, "customer") == customers - 24
    whole(ledger)


async def test_a_cut_row_without_its_lines_and_a_count_of_back_then_are_refused(ledger: Path) -> None:
    async with opened(ledger) as writer:
        with pytest.raises(PostingError, match="was cut; a correction of it must bring"):
            await writer.submit(Corrected(occurred_at=NOW, group=1, reason="no"))
        old = Counted(
            occurred_at=AT + 2 * DAY,
            account=Account("dock-1"),
            scope="whole",
            first_scan=AT + DAY,
            lines=(CountedLine("water", 1),),
        )
        with pytest.raises(PostingError, match="older than the rows that are kept"):
            await writer.submit(old)
    whole(ledger)


async def test_the_same_passage_long_ago_and_loose_goods_of_then_post_by_their_date(ledger: Path) -> None:
    async with opened(ledger) as writer:
        await post(
            writer,
            Scanned(
                occurred_at=AT + 2 * DAY, kind="moving", item="water", pieces=2, from_place="dock-1", to_place="bin-2"
            ),
        )
        assert await at(writer, "bin-2") == 26
        again = await writer.submit(crossed("in", AT, SSCC))  # the very passage of row 1, replayed
        assert again.records == ()
        assert await where(writer, SSCC) == "bin-1"
    whole(ledger)
