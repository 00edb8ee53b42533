"""Looks after the site's clock: what a restart must know of it, the records that correct times, and who is told.

All rows of a boot stand on one timeline. When it turns out to be off by a step, one `clock` record shifts the derived times
of the rows that were recorded since the clock was last known to be right; of the whole timeline where they would otherwise
lie behind what comes now. Rows of an earlier boot that ended before its clock was right cannot be corrected.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import structlog
from msgspec import UNSET

from gateway.clock import LOOK_S, KeptClock, SiteClock
from gateway.errors import GatewayError, LedgerUnavailableError
from gateway.ledger.balances import rows_after
from gateway.ledger.file import LedgerFile
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.identity import write_whole
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Recorded
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import ClockRecord, Record, decode

#: Name of the file beside the ledger.
FILE = "clock.json"
#: Rows looked at for the latest time that is certainly past: late facts carry old times, and a group commit holds 64.
FLOOR_ROWS = 64
#: Microseconds by which the timeline may move on before it is written again: at 50 ppm every half hour.
KEEP_US = 100_000
#: Microseconds without a believed clock after which people are told: a start and its first synchronisation take less.
PATIENCE_US = 900_000_000
#: Microseconds; a step of a clock that had been believed is told from here on: nobody misses a smaller one.
TOLD_US = 60_000_000
#: Subjects of the exceptions of kind `clock`.
UNTRUSTED, STEPPED = "not synchronised", "stepped"


class Correction(msgspec.Struct, frozen=True, array_like=True):
    """Rows from `first_seq` to `last_seq` that were dated wrongly by `shift`."""

    first_seq: int
    last_seq: int
    shift: int


class Kept(msgspec.Struct, frozen=True):
    """The file. `first`, `since`: the first rows of the timeline, and since it was last known to be right."""

    clock: KeptClock
    first: int
    since: int
    pending: tuple[Correction, ...] = ()


def read_kept(folder: Path) -> Kept | None:
    """What the last process kept; None where it kept nothing that can be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return None


class Timekeeper:
    """Looks at the clock every `LOOK_S` seconds and draws the consequences. Call `start` before anything is dated."""

    def __init__(self, clock: SiteClock, writer: LedgerWriter, folder: Path, kept: Kept | None) -> None:
        self._clock = clock
        self._writer = writer
        self._path = folder / FILE
        self._first = self._since = self._writer.head.seq + 1
        self._pending: list[Correction] = []
        if kept is not None:
            self._pending = list(kept.pending)
            if kept.clock.boot == clock.boot_id() != "":
                self._first, self._since = kept.first, self._since if kept.clock.trusted else kept.since
        #: the last moment at which the clock was trusted, monotonic microseconds
        self._trusted_at = clock.monotonic()
        #: whether an exception stands open in the ledger; None before anybody looked
        self._told: bool | None = None
        self._kept: Kept | None = None
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("clock")

    async def start(self, reader: LedgerReader) -> None:
        """The first look, and the floor under a clock that is not trusted: the latest recorded time."""
        await self.look()
        if not self._clock.trusted:
            self._clock.raise_floor(floor_of([decode(row.body) for row in await reader.recent(FLOOR_ROWS)]))
            self._keep()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look at the clock once; record what follows."""
        clock = self._clock
        was, ever = clock.trusted, clock.ever
        step = clock.look()
        if step:  # nothing may come between: what is submitted from here on is dated by the new time
            await self._step(step, ever)
        elif was and not clock.trusted:
            self._since = self._writer.head.seq + 1
            self._log.warning("the clock is not trusted any more")
        if clock.trusted:
            self._trusted_at = clock.monotonic()
        self._keep()
        await self._record()
        await self._tell(step if ever else 0)

    async def _step(self, step: int, ever: bool) -> None:
        """Time was stepped: the rows recorded since it was last right are corrected, all others of the timeline too where
        they would lie behind what comes now."""
        lasted = self._clock.monotonic() - self._trusted_at
        begin = self._since if step > -lasted else self._first
        if ever and step > 0:
            self._first = begin
        self._log.warning("the clock was set", seconds=step / 1_000_000, first_row=begin)
        wrong = Correction(begin, 0, step)
        self._pending += await self._writer.perform(lambda file: self._correct(file, wrong))

    def _correct(self, file: LedgerFile, wrong: Correction) -> list[Correction]:
        """Record a correction of the rows so far, in the writing thread; returned where the ledger does not take it."""
        wrong = msgspec.structs.replace(wrong, last_seq=file.head.seq)
        return [] if self._recorded(file, wrong) else [wrong]

    def _recorded(self, file: LedgerFile, wrong: Correction) -> bool:
        """Record the clock records that a correction needs; False where the ledger takes nothing now."""
        at = self._clock.now()
        try:
            ranges = dated_since(file.connection, wrong)
            if not ranges:
                return True
            found = [Recorded(occurred_at=at, record=ClockRecord(at, *pair, wrong.shift)) for pair in ranges]
            (outcome,) = file.commit([found], Catalogue())
        except (sqlite3.Error, GatewayError):
            return False
        return not isinstance(outcome, Exception)

    async def _record(self) -> None:
        """Record the corrections that the ledger has not taken yet; the next look tries again."""
        while self._pending:
            wrong = self._pending[0]
            if not await self._writer.perform(lambda file, wrong=wrong: self._recorded(file, wrong)):
                return
            self._pending.pop(0)
            self._keep()

    async def _tell(self, step: int) -> None:
        """Tell people of a large step, and of a clock that is not trusted for long; the latter settles itself."""
        clock = self._clock
        try:
            if abs(step) >= TOLD_US:
                await self._submit(_stepped(clock.now(), step))
            wrong = not clock.trusted and clock.monotonic() - self._trusted_at >= PATIENCE_US
            if (wrong or clock.trusted) and self._told is not wrong:
                await self._tell_trust(wrong)
                self._told = wrong
        except LedgerUnavailableError:
            return  # the next look tries again

    async def _tell_trust(self, wrong: bool) -> None:
        known = await self._writer.read(lambda state: state.exceptions.get(("clock", UNTRUSTED)))
        if wrong and known is None:
            await self._submit(_untrusted(self._clock.now()))
        elif known is not None and not wrong:
            now, reason = self._clock.now(), "The clock is synchronised again."
            await self._submit(msgspec.structs.replace(known, state="decided", at=now, reason=reason))

    async def _submit(self, record: ExceptionRecord) -> None:
        await self._writer.submit(Recorded(occurred_at=record.at, record=record))

    def _keep(self) -> None:
        """Write what a restart must know, where it changed."""
        kept = Kept(self._clock.kept(), self._first, self._since, tuple(self._pending))
        if self._kept is not None:
            same = msgspec.structs.replace(self._kept.clock, offset=0) == msgspec.structs.replace(kept.clock, offset=0)
            near = abs(self._kept.clock.offset - kept.clock.offset) < KEEP_US
            rows = (self._kept.first, self._kept.since, self._kept.pending) == (kept.first, kept.since, kept.pending)
            if same and near and rows:
                return
        try:
            write_whole(self._path, msgspec.json.encode(kept), mode=0o644)
        except OSError as error:
            self._log.error("the clock's file was not written", error=str(error))
            return
        self._kept = kept


def dated_since(connection: sqlite3.Connection, wrong: Correction) -> list[tuple[int, int]]:
    """The runs of rows (first, last) of a correction that have a wrong time: documents have none, and a row that has the
    time of an earlier one that is right, such as a reversal that of the row it takes back, is right as well."""
    runs: list[tuple[int, int]] = []
    right: set[int] = set()
    for seq, body in rows_after(connection, wrong.first_seq - 1):
        if seq > wrong.last_seq:
            break
        record = decode(body)
        if time_of(record) is None or any(one < wrong.first_seq or one in right for one in _dated_by(record)):
            right.add(seq)
        elif runs and runs[-1][1] == seq - 1:
            runs[-1] = runs[-1][0], seq
        else:
            runs.append((seq, seq))
    return runs


def _dated_by(record: Record) -> list[int]:
    """The rows from which a record has its time."""
    if not isinstance(record, Movement):
        return []
    named = (record.reverses, record.replaces, record.compensates, record.completes)
    return [seq for seq in named if seq is not UNSET]


def time_of(record: Record) -> int | None:
    """When a record says it happened, microseconds UTC; None for a document."""
    return record.occurred_at if isinstance(record, Movement | Count) else getattr(record, "at", None)


def floor_of(newest_first: list[Record]) -> int:
    """The latest time among records, newest first, back to the last that corrected others; 0 when there are none."""
    latest = 0
    for record in newest_first:
        latest = max(latest, time_of(record) or 0)
        if isinstance(record, ClockRecord):
            break
    return latest


def _stepped(at: int, step: int) -> ExceptionRecord:
    seconds = round(step / 1_000_000)
    return ExceptionRecord(
        "clock",
        STEPPED,
        "open",
        at,
        f"The synchronised clock of the gateway was set by {seconds:+d} seconds.",
        "Check the time servers of this network and who may set the clock.",
        {"seconds": seconds},
    )


def _untrusted(at: int) -> ExceptionRecord:
    return ExceptionRecord(
        "clock",
        UNTRUSTED,
        "open",
        at,
        "Nothing synchronises the clock of the gateway: its times may be wrong, their order is not.",
        "Give the gateway a time server (NTP); times that were wrong are corrected then.",
    )
