"""The disk guard: warns early, sheds what can be spared, keeps a reserve for the last moment, and says so.

low      a tenth or so is left: people are told
scarce   no more evidence is kept
full     the reserve is given to the ledger and no new sighting is taken; what was decided is recorded, sync goes on
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from gateway.errors import GatewayError
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.intents import Recorded
from runtime import Runtime
from vocabulary.exception import ExceptionRecord
from vocabulary.wire import DiskLevel

#: Bytes of the reserve at most: enough for the write-ahead log (8 MiB) and the rows of some days.
BALLAST_BYTES = 64 << 20
#: The reserve takes at most this share of a small disk, per cent: as much as makes the disk full.
BALLAST_PERCENT = 2
#: Bytes free above which no reserve is made yet: nothing fills so much unseen, and a host of many gateways need not hold many.
BALLAST_BELOW = 32 << 30
#: Seconds between two looks: people see a full or read-only disk within 5 s, and work goes on within 10 s of its end.
LOOK_S = 2.0
#: A level is left again when there is a fifth more room than where it began, so that it does not flutter.
HYSTERESIS = 1.2
#: Seconds between two samples of the free room, and how many are kept: a day tells days left, an hour at least.
SAMPLE_S, SAMPLES, FEWEST = 600, 145, 7
#: Days beyond which nobody plans.
DAYS_AT_MOST = 3_650
#: The subject of the guard's exception: a gateway has one ledger.
SUBJECT = "ledger disk"

LEVELS: Final[tuple[DiskLevel, ...]] = ("good", "low", "scarce", "full")


class Room(NamedTuple):
    """A disk: its bytes, those that are free, and whether it takes no writes."""

    total: int
    free: int
    read_only: bool = False


class Limit(NamedTuple):
    """Where a level begins: at `percent` of the disk or less, and never with more than `most` bytes free."""

    percent: float
    most: int


#: Free room at which each level begins. The bytes matter on large disks only: 2 % of a terabyte is room for decades.
LIMITS: dict[DiskLevel, Limit] = {
    "low": Limit(15, 16 << 30),
    "scarce": Limit(5, 4 << 30),
    "full": Limit(2, 1 << 30),
}

_WORDS: dict[DiskLevel, tuple[str, str]] = {
    "low": ("The ledger's disk runs low", "Free some room on the gateway's disk, or plan a larger one."),
    "scarce": (
        "The ledger's disk is nearly full; evidence is not kept any more",
        "Free room on the gateway's disk now.",
    ),
    "full": (
        "The ledger's disk is full; the readers are held back and nothing new is counted",
        "Free room on the gateway's disk at once; counting goes on by itself.",
    ),
}


def disk_room(folder: Path) -> Room:
    """The disk that `folder` is on. Raises OSError."""
    told = os.statvfs(folder)
    return Room(told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize, bool(told.f_flag & os.ST_RDONLY))


class DiskGuard:
    """Watches the disk of `folder`. `level` and `days_left` (-1: not known) are what it found last; `fault` is why the disk
    cannot be used at all, in one sentence. `changed` is called with each new level.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        *,
        ballast_bytes: int = BALLAST_BYTES,
        limits: dict[DiskLevel, Limit] = LIMITS,
        look: Callable[[Path], Room] = disk_room,
    ) -> None:
        self.level: DiskLevel = "good"
        self.days_left = -1
        self.fault = ""
        self.free = 0
        #: how often the reserve was given away
        self.released = 0
        self.changed: Callable[[DiskLevel], None] = lambda level: None
        self._folder = folder
        self._runtime = runtime
        self._executor = runtime.executor("space")
        self._limits = limits
        self._look_at = look
        self._most_ballast = ballast_bytes
        self._path = folder / "ballast"
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        self._told: DiskLevel = "good"
        self._telling: asyncio.Task[None] | None = None
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("disk")

    def make_room(self) -> bool:
        """Give the reserve to whoever needs it at this moment, in any thread; whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        self.released += 1
        return True

    async def run(self, writer: LedgerWriter) -> None:
        """Look for ever; tells people by an exception record while the ledger takes it."""
        self._told = await self._last_told(writer)
        while True:
            await asyncio.get_running_loop().run_in_executor(self._executor, self.look)
            self._sample()
            if self.level != self._told and (self._telling is None or self._telling.done()):
                self._telling = asyncio.create_task(self._tell(writer, self.level))
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Look once: find the level, and keep or give away the reserve."""
        try:
            room = self._look_at(self._folder)
        except OSError as error:
            self.fault = f"the ledger's disk cannot be looked at: {error}"
            return
        self.fault = "the ledger's disk is read-only" if room.read_only else ""
        self.free = room.free
        size = min(self._most_ballast, room.total * BALLAST_PERCENT // 100)
        missing = max(0, size - self._ballast())
        usable = room.free - missing  # as if the reserve stood: giving it away makes no disk better
        before, self.level = self.level, self._level(usable, room.total)
        if self.level == "full":
            self.make_room()
        elif missing and not room.read_only and usable <= BALLAST_BELOW:
            self._keep(size)
        if self.level != before:
            self._log.warning("disk", level=self.level, free=room.free)
            self.changed(self.level)

    def _ballast(self) -> int:
        try:
            return self._path.stat().st_blocks * 512
        except OSError:
            return 0

    def _keep(self, size: int) -> None:
        """Make the reserve; a disk that has no room for it now gets it later."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError:
            self._path.unlink(missing_ok=True)

    def _level(self, usable: int, total: int) -> DiskLevel:
        now, calm = self._reached(usable, total, 1.0), self._reached(usable, total, HYSTERESIS)
        present = LEVELS.index(self.level)
        return LEVELS[now if now > present else min(present, calm)]

    def _reached(self, usable: int, total: int, factor: float) -> int:
        worst = 0
        for index, level in enumerate(LEVELS):
            limit = self._limits.get(level)
            if limit and usable <= min(total * limit.percent / 100, limit.most) * factor:
                worst = index
        return worst

    def _sample(self) -> None:
        """Keep the free room now and then; the days left are those until the disk is full at the rate of these hours."""
        now = self._runtime.monotonic()
        if self._samples and now - self._samples[-1][0] < SAMPLE_S * 1_000_000:
            return
        self._samples.append((now, self.free))
        (first, free), count = self._samples[0], len(self._samples)
        if count < FEWEST:
            return
        per_day = (free - self.free) * 86_400_000_000 / (now - first)
        self.days_left = min(int(self.free / per_day), DAYS_AT_MOST) if per_day > 0 else -1

    # ---------------------------------------------------------------- telling people

    async def _last_told(self, writer: LedgerWriter) -> DiskLevel:
        try:
            told = await writer.read(lambda state: state.exceptions.get(("disk-space", SUBJECT)))
        except GatewayError:
            return "good"
        level = told.facts.get("level") if told and told.facts else "good"
        index = next((number for number, one in enumerate(LEVELS) if one == level), 0)
        return LEVELS[index]

    async def _tell(self, writer: LedgerWriter, level: DiskLevel) -> None:
        now = self._runtime.now()
        text, action = _WORDS.get(level, ("The ledger's disk has room again", ""))
        record = ExceptionRecord(
            kind="disk-space",
            subject=SUBJECT,
            state="open" if action else "decided",
            at=now,
            text=f"{text}: {self.free >> 20} MiB are free.",
            action=action or "Nothing is left to do.",
            facts={"level": level, "free_bytes": self.free, "days_left": self.days_left},
        )
        try:
            await writer.submit(Recorded(occurred_at=now, record=record))
            self._told = level
        except GatewayError as error:
            self._log.error("the disk's state could not be recorded", level=level, error=str(error))
