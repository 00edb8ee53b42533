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
from collections.abc import Callable, Iterable, Sequence

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
from gateway.transactions.rules import crossed, dated, evidence_hash, expectation, redated
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
#: Intents that wait for the ledger at most: an hour of a busy site. Beyond it the rule decides nothing more and the devices
#: are held back; what is decided is never dropped.
DECIDED = 2_000
#: Intents submitted at once, in order: they share a commit.
TOGETHER = 32
#: Seconds until a refused disk is tried again. Movements wait; sightings still reach the rule, which merges repeats.
DISK_RETRY_S = 2.0
#: Seconds at the end of the program for what is decided: a service manager waits some ten seconds before it kills.
LAST_S = 6.0
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
        stepped: Callable[[], int] = lambda: 0,
        decided: Iterable[AnyIntent] = (),
    ) -> None:
        """`stepped` tells by how much the wall clock was set so far: the devices' timeline leaves that out. `decided` is what
        an earlier pipeline of this process could not record any more."""
        self.rule = DoorRule(doors, lambda epc: expectation(epc, self._places, self.catalogue))
        self.catalogue = Catalogue()
        #: intents that posting refused for good: a defect, shown and counted
        self.refused = 0
        self.crossings = 0
        #: True while the ledger takes nothing
        self.blocked = False
        #: True while the disk has no room for new sightings: the devices are held back
        self.full: bool = False
        #: how often the devices were held back
        self.held_back = 0
        self._drivers = drivers
        self._writer = writer
        self._evidence = evidence
        self._runtime = runtime
        self._stepped = stepped
        self._dated_by = stepped()
        self._buffer: list[Sighting] = []
        self._arrived = asyncio.Event()
        self._last_arrival = -QUIET_US - 1
        self._paused: bool = False
        self._ending = False
        #: decided, and not yet recorded
        self._decided: deque[AnyIntent] = deque(decided)
        self._pending = asyncio.Event()
        self._places: dict[str, str] = {}
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("pipeline")

    async def learn(self) -> None:
        """Begin with where the ledger holds each unit."""
        self._places = await self._writer.read(
            lambda state: {key: unit.account.place for key, unit in state.stock.units.items()}
        )

    @property
    def decided(self) -> tuple[AnyIntent, ...]:
        """What is decided and not recorded."""
        return tuple(self._decided)

    @property
    def paused(self) -> bool:
        """Whether the devices are held back now."""
        return self._paused

    def deliver(self, sightings: list[Sighting]) -> None:
        """Take sightings from a driver; holds all devices back while the rule is behind."""
        self._buffer += sightings
        self._arrived.set()
        self._hold()

    def _hold(self) -> None:
        """Hold the devices back while the rule, the ledger or the disk is behind; let them go on afterwards."""
        must: bool = len(self._buffer) > BUFFER or len(self._decided) >= DECIDED or self.full
        if must == self._paused:
            return
        self._paused = must
        self.held_back += must
        for driver in self._drivers:
            if must:
                driver.pause()
            else:
                driver.resume()

    async def run(self) -> None:
        """Move data until cancelled; what is decided by then is still recorded."""
        self._ending = False
        recorder = asyncio.create_task(self._record(), name="recorder")
        try:
            while not recorder.done():
                if self._runtime.monotonic() - self._last_arrival > QUIET_US and not self._paused:
                    self._arrived.clear()
                    await self._arrived.wait()
                else:
                    await asyncio.sleep(LOOK_S)
                self.sense()
        finally:
            # what is under way is never cancelled: nobody would know whether it was recorded
            self._ending = True
            self._pending.set()
            await asyncio.wait({recorder}, timeout=LAST_S)
            if recorder.done():
                recorder.result()
            else:
                recorder.cancel()

    async def step(self) -> None:
        """Move what has arrived so far; returns when its records are committed."""
        self.sense()
        while not await self._record_decided():  # noqa: ASYNC110 - a disk tells nobody when it has room again
            await asyncio.sleep(DISK_RETRY_S)

    def sense(self) -> None:
        """Give the rule what has arrived and take what it decides, unless too much waits for the ledger already."""
        batch, self._buffer = self._buffer, []
        if batch:
            self._last_arrival = self._runtime.monotonic()
        self.rule.observe(batch)
        self._hold()
        self._date()
        if len(self._decided) >= DECIDED:
            return
        for crossing in self.rule.advance(self._runtime.monotonic()):
            self.crossings += 1
            crossing = dated(crossing, self._dated_by)
            seen = crossed(crossing)
            self._evidence.keep(evidence_hash(seen.evidence), seen.evidence, crossing.last)
            self._decided += seen.intents
        if self._decided:
            self._pending.set()

    async def _record(self) -> None:
        """Record what is decided for ever; at the end of the program until nothing is left or the ledger takes nothing."""
        while True:
            self._pending.clear()
            while not await self._record_decided():
                if self._writer.damage:
                    return
                await asyncio.sleep(DISK_RETRY_S)
            if self._ending and not self._decided:
                return
            await self._pending.wait()

    async def _record_decided(self) -> bool:
        """Record in order what is decided; False as soon as the ledger takes nothing."""
        while self._decided:
            self._date()
            together = 1 if self.blocked else TOGETHER  # one is enough to try a disk that refused
            batch = [self._decided[index] for index in range(min(together, len(self._decided)))]
            taken = await asyncio.gather(*(self._submit(intent) for intent in batch))
            kept = [self._decided.popleft() for _ in batch]
            self._decided.extendleft(
                intent for intent, done in zip(reversed(kept), reversed(taken), strict=True) if not done
            )
            if not all(taken):
                return False
        return True

    def _date(self) -> None:
        """What was decided before the clock was set is recorded by the new time, as all that comes behind it."""
        shift = self._stepped() - self._dated_by
        if shift:
            self._dated_by += shift
            self._decided = deque(redated(intent, shift) for intent in self._decided)

    async def _submit(self, intent: AnyIntent) -> bool:
        """Record one intent; False while the ledger takes nothing. What posting refuses is shown, never dropped silently."""
        try:
            receipt = await self._writer.submit(intent)
        except LedgerUnavailableError as error:
            if not self.blocked:
                self._log.error("the ledger takes nothing; movements wait", error=str(error))
            self.blocked = True
            return False
        except Exception as error:  # a defect of ours: it must not take the next movements along
            self.refused += 1
            self._log.exception("a movement was refused", intent=msgspec.json.encode(intent).decode())
            try:
                await self._writer.submit(self._refusal(intent, error))
            except LedgerUnavailableError:
                self.refused -= 1
                return False  # nobody was told yet: both again
            except Exception:
                self._log.exception("the refusal of a movement could not be shown")
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
