"""READ THIS FIRST: the way of the data through the gateway.

    devices        bytes become sightings               drivers call `deliver`
    observations   sightings become crossings           `DoorRule`, pure
    transactions   crossings become intents             `rules.crossed`, pure
    ledger         intents become records, committed    `LedgerWriter.submit`

Only what the ledger has committed is told to anyone; `sync` sends it on, `station` shows it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
import structlog

from gateway.devices.driver import Driver
from gateway.errors import LedgerUnavailableError
from gateway.ledger.evidence import EvidenceStore
from gateway.ledger.writer import LedgerWriter
from gateway.observations.doors import DoorRule
from gateway.observations.portal import DoorConfig
from gateway.observations.sighting import Sighting
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent, Recorded
from gateway.transactions.rules import crossed, evidence_hash, expectation
from runtime import Runtime
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement, accounts
from vocabulary.records import Record

#: Sightings that wait for the rule at most, two seconds of eight busy readers; beyond it the devices are held back.
BUFFER = 20_000
#: Seconds between two looks while something is at a door: short against the 2 s in which a movement must be decided.
LOOK_S = 0.1
#: Microseconds without a read after which no passage can be open at any door: only then it waits without looking.
QUIET_US = 120_000_000
#: Seconds until a refused disk is tried again. Movements wait; devices are held back; nothing is dropped.
DISK_RETRY_S = 2.0
#: Tries at the end of the program: a service manager waits some ten seconds before it kills.
LAST_TRIES = 3
#: Characters of a refused intent that its exception shows; the log holds it whole.
FACT_CHARACTERS = 400


class Pipeline:
    """Moves sightings of all devices through the rule into the ledger."""

    def __init__(
        self,
        doors: Sequence[DoorConfig],
        drivers: Sequence[Driver],
        writer: LedgerWriter,
        evidence: EvidenceStore,
        runtime: Runtime,
    ) -> None:
        self.rule = DoorRule(doors, lambda epc: expectation(epc, self._places, self.catalogue))
        self.catalogue = Catalogue()
        #: intents that posting refused for good: a defect, shown and counted
        self.refused = 0
        self.crossings = 0
        #: True while the ledger takes nothing
        self.blocked = False
        self._drivers = drivers
        self._writer = writer
        self._evidence = evidence
        self._runtime = runtime
        self._buffer: list[Sighting] = []
        self._arrived = asyncio.Event()
        self._last_arrival = -QUIET_US - 1
        self._paused = False
        #: decided, and not yet recorded
        self._decided: deque[AnyIntent] = deque()
        self._places: dict[str, str] = {}
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("pipeline")

    async def learn(self) -> None:
        """Begin with where the ledger holds each unit."""
        self._places = await self._writer.read(
            lambda state: {key: unit.account.place for key, unit in state.stock.units.items()}
        )

    def deliver(self, sightings: list[Sighting]) -> None:
        """Take sightings from a driver; holds all devices back while the rule is behind."""
        self._buffer += sightings
        self._arrived.set()
        if len(self._buffer) > BUFFER and not self._paused:
            self._paused = True
            for driver in self._drivers:
                driver.pause()

    async def run(self) -> None:
        """Move data until cancelled; what is decided by then is still recorded."""
        try:
            while True:
                if self._runtime.monotonic() - self._last_arrival > QUIET_US:
                    await self._arrived.wait()
                else:
                    await asyncio.sleep(LOOK_S)
                await self.step()
        finally:
            await self._drain()

    async def step(self) -> None:
        """Move what has arrived so far; returns when its records are committed."""
        self._arrived.clear()
        batch, self._buffer = self._buffer, []
        if batch:
            self._last_arrival = self._runtime.monotonic()
        self.rule.observe(batch)
        if self._paused:
            self._paused = False
            for driver in self._drivers:
                driver.resume()
        for crossing in self.rule.advance(self._runtime.monotonic()):
            self.crossings += 1
            seen = crossed(crossing)
            self._evidence.keep(evidence_hash(seen.evidence), seen.evidence, crossing.last)
            self._decided += seen.intents
        while not await self._record_decided():  # noqa: ASYNC110 - a disk tells nobody when it has room again
            await asyncio.sleep(DISK_RETRY_S)

    async def _drain(self) -> None:
        """At the end: record what is decided, if the disk takes it. What was under way just now is submitted again, and
        posting knows a passage that it has recorded (rule 7)."""
        for _ in range(LAST_TRIES):
            if await self._record_decided():
                return
            await asyncio.sleep(DISK_RETRY_S)

    async def _record_decided(self) -> bool:
        """Record in order what is decided; False as soon as the ledger takes nothing."""
        while self._decided:
            if not await self._submit(self._decided[0]):
                return False
            self._decided.popleft()
        return True

    async def _submit(self, intent: AnyIntent) -> bool:
        """Record one intent; False while the ledger takes nothing. What posting refuses is shown, never dropped silently."""
        try:
            receipt = await self._writer.submit(intent)
        except LedgerUnavailableError as error:
            self.blocked = True
            self._log.error("the ledger takes nothing; a movement waits", error=str(error))
            return False
        except Exception as error:  # a defect of ours: it must not take the next movements along
            self.refused += 1
            self._log.exception("a movement was refused", intent=msgspec.json.encode(intent).decode())
            with suppress(Exception):
                await self._writer.submit(self._refusal(intent, error))
            return True
        self.blocked = False
        self._remember(receipt.records)
        return True

    def _refusal(self, intent: AnyIntent, error: Exception) -> Recorded:
        """The exception that tells people of goods that were sensed and could not be recorded."""
        body = msgspec.json.encode(intent)
        return Recorded(
            occurred_at=intent.occurred_at,
            record=ExceptionRecord(
                kind="parked-record",
                subject=evidence_hash(body),
                state="open",
                at=intent.occurred_at,
                text=f"Goods were sensed at {intent.origin.read_point or 'the site'} and could not be recorded: {error}",
                action="Look at the goods and record what happened by hand.",
                facts={"intent": body.decode()[:FACT_CHARACTERS]},
            ),
        )

    def _remember(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, Movement):
                for entry in record.units:
                    self._places[entry.unit] = accounts(record, entry)[1].place
