"""What headquarters derives from times moves when a clock record corrects them, whenever it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from headquarters import BIN, CUSTOMER, DOCK, SUPPLIER, Headquarters, movement, open_headquarters
from virtual import VirtualRuntime, run

from cloud.projections.rebuild import DERIVED, verify_site
from cloud.store import schema
from cloud.store.database import writing
from vocabulary import chain
from vocabulary.count import Count, CountLine
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Content, UnitEntry
from vocabulary.records import ClockRecord, Inspection, Record

NOW = 1_767_600_000_000_000
HOUR = 3_600_000_000
DAY = 24 * HOUR
UNIT = "00/106141412345678908"


def boot(wrong_by: int) -> list[Record]:
    """A boot whose clock is wrong by so much, after good rows: sold out, a pallet comes, a count, a complaint."""
    at = NOW + 2 * DAY - wrong_by
    pallet = UnitEntry(UNIT, holds=(Content("A", 12),))
    return [
        movement("receiving", SUPPLIER, BIN, NOW, [("A", 3), ("B", 4)]),
        movement("shipping", BIN, CUSTOMER, NOW + HOUR, [("A", 3)]),
        movement("receiving", SUPPLIER, DOCK, at, [("A", 12)], units=(pallet,)),
        movement("shipping", BIN, CUSTOMER, at + HOUR, [("B", 4)]),
        Count(BIN, "listed", "unknown", at + HOUR, (CountLine("B", 0, 0, at + HOUR - 60, at + HOUR),)),
        Inspection(at, "A", "failed", "wet", unit=UNIT),
        ExceptionRecord("device", "portal", "open", at, "silent"),
    ]


async def derived(headquarters: Headquarters) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in (*(table for table, _ in DERIVED), schema.exception, schema.ledger):
        names = [
            column.name
            for column in table.columns
            if column.name not in ("received_at", "body", "hash", "position", "opened_at")
        ]
        rows = await headquarters.rows(table, *names)
        if table is schema.daily:
            rows = [row for row in rows if any(isinstance(value, int) and value for value in row)]
        found[table.name] = rows
    return found


async def after(path: Path, records: list[Record], pushes: list[int]) -> dict[str, Any]:
    """The tables after `records` came in batches that end at `pushes`; a rebuild must agree."""
    async with open_headquarters(path, VirtualRuntime()) as headquarters:
        await headquarters.add_site()
        gateway = await headquarters.add_gateway()
        gateway.record(*records)
        first = 1
        for last in [*pushes, len(records)]:
            assert (await gateway.push(first, last)).status_code == 200
            first = last + 1
        found = await derived(headquarters)
        async with writing(headquarters.engine) as conn:
            assert (await verify_site(conn, "north")).differences == ()
        assert await derived(headquarters) == found
        return found


@pytest.mark.parametrize("wrong_by", [40 * DAY, -40 * DAY, 3 * HOUR])
@pytest.mark.parametrize("pushes", [[], [7], [3, 7]], ids=["with them", "after them", "in pieces"])
def test_a_correction_gives_what_right_times_would_have_given(tmp_path: Path, wrong_by: int, pushes: list[int]) -> None:
    clock = ClockRecord(NOW + 3 * DAY, 3, 7, wrong_by)
    late = movement("receiving", SUPPLIER, BIN, NOW + 3 * DAY, [("B", 9)])
    wrong = run(lambda: after(tmp_path / "wrong.db", [*boot(wrong_by), clock, late], pushes))
    none = ClockRecord(NOW + 3 * DAY, 3, 7, 0)
    right = run(lambda: after(tmp_path / "right.db", [*boot(0), none, late], pushes))
    assert wrong == right
    assert [row[-1] for row in right["daily"] if row[1] == "A" and row[-1]], "A was sold out for a while"


def test_two_corrections_of_the_same_rows_add_up(tmp_path: Path) -> None:
    first, second = ClockRecord(NOW + 3 * DAY, 3, 7, 10 * DAY), ClockRecord(NOW + 3 * DAY, 5, 7, 30 * DAY)
    third = ClockRecord(NOW + 3 * DAY, 3, 4, 30 * DAY)
    wrong = run(lambda: after(tmp_path / "wrong.db", [*boot(40 * DAY), first, second, third], [7, 8]))
    none = ClockRecord(NOW + 3 * DAY, 3, 7, 0)
    right = run(lambda: after(tmp_path / "right.db", [*boot(0), none, none, none], [7, 8]))
    assert wrong == right


def test_a_correction_reaches_rows_of_the_epoch_before_the_branch(tmp_path: Path) -> None:
    """A restored gateway goes on as a new epoch; its clock record names rows by their seq along the branch."""

    async def forked(wrong_by: int) -> dict[str, Any]:
        async with open_headquarters(tmp_path / f"{wrong_by}.db", VirtualRuntime()) as headquarters:
            await headquarters.add_site()
            gateway = await headquarters.add_gateway()
            gateway.record(*boot(wrong_by))
            assert (await gateway.push(1, 5)).status_code == 200
            gateway.record(ClockRecord(NOW + 3 * DAY, 3, 7, wrong_by))
            parent = (str(gateway.epoch), 5, chain.head(chain.genesis(gateway.epoch), gateway.bodies[:5]).hex())
            answer = await gateway.push(6, 8, epoch="4712", parent=parent)
            assert answer.status_code == 200, answer.text
            found = await derived(headquarters)
            async with writing(headquarters.engine) as conn:
                assert (await verify_site(conn, "north")).differences == ()
            assert await derived(headquarters) == found
            return found

    assert run(lambda: forked(40 * DAY)) == run(lambda: forked(0))


def test_the_stored_bytes_stay_as_they_are(tmp_path: Path) -> None:
    async def bodies() -> tuple[list[Any], list[Any]]:
        async with open_headquarters(tmp_path / "one.db", VirtualRuntime()) as headquarters:
            await headquarters.add_site()
            gateway = await headquarters.add_gateway()
            gateway.record(*boot(DAY), ClockRecord(NOW, 1, 7, DAY))
            await gateway.push()
            return [body for (body,) in await headquarters.rows(schema.ledger, "body")], gateway.bodies

    stored, sent = run(bodies)
    assert stored == sent
    assert msgspec.json.decode(sent[-1])["shift"] == DAY
