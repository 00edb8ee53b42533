"""The one writer of the ledger: takes intents from anybody, and answers when their records are on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gateway.errors import LedgerUnavailableError
from gateway.ledger.balances import LedgerState
from gateway.ledger.file import LedgerFile, Post, Receipt
from gateway.ledger.migrate import prepare
from gateway.ledger.posting import post
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

T = TypeVar("T")


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
        self._runtime = runtime
        self._file = file
        self._executor = runtime.executor("ledger")
        self._catalogue = Catalogue()
        self._queue: asyncio.Queue[_Entry | _Step] = asyncio.Queue(QUEUE_ENTRIES)
        self._head = Head(0, 0, b"")
        self._task: asyncio.Task[None] | None = None
        self._closing = self._ended = False

    @classmethod
    async def open(cls, path: Path, runtime: Runtime, posting: Post = post) -> LedgerWriter:
        """Open the ledger at `path`, made when there is none (with a random epoch), and start writing.

        Raises LedgerUnavailableError, LedgerDamagedError.
        """
        writer = cls(path, runtime, LedgerFile(path, posting))
        epoch = new_epoch(runtime)
        try:
            await writer._in_thread(lambda: prepare(path, epoch))
            writer._head = await writer._in_thread(writer._file.open)
        except BaseException:
            writer._stop_thread()
            raise
        writer._task = asyncio.create_task(writer._run(), name="ledger writer")
        return writer

    @property
    def head(self) -> Head:
        """The last row that is on the disk: epoch, seq, hash."""
        return self._head

    @property
    def branch(self) -> Branch:
        """The epoch that rows are written under, and the one it left."""
        return self._file.branch

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
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(answer)
            await self._tell()

        await self._put(step)
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
        await self._queue.put(self._end)
        await asyncio.shield(self._task)
        self._stop_thread()

    # ---------------------------------------------------------------- inside

    async def _put(self, entry: _Entry | _Step) -> None:
        if self._closing:
            raise LedgerUnavailableError(f"{self.path} is closed")
        if self._queue.full():
            self.waited += 1
        await self._queue.put(entry)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_commit = loop.time()
        while not self._ended:
            first = await self._queue.get()
            step = None if isinstance(first, _Entry) else first
            if isinstance(first, _Entry):
                group = [first]
                step = await self._gather(group, next_commit)
                await self._commit(group)
                next_commit = loop.time() + GROUP_S
            if step is not None:
                await step()
        await self._refuse_rest()
        await self._in_thread(self._file.close)

    async def _gather(self, group: list[_Entry], until: float) -> _Step | None:
        """Fill `group` with what is there, and with what comes until then; returns the step that came behind, if any."""
        try:
            async with asyncio.timeout_at(until):
                while len(group) < GROUP_ENTRIES:
                    entry = self._queue.get_nowait() if not self._queue.empty() else await self._queue.get()
                    if not isinstance(entry, _Entry):
                        return entry
                    group.append(entry)
        except TimeoutError:
            pass
        return None

    async def _end(self) -> None:
        self._ended = True

    async def _refuse_rest(self) -> None:
        """Whoever waited for room in the queue when it was closed is told so."""
        while not self._queue.empty():
            entry = self._queue.get_nowait()
            if isinstance(entry, _Entry) and not entry.done.done():
                entry.done.set_exception(LedgerUnavailableError(f"{self.path} is closed"))
            elif not isinstance(entry, _Entry):
                await entry()
            await asyncio.sleep(0)

    async def _commit(self, group: list[_Entry]) -> None:
        entries = [entry.intents for entry in group]
        catalogue = self._catalogue
        try:
            outcomes = await self._in_thread(lambda: self._file.commit(entries, catalogue))
        except Exception as error:  # the thread itself failed: nobody may wait for ever
            outcomes = [error] * len(group)
        await self._tell()
        for entry, outcome in zip(group, outcomes, strict=True):
            if entry.done.done():
                continue
            if isinstance(outcome, Receipt):
                entry.done.set_result(outcome)
            else:
                entry.done.set_exception(outcome)

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
