"""Ledger push v1: every committed row reaches headquarters, in order, once in effect, for as long as that takes.

The ledger is the outbox; `acked` is the cursor. One request is in flight, sent as soon as there is something to send. The
server is asked where it stands at the start and after every surprise, so that nothing here needs to be remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NoReturn, TypeVar

import msgspec

from gateway.errors import GatewayError, LedgerDamagedError, LinkDownError
from gateway.ledger.store import Branch, Head, LedgerReader, LedgerRow
from gateway.ledger.writer import LedgerWriter
from gateway.sync.batch import pack, pack_json
from gateway.sync.http import Answer, Cloud
from gateway.sync.retry import Backoff
from runtime import Runtime
from vocabulary.place import Account, is_virtual
from vocabulary.stock import Stock
from vocabulary.wire import (
    BATCH_BYTES,
    BATCH_RECORDS,
    WIRE_VERSION,
    Advisory,
    BalanceLine,
    BatchHeader,
    Conflict,
    Pushed,
    Status,
)
from vocabulary.wire import Head as ServerHead

#: Rows behind, above which headquarters first gets the present balances: 5,000 rows may take longer than 10 s.
ADVISORY_ROWS = 5_000
#: Rows above which a batch is packed outside the loop: 1,000 rows take up to 40 ms, and sensing goes on meanwhile.
INLINE_ROWS = 50
#: Seconds without a row after which an empty push carries the status, so that headquarters knows the site is alive.
HEARTBEAT_S = 30.0
#: Seconds between tries after an answer that only a person can change (revoked, refused): it is not hammered.
REFUSED_S = 600.0

State = Literal["starting", "online", "catching-up", "offline", "refused", "revoked", "damaged"]


class _SurpriseError(Exception):
    """The server stands elsewhere than we thought: ask it again."""


class _RefusedError(Exception):
    """The server does not take this, and trying again soon will not help."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state: State = state


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
    ) -> None:
        self.state: State = "starting"
        self.reason = ""
        self.acked = 0
        self.forks = 0
        #: the version of the downlink that headquarters would send
        self.downlink = ""
        self._cloud = cloud
        self._site = site
        self._writer = writer
        self._reader = reader
        self._runtime = runtime
        self._status = status
        self._backoff = Backoff(runtime.random("uplink"))
        self._at = b""  # the hash of row `acked`
        self._executor = runtime.executor("uplink")
        self._kept_at = 0  # when the cursor was last written, monotonic microseconds

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
            except _SurpriseError:
                continue
            except _RefusedError as error:
                self._note(error.state, str(error))
                await asyncio.sleep(REFUSED_S)
            except LinkDownError as error:
                self._note("offline", str(error))
                await asyncio.sleep(self._backoff.wait_s())
            except LedgerDamagedError as error:
                self._note("damaged", str(error))  # no row behind the damage is sent
                await asyncio.sleep(REFUSED_S)
            except GatewayError as error:
                self._note("offline", str(error))
                await asyncio.sleep(self._backoff.wait_s())

    def _note(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason

    # ---------------------------------------------------------------- where the server stands

    async def _resume(self) -> None:
        """Ask where the server stands and put the cursor there; branch off where it holds other rows than we do."""
        branch, head = self._writer.branch, self._writer.head
        server = await self._server_head(head.seq)
        if server.seq == 0 and branch.parent is not None:
            self._stand(branch.parent_seq, branch.parent_hash)  # nothing of this epoch has arrived
        elif server.seq <= head.seq and await self._hash_at(server.seq) == bytes.fromhex(server.hash):
            self._stand(server.seq, bytes.fromhex(server.hash))
        else:
            await self._branch_off(branch, min(server.seq, head.seq))
        self._writer.acknowledge(self.acked)
        if self.behind > ADVISORY_ROWS:
            self._note("catching-up")
            await self._advise()

    def _stand(self, seq: int, at: bytes) -> None:
        self.acked, self._at = seq, at

    async def _branch_off(self, branch: Branch, last: int) -> None:
        """This file is a restored or cloned one: what it holds behind the last common row goes on as a new epoch."""
        low, high = branch.parent_seq, last  # row `low` is common
        while low < high:
            middle = (low + high + 1) // 2
            server = await self._server_head(middle)
            if server.hash_at and await self._hash_at(middle) == bytes.fromhex(server.hash_at):
                low = middle
            else:
                high = middle - 1
        common = await self._hash_at(low)
        assert common is not None
        await self._writer.fork(low, common)
        self.forks += 1
        self._stand(low, common)

    async def _server_head(self, seq: int) -> ServerHead:
        answer = await self._ask("GET", "head", query={"epoch": str(self._writer.head.epoch), "seq": seq})
        return _decoded(answer, ServerHead)

    async def _hash_at(self, seq: int) -> bytes | None:
        return await self._reader.hash_at(seq)

    # ---------------------------------------------------------------- pushing

    async def _wait_for_rows(self) -> None:
        if not self.behind:
            self._note("online")
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._writer.wait_beyond(self.acked)
            except TimeoutError:
                return  # an empty push follows
        self._note("catching-up" if self.behind > BATCH_RECORDS else "online")

    async def _push(self) -> None:
        head, branch = self._writer.head, self._writer.branch
        rows = await self._reader.rows(self.acked + 1, BATCH_RECORDS, BATCH_BYTES)
        if rows and rows[-1].seq > head.seq:  # committed, but not yet told: leave it to the next push
            rows = [row for row in rows if row.seq <= head.seq]
        header, lines = self._header(head, branch, rows), [row.body for row in rows]
        if len(rows) > INLINE_ROWS:
            body = await asyncio.get_running_loop().run_in_executor(self._executor, pack, header, lines)
        else:
            body = pack(header, lines)
        answer = await self._ask("POST", "ledger", body=body)
        pushed = _decoded(answer, Pushed)
        last = rows[-1] if rows else LedgerRow(self.acked, b"", self._at)
        if pushed.acked_seq != last.seq or bytes.fromhex(pushed.head_hash) != last.hash:
            await self._surprised()
        self._stand(last.seq, last.hash)
        self._writer.acknowledge(last.seq)
        self._backoff.worked()
        self.downlink = pushed.downlink
        if self._runtime.monotonic() - self._kept_at > HEARTBEAT_S * 1_000_000:
            self._kept_at = self._runtime.monotonic()
            await self._writer.keep_acknowledged()

    async def _surprised(self) -> NoReturn:
        """Ask the server again: at once the first time, later with growing waits, should it never agree."""
        wait_s = self._backoff.wait_s()
        if self._backoff.failures > 1:
            await asyncio.sleep(wait_s)
        raise _SurpriseError

    def _header(self, head: Head, branch: Branch, rows: list[LedgerRow]) -> BatchHeader:
        parent: tuple[str, int, str] | None = None
        if branch.parent is not None and self.acked == branch.parent_seq:
            parent = (str(branch.parent), branch.parent_seq, branch.parent_hash.hex())
        return BatchHeader(
            wire=WIRE_VERSION,
            site=self._site,
            gateway=self._cloud.gateway,
            epoch=str(head.epoch),
            first_seq=self.acked + 1,
            prev_hash=self._at.hex(),
            head_hash=(rows[-1].hash if rows else self._at).hex(),
            status=self._status(),
            parent=parent,
        )

    async def _advise(self) -> None:
        """Tell the present balances before a long catch-up. Only advice: what goes wrong here stops nothing."""
        head, now = self._writer.head, self._runtime.now()
        lines = await self._writer.read(lambda state: balance_lines(state.stock))
        body = pack_json(Advisory(str(head.epoch), head.seq, now, lines))
        if len(body) <= BATCH_BYTES:
            await self._cloud.ask("POST", f"/v1/gateways/{self._cloud.gateway}/advisory", body=body)

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
                raise _RefusedError("revoked", conflict.title)
            await self._surprised()  # gap or fork: the head tells which, and `_resume` acts on it
        if answer.status in (429, 503) or answer.status >= 500:
            self._note("offline", answer.reason)
            await asyncio.sleep(self._backoff.after(answer.headers.get("retry-after"), self._runtime.now()))
            raise _SurpriseError
        raise _RefusedError("refused", f"headquarters refused ({answer.status}): {answer.reason}")


T = TypeVar("T")


def _decoded(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise LinkDownError(f"an answer that is not headquarters' ({error}): is something in between?") from error


def balance_lines(stock: Stock) -> tuple[BalanceLine, ...]:
    """The balances of the site's real places, in a fixed order."""
    return tuple(
        BalanceLine(
            Account(key.place, key.status),
            key.item,
            amount.quantity,
            lot=key.lot,
            expiry=key.expiry,
            grams=amount.grams,
        )
        for key, amount in sorted(stock.balances.items())
        if not is_virtual(key.place)
    )
