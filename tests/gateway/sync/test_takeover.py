"""A dead gateway is replaced by one command: the spare holds what headquarters held, and nothing counts twice."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from takeover_help import (
    SECOND,
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
from virtual import AsgiTransport, VirtualRuntime

from cloud.store import schema
from gateway.errors import LinkDownError
from gateway.sync.enrolment import apply_opening
from gateway.sync.http import Cloud
from gateway.sync.identity import load_enrolment
from gateway.sync.opening import reconcile
from gateway.transactions.intents import Counted, CountedLine, Packed, Recorded, Scanned
from vocabulary.document import Document, DocumentLine
from vocabulary.place import Account
from vocabulary.wire import OPENING_SNAPSHOT


@pytest.fixture
async def hq(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        await opened.add_site("north")
        yield opened


def a_morning(now: int) -> list:
    """Two pallets in, one put away, one case of it opened into a bin, loose goods, an order half done, a count."""
    order = Document(
        "north/1", 1, "outbound-order", "open", (DocumentLine(1, "water", 96), DocumentLine(2, "juice", 5)), due=now
    )
    return [
        Recorded(occurred_at=now, record=order),
        crossing(now + 10 * SECOND, "in", units(1)),
        crossing(now + 20 * SECOND, "in", units(2)),
        moving(now + 30 * SECOND, "bin-1", pallet_id(1)),
        Scanned(
            occurred_at=now + 35 * SECOND, kind="receiving", from_place="supplier", to_place="bin-2", item="juice",
            pieces=40, lot="L1", expiry="2027-01-31",
        ),
        Packed(occurred_at=now + 40 * SECOND, container="8003/095060001343522", units=(case_id(2, 0),)),
        Scanned(
            occurred_at=now + 50 * SECOND, kind="shipping", from_place="bin-2", to_place="customer", item="juice",
            pieces=3, document="north/1",
        ),
        Counted(
            occurred_at=now + 60 * SECOND, account=Account("bin-2"), scope="whole", first_scan=now + 55 * SECOND,
            lines=(CountedLine("juice", 36, "L1"),),
        ),
    ]  # fmt: skip


async def test_a_spare_opens_with_everything_and_works_on(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    morning = a_morning(runtime.now())
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        await old.do(*morning)
        await asyncio.sleep(90)
        await old.sync()
        before = await old.stock()
    documents = await hq.rows(schema.document)
    exceptions = await hq.rows(schema.exception, "kind", "subject", "state", "at")
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        assert new.pages == 1
        stock = await new.stock()
        assert present(stock) == present(before)
        assert whereabouts(stock) == whereabouts(before)
        assert (stock.documents, stock.done) == (before.documents, before.done)
        assert stock.lots == before.lots
        assert {key: mark.at for key, mark in stock.counts.items()} == {k: m.at for k, m in before.counts.items()}
        assert await reconcile(new.cloud, new.writer, runtime, "again") == 0
        await new.sync()
        await assert_equal(hq, new)
        assert await hq.rows(schema.document) == documents
        assert await hq.rows(schema.exception, "kind", "subject", "state", "at") == exceptions
        afternoon = [
            crossing(runtime.now(), "out", units(1)),
            moving(runtime.now() + SECOND, "bin-2", pallet_id(2)),
            Scanned(
                occurred_at=runtime.now() + 2 * SECOND, kind="shipping", from_place="bin-2", to_place="customer",
                item="juice", pieces=2, document="north/1",
            ),
        ]  # fmt: skip
        await new.do(*afternoon)
        await new.sync()
        end = await assert_equal(hq, new)
        whole = truth([*morning, *afternoon])
        assert present(end) == present(whole)
        assert whereabouts(end) == whereabouts(whole)
        assert end.done == whole.done


async def test_an_interrupted_opening_is_whole_or_not_there(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        now = runtime.now()
        for number in range(1, 30):
            await old.do(crossing(now + number * SECOND, "in", units(number, 40)))
        await old.sync()
        whole = await old.stock()
        asked: list[str] = []

        def cut(request: httpx.Request) -> None:
            if "/opening" in str(request.url):
                asked.append(str(request.url))
                if len(asked) in (1, 3):
                    raise httpx.ReadError("the link is down")

        link = AsgiTransport(hq.app, before=cut)
        code = await code_for(hq, replaces=True)
        with pytest.raises(LinkDownError):
            async with box(tmp_path / "new", hq, runtime, code, link):
                pass  # pragma: no cover - it does not come this far
        async with box(tmp_path / "new", hq, runtime, link=link) as new:
            record = load_enrolment(tmp_path / "new")
            assert record.enrolled.opening_pages == 2
            with pytest.raises(LinkDownError):
                await apply_opening(new.cloud, record, new.writer, runtime)
            assert await new.records() == []
            assert await apply_opening(new.cloud, record, new.writer, runtime) == 2
            rows = await new.records()
            assert await apply_opening(new.cloud, record, new.writer, runtime) == 0
            assert await new.records() == rows
            assert whereabouts(await new.stock()) == whereabouts(whole)
            await new.sync()
            await assert_equal(hq, new)


async def test_pages_of_two_states_are_never_mixed(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        now = runtime.now()
        for number in range(1, 30):
            await old.do(crossing(now + number * SECOND, "in", units(number, 40)))
        await old.sync()
        asked: list[str] = []
        first = asyncio.Event()

        def note(request: httpx.Request) -> None:
            asked.append(str(request.url.query))
            first.set()

        async def change() -> None:
            await first.wait()
            await old.do(moving(runtime.now(), "bin-1", pallet_id(1)))
            await old.sync(1)

        changing = asyncio.create_task(change())
        slow = Cloud("http://cloud.test", old.identity, runtime, AsgiTransport(hq.app, lambda: 2.0, after=note))
        try:
            assert await reconcile(slow, old.writer, runtime, "test") == 0
        finally:
            await slow.close()
        await changing
        assert [number for query in asked for number in "01" if f"page={number}" in query] == ["0", "1", "0", "1"]
        await assert_equal(hq, old)


async def test_what_was_recorded_meanwhile_stays(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    """Headquarters is behind: reconciling takes nothing of what it does not hold yet."""
    async with box(tmp_path / "box", hq, runtime, await code_for(hq)) as one:
        await one.do(*a_morning(runtime.now()))
        await asyncio.sleep(90)
        await one.sync()
        await one.do(moving(runtime.now(), "bin-2", pallet_id(2)), crossing(runtime.now() + SECOND, "in", units(3)))
        before = await one.records()
        assert await reconcile(one.cloud, one.writer, runtime, "test") == 0
        assert await one.records() == before


async def test_a_restored_image_counts_both_tails(tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters) -> None:
    folder, image = tmp_path / "box", tmp_path / "image"
    now = runtime.now()
    common = [crossing(now + number * SECOND, "in", units(number)) for number in (1, 2, 3)]
    async with box(folder, hq, runtime, await code_for(hq)) as one:
        await one.do(*common)
        await one.sync()
    shutil.copytree(folder, image)
    first = [
        moving(now + 100 * SECOND, "bin-1", pallet_id(1)),
        crossing(now + 110 * SECOND, "out", units(2)),
        crossing(now + 120 * SECOND, "in", units(4)),
    ]
    async with box(folder, hq, runtime) as one:
        await one.do(*first)
        await one.sync()
    second = [moving(now + 200 * SECOND, "bin-2", pallet_id(3)), crossing(now + 210 * SECOND, "in", units(5))]
    await asyncio.sleep(300)
    async with box(image, hq, runtime) as one:
        await one.do(*second)
        await one.sync(20)
        assert one.uplink.forks == 1
        assert one.uplink.state == "online", one.uplink.reason
        assert await one.writer.perform(
            lambda file: file.connection.execute("SELECT count(*) FROM position WHERE name = 'reconcile'").fetchone()
        ) == (0,)
        whole = truth([*common, *first, *second])
        stock = await assert_equal(hq, one)
        assert present(stock) == present(whole)
        assert whereabouts(stock) == whereabouts(whole)
        rules = [getattr(record, "rule", "") for record in await one.records()]
        assert OPENING_SNAPSHOT in rules
        await one.do(crossing(runtime.now(), "out", units(1)))  # a unit of the other tail goes on
        await one.sync()
        assert present(await assert_equal(hq, one)) == present(
            truth([*common, *first, *second, crossing(runtime.now(), "out", units(1))])
        )


async def test_what_left_lately_is_known_when_it_stands_in_the_building_again(
    tmp_path: Path, runtime: VirtualRuntime, hq: Headquarters
) -> None:
    """It came back unseen through no door: it is that pallet, no loose stock turned into it, and people are told."""
    now = runtime.now()
    loose = Scanned(
        occurred_at=now + 5 * SECOND, kind="receiving", from_place="supplier", to_place="bin-1", item="water", pieces=2
    )
    gone = [loose, crossing(now + 10 * SECOND, "in", units(1)), crossing(now + 20 * SECOND, "out", units(1))]
    async with box(tmp_path / "old", hq, runtime, await code_for(hq)) as old:
        await old.do(*gone)
        await old.sync()
    back = moving(now + 400 * SECOND, "bin-1", case_id(1, 0))
    async with box(tmp_path / "new", hq, runtime, await code_for(hq, replaces=True)) as new:
        await new.do(back)
        await new.sync()
        stock = await assert_equal(hq, new)
        assert (present(stock), whereabouts(stock)) == (present(whole := truth([*gone, back])), whereabouts(whole))
    told = [row[0] for row in await hq.rows(schema.exception, "subject", "kind") if row[1] == "against-ledger"]
    assert told == [case_id(1, 0)]
