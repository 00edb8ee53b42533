"""What a dead card still held is recorded once by the gateway that took over, as if one ledger had sensed everything."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from takeover_help import (
    SECOND,
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
    truth,
    units,
    whereabouts,
)
from virtual import VirtualRuntime

from cloud.store import schema
from gateway.errors import GatewayError
from gateway.sync.salvage import FOLDER, Inbox, Salvage, examine, hand_over, in_words, look
from gateway.transactions.intents import (
    AnyIntent,
    ContentLearnt,
    Corrected,
    Counted,
    CountedLine,
    Packed,
    Recorded,
    Scanned,
    StatusChanged,
    Unpacked,
)
from vocabulary.document import Document, DocumentLine
from vocabulary.movement import Content, Movement
from vocabulary.place import QUARANTINE, Account
from vocabulary.records import ClockRecord, CommandResult, Inspection


@pytest.fixture
async def hq(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        await opened.add_site("north")
        yield opened


async def nothing() -> None:
    pass


async def salvage(survivor: Box, db: Path) -> Salvage:
    """As the command and the running gateway do it."""
    found, facts = await examine(db, survivor.cloud, "north", survivor.writer.branch.epoch, keep=True)
    hand_over(survivor.folder, found, facts)
    await inbox(survivor).step()
    assert not list((survivor.folder / FOLDER).glob("*.facts"))
    return found


def inbox(survivor: Box) -> Inbox:
    return Inbox(survivor.folder, "north", survivor.writer, survivor.runtime, nothing)


async def died(hq: Headquarters, folder: Path, acknowledged: list[AnyIntent], lost: list[AnyIntent]) -> None:
    """A gateway that told headquarters of `acknowledged` and died with `lost` on its card alone."""
    async with box(folder, hq, hq.runtime, await code_for(hq)) as old:
        await old.do(*acknowledged)
        await old.sync()
        await old.do(*lost)


async def taken_over(
    hq: Headquarters, tmp_path: Path, acknowledged: list[AnyIntent], lost: list[AnyIntent], later: list[AnyIntent]
) -> tuple[Any, Any]:
    """What the survivor holds in the end, and what one ledger would hold."""
    await died(hq, tmp_path / "old", acknowledged, lost)
    async with box(tmp_path / "new", hq, hq.runtime, await code_for(hq, replaces=True)) as new:
        await new.do(*later)
        found = await salvage(new, tmp_path / "old" / "ledger.db")
        assert found.kept == found.lacking >= len(lost)
        await new.sync()
        stock = await assert_equal(hq, new)
        rows = await new.records()
        await salvage(new, tmp_path / "old" / "ledger.db")
        assert await new.records() == rows, "the second salvage added something"
        assert not [row for row in await hq.rows(schema.exception, "kind") if row == ("parked-record",)]
        return stock, truth([*acknowledged, *lost, *later])


def put_away(now: int) -> list[AnyIntent]:
    return [
        crossing(now + 1 * SECOND, "in", units(1)),
        crossing(now + 5 * SECOND, "in", units(2)),
        crossing(now + 9 * SECOND, "in", units(3)),
        moving(now + 12 * SECOND, "bin-1", pallet_id(3)),
        Scanned(
            occurred_at=now + 15 * SECOND, kind="receiving", from_place="supplier", to_place="bin-2", item="juice",
            pieces=50,
        ),
    ]  # fmt: skip


def same(stock: Any, whole: Any) -> None:
    assert present(stock) == present(whole)
    assert whereabouts(stock) == whereabouts(whole)


async def test_everything_a_card_held_counts_once(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    now = runtime.now()
    lost: list[AnyIntent] = [
        moving(now + 100 * SECOND, "bin-1", pallet_id(1)),
        crossing(now + 110 * SECOND, "out", units(2)),
        crossing(now + 120 * SECOND, "in", units(4)),
        moving(now + 130 * SECOND, "bin-2", case_id(4, 0)),
        Scanned(
            occurred_at=now + 140 * SECOND, kind="shipping", from_place="bin-2", to_place="customer", item="juice",
            pieces=7,
        ),
    ]  # fmt: skip
    later: list[AnyIntent] = [
        moving(now + 300 * SECOND, "bin-2", pallet_id(1)),  # the survivor believes it at the dock
        crossing(now + 310 * SECOND, "out", units(3)),
        crossing(now + 320 * SECOND, "out", (units(4)[0], units(4)[2])),  # never seen by the survivor before
        crossing(now + 330 * SECOND, "in", units(5)),
        Scanned(
            occurred_at=now + 340 * SECOND, kind="shipping", from_place="bin-2", to_place="customer", item="juice",
            pieces=3,
        ),
    ]  # fmt: skip
    same(*await taken_over(hq, tmp_path, put_away(now), lost, later))


async def test_units_in_containers_and_late_facts(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    now = runtime.now()
    tote = "8003/095060001343522"
    lost: list[AnyIntent] = [
        Packed(occurred_at=now + 100 * SECOND, container=tote, units=(case_id(1, 0),), place="dock-1"),
        moving(now + 110 * SECOND, "bin-1", tote),
        moving(now + 120 * SECOND, "bin-2", pallet_id(2)),
        moving(now + 105 * SECOND, "bin-1", pallet_id(2)),  # late: it takes back and replaces the one before
        moving(now + 8 * SECOND, "bin-2", pallet_id(3)),  # late, before what headquarters knows
        Unpacked(occurred_at=now + 130 * SECOND, container=pallet_id(3), units=(case_id(3, 1),)),
    ]
    later: list[AnyIntent] = [
        crossing(now + 300 * SECOND, "in", units(5)),
        crossing(now + 310 * SECOND, "out", units(2)),
    ]
    same(*await taken_over(hq, tmp_path, put_away(now), lost, later))


async def test_corrections_of_rows_on_both_sides_of_the_cut(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    """The card took back a row that headquarters holds, and one that it does not."""
    now = runtime.now()
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        await old.do(*put_away(now), crossing(now + 50 * SECOND, "out", units(2)))
        shipped = old.writer.head.seq
        await old.sync()
        records = await old.records()
        wrong = next(
            seq
            for seq in range(shipped, 0, -1)
            if isinstance(records[seq - 1], Movement) and records[seq - 1].kind == "shipping"  # type: ignore[union-attr]
        )
        await old.do(Corrected(occurred_at=now + 60 * SECOND, group=wrong, reason="it was turned back"))
        before = old.writer.head.seq
        await old.do(moving(now + 70 * SECOND, "bin-1", pallet_id(1)))
        await old.do(Corrected(occurred_at=now + 80 * SECOND, group=before + 1, reason="never moved"))
        await old.do(moving(now + 90 * SECOND, "bin-2", pallet_id(2)))
        whole = await old.stock()
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        await salvage(new, tmp_path / "old" / "ledger.db")
        await new.sync()
        same(await assert_equal(hq, new), whole)


async def test_counts_holds_and_learnt_content(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    now = runtime.now()
    unknown = "00/395060000000000999"
    acknowledged: list[AnyIntent] = [*put_away(now), moving(now + 20 * SECOND, "dock-1", unknown)]
    found = Inspection(now + 140 * SECOND, "water", "failed", "wet", unit=pallet_id(2))
    lost: list[AnyIntent] = [
        Counted(
            occurred_at=now + 110 * SECOND, account=Account("bin-2"), scope="whole", first_scan=now + 100 * SECOND,
            lines=(CountedLine("juice", 44),),
        ),
        Counted(
            occurred_at=now + 130 * SECOND, account=Account("bin-1"), scope="whole", first_scan=now + 120 * SECOND,
            units=(),
        ),
        StatusChanged(
            occurred_at=now + 150 * SECOND, kind="hold", status=QUARANTINE, units=(pallet_id(2),), inspection=found
        ),
        ContentLearnt(occurred_at=now + 160 * SECOND, unit=unknown, holds=(Content("juice", 12),)),
        moving(now + 170 * SECOND, "bin-1", unknown),
    ]  # fmt: skip
    later: list[AnyIntent] = [
        Scanned(
            occurred_at=now + 300 * SECOND, kind="shipping", from_place="bin-2", to_place="customer", item="juice",
            pieces=4,
        ),
        moving(now + 310 * SECOND, "bin-2", pallet_id(2)),
    ]  # fmt: skip
    stock, whole = await taken_over(hq, tmp_path, acknowledged, lost, later)
    same(stock, whole)
    assert stock.counts[Account("bin-2")].at == whole.counts[Account("bin-2")].at
    assert [row[2] for row in await hq.rows(schema.inspection, "position", "at", "result")] == ["failed"]


async def test_papers_of_the_card_go_on(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    now = runtime.now()
    order = Document("north/7", 1, "outbound-order", "open", (DocumentLine(1, "juice", 20),))
    lost: list[AnyIntent] = [
        Recorded(occurred_at=now, record=order),
        Scanned(
            occurred_at=now + 100 * SECOND, kind="shipping", from_place="bin-2", to_place="customer", item="juice",
            pieces=8, document="north/7",
        ),
        Recorded(occurred_at=now, record=CommandResult("c-1", now + 101 * SECOND, "done")),
    ]  # fmt: skip
    stock, whole = await taken_over(hq, tmp_path, put_away(now), lost, [])
    same(stock, whole)
    assert stock.documents == {"north/7": order}
    assert stock.done["north/7"] == {1: 8}
    assert await hq.rows(schema.document_done, "document", "line", "quantity") == [("north/7", 1, 8)]


async def test_times_of_the_card_are_corrected(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    """Its clock was an hour behind, and it knew in the end."""
    now = runtime.now()
    hour = 3_600 * SECOND
    folder = tmp_path / "old"
    async with box(folder, hq, runtime, await code_for(hq)) as old:
        await old.do(*put_away(now))
        await old.sync()
        first = old.writer.head.seq + 1
        await old.do(crossing(now + 60 * SECOND - hour, "in", units(9)))
        last = old.writer.head.seq
        await old.do(Recorded(occurred_at=now, record=ClockRecord(now + 61 * SECOND, first, last, hour)))
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        await salvage(new, folder / "ledger.db")
        moved = [one for one in await new.records() if isinstance(one, Movement) and one.kind == "receiving"]
        assert [one.occurred_at for one in moved] == [now + 60 * SECOND]
        assert [str(one.actor).startswith("salvaged from row") for one in moved] == [True]
        await new.sync()
        same(await assert_equal(hq, new), truth([*put_away(now), crossing(now + 60 * SECOND, "in", units(9))]))


async def test_a_passage_that_both_sensed_is_one(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    """The old box still read while the new one read already."""
    now = runtime.now()
    out = crossing(now + 100 * SECOND, "out", units(1))
    again = crossing(now + 101 * SECOND, "out", units(1))
    stock, whole = await taken_over(hq, tmp_path, put_away(now), [out], [again])
    same(stock, whole)
    assert sum(one.kind == "shipping" for one in await _movements(tmp_path / "new", hq)) == 1


async def _movements(folder: Path, hq: Headquarters) -> list[Movement]:
    async with box(folder, hq, hq.runtime) as one:
        return [record for record in await one.records() if isinstance(record, Movement)]


async def test_a_cut_in_the_middle_of_salvage_loses_and_doubles_nothing(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    now = runtime.now()
    lost: list[AnyIntent] = [crossing(now + number * SECOND, "in", units(number)) for number in range(10, 90)]
    await died(hq, tmp_path / "old", put_away(now), lost)
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        found, facts = await examine(tmp_path / "old" / "ledger.db", new.cloud, "north", new.writer.branch.epoch)
        hand_over(new.folder, found, facts)
        for _ in range(3):
            task = asyncio.create_task(inbox(new).step())
            await asyncio.sleep(0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    async with box(tmp_path / "new", hq, runtime) as new:
        await inbox(new).step()
        await new.sync()
        same(await assert_equal(hq, new), truth([*put_away(now), *lost]))


async def test_a_damaged_card_gives_what_can_be_read(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    now = runtime.now()
    lost: list[AnyIntent] = [crossing(now + number * SECOND, "in", units(number)) for number in range(10, 60)]
    await died(hq, tmp_path / "old", put_away(now), lost)
    db = tmp_path / "old" / "ledger.db"
    whole = db.read_bytes()
    place = whole.index(pallet_id(30).encode())
    db.write_bytes(whole[: place - 200] + b"\xff" * 600 + whole[place + 400 :])
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        found = await salvage(new, db)
        assert found.lost
        await new.sync()
        stock = await assert_equal(hq, new)
        assert 40 <= sum(name.startswith("00/") for name in stock.units) < 53
        assert pallet_id(59) in stock.units


async def test_what_a_technician_reads(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    now = runtime.now()
    db = tmp_path / "old" / "ledger.db"
    await died(hq, tmp_path / "old", put_away(now), [crossing(now + 99 * SECOND, "in", units(9))])
    alone = look(db)
    assert (alone.site, alone.held, alone.lacking, alone.rows) == ("north", 0, alone.rows, alone.last)
    assert "they tell of 6 movements, 0 counts, 6 others" in in_words(alone, asked=False)
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        before = await new.records()
        found, _ = await examine(db, new.cloud, "north", new.writer.branch.epoch)
        assert "the 2 behind tell of 1 movements, 0 counts, 1 others" in in_words(found)
        assert "nothing was recorded" in in_words(found)
        assert await new.records() == before


async def test_what_is_no_card_of_this_site_is_refused(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    now = runtime.now()
    await died(hq, tmp_path / "old", put_away(now), [crossing(now + 99 * SECOND, "in", units(9))])
    stranger = tmp_path / "stranger"
    shutil.copytree(tmp_path / "old", stranger)
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        epoch = new.writer.branch.epoch
        with pytest.raises(GatewayError, match="does not exist"):
            await examine(tmp_path / "nothing.db", new.cloud, "north", epoch)
        await new.do(crossing(now + 300 * SECOND, "in", units(6)))
        with pytest.raises(GatewayError, match="own ledger"):
            await examine(tmp_path / "new" / "ledger.db", new.cloud, "north", epoch)
        text = (stranger / "enrolment.json").read_text().replace('"north"', '"south"')
        (stranger / "enrolment.json").write_text(text)
        with pytest.raises(GatewayError, match="site south, this gateway speaks for site north"):
            await examine(stranger / "ledger.db", new.cloud, "north", epoch)
        (tmp_path / "rubbish.db").write_bytes(b"no ledger" * 1_000)
        with pytest.raises(GatewayError):
            await examine(tmp_path / "rubbish.db", new.cloud, "north", epoch)
