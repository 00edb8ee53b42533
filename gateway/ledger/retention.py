"""Old rows leave the ledger once headquarters holds them; what they amount to stays.

`cut` decides, in one small transaction: the ledger now begins at a checkpoint, the position `base` names the row before it,
and units that left with rows up to there are forgotten. `sweep` then deletes what is no longer part of the ledger, a bounded
step at a time. Interrupted at any point, the next night goes on; nobody reads what waits to be swept. Freed pages are used
again by new rows, so the file keeps the size of what it holds at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import structlog
from msgspec import UNSET

from gateway.errors import GatewayError, LedgerDamagedError, LedgerUnavailableError
from gateway.ledger.balances import FORGET, base_of, touched_balances, touched_units
from gateway.ledger.checkpoint import checkpoint_at, take
from gateway.ledger.file import LedgerFile
from gateway.ledger.packing import unpack
from gateway.ledger.snapshot import digest_of_file, snapshots, standing_counts
from gateway.ledger.units import decode_rows, encode_rows
from gateway.ledger.writer import LedgerWriter
from vocabulary.count import Count
from vocabulary.movement import Movement
from vocabulary.place import Account, is_virtual
from vocabulary.records import Record, decode

#: Microseconds for which rows stay: a month of being offline, of late facts and of returns, and the days around it.
KEPT_US = 35 * 86_400 * 1_000_000
#: Rows deleted in one transaction: some 30 ms in which nothing else is recorded.
SWEEP_ROWS = 500
#: Microseconds between two checkpoints. Seconds between two looks whether one is due, and before the first one: a start has
#: other work, and a gateway that is switched off each evening takes its checkpoint all the same.
NIGHT_US = 86_400 * 1_000_000
LOOK_S, FIRST_S = 3_600.0, 14_400.0


def cut(file: LedgerFile, now: int) -> int:
    """Let the ledger begin at the newest checkpoint that headquarters acknowledged, older than 35 days at `now`
    (microseconds UTC), whose snapshot is whole; the last row cut, 0 when there is nothing to cut. In the writing thread.

    Raises sqlite3.Error, LedgerUnavailableError; then nothing was cut.
    """
    connection = file.connection
    base = base_of(connection)
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    for seq, snapshot in reversed(snapshots(path).items()):
        record = checkpoint_at(connection, seq) if base + 1 < seq <= file.acknowledged else None
        if record is None or record.at > now - KEPT_US:
            continue
        with contextlib.suppress(LedgerDamagedError):
            if digest_of_file(snapshot) == record.snapshot:
                _begin_at(file, seq)
                return seq - 1
    return 0


def sweep(file: LedgerFile) -> bool:
    """Delete some of the rows that were cut, and what the tables say of them; True while there may be more.

    In the writing thread. Raises sqlite3.Error, LedgerUnavailableError; then nothing was deleted by this call.
    """
    base = base_of(file.connection)
    rows = file.connection.execute(
        "SELECT seq, body FROM ledger WHERE seq <= ? ORDER BY seq LIMIT ?", (base, SWEEP_ROWS)
    ).fetchall()
    if not rows:
        return False
    records = [(seq, decode(unpack(body))) for seq, body in rows]
    with _transaction(file) as connection:
        _sweep_units(connection, base, records)
        _sweep_index(connection, base, records)
        connection.execute("DELETE FROM ledger WHERE seq <= ?", (rows[-1][0],))
        if len(rows) < SWEEP_ROWS:
            for sql in FORGET[1:]:
                connection.execute(sql, (base,))
    return True


async def keep(writer: LedgerWriter, now: Callable[[], int], trusted: Callable[[], bool]) -> None:
    """For ever: a checkpoint each day, and what is old enough goes, while `now` (microseconds UTC) is `trusted`."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("retention")
    await asyncio.sleep(FIRST_S)
    while True:
        try:
            last = await writer.perform(_last_checkpoint)
            if abs(now() - last) >= NIGHT_US and trusted():
                await take(writer, now())
                base = await retain(writer, now())
                if base:
                    log.info("old rows were cut", last_row_cut=base)
        except (GatewayError, sqlite3.Error) as error:
            log.error("no checkpoint was taken", error=str(error))
        await asyncio.sleep(LOOK_S)


def _last_checkpoint(file: LedgerFile) -> int:
    """When the last checkpoint was taken (microseconds UTC); 0 when none ever was."""
    path = Path(file.connection.execute("PRAGMA database_list").fetchone()[2])
    for seq in reversed(snapshots(path)):
        if (record := checkpoint_at(file.connection, seq)) is not None:
            return record.at
    return 0


async def retain(writer: LedgerWriter, now: int) -> int:
    """Cut and sweep, other commits in between; the last row cut, 0 when nothing was. Raises sqlite3.Error, GatewayError."""
    base = await writer.perform(lambda file: cut(file, now))
    while await writer.perform(sweep):
        pass
    return base


def _begin_at(file: LedgerFile, first: int) -> None:
    """Make row `first` the first one kept."""
    file.flush()
    if file.state.flushed_seq != file.head.seq:
        raise LedgerUnavailableError("the derived tables could not be written, so nothing was cut")
    base = first - 1
    with _transaction(file) as connection:
        (last,) = connection.execute("SELECT hash FROM ledger WHERE seq = ?", (base,)).fetchone()
        connection.execute("DELETE FROM retention WHERE head <= ?", (base,))  # the snapshot of `first` knows of them
        connection.execute("INSERT OR REPLACE INTO retention VALUES (?, ?)", (file.head.seq, base))
        connection.execute("INSERT OR REPLACE INTO position VALUES ('base', ?, ?)", (base, last))
    file.state.base = base


@contextlib.contextmanager
def _transaction(file: LedgerFile) -> Generator[sqlite3.Connection]:
    connection = file.connection
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        file.drop()  # closing rolls back; the state is read again
        raise


def _sweep_units(connection: sqlite3.Connection, base: int, records: Iterable[tuple[int, Record]]) -> None:
    names = [name for _, record in records if isinstance(record, Movement) for name in touched_units(record)]
    for name in dict.fromkeys(names):
        found = connection.execute("SELECT here, seq, rows FROM unit WHERE unit = ?", (name,)).fetchone()
        if found is None:
            continue
        here, seq, rows = found
        if not here and seq <= base:
            connection.execute("DELETE FROM unit WHERE unit = ?", (name,))
        else:
            kept = encode_rows(row for row in decode_rows(rows) if row[1] > base)
            connection.execute("UPDATE unit SET rows = ? WHERE unit = ?", (kept, name))


def _sweep_index(connection: sqlite3.Connection, base: int, records: Iterable[tuple[int, Record]]) -> None:
    counted: dict[Account, None] = {}
    for seq, record in records:
        if isinstance(record, Count):
            counted[record.account] = None
        if not isinstance(record, Movement):
            continue
        for key in {(key.place, key.status): None for key in touched_balances(record)}:
            if not is_virtual(key[0]):
                connection.execute(
                    "DELETE FROM account_row WHERE account = (SELECT id FROM account WHERE place = ? AND status = ?)"
                    " AND at = ? AND seq = ?",
                    (*key, record.occurred_at, seq),
                )
        connection.execute(
            'DELETE FROM group_row WHERE "group" = ? AND seq = ?', (seq if record.group is UNSET else record.group, seq)
        )
    for account in counted:
        rows = connection.execute(
            "SELECT * FROM count_row WHERE place = ? AND status = ?", (account.place, account.status)
        ).fetchall()
        standing = {row[3] for row in standing_counts(rows)}
        connection.executemany(
            "DELETE FROM count_row WHERE place = ? AND status = ? AND at = ? AND seq = ?",
            (row[:4] for row in rows if row[3] not in standing and row[3] <= base),
        )
