"""A disk that fails by order: full, I/O errors, out of reach; and a gateway killed between any two of its statements."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal

from gateway.health.space import Room

#: Bytes of a site's disk, and what is free of it while nothing is wrong: so much that no reserve is laid aside.
TOTAL, FREE = 128 << 30, 64 << 30
#: Bytes free on a disk that is full.
LEFT = 1 << 20

Fault = Literal["", "full", "io", "gone"]
_WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT", "CREATE", "PRAGMA wal_checkpoint")
_CODES = {
    "full": (sqlite3.SQLITE_FULL, "database or disk is full", errno.ENOSPC),
    "io": (sqlite3.SQLITE_IOERR, "disk I/O error", errno.EIO),
    "gone": (sqlite3.SQLITE_CANTOPEN, "unable to open database file", errno.EIO),
}


class Disk:
    """The disk under `folder`. `fault` says what is wrong with it; a COMMIT on a bad disk may be on it all the same."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.folder, self.random = folder, random
        self.fault: Fault = ""
        self.refused: Counter[str] = Counter()
        #: called with each statement, before it and behind it; who kills the gateway stands here
        self.watch: Callable[[str, bool], None] = lambda sql, done: None

    def room(self, folder: Path) -> Room:
        """What `statvfs` would say."""
        return Room(TOTAL, LEFT if self.fault == "full" else FREE)

    def run(self, sql: str, statement: Callable[[], Any], rollback: Callable[[], Any]) -> Any:
        """Execute `statement`, or fail as the disk does."""
        self.watch(sql, False)
        if self.fault and sql.startswith(_WRITES):
            self.refused[self.fault] += 1
            if sql == "COMMIT":
                if self.fault == "io" and self.random.random() < 0.4:
                    statement()  # it is there, and nobody is told
                else:
                    rollback()
            raise self._error()
        answer = statement()
        self.watch(sql, True)
        return answer

    def opened(self) -> None:
        """Raise where the file cannot be opened."""
        if self.fault == "gone":
            self.refused["gone"] += 1
            raise self._error()

    def _error(self) -> sqlite3.OperationalError:
        code, text, _ = _CODES[self.fault]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        return error

    def synced(self) -> None:
        """Raise where a file cannot be synced."""
        if self.fault:
            raise OSError(_CODES[self.fault][2], os.strerror(_CODES[self.fault][2]))


class DiskConnection(sqlite3.Connection):
    """A writing connection to a ledger on a `Disk`."""

    disk: Disk

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self.disk.run(sql, lambda: sqlite3.Connection.execute(self, sql, *values), self._back)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self.disk.run(sql, lambda: sqlite3.Connection.executemany(self, sql, *values), self._back)

    def _back(self) -> None:
        sqlite3.Connection.execute(self, "ROLLBACK")


class Disks:
    """All disks of a system; `attached` puts them under SQLite and under fsync."""

    def __init__(self) -> None:
        self._disks: list[Disk] = []

    def add(self, disk: Disk) -> Disk:
        self._disks.append(disk)
        return disk

    def find(self, path: str) -> Disk | None:
        return next((disk for disk in self._disks if path.startswith(f"{disk.folder}/")), None)

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        connect, fsync = sqlite3.connect, os.fsync

        def connect_on_disk(database: Any, *args: Any, **named: Any) -> sqlite3.Connection:
            disk = None if named.get("uri") else self.find(str(database))
            if disk is None or not str(database).endswith("ledger.db"):
                return connect(database, *args, **named)
            disk.opened()
            connection = connect(database, *args, factory=DiskConnection, **named)
            connection.disk = disk
            return connection

        def fsync_on_disk(descriptor: int) -> None:
            disk = self.find(os.readlink(f"/proc/self/fd/{descriptor}"))
            if disk is not None:
                disk.synced()
            fsync(descriptor)

        sqlite3.connect, os.fsync = connect_on_disk, fsync_on_disk  # type: ignore[assignment]
        try:
            yield
        finally:
            sqlite3.connect, os.fsync = connect, fsync
