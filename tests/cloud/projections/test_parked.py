"""Records that one version cannot digest and a later one can: verification tells, a rebuild applies them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from headquarters import open_headquarters
from sqlalchemy import update
from test_projections import fill, history, tables
from virtual import VirtualRuntime

from cloud.ingest import receive
from cloud.projections.parked import digest
from cloud.projections.rebuild import verify_site
from cloud.store import schema
from cloud.store.database import writing
from vocabulary import records
from vocabulary.records import Record


def without_parked(found: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Tables less the exceptions that tell of parked records."""
    return found | {"exception": [row for row in found["exception"] if row[1] != "parked-record"]}


@pytest.mark.parametrize("seed", [7, 8, 9])
async def test_what_a_later_version_can_read_takes_effect_in_a_rebuild(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history_ = history(seed)
    unreadable = {records.encode(record) for number, record in enumerate(history_) if number % 4 == 1}

    def older(body: bytes) -> Record | str:
        return "it cannot be read: too new" if body in unreadable else digest(body)

    async with open_headquarters(tmp_path / "cloud.db", VirtualRuntime()) as headquarters:
        await headquarters.add_site()
        gateway = await headquarters.add_gateway()
        gateway.record(*history_)
        with monkeypatch.context() as patch:
            patch.setattr(receive, "digest", older)
            assert (await gateway.push()).status_code == 200
        assert len(await headquarters.rows(schema.parked)) == len(unreadable)
        async with writing(headquarters.engine) as conn:
            report = await verify_site(conn, "north")
        assert report.differences[0] == f"parked records that this version can apply: {len(unreadable)}"
        assert await headquarters.rows(schema.parked) == []
        told = await headquarters.rows(schema.exception, "kind", "state")
        assert {state for kind, state in told if kind == "parked-record"} == {"decided"}
        found = without_parked(await tables(headquarters))
        async with writing(headquarters.engine) as conn:
            assert (await verify_site(conn, "north")).differences == ()
    assert found == await fill(tmp_path / "whole.db", history_, [])


@pytest.mark.parametrize("body", [b'{"record":"weather/1"}', b"not a record", b'{"record":"movement/1"}'])
async def test_a_stored_row_that_cannot_be_read_is_told_and_parked(tmp_path: Path, body: bytes) -> None:
    async with open_headquarters(tmp_path / "cloud.db", VirtualRuntime()) as headquarters:
        await headquarters.add_site()
        gateway = await headquarters.add_gateway()
        gateway.record(*history(7)[:20], body)
        await gateway.push()
        async with writing(headquarters.engine) as conn:  # as a version would have left it that could read it
            await conn.execute(schema.parked.delete())
            await conn.execute(update(schema.exception).values(state="decided"))
            report = await verify_site(conn, "north")
        assert len(report.differences) == 1
        assert "records without effect that are not parked: 1; the first is 21 of epoch 4711" in report.differences[0]
        assert len(await headquarters.rows(schema.parked)) == 1
        assert ("parked-record", "open") in await headquarters.rows(schema.exception, "kind", "state")
        async with writing(headquarters.engine) as conn:
            assert (await verify_site(conn, "north")).differences == ()
