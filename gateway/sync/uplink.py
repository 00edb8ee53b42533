"""Ledger push v1: every committed row reaches headquarters, in order, once in effect, for as long as that takes.

The ledger is the outbox; `acked` is the cursor. One request is in flight, sent as soon as there is something to send. The
server is asked where it stands at the start and after every surprise, so that nothing here needs to be remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, NoReturn, TypeVar

import msgspec

from gateway.errors import GatewayError, LedgerDamagedError, LinkDownError
from gateway.ledger.file import LedgerFile
from gateway.ledger.store import Branch, LedgerReader, LedgerRow
from gateway.ledger.writer import LedgerWriter
from gateway.sync.advisory import Advisory
from gateway.sync.batch import Pace, pack, told_at
from gateway.sync.http import Answer, Cloud
from gateway.sync.retry import Backoff
from gateway.transactions.intents import Recorded
from runtime import Runtime
from vocabulary.exception import ExceptionRecord
from vocabulary.wire import BATCH_BYTES, BATCH_RECORDS, WIRE_VERSION, BatchHeader, Conflict, Pushed, Status
from vocabulary.wire import Head as ServerHead

#: Rows behind, above which headquarters first gets the present balances: 5,000 rows may take longer than 10 s.
ADVISORY_ROWS = 5_000
#: Rows above which a batch is packed outside the loop: 1,000 rows take up to 40 ms, and sensing goes on meanwhile.
INLINE_ROWS = 50
#: Seconds without a row after which an empty push carries the status, so that headquarters knows the site is alive.
HEARTBEAT_S = 30.0
#: Seconds between tries after an answer that only a person can change (revoked, refused): it is not hammered.
REFUSED_S = 600.0
#: Refusals of one single row after which the site's people are told.
ALARM_AFTER = 5

#: No row has a seq as high.
_NO_END = 1 << 62

State = Literal["starting", "online", "catching-up", "offline", "refused", "revoked", "damaged"]


class _SurpriseError(Exception):
    """The server stands elsewhere than we thought: ask it again."""


class _RefusedError(Exception):
    """The server does not take this; asking it the same again soon will not help."""


class _RevokedError(Exception):
    """Another gateway speaks for this site."""


class _Packed(NamedTuple):
    """A push that is ready to go: rows first_seq .. last_seq of `epoch`, with the hash of the last."""

    epoch: int
    first_seq: int
    last_seq: int
    last_hash: bytes
    body: bytes
    more: bool

    @property
    def rows(self) -> int:
        return self.last_seq - self.first_seq + 1


class Uplink:
    """Pushes the ledger. `state` and `reason` say how it goes; `acked` is the last row that headquarters holds."""

    def __init__(
        self,
        cloud: Cloud,
        site: str,
        writer: LedgerWriter,
        reader: LedgerReader,
        runtime: Runtime,
        status: Callable[[], Status],
        served: Callable[[bool], None] = lambda served: None,
        reconcile: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self.state: State = "starting"
        self.reason = ""
        self.acked = 0
        self.forks = 0
        #: when the first row that headquarters does not hold tells of, microseconds UTC; 0 when it holds all
        self.oldest_unsent = 0
        #: the version of the downlink that headquarters would send
        self.downlink = ""
        self._cloud = cloud
        self._site = site
        self._writer = writer
        self._reader = reader
        self._runtime = runtime
        self._status = status
        self._served = served  # told False when this gateway is revoked, True when it is accepted
        self._backoff = Backoff(runtime.random("uplink"))
        self._pace = Pace()
        self._at = b""  # the hash of row `acked`
        self._lineage: tuple[Branch, ...] = ()  # the branches of the ledger's file, the oldest first
        self._ahead: _Packed | None = None  # packed while the answer to the one before it was awaited
        self._executor = runtime.executor("uplink")
        self._kept_at = 0  # when the cursor was last written, monotonic microseconds
        self._advice = Advisory(cloud, writer, runtime, self._executor)
        self._reconcile = reconcile  # takes over headquarters' present stock; the reason why is recorded
        self._reconciling = ""  # why headquarters' present stock must be taken over, once the own rows are there

    @property
    def behind(self) -> int:
        """Committed rows that headquarters does not hold yet."""
        return max(0, self._writer.head.seq - self.acked)

    async def run(self) -> None:
        """Push for ever; ends only by cancellation."""
        while True:
            try:
                await self._resume()
                while True:
                    await self._wait_for_rows()
                    await self._push()
                    await self._complete()
            except _SurpriseError:
                continue
            except _RevokedError as error:
                self._note("revoked", str(error))
                self._served(False)
                await asyncio.sleep(REFUSED_S)
            except _RefusedError as error:
                self._note("refused", str(error))
                await asyncio.sleep(self._backoff.wait_s(REFUSED_S))
            except LedgerDamagedError as error:
                self._note("damaged", str(error))  # no row behind the damage is sent
                await asyncio.sleep(REFUSED_S)
            except GatewayError as error:
                self._note("offline", str(error))
                await asyncio.sleep(self._backoff.wait_s())
            finally:
                self._ahead = None

    def _note(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason

    # ---------------------------------------------------------------- where the server stands

    async def _resume(self) -> None:
        """Ask where the server stands and put the cursor there; branch off where it holds other rows than we do."""
        branch, head = self._writer.branch, self._writer.head
        self._lineage = await self._writer.perform(lineage)
        server = await self._server_head(head.epoch, head.seq)
        if server.seq == 0 and branch.parent is not None:
            await self._stand_before(branch)  # nothing of this epoch has arrived
        elif server.seq <= head.seq and await self._hash_at(server.seq) == bytes.fromhex(server.hash):
            self._stand(server.seq, bytes.fromhex(server.hash))
        else:
            await self._branch_off(branch, min(server.seq, head.seq))
        self._writer.acknowledge(self.acked)
        if await self._writer.perform(wants_reconciliation):
            self._reconciling = self._reconciling or "this ledger lacks rows that headquarters holds"
        if self.behind > ADVISORY_ROWS:
            self._note("catching-up")
            await self._advice.tell(at_once=True)

    def _stand(self, seq: int, at: bytes) -> None:
        self.acked, self._at = seq, at

    async def _stand_before(self, branch: Branch) -> None:
        """Stand where `branch` begins, or earlier where headquarters, itself restored from a backup, lacks rows before it."""
        for child in reversed(self._lineage[: self._lineage.index(branch) + 1]):
            if child.parent is None:
                break
            server = await self._server_head(child.parent, child.parent_seq)
            if server.hash_at == child.parent_hash.hex():
                return self._stand(child.parent_seq, child.parent_hash)
            if server.seq > 0:
                if await self._hash_at(server.seq) != bytes.fromhex(server.hash):
                    raise _RefusedError(f"headquarters holds other rows of epoch {child.parent} than this ledger")
                return self._stand(server.seq, bytes.fromhex(server.hash))
        return self._stand(self._lineage[0].parent_seq, self._lineage[0].parent_hash)

    async def _branch_off(self, branch: Branch, last: int) -> None:
        """This file is a restored or cloned one: what it holds behind the last common row goes on as a new epoch."""
        low, high = branch.parent_seq, last  # row `low` is common
        while low < high:
            middle = (low + high + 1) // 2
            server = await self._server_head(branch.epoch, middle)
            if server.hash_at and await self._hash_at(middle) == bytes.fromhex(server.hash_at):
                low = middle
            else:
                high = middle - 1
        common = await self._hash_at(low)
        assert common is not None
        reason = f"headquarters held other rows behind row {low}: this card was restored from a copy, or copied"
        await self._writer.perform(want_reconciliation)
        await self._writer.fork(low, common)
        self._lineage = await self._writer.perform(lineage)
        self._reconciling = reason
        self.forks += 1
        self._stand(low, common)

    async def _server_head(self, epoch: int, seq: int) -> ServerHead:
        answer = await self._ask("GET", "head", query={"epoch": str(epoch), "seq": seq})
        return _decoded(answer, ServerHead)

    async def _hash_at(self, seq: int) -> bytes | None:
        return await self._reader.hash_at(seq)

    # ---------------------------------------------------------------- pushing

    async def _wait_for_rows(self) -> None:
        if not self.behind and not self._reconciling:
            self._note("online")
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._writer.wait_beyond(self.acked)
            except TimeoutError:
                return  # an empty push follows
        self._note("catching-up" if self.behind > BATCH_RECORDS else "online")

    async def _push(self) -> None:
        """Send the next rows; meanwhile the ones behind them are packed."""
        packed, self._ahead = self._ahead, None
        if packed is None or packed.first_seq != self.acked + 1:
            packed = await self._pack(self.acked, self._at)
        begun = self._runtime.monotonic()
        try:
            if packed.more:
                answer, ahead = await asyncio.gather(
                    self._ask("POST", "ledger", body=packed.body),
                    self._pack(packed.last_seq, packed.last_hash),
                    return_exceptions=True,
                )
                if isinstance(answer, BaseException):
                    raise answer
                self._ahead = None if isinstance(ahead, BaseException) else ahead
            else:
                answer = await self._ask("POST", "ledger", body=packed.body)
        except LinkDownError:
            self._pace.lost()
            raise
        except _RefusedError as error:
            await self._refused(packed, error)
        self._pace.took(packed.rows, (self._runtime.monotonic() - begun) / 1_000_000)
        await self._pushed(packed, _decoded(answer, Pushed))

    async def _pushed(self, packed: _Packed, pushed: Pushed) -> None:
        if pushed.acked_seq != packed.last_seq or bytes.fromhex(pushed.head_hash) != packed.last_hash:
            await self._surprised()
        self._stand(packed.last_seq, packed.last_hash)
        self._writer.acknowledge(packed.last_seq)
        self._backoff.worked()
        self._served(True)
        self.downlink = pushed.downlink
        if self._runtime.monotonic() - self._kept_at > HEARTBEAT_S * 1_000_000:
            self._kept_at = self._runtime.monotonic()
            await self._writer.keep_acknowledged()
        if self.behind > ADVISORY_ROWS:
            await self._advice.tell()

    async def _refused(self, packed: _Packed, error: _RefusedError) -> NoReturn:
        """A batch was damaged on its way or is too much: the next one is half of it, down to the one row. No row is skipped."""
        self._pace.refused()
        if packed.rows < 1:
            raise error
        if packed.rows > 1:
            raise _RefusedError(
                f"rows {packed.first_seq} to {packed.last_seq}: {error}; the next try sends fewer"
            ) from error
        if self._backoff.failures >= ALARM_AFTER:
            await self._alarm(packed, str(error))
            branch, _ = self._branch_behind(self.acked)
            alive = await self._header(branch, self.acked, self._at, [], packed.first_seq)  # and how far behind
            await self._cloud.ask("POST", f"/v1/gateways/{self._cloud.gateway}/ledger", body=pack(alive, []))
        raise _RefusedError(f"row {packed.first_seq}: {error}") from error

    async def _alarm(self, packed: _Packed, reason: str) -> None:
        """Tell the site's people, once, that a row does not pass."""
        kind, subject = "parked-record", f"push {packed.epoch}/{packed.first_seq}"
        if await self._writer.read(lambda state: (kind, subject) in state.exceptions):
            return
        now = self._runtime.now()
        text = f"Headquarters does not take row {packed.first_seq}; it and all rows behind it wait here: {reason}"
        action = "Update headquarters, and look what stands between it and this gateway. Nothing is lost meanwhile."
        record = ExceptionRecord(kind, subject, "open", now, text[:500], action, cause=packed.first_seq)
        await self._writer.submit(Recorded(occurred_at=now, record=record))

    async def _pack(self, after_seq: int, after_hash: bytes) -> _Packed:
        """The push of the rows behind row `after_seq`, whose hash is `after_hash`."""
        head = self._writer.head
        rows = await self._reader.rows(after_seq + 1, self._pace.rows, BATCH_BYTES)
        branch, end = self._branch_behind(after_seq)
        # rows that are committed, but not yet told, are left to the next push; so are those of the next branch
        rows = [row for row in rows if row.seq <= min(end, head.seq)]
        last = rows[-1] if rows else LedgerRow(after_seq, b"", after_hash)
        more = last.seq < head.seq
        header = await self._header(branch, after_seq, after_hash, rows, last.seq + 1 if more else 0)
        lines = [row.body for row in rows]
        if len(rows) > INLINE_ROWS:
            body = await asyncio.get_running_loop().run_in_executor(self._executor, pack, header, lines)
        else:
            body = pack(header, lines)
        return _Packed(branch.epoch, after_seq + 1, last.seq, last.hash, body, more)

    async def _surprised(self) -> NoReturn:
        """Ask the server again: at once the first time, later with growing waits, should it never agree."""
        wait_s = self._backoff.wait_s()
        if self._backoff.failures > 1:
            await asyncio.sleep(wait_s)
        raise _SurpriseError

    def _branch_behind(self, seq: int) -> tuple[Branch, int]:
        """The branch of the row behind row `seq`, and the last row that it may have."""
        end = _NO_END
        for branch in reversed(self._lineage):
            if branch.parent_seq <= seq:
                return branch, end
            end = branch.parent_seq
        return self._writer.branch, end

    async def _header(
        self, branch: Branch, after_seq: int, after_hash: bytes, rows: list[LedgerRow], unsent: int
    ) -> BatchHeader:
        """The header of `rows` of `branch` behind row `after_seq`; `unsent` is the first row missing behind them, or 0."""
        parent: tuple[str, int, str] | None = None
        if branch.parent is not None and after_seq == branch.parent_seq:
            parent = (str(branch.parent), branch.parent_seq, branch.parent_hash.hex())
        self.oldest_unsent = 0
        if unsent:
            try:
                self.oldest_unsent = sum(told_at(row.body) for row in await self._reader.rows(unsent, 1, BATCH_BYTES))
            except LedgerDamagedError:  # the push that reaches it says so
                self.oldest_unsent = self._runtime.now()
        return BatchHeader(
            wire=WIRE_VERSION,
            site=self._site,
            gateway=self._cloud.gateway,
            epoch=str(branch.epoch),
            first_seq=after_seq + 1,
            prev_hash=after_hash.hex(),
            head_hash=(rows[-1].hash if rows else after_hash).hex(),
            status=msgspec.structs.replace(self._status(), oldest_unsent=self.oldest_unsent),
            parent=parent,
        )

    async def _complete(self) -> None:
        """Take over headquarters' present stock where this ledger lacks a part of the past, once all of its rows are there."""
        if self._reconciling and not self.behind:
            if self._reconcile is not None:
                await self._reconcile(self._reconciling)
            self._reconciling = ""

    async def _ask(
        self, method: str, what: str, *, query: dict[str, str | int] | None = None, body: bytes | None = None
    ) -> Answer:
        """A request whose answer is a success, or the exception that says what to do."""
        path = f"/v1/gateways/{self._cloud.gateway}/{what}"
        answer = await self._cloud.ask(method, path, query=query, body=body)
        if answer.status < 300:
            return answer
        if answer.status == 409:
            conflict = _decoded(answer, Conflict)
            if conflict.type == "revoked":
                raise _RevokedError(conflict.title)
            await self._surprised()  # gap or fork: the head tells which, and `_resume` acts on it
        if answer.status in (429, 503) or answer.status >= 500:
            self._note("offline", f"headquarters is in trouble ({answer.status}): {answer.reason}")
            wait_s = self._backoff.after(answer.headers, self._runtime.now())
            self._cloud.rest_until = self._runtime.monotonic() + round(wait_s * 1_000_000)
            await asyncio.sleep(wait_s)
            raise _SurpriseError
        raise _RefusedError(f"headquarters refused ({answer.status}): {answer.reason}")


T = TypeVar("T")


def _decoded(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise LinkDownError(f"an answer that is not headquarters' ({error}): is something in between?") from error


def lineage(file: LedgerFile) -> tuple[Branch, ...]:
    """The branches of the ledger's file, the oldest first."""
    rows = file.connection.execute("SELECT epoch, parent, parent_seq, parent_hash FROM branch ORDER BY number")
    return tuple(Branch(*row) for row in rows)


def want_reconciliation(file: LedgerFile) -> None:
    """Remember in the ledger's file that rows are missing in it which headquarters holds."""
    file.connection.execute("INSERT OR REPLACE INTO position VALUES ('reconcile', ?, NULL)", (file.head.seq,))


def wants_reconciliation(file: LedgerFile) -> bool:
    """Whether the ledger lacks rows that headquarters holds: after a recovery, or as a restored card."""
    return file.connection.execute("SELECT 1 FROM position WHERE name = 'reconcile'").fetchone() is not None
