"""An older ledger is brought up to date on a copy: afterwards there is the new file whole, or the old one untouched."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledger_help import crossing, simple_post
from virtual import VirtualRuntime, run

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


#: A step that adds a table, fills it, changes one and makes an index: some statements to be cut short at.
STEP = (
    "CREATE TABLE extra (a INTEGER);\nINSERT INTO extra SELECT seq FROM ledger;\n"
    "ALTER TABLE extra ADD COLUMN note TEXT;\nCREATE INDEX extra_a ON extra (a);"
)


class Counted:
    """A connection that counts every statement by calling `count` first."""

    def __init__(self, connection: sqlite3.Connection, count: Callable[[], None]) -> None:
        self._connection, self._count = connection, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *args: Any) -> Any:
        self._count()
        return self._connection.execute(*args)

    def backup(self, target: Counted) -> None:
        self._count()
        self._connection.backup(target._connection)


def counting(patch: pytest.MonkeyPatch, count: Callable[[], None]) -> None:
    """Call `count` before each statement and each change of a name that an upgrade makes."""
    connect = sqlite3.connect
    patch.setattr(migrate.sqlite3, "connect", lambda *args, **named: Counted(connect(*args, **named), count))
    for owner, name in ((os, "fsync"), (os, "link"), (Path, "replace"), (Path, "unlink")):
        real = getattr(owner, name)

        def counted(*args: Any, real: Callable[..., Any] = real, **named: Any) -> Any:
            count()
            return real(*args, **named)

        patch.setattr(owner, name, counted)


def rows_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT seq, epoch, body, hash FROM ledger ORDER BY seq").fetchall()


@pytest.mark.real
def test_a_kill_at_any_statement_leaves_the_old_file_or_the_new_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    run(lambda: old_ledger(path, VirtualRuntime(1)))
    before, rows = path.read_bytes(), rows_of(path)
    steps = [*migrate.versions(), (2, STEP)]
    monkeypatch.setattr(migrate, "versions", lambda: steps)
    seen: set[int] = set()
    for kill_at in range(1, 100):
        child = os.fork()
        if child == 0:
            left = [kill_at]

            def count(left: list[int] = left) -> None:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

            counting(pytest.MonkeyPatch(), count)
            migrate.prepare(path, 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        with closing(sqlite3.connect(path)) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        seen.add(version)
        assert version == 2 or path.read_bytes() == before
        assert rows_of(path) == rows
        if os.WIFEXITED(status):
            break
        if version == 2:  # killed behind the swap: back to the old file for the next try
            path.write_bytes(before)
    assert kill_at > 15
    assert seen == {1, 2}
    migrate.prepare(path, 1)
    assert verify_ledger(path).ok


def test_a_disk_that_fills_up_in_mid_upgrade_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    run(lambda: old_ledger(path, VirtualRuntime(1)))
    before = path.read_bytes()
    steps = [*migrate.versions(), (2, STEP)]
    monkeypatch.setattr(migrate, "versions", lambda: steps)
    failures = 0
    for fail_at in range(1, 100):
        left = [fail_at]

        def count(left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            counting(patch, count)
            try:
                migrate.prepare(path, 1)
            except LedgerUnavailableError as error:
                assert "full" in str(error)  # noqa: PT017
                failures += 1
                if path.read_bytes() != before:  # the swap was done and only its sync failed
                    path.write_bytes(before)
            else:
                break
    assert failures > 15
    assert verify_ledger(path).ok


async def test_going_back_keeps_every_row(
    tmp_path: Path, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    await old_ledger(path, runtime)
    steps = [*migrate.versions(), (2, STEP)]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "versions", lambda: steps)
        writer = await LedgerWriter.open(path, runtime, simple_post)
        await writer.submit_many([crossing(number) for number in range(50, 67)])
        await writer.fork(60, (await writer.perform(lambda file: file.connection.execute(
            "SELECT hash FROM ledger WHERE seq = 60").fetchone()))[0])  # fmt: skip
        with pytest.raises(LedgerUnavailableError, match="in use"):
            migrate.restore_previous(path)
        await writer.close()
    written = rows_of(path)
    assert "schema 1 with 17 rows" in migrate.restore_previous(path)
    assert rows_of(path) == written
    writer = await LedgerWriter.open(path, runtime, simple_post)  # the older program
    await writer.submit(crossing(67))
    await writer.close()
    report = verify_ledger(path)
    assert (report.ok, report.rows) == (True, 68), report.faults
    with pytest.raises(LedgerUnavailableError, match="nothing to put back"):
        migrate.restore_previous(path)


async def test_rows_that_do_not_fit_behind_the_older_file_are_refused(tmp_path: Path, runtime: VirtualRuntime) -> None:
    path = tmp_path / "ledger.db"
    await old_ledger(path, runtime)
    other = tmp_path / "other.db"
    await old_ledger(other, runtime)  # another epoch, other hashes
    other.rename(tmp_path / "ledger.db.v1")
    before = path.read_bytes()
    with pytest.raises(LedgerUnavailableError, match="do not fit"):
        migrate.restore_previous(path)
    assert path.read_bytes() == before
