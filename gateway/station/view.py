"""Puts what the gateway knows into the words of the station page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import UNSET

from gateway.ledger.evidence import EvidenceStore
from gateway.ledger.store import LedgerReader
from gateway.observations.doors import DoorRule, OpenPassage
from gateway.station.pages import (
    ROWS,
    ExceptionView,
    MovementView,
    PassageView,
    SiteView,
    StationView,
)
from vocabulary.epc import decode as decode_epc
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import decode
from vocabulary.wire import DiskLevel, Status

#: Rows looked at for the last movements and the open exceptions.
LOOK_BACK = 200


class Link(NamedTuple):
    """How the link to headquarters is: in words, whether it works, and the rows that wait."""

    text: str
    online: bool
    waiting: int


class Site(NamedTuple):
    """What does not change while the gateway runs."""

    name: str
    gateway: str
    zone: str


class Station:
    """The facts of the station page; see `gateway.station.pages.StationSource`."""

    def __init__(
        self,
        site: Site,
        reader: LedgerReader,
        evidence: EvidenceStore,
        rule: DoorRule,
        status: Callable[[], Status],
        link: Callable[[], Link],
        metrics: Callable[[], bytes],
    ) -> None:
        self._site = site
        self._zone = ZoneInfo(site.zone)
        self._reader = reader
        self._evidence = evidence
        self._rule = rule
        self._status = status
        self._link = link
        self._metrics = metrics

    def metrics(self) -> bytes:
        """Figures for Prometheus."""
        return self._metrics()

    def evidence(self, digest: str) -> bytes | None:
        """What the rule saw when it decided a movement, by the hash that the movement carries."""
        return self._evidence.find(digest)

    async def view(self) -> StationView:
        """What the page shows now."""
        status, link = self._status(), self._link()
        passing = sorted(
            (passage for passage in self._rule.live() if not passage.resting),
            key=lambda passage: (passage.door, passage.since, passage.identifier),
        )
        movements, exceptions = await self._recorded()
        return StationView(
            site=SiteView(
                name=self._site.name,
                gateway=self._site.gateway,
                seq=status.recorded,
                waiting=link.waiting,
                cloud=link.text,
                online=link.online,
                clock_trusted=status.clock_trusted,
                trouble=trouble(status),
            ),
            passages=tuple(_passage(passage) for passage in passing[:ROWS]),
            more=max(0, len(passing) - ROWS),
            exceptions=exceptions,
            movements=movements,
            devices=status.devices,
        )

    async def _recorded(self) -> tuple[tuple[MovementView, ...], tuple[ExceptionView, ...]]:
        """The last movements, and the exceptions among the last rows that nobody has decided."""
        movements: list[MovementView] = []
        exceptions: list[ExceptionView] = []
        met: set[tuple[str, str]] = set()
        for row in await self._reader.recent(LOOK_BACK):
            record = decode(row.body)
            if isinstance(record, Movement) and len(movements) < ROWS:
                movements.append(self._movement(row.seq, record))
            elif isinstance(record, ExceptionRecord) and (record.kind, record.subject) not in met:
                met.add((record.kind, record.subject))
                if record.state != "decided" and len(exceptions) < ROWS:
                    action = "" if record.action is UNSET else record.action
                    exceptions.append(ExceptionView(self._time(record.at), record.text, action))
        return tuple(movements), tuple(exceptions)

    def _movement(self, seq: int, record: Movement) -> MovementView:
        goods = ", ".join(f"{line.quantity} x {line.item}" for line in record.lines[:3])
        if len(record.lines) > 3:
            goods += f" and {len(record.lines) - 3} more"
        units = f"{len(record.units)} units" if record.units else ""
        evidence = [] if record.rule is UNSET else [record.rule]
        evidence += [] if record.confidence is UNSET else [f"{record.confidence / 10:.1f} %"]
        return MovementView(
            seq=seq,
            at=self._time(record.occurred_at),
            kind=record.kind,
            goods=" · ".join(part for part in (goods, units) if part),
            source=record.from_.place,
            target=record.to.place,
            document="" if record.document is UNSET else record.document,
            evidence=" ".join(evidence),
            digest="" if record.evidence is UNSET else record.evidence,
        )

    def _time(self, at: int) -> str:
        return datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(self._zone).strftime("%d %b %H:%M:%S")


#: What people at the site should know of the ledger's disk at each level of the disk guard.
_DISK: dict[DiskLevel, str] = {
    "low": "The gateway's disk runs low",
    "scarce": "The gateway's disk is nearly full: evidence is not kept any more",
    "full": "The gateway's disk is full: readers are held back, nothing new is counted",
}


def trouble(status: Status) -> tuple[str, ...]:
    """What is wrong with the ledger or its disk, a sentence each."""
    found = [f"The ledger is damaged: {status.chain}"] if status.chain else []
    found += [f"The ledger takes nothing: {one.reason}" for one in status.devices if one.state == "blocked"]
    if status.disk in _DISK:
        days = f", {status.disk_days} days left at this rate" if status.disk_days >= 0 else ""
        found.append(f"{_DISK[status.disk]} ({status.disk_free >> 20} MiB free{days})")
    return tuple(found)


def _passage(passage: OpenPassage) -> PassageView:
    outside, inside = passage.reads
    epc = decode_epc(passage.identifier)
    return PassageView(
        door=passage.door,
        tag=epc.key or passage.identifier,
        outside=outside,
        inside=inside,
        strongest=f"{passage.strongest / 100:.0f} dBm",
        moving=f"{passage.moving:+.1f}",
        verdict="seen on both sides" if outside and inside else "seen on one side",
    )
