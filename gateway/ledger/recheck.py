"""The whole ledger is checked beside its writer, slowly: after a stop that was none, every week, and when in doubt."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from gateway.ledger.check import sums_by_pages
from gateway.ledger.marker import chain_fault, pages_fault
from gateway.ledger.migrate import DAMAGE_CODES
from gateway.ledger.writer import LedgerWriter
from runtime import Runtime

#: Microseconds between two checks of the whole ledger: a week.
EVERY_US = 7 * 86_400_000_000
#: Seconds between two looks whether a check is due, and after a start until the first: the start itself comes first.
LOOK_S = 10.0
#: Rows checked at once: a few milliseconds in the checking thread.
PAGE_ROWS = 500
#: Rest after each page as a multiple of its own time, and at least, seconds: a fifth of one core.
REST, LEAST_REST_S = 4, 0.02

_BASE_SQL = """
SELECT seq, hash FROM position WHERE name = 'base'
UNION ALL SELECT parent_seq, parent_hash FROM branch WHERE parent IS NULL ORDER BY seq DESC LIMIT 1
"""

T = TypeVar("T")


class LedgerCheck:
    """Checks every row against the chain, then every page, then the sums. `checked_at` is when the whole was found good last
    (microseconds UTC, 0: never), `fault` what is wrong. Damage is reported to the writer. `suspicion` says why somebody
    doubts a row.
    """

    def __init__(self, writer: LedgerWriter, runtime: Runtime, suspicion: Callable[[], str] = lambda: "") -> None:
        self._writer = writer
        self._runtime = runtime
        self._suspicion = suspicion
        self._executor = runtime.executor("check")
        self._kept = writer.path.with_name(writer.path.name + ".checked")
        self._connection: sqlite3.Connection | None = None
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("ledger check")
        self.fault = ""
        self.checked_at = _time_in(self._kept)

    async def run(self) -> None:
        """Check whenever it is due, until cancelled or until damage is found."""
        due = self._writer.unclean or not self.checked_at
        while not self._writer.damage:
            await asyncio.sleep(LOOK_S)
            old = not 0 <= self._runtime.now() - self.checked_at < EVERY_US
            if due or old or self._suspicion():
                due = not await self.check()
        await asyncio.Event().wait()

    async def check(self) -> bool:
        """Check all of it once; whether it is good. What is not is reported to the writer."""
        sums = ""
        try:
            fault = await self._rows() or await self._in_thread(self._pages)
            sums = "" if fault else await self._sums()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGE_CODES:
                self._log.warning("the ledger could not be checked", error=str(error))
                return False
            fault = str(error)
        finally:
            await self._in_thread(self._close)
        self.fault = fault and f"{self._writer.path}: {fault}"
        if fault:
            self._log.error("the ledger is damaged", what=fault)
            await self._writer.report_damage(self.fault)
            return False
        if sums:
            self._log.error("the ledger's sums are damaged and are made again from its rows", what=sums)
            await self._writer.report_wrong_sums(sums)
            return False
        self.checked_at = self._runtime.now()
        self._writer.unclean = False
        await self._in_thread(lambda: self._keep(self.checked_at))
        return True

    async def _rows(self) -> str:
        """What is wrong with the chain of the rows, in one sentence."""
        after, previous = await self._in_thread(self._base)
        while True:
            begun = self._runtime.monotonic()
            last, fault = await self._in_thread(partial(self._page, after, previous))
            if fault:
                base, hash_before = await self._in_thread(self._base)
                if base <= after:
                    return fault
                after, previous = base, hash_before  # retention has cut what was to be checked next
                continue
            if last is None:
                return ""
            after, previous = last
            await self._rest(begun)

    async def _sums(self) -> str:
        """Where the derived tables are not what the rows amount to, in one sentence."""
        pages = sums_by_pages(await self._in_thread(self._open), self._writer.path, PAGE_ROWS)
        try:
            while True:
                begun = self._runtime.monotonic()
                ended, fault = await self._in_thread(lambda: _next(pages))
                if ended:
                    return fault
                await self._rest(begun)
        finally:
            await self._in_thread(pages.close)

    async def _rest(self, begun: int) -> None:
        taken = (self._runtime.monotonic() - begun) / 1_000_000
        await asyncio.sleep(max(LEAST_REST_S, taken * REST))

    # ---------------------------------------------------------------- in the checking thread

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(f"file:{self._writer.path}?mode=ro", uri=True, isolation_level=None)
        return self._connection

    def _base(self) -> tuple[int, bytes | None]:
        return self._open().execute(_BASE_SQL).fetchone() or (0, None)

    def _page(self, after: int, previous: bytes | None) -> tuple[tuple[int, bytes] | None, str]:
        if previous is not None:
            following = self._open().execute("SELECT min(seq) FROM ledger WHERE seq > ?", (after,)).fetchone()[0]
            if following is not None and following != after + 1:
                return None, f"row {after + 1} is missing"
        return chain_fault(self._open(), after, previous, PAGE_ROWS)

    def _pages(self) -> str:
        """SQLite's own check: takes long on a slow card, and holds nobody up."""
        return pages_fault(self._open())

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _keep(self, at: int) -> None:
        try:
            self._kept.write_text(str(at))
        except OSError as error:
            self._log.warning("when the ledger was checked could not be kept", error=str(error))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _next(pages: Generator[None, None, str]) -> tuple[bool, str]:
    """Go on by a page; whether that was the last one, and what it came to."""
    try:
        next(pages)
    except StopIteration as ended:
        return True, ended.value
    return False, ""


def _time_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
