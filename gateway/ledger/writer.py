"""The one writer of the ledger: takes intents from anybody, and answers when their records are on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import structlog

from gateway.errors import GatewayError, LedgerCorruptError, LedgerUnavailableError
from gateway.ledger.balances import LedgerState
from gateway.ledger.check import sums_fault
from gateway.ledger.file import LedgerFile, Post, Receipt, unusable
from gateway.ledger.marker import RunMarker, tail_fault
from gateway.ledger.migrate import prepare
from gateway.ledger.posting import post
from gateway.ledger.recovery import Recovery, complete_recovery, epoch_of, recover
from gateway.ledger.store import Branch, Head
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent
from runtime import Runtime
from vocabulary.chain import EPOCH_BITS

#: Entries in one commit at most: bounds how long a submitter waits behind others.
GROUP_ENTRIES = 64
#: Least time between two commits, seconds. What comes alone is written at once; what comes in a stream shares a commit,
#: because a memory card wears by commits.
GROUP_S = 0.2
#: Entries that wait for the writer at most; whoever submits beyond that waits for room.
QUEUE_ENTRIES = 1_024
#: Seconds until a disk that refused a write is tried again: often enough to go on soon, seldom enough to leave it alone.
RETRY_S = 1.0
#: Tries at the end of the program to learn what became of a group: a service manager waits some ten seconds.
LAST_TRIES = 3
#: Bytes of a file whose sums are compared at once after a stop that was none: half a second of work. Those of a larger one
#: are compared in the background.
ANEW_BYTES = 4 << 20
#: Seconds within which headquarters must say what it holds before a damaged ledger is recovered without knowing.
ASK_S = 10.0

T = TypeVar("T")
#: Asks headquarters for the last row that it holds of an epoch; None where it does not know.
Held = Callable[[int], Awaitable[int | None]]


class _Entry:
    def __init__(self, intents: Sequence[AnyIntent], done: asyncio.Future[Receipt]) -> None:
        self.intents = intents
        self.done = done


#: Something to do between two commits.
_Step = Callable[[], Awaitable[None]]


class LedgerWriter:
    """Owns the ledger's file and its writing thread. `head` is the last row that is on the disk."""

    def __init__(self, path: Path, runtime: Runtime, file: LedgerFile) -> None:
        self.path = path
        self.committed = asyncio.Condition()
        #: how often somebody had to wait for room in the queue
        self.waited = 0
        #: set once rows, pages or sums were found damaged: close, and open again
        self.damaged = asyncio.Event()
        #: what became of the ledger when it was opened, where it was damaged
        self.recovery: Recovery | None = None
        #: whether a gateway that had it open did not close it, and the whole was not found good since
        self.unclean = False
        self._runtime = runtime
        self._file = file
        #: whether it is only the derived tables that are damaged
        self._rows_sound = False
        self._marker = RunMarker(path)
        self._executor = runtime.executor("ledger")
        self._catalogue = Catalogue()
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue(QUEUE_ENTRIES)
        self._steps: asyncio.Queue[_Step] = asyncio.Queue(QUEUE_ENTRIES)
        self._work = asyncio.Event()
        self._unsettled: list[_Entry] = []
        self._tries_left = LAST_TRIES
        self._next_commit = 0.0
        self._head = Head(0, 0, b"")
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @classmethod
    async def open(
        cls,
        path: Path,
        runtime: Runtime,
        posting: Post = post,
        make_room: Callable[[], bool] = lambda: False,
        held: Held | None = None,
    ) -> LedgerWriter:
        """Open the ledger at `path`, made when there is none (with a random epoch), and start writing.

        A damaged one is recovered first; `held` asks headquarters for the last row that it holds of an epoch. Raises
        LedgerUnavailableError, LedgerDamagedError.
        """
        writer = cls(path, runtime, LedgerFile(path, posting, make_room))
        try:
            await writer._start(held)
        except BaseException:
            writer._stop_thread()
            raise
        writer._task = asyncio.create_task(writer._run(), name="ledger writer")
        return writer

    async def _start(self, held: Held | None) -> None:
        epoch = new_epoch(self._runtime)
        try:
            self._head = await self._in_thread(lambda: self._open_file(epoch))
        except LedgerCorruptError as error:
            log: structlog.typing.FilteringBoundLogger = structlog.get_logger("ledger")
            log.error("the ledger is damaged and is being recovered", ledger=str(self.path), reason=str(error))
            told = await self._ask(held)
            now = self._runtime.now()
            self.recovery = await self._in_thread(lambda: recover(self.path, epoch, now, told))
            log.error("the ledger was recovered", what=self.recovery.text)
            self._head = await self._in_thread(self._file.open)
            await self._in_thread(self._mark)

    def _open_file(self, epoch: int) -> Head:
        """Open it in the writing thread; what a crash can have damaged is looked at before."""
        try:
            complete_recovery(self.path)
            left = self._marker.left()
        except OSError as error:
            raise LedgerUnavailableError(f"{self.path} cannot be opened: {error}") from error
        self.unclean = left is not None
        if left:
            raise LedgerCorruptError(left)
        try:
            if self.unclean and self.path.exists() and (fault := tail_fault(self.path)):
                raise LedgerCorruptError(f"{self.path} was not closed, and {fault}")
        except sqlite3.Error as error:
            raise unusable(error, f"{self.path} cannot be read: {error}") from error
        prepare(self.path, epoch)
        head = self._file.open(anew=self._sums_doubted())
        self._mark()
        return head

    def _sums_doubted(self) -> bool:
        """Whether the sums of a small ledger that was not closed are not what its rows amount to; only looks."""
        if not self.unclean or self.path.stat().st_size > ANEW_BYTES:
            return False
        with contextlib.closing(
            sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        ) as connection:
            return bool(sums_fault(connection, self.path))

    def _mark(self) -> None:
        """Say that the ledger is open; a disk that is too full for it does not stop the gateway."""
        try:
            self._marker.set()
        except OSError as error:
            structlog.get_logger("ledger").warning("a stop that is none will not be noticed", error=str(error))

    async def _ask(self, held: Held | None) -> int | None:
        """What headquarters holds of the damaged ledger; None where nobody knows."""
        if held is None:
            return None
        try:
            epoch = await self._in_thread(lambda: epoch_of(self.path))
            async with asyncio.timeout(ASK_S):
                return await held(epoch) if epoch else None
        except (GatewayError, TimeoutError, OSError):
            return None

    @property
    def head(self) -> Head:
        """The last row that is on the disk: epoch, seq, hash."""
        return self._head

    @property
    def branch(self) -> Branch:
        """The epoch that rows are written under, and the one it left."""
        return self._file.branch

    @property
    def fault(self) -> str:
        """Why the disk takes nothing, in one sentence; empty while it does."""
        return self._file.fault

    @property
    def faults(self) -> int:
        """Writes that the disk refused since the start."""
        return self._file.faults

    @property
    def damage(self) -> str:
        """What was found damaged, in one sentence: nothing is written any more. Empty while nothing was."""
        return self._file.damage

    async def report_damage(self, text: str) -> None:
        """Rows or pages are not what was written: stop writing; the next `open` recovers what can be read."""
        with contextlib.suppress(sqlite3.Error, GatewayError):
            await self.perform(lambda file: file.keep_acknowledged())  # recovery asks how far headquarters is
        self._file.damage = text
        await self._told_damage()

    async def report_wrong_sums(self, text: str) -> None:
        """The derived tables are not what the rows amount to: stop writing; the next `open` makes them again."""
        await self.perform(lambda file: file.doubt())
        self._file.damage = text
        self._rows_sound = True
        self.damaged.set()

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """What headquarters told the site, from the next intent on."""
        self._catalogue = catalogue

    def acknowledge(self, seq: int) -> None:
        """Headquarters holds the rows up to `seq`; not written yet, for a restart asks again."""
        self._file.acknowledged = max(self._file.acknowledged, seq)

    async def keep_acknowledged(self) -> None:
        """Write how far headquarters is, for those who look at the file. Raises LedgerUnavailableError."""
        try:
            await self.perform(lambda file: file.keep_acknowledged())
        except sqlite3.Error as error:
            raise LedgerUnavailableError(f"{self.path}: the cursor was not written: {error}") from error

    async def was_executed(self, command: str) -> bool:
        """Whether the result of this command is recorded. Raises LedgerUnavailableError."""
        return await self.perform(lambda file: command in file.state.commands)

    async def submit(self, *intents: AnyIntent) -> Receipt:
        """Post `intents`, all or none, and return when their records are on the disk.

        Cancelling the caller does not take back what was submitted. Raises LedgerUnavailableError when the disk did not
        take it, and what posting raised when it refused: then nothing of it is recorded.
        """
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        await self._put(_Entry(intents, done))
        return await done

    async def submit_many(self, intents: Sequence[AnyIntent]) -> list[Receipt]:
        """Submit each of `intents` by itself, in order, many to a commit; the receipts in that order.

        Raises the first error; those before and behind it may be recorded.
        """
        loop = asyncio.get_running_loop()
        entries = [_Entry((intent,), loop.create_future()) for intent in intents]
        for entry in entries:
            await self._put(entry)
        found = await asyncio.gather(*(entry.done for entry in entries), return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in found if isinstance(outcome, Receipt)]

    async def fork(self, common_seq: int, common_hash: bytes) -> Head:
        """Begin a new random epoch after the last common row; rows behind it keep seq, bytes and hashes."""
        epoch = new_epoch(self._runtime)
        return await self.perform(lambda file: file.fork(epoch, common_seq, common_hash))

    async def perform(self, work: Callable[[LedgerFile], T]) -> T:
        """Run `work` on the file in the writing thread, between two commits."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def step() -> None:
            try:
                answer = await self._in_thread(lambda: work(self._file))
            except Exception as error:
                if isinstance(error, LedgerCorruptError):
                    self._file.damage = self._file.damage or str(error)
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(answer)
            await self._tell()
            if self.damage:
                await self._told_damage()

        self._refuse_if_closing()
        await self._steps.put(step)
        self._work.set()
        return await done

    async def read(self, look: Callable[[LedgerState], T]) -> T:
        """What `look` finds in the committed state (stock, exceptions, ...), in the writing thread between two commits.

        It delays the next commit: copy what you need and be quick.
        """
        return await self.perform(lambda file: look(file.state))

    async def wait_beyond(self, seq: int) -> Head:
        """The head, as soon as it is beyond row `seq`."""
        async with self.committed:
            await self.committed.wait_for(lambda: self._head.seq > seq)
        return self._head

    async def close(self) -> None:
        """Write what was submitted, and close the file."""
        if self._task is None or self._closing:
            return
        self._closing = True
        self._work.set()
        await asyncio.shield(self._task)
        self._stop_thread()

    # ---------------------------------------------------------------- inside

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise LedgerUnavailableError(f"{self.path} is closed")

    async def _put(self, entry: _Entry) -> None:
        self._refuse_if_closing()
        if self._queue.full():
            self.waited += 1
        await self._queue.put(entry)
        self._work.set()

    async def _run(self) -> None:
        while not (self._closing and self._queue.empty() and self._steps.empty() and not self._unsettled):
            if self._unsettled:
                await self._settle()
            elif self._tries_left <= 0:
                break  # the disk had its time: what still waits is refused
            elif not self._queue.empty():
                await self._commit(await self._gather())
            while not self._steps.empty():
                await self._steps.get_nowait()()
            if self._unsettled or (self._queue.empty() and not self._closing):
                await self._wait()
            await asyncio.sleep(0)
        # whoever waited for room when it was closed is told so
        while not (self._queue.empty() and self._steps.empty()):
            if not self._steps.empty():
                await self._steps.get_nowait()()
            elif not (entry := self._queue.get_nowait()).done.done():
                entry.done.set_exception(LedgerUnavailableError(f"{self.path} is closed"))
            await asyncio.sleep(0)
        await self._in_thread(self._close_file)

    async def _wait(self) -> None:
        """Until there is something to do; a disk that refused is tried again now and then, also when nobody asks."""
        self._work.clear()
        if not self._steps.empty() or (not self._unsettled and not self._queue.empty()):
            return
        try:
            async with asyncio.timeout(RETRY_S if self.fault or self._unsettled else None):
                await self._work.wait()
                if self._unsettled and self._steps.empty():  # entries wait behind the group
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            if not self._unsettled and not self.damage:
                await self._in_thread(self._file.probe)

    async def _gather(self) -> list[_Entry]:
        """What waits, and what comes until the next commit is due; a step that comes ends it."""
        group: list[_Entry] = []
        try:
            async with asyncio.timeout_at(self._next_commit):
                while len(group) < GROUP_ENTRIES and self._steps.empty():
                    if self._queue.empty():
                        self._work.clear()
                        await self._work.wait()
                    else:
                        group.append(self._queue.get_nowait())
        except TimeoutError:
            pass
        while not self._queue.empty() and len(group) < GROUP_ENTRIES:
            group.append(self._queue.get_nowait())
        return group

    async def _commit(self, group: list[_Entry]) -> None:
        entries = [entry.intents for entry in group]
        catalogue = self._catalogue
        try:
            outcomes = await self._in_thread(lambda: self._file.commit(entries, catalogue))
        except Exception as error:  # the thread itself failed: nobody may wait for ever
            outcomes = [error] * len(group)
        loop = asyncio.get_running_loop()
        self._next_commit = loop.time() + (RETRY_S if self.fault else GROUP_S)
        self._tries_left -= self._closing and bool(self.fault)
        if self._file.unsure:
            self._unsettled = group
        else:
            await self._answer(group, outcomes)

    async def _settle(self) -> None:
        """Ask the disk what became of the group that nobody was told of yet; in the end say that it is not known."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._next_commit:
            return
        self._next_commit = loop.time() + RETRY_S
        outcomes = await self._in_thread(self._file.settle)
        self._tries_left -= self._closing
        if outcomes is None and (self.damage or self._tries_left <= 0):
            unknown = LedgerUnavailableError(f"{self.path}: nobody knows whether it was recorded: {self.fault}")
            outcomes = [unknown] * len(self._unsettled)
        if outcomes is not None:
            group, self._unsettled = self._unsettled, []
            await self._answer(group, outcomes)

    async def _answer(self, group: Sequence[_Entry], outcomes: Sequence[Receipt | Exception]) -> None:
        refused = next((one for one in outcomes if isinstance(one, LedgerUnavailableError)), None)
        if refused is not None and not (
            self._closing or self.damage
        ):  # nothing that was submitted behind the group may pass it
            waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
            group, outcomes = [*group, *waiting], [*outcomes, *[refused] * len(waiting)]
        await self._tell()
        for entry, outcome in zip(group, outcomes, strict=True):
            if entry.done.done():
                continue
            if isinstance(outcome, Receipt):
                entry.done.set_result(outcome)
            else:
                entry.done.set_exception(outcome)
        if self.damage:
            await self._told_damage()

    async def _told_damage(self) -> None:
        if not self.damaged.is_set():
            with contextlib.suppress(OSError):  # a disk that does not take the mark: the next full check finds it again
                await self._in_thread(lambda: self._marker.set(self.damage))
            self.damaged.set()

    def _close_file(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):  # then the next start looks closer, no more
            if self._file.damage and not self._rows_sound:
                self._marker.set(self._file.damage)
            elif not self._file.fault and not self.unclean:
                self._marker.clear()

    async def _tell(self) -> None:
        if self._file.head != self._head:
            self._head = self._file.head
            async with self.committed:
                self.committed.notify_all()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _stop_thread(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)


def new_epoch(runtime: Runtime) -> int:
    """A random name for a ledger file: 63 bits, never 0."""
    return int.from_bytes(runtime.token_bytes(8), "big") % ((1 << EPOCH_BITS) - 1) + 1
