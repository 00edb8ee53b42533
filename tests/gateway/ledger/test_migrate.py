"""An older ledger is brought up to date on a copy: afterwards there is the new file whole, or the old one untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger_help import crossing, simple_post
from virtual import VirtualRuntime

from gateway.errors import LedgerUnavailableError
from gateway.ledger import migrate
from gateway.ledger.check import verify_ledger
from gateway.ledger.writer import LedgerWriter


async def old_ledger(path: Path, runtime: VirtualRuntime) -> None:
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit_many([crossing(number) for number in range(50)])
    await writer.close()


async def test_every_row_survives_and_the_old_file_is_kept(
    tmp_path: Path, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    await old_ledger(path, runtime)
    before = path.read_bytes()
    steps = [*migrate.versions(), (2, "CREATE TABLE extra (a INTEGER);\nINSERT INTO extra VALUES (1);")]
    monkeypatch.setattr(migrate, "versions", lambda: steps)
    writer = await LedgerWriter.open(path, runtime, simple_post)
    await writer.submit(crossing(50))
    await writer.close()
    assert verify_ledger(path).rows == 51
    assert verify_ledger(path).ok
    assert (tmp_path / "ledger.db.v1").read_bytes() == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.mark.parametrize("step", ["CREATE TABLE extra (a INTEGER);\nINSERT INTO nowhere VALUES (1);", "DROP x;"])
async def test_a_step_that_fails_leaves_every_byte_as_it_was(
    tmp_path: Path, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "ledger.db"
    await old_ledger(path, runtime)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "versions", lambda: [(1, ""), (2, step)])
        with pytest.raises(LedgerUnavailableError, match="cannot be prepared"):
            await LedgerWriter.open(path, runtime, simple_post)
    assert path.read_bytes() == before
    writer = await LedgerWriter.open(path, runtime, simple_post)
    assert writer.head.seq == 50
    await writer.close()
