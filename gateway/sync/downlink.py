"""Advice comes back: the downlink is polled, checked whole, kept on disk, given to the writer, and its commands are done.

A bad downlink is refused whole and the last good one stays. A command is done once: its result stands in the same commit as
its effect, and a command whose result is recorded is never done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from gateway.errors import GatewayError, LedgerUnavailableError, LinkDownError, PostingError
from gateway.ledger.writer import LedgerWriter
from gateway.sync.corrections import correction_of
from gateway.sync.http import Cloud
from gateway.sync.identity import write_whole
from gateway.sync.retry import Backoff
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.documents import came_late
from gateway.transactions.intents import (
    AnyIntent,
    ExceptionDecided,
    Identified,
    OpeningStocked,
    Recorded,
    TransferClosed,
)
from runtime import Runtime
from vocabulary.records import CommandResult
from vocabulary.records import fault_in as text_fault
from vocabulary.wire import Command, CorrectMovement, DecideException, Downlink, IdentifyItem, OpeningStock

#: Seconds that headquarters may hold a poll when it has nothing new: shorter than the idle limit of any proxy.
WAIT_S = 25
#: Seconds between tries when headquarters refuses us or sends what we cannot use.
REFUSED_S = 60.0
#: Seconds between tries of a revoked gateway: only a person at headquarters changes that.
REVOKED_S = 600.0
#: Seconds behind the uplink's own try, after a rest that headquarters asked for: one of the two finds out how it is.
BEHIND_S = 5.0

State = Literal["starting", "online", "offline", "refused", "revoked"]


class KeptDownlink(msgspec.Struct, frozen=True):
    """The last good downlink as it is kept on disk, with the ETag under which it came."""

    etag: str
    downlink: Downlink


class DownlinkClient:
    """Follows headquarters' advice for this site. `state` and `reason` say how it goes."""

    def __init__(
        self,
        cloud: Cloud,
        site: str,
        writer: LedgerWriter,
        runtime: Runtime,
        changed: Callable[[Catalogue], None] = lambda catalogue: None,
        served: Callable[[bool], None] = lambda served: None,
    ) -> None:
        self.state: State = "starting"
        self.reason = ""
        self.etag = ""
        self._cloud = cloud
        self._site = site
        self._writer = writer
        self._runtime = runtime
        self._changed = changed
        self._served = served  # told False when this gateway is revoked, True when it is accepted
        self._backoff = Backoff(runtime.random("downlink"))
        self._path = kept_path(writer.path)
        self._todo: tuple[Command, ...] = ()
        # Commands of a downlink that was kept are done only when headquarters still says the same: a restored card holds
        # commands whose results it has lost, and nobody may do them twice.
        self._current = False
        self._catalogue = Catalogue()

    def load(self) -> bool:
        """Use the last good downlink on disk; whether there was one. Raises GatewayError when it cannot be read."""
        kept = read_kept(self._writer.path)
        if kept is not None:
            self._use(kept, Catalogue.from_downlink(kept.downlink, self._site))
        return kept is not None

    async def run(self) -> None:
        """Poll for ever; ends only by cancellation."""
        while True:
            try:
                if self._current:
                    await self._do_commands()
                await self._rest()
                await self._poll()
            except LinkDownError as error:
                self._note("offline", str(error))
                await asyncio.sleep(self._backoff.wait_s())
            except (GatewayError, OSError) as error:  # the disk did not take it: nothing was acted on
                self.reason = str(error)
                await asyncio.sleep(self._backoff.wait_s())

    async def _rest(self) -> None:
        """While headquarters turns the uplink away, nothing else asks it."""
        while (rest_us := self._cloud.rest_until - self._runtime.monotonic()) > 0:  # noqa: ASYNC110 - it may be prolonged
            await asyncio.sleep(rest_us / 1_000_000 + BEHIND_S)

    def _note(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason

    async def _poll(self) -> None:
        """One long poll: a new downlink, or nothing new. The first one answers at once."""
        wait_s = WAIT_S if self._current else 0
        answer = await self._cloud.ask(
            "GET",
            f"/v1/gateways/{self._cloud.gateway}/downlink",
            query={"wait": wait_s},
            headers={"if-none-match": self.etag} if self.etag else {},
            wait_s=wait_s,
        )
        if answer.status == 304:
            self._worked()
        elif answer.status == 200:
            await self._take(answer.headers.get("etag", ""), answer.body)
        elif answer.status in (429, 503) or answer.status >= 500:
            self._note("offline", f"headquarters is in trouble ({answer.status}): {answer.reason}")
            await asyncio.sleep(self._backoff.after(answer.headers, self._runtime.now()))
        else:
            if answer.status == 409:
                await self._revoked(answer.reason)
                return
            self._note("refused", f"headquarters refused ({answer.status}): {answer.reason}")
            await asyncio.sleep(REFUSED_S)

    async def _revoked(self, reason: str) -> None:
        self._note("revoked", f"headquarters has revoked this gateway: {reason}")
        self._served(False)
        await asyncio.sleep(REVOKED_S)

    def _worked(self) -> None:
        self._backoff.worked()
        self._note("online")
        self._current = True
        self._served(True)

    async def _take(self, etag: str, body: bytes) -> None:
        try:
            downlink = msgspec.json.decode(body, type=Downlink)
            fault = fault_in(downlink)
            catalogue = Catalogue.from_downlink(downlink, self._site)
        except Exception as error:  # whatever is wrong with it, the last good one stays
            self._note("refused", f"a downlink was refused whole, the last good one stays: {error}")
            await asyncio.sleep(REFUSED_S)
            return
        if fault:
            self._note("refused", f"a downlink was refused whole, the last good one stays: {fault}")
            await asyncio.sleep(REFUSED_S)
            return
        if downlink.revoked is True:
            await self._revoked("another gateway speaks for this site")
            return
        kept = KeptDownlink(etag, downlink)
        await self._writer.perform(lambda _: write_whole(self._path, msgspec.json.encode(kept)))
        before = self._catalogue
        self._use(kept, catalogue)
        await self._catch_up(before, catalogue)
        self._worked()

    async def _catch_up(self, before: Catalogue, now: Catalogue) -> None:
        """Correct what was posted before its document came, and close the transfers that headquarters closed (rule 12)."""
        at = self._runtime.now()
        late = await self._writer.read(lambda state: came_late(before, now, state.stock.units, at))
        closed = [
            TransferClosed(occurred_at=at, transfer=name)
            for name, document in sorted(now.documents.items())
            if document.type == "transfer" and document.to_site == self._site and document.state == "closed"
            if name in before.documents and before.documents[name].state == "open"
        ]
        for intent in (*late, *closed):
            with suppress(PostingError):  # a document that contradicts the ledger is shown by the movement itself
                await self._writer.submit(intent)

    def _use(self, kept: KeptDownlink, catalogue: Catalogue) -> None:
        self.etag = kept.etag
        self._todo = kept.downlink.commands
        self._catalogue = catalogue
        self._writer.set_catalogue(catalogue)
        self._changed(catalogue)

    # ---------------------------------------------------------------- commands

    async def _do_commands(self) -> None:
        """Do what was asked and not done yet, in order. Raises LedgerUnavailableError; the rest is done later."""
        while self._todo:
            await self._do(self._todo[0])
            self._todo = self._todo[1:]

    async def _do(self, command: Command) -> None:
        if await self._writer.was_executed(command.id):
            return
        now = self._runtime.now()
        if now + self._cloud.offset_us > command.expires_at:
            await self._result(CommandResult(command.id, now, "expired"))
            return
        try:
            intents = await self._intents_of(command, now)
            await self._writer.submit(*intents, _recorded(CommandResult(command.id, now, "done")))
        except LedgerUnavailableError:
            raise
        except Exception as error:  # whatever posting says against it is the answer to who asked
            await self._result(CommandResult(command.id, now, "refused", str(error) or type(error).__name__))

    async def _intents_of(self, command: Command, now: int) -> tuple[AnyIntent, ...]:
        if isinstance(command.order, CorrectMovement):
            return await correction_of(self._writer, command.order, now)
        return (intent_of(command.order, now),)

    async def _result(self, result: CommandResult) -> None:
        await self._writer.submit(_recorded(result))


def intent_of(order: OpeningStock | DecideException | IdentifyItem, now: int) -> AnyIntent:
    """What a command orders, as an intent of time `now` (microseconds UTC)."""
    if isinstance(order, OpeningStock):
        return OpeningStocked(occurred_at=order.occurred_at, lines=order.lines)
    if isinstance(order, DecideException):
        return ExceptionDecided(
            occurred_at=now,
            kind=order.exception,
            subject=order.subject,
            state=order.state,
            reason=order.reason,
            actor=order.actor,
        )
    return Identified(occurred_at=now, provisional=order.provisional, item=order.item)


def fault_in(downlink: Downlink) -> str | None:
    """Why a downlink that could be decoded still makes no sense, in one sentence; None when it does."""
    if fault := text_fault(msgspec.json.encode(downlink)):
        return f"it {fault}"
    items = {item.id for item in downlink.items}
    for level in downlink.packaging:
        if level.item not in items:
            return f"packaging {level.gtin} names the item {level.item}, which is not among the items"
        if level.quantity < 1 or len(level.gtin) != 14 or not level.gtin.isdigit():
            return f"packaging {level.gtin} needs 14 digits and a quantity of at least 1"
    places = {place.id for place in downlink.places}
    for place in downlink.places:
        if place.parent and place.parent not in places:
            return f"place {place.id} stands in {place.parent}, which is not among the places"
    for document in downlink.documents:
        if len({line.line for line in document.lines}) != len(document.lines):
            return f"document {document.id} has two lines of one number"
    if len({document.id for document in downlink.documents}) != len(downlink.documents):
        return "two documents have one id"
    return None


def read_kept(ledger: Path) -> KeptDownlink | None:
    """The last good downlink of the ledger at `ledger`, or None. Raises GatewayError when it cannot be read."""
    path = kept_path(ledger)
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeptDownlink)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise GatewayError(f"{path} cannot be read: {error}; remove it, headquarters sends it again") from error


def kept_path(ledger: Path) -> Path:
    """Where the last good downlink of the ledger at `ledger` is kept."""
    return ledger.with_name("downlink.json")


def _recorded(result: CommandResult) -> Recorded:
    return Recorded(occurred_at=result.at, record=result)
