"""Sends purchase orders that wait: one process at a time, each message at least once, under a key that lets it count once.

A message is claimed before it is sent, in a transaction of its own: from then on its order cannot be taken back, and should
this process end before it has noted the answer, the message is sent again, with the same body and idempotency key.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.errors import CloudError
from cloud.interchange.order_message import encode, read_message
from cloud.interchange.signing import signing_key
from cloud.interchange.webhook import Outcome, Post, Webhooks
from cloud.projections.changes import Change, Changes
from cloud.recommendations.consequences import raise_unsent, settle_unsent
from cloud.recommendations.orders import Message, last_message, set_message
from cloud.store import leases, plans, schema
from cloud.store.audit import record
from cloud.store.database import reading, writing
from runtime import Runtime

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("cloud.interchange")

#: The lease of the one sending process, and for how long it is taken at each round, seconds: longer than a round can last.
LEASE, LEASE_S = "purchase-sender", 120
#: Messages of one round, and how many of them are on the wire at once: a slow supplier holds up three others at most.
ROUND, AT_ONCE = 20, 4
#: Seconds that a claimed message is left to whoever claimed it: longer than one POST can take.
CLAIM_S = 60
#: Seconds before the second try at most; each later one waits twice as long, up to LONGEST_S.
FIRST_S, LONGEST_S = 30.0, 3_600.0
#: Tries after which people are told, and after which it is given up: about five minutes, and about half a day.
TELL_AFTER, GIVE_UP_AFTER = 4, 16
#: Seconds between two looks where nothing is known to come: another process may have left something.
IDLE_S = 900.0
#: Seconds in which several changes lead to one look.
CALM_S = 1.0
#: What must have changed for a new message to wait.
_KINDS = frozenset({"recommendations", "documents"})


class Sender:
    """The background task of headquarters that sends; `url` is headquarters' public one, for the supplier's answer."""

    def __init__(
        self, engine: AsyncEngine, runtime: Runtime, changes: Changes, webhooks: Webhooks, url: str = ""
    ) -> None:
        self._engine, self._runtime, self._changes, self._webhooks = engine, runtime, changes, webhooks
        self._url = url.rstrip("/")
        self._holder = runtime.token_bytes(8).hex()
        self._random = runtime.random("purchase sender")

    async def keep_running(self) -> None:
        """Send what is due until cancelled; a database that is away is waited for."""
        with self._changes.subscribe() as news:
            while not self._changes.closed:
                try:
                    await self.round()
                    wait_s = await self._wait_s()
                except (SQLAlchemyError, OSError, CloudError):
                    wait_s = CLAIM_S
                except Exception as error:  # a fault of ours must not end all sending in silence
                    _log.error("purchase.sender", exc_info=error)
                    wait_s = CLAIM_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        while not _KINDS & set((await news.next()).kinds) and not self._changes.closed:
                            pass
                    await asyncio.sleep(CALM_S)

    async def round(self) -> int:
        """Send what is due now, if no other process does; how many messages were tried."""
        due = await self._due()
        if not due:
            return 0
        async with writing(self._engine) as conn:
            mine = await leases.take(conn, LEASE, self._holder, self._runtime.now(), LEASE_S * 1_000_000)
        if not mine:
            return 0
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(message: Message) -> None:
            async with gate:
                await self._send(message)

        await asyncio.gather(*(one(message) for message in due))
        async with writing(self._engine) as conn:
            await leases.give_back(conn, LEASE, self._holder, self._runtime.now())
        return len(due)

    async def _due(self) -> list[Message]:
        m = plans.purchase_message.c
        query = (
            select(*(m[name] for name in Message.__struct_fields__))
            .where(m.state == "waiting", m.channel == "webhook", m.not_before <= self._runtime.now())
            .order_by(m.not_before, m.site_id, m.document, m.revision)
            .limit(ROUND)
        )
        async with reading(self._engine) as conn:
            return [Message(*row) for row in await conn.execute(query)]

    async def _wait_s(self) -> float:
        """Seconds until the next message is due."""
        m = plans.purchase_message.c
        async with reading(self._engine) as conn:
            at = await conn.execute(select(func.min(m.not_before)).where(m.state == "waiting", m.channel == "webhook"))
            due: int | None = at.scalar()
        return IDLE_S if due is None else min(max((due - self._runtime.now()) / 1_000_000, CALM_S), IDLE_S)

    async def _send(self, message: Message) -> None:
        post = await self._claim(message)
        if post is None:
            return
        outcome = await self._webhooks.send(await signing_key(self._engine, self._runtime), post)
        async with writing(self._engine, message.site_id) as conn:
            await self._note(conn, message, outcome)
        kinds = ("documents", "recommendations") if outcome.taken else ("documents", "exceptions")
        self._changes.publish(Change(message.site_id, kinds, 0, self._runtime.now()))

    async def _claim(self, due: Message) -> Post | None:
        """Count the try, so that nobody takes the order back meanwhile; None where it need not be sent any more."""
        now = self._runtime.now()
        async with writing(self._engine, due.site_id) as conn:
            message = await last_message(conn, due.site_id, due.document)
            if message is None or message != due:  # withdrawn, replaced or claimed since it was read
                return None
            order = await read_message(conn, due.site_id, due.document, self._url)
            if order is None or order.revision != due.revision:  # it was closed: there is nothing to deliver any more
                await set_message(conn, message, state="withdrawn")
                return None
            url = await conn.execute(select(schema.supplier.c.url).where(schema.supplier.c.id == due.supplier))
            target = url.scalar() or ""
            if not target:  # the supplier's address was taken away: a person sends it
                await set_message(conn, message, channel="file")
                return None
            await set_message(conn, message, attempts=message.attempts + 1, not_before=now + CLAIM_S * 1_000_000)
        return Post(target, encode(order), f"{due.site_id}/{due.document}/{due.revision}")

    async def _note(self, conn: AsyncConnection, claimed: Message, outcome: Outcome) -> None:
        """What the answer means: sent, another try later, or given up; people are told of what does not get through."""
        now, tries = self._runtime.now(), claimed.attempts + 1
        message = await last_message(conn, claimed.site_id, claimed.document)
        if message is None or (message.revision, message.state) != (claimed.revision, "waiting"):
            return  # the supplier answered it, or the buyer changed it, while it was on the wire
        subject = {"revision": claimed.revision, "supplier": claimed.supplier, "tries": tries}
        if outcome.taken:
            await set_message(conn, message, state="sent", sent_at=now, error="")
            await settle_unsent(conn, claimed.site_id, claimed.document, now, "It went out.")
            await record(conn, now, "headquarters", "purchase.send", claimed.site_id, claimed.document, subject)
            return
        given_up = outcome.final or tries >= GIVE_UP_AFTER
        wait_us = round(max(self._pause_s(tries), outcome.wait_s) * 1_000_000)
        await set_message(
            conn,
            message,
            state="failed" if given_up else "waiting",
            not_before=now + wait_us,
            error=outcome.text[:500],
        )
        if given_up or tries == TELL_AFTER:
            await raise_unsent(
                conn, claimed.site_id, claimed.document, claimed.supplier, tries, outcome.text, given_up, now
            )
        if given_up:
            detail = {**subject, "error": outcome.text}
            await record(conn, now, "headquarters", "purchase.give-up", claimed.site_id, claimed.document, detail)

    def _pause_s(self, tries: int) -> float:
        """Between half and the whole of a ceiling that doubles: never in step with other messages."""
        ceiling = min(LONGEST_S, FIRST_S * 2 ** (tries - 1))
        return self._random.uniform(ceiling / 2, ceiling)
