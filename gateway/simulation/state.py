"""The memory of an emulated reader: its settings and the life cycle of its ROSpecs. No I/O, no clock.

Times named `now` are monotonic microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from gateway.simulation.llrp.codec import Element, make
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.tagreport import Selection, Sighted, selection_of


class RospecState(IntEnum):
    """LLRP 1.0.1 section 11.2.1.1."""

    DISABLED = 0
    INACTIVE = 1
    ACTIVE = 2


class StartTrigger(IntEnum):
    """ROSpecStartTriggerType."""

    NULL = 0
    IMMEDIATE = 1
    PERIODIC = 2
    GPI = 3


class StopTrigger(IntEnum):
    """ROSpecStopTriggerType and the first three of AISpecStopTriggerType."""

    NULL = 0
    DURATION = 1
    GPI = 2
    TAG_OBSERVATION = 3


class Event(IntEnum):
    """EventType of EventNotificationState (section 13.2.6.2)."""

    HOPPING = 0
    GPI = 1
    ROSPEC = 2
    BUFFER_FILL = 3
    EXCEPTION = 4
    AISPEC = 6
    ANTENNA = 8


#: ROReportTrigger values whose N counts seconds or milliseconds instead of tags (LLRP 1.1 section 14.2.1), in us per N.
TIMED_TRIGGERS: Final = {3: 1_000_000, 4: 1_000_000, 5: 1_000, 6: 1_000}


@dataclass(slots=True)
class Rospec:
    """One ROSpec and where it stands."""

    spec: Element
    state: RospecState = RospecState.DISABLED
    wanted: bool = False  # its start trigger fired; it runs as soon as no better one does
    enabled_at: int = 0
    started_at: int = 0
    index: int = 0  # which of its AISpecs runs
    index_started_at: int = 0
    tags_in_index: int = 0
    next_start: int = 0
    reported_at: int = 0
    pending: dict[tuple[str, int, int], Sighted] = field(default_factory=dict[tuple[str, int, int], Sighted])
    selection: Selection = field(default_factory=lambda: selection_of(None))

    @property
    def id(self) -> int:
        """ROSpecID."""
        return self.spec.integer("ROSpecID")

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts ROSpecs, best first: priority 0 is highest."""
        return self.spec.integer("Priority"), self.id

    def boundary(self, name: str) -> Element:
        """ROSpecStartTrigger or ROSpecStopTrigger."""
        boundary = self.spec.find("ROBoundarySpec")
        trigger = boundary.find(name) if boundary else None
        return trigger or make(name, ROSpecStartTriggerType=0, ROSpecStopTriggerType=0, DurationTriggerValue=0)

    @property
    def ai_specs(self) -> tuple[Element, ...]:
        """The AISpecs in their order."""
        return self.spec.all("AISpec")

    def described(self) -> Element:
        """The ROSpec with its present state, as GET_ROSPECS reports it."""
        return Element(self.spec.name, {**self.spec.values, "CurrentState": int(self.state)}, self.spec.children)


def _default_report_spec() -> Element:
    names = ("ROSpecID", "SpecIndex", "InventoryParameterSpecID", "AntennaID", "ChannelIndex", "PeakRSSI")
    names += ("FirstSeenTimestamp", "LastSeenTimestamp", "TagSeenCount", "AccessSpecID")
    selector = make("TagReportContentSelector", **{f"Enable{name}": 1 for name in names})
    return make("ROReportSpec", selector, ROReportTrigger=2, N=1)


class ReaderState:
    """Everything that SET_READER_CONFIG and the spec messages change. `events` fills with events to be sent."""

    def __init__(self, profile: ReaderProfile) -> None:
        self.profile = profile
        self.rospecs: dict[int, Rospec] = {}
        self.access_specs: dict[int, Element] = {}
        self.gpi: dict[int, int] = dict.fromkeys(range(1, profile.gpis + 1), 0)
        self.failed_antennas: set[int] = set()
        self.events: list[tuple[Event, Element]] = []
        self.ended: list[Rospec] = []  # ROSpecs or AISpecs that ended and may owe a report
        self.reset_settings()

    def reset_settings(self) -> None:
        """Factory settings."""
        ports = range(1, self.profile.antennas + 1)
        self.notify: dict[int, bool] = dict.fromkeys(map(int, Event), False)
        self.antenna_settings: dict[int, Element] = {
            port: make(
                "AntennaConfiguration",
                make("RFReceiver", ReceiverSensitivity=1),
                make("RFTransmitter", HopTableID=1, ChannelIndex=1, TransmitPower=self.profile.power_levels),
                AntennaID=port,
            )
            for port in ports
        }
        self.report_spec = _default_report_spec()
        self.access_report_spec = make("AccessReportSpec", AccessReportTrigger=0)
        self.keepalive_ms = 0
        self.hold = False
        self.gpi_enabled: dict[int, bool] = dict.fromkeys(self.gpi, True)
        self.gpo: dict[int, int] = dict.fromkeys(range(1, self.profile.gpos + 1), 0)

    @property
    def active(self) -> Rospec | None:
        """The ROSpec that has the radio."""
        return next((spec for spec in self.rospecs.values() if spec.state is RospecState.ACTIVE), None)

    def enable(self, spec: Rospec, now: int) -> None:
        """Disabled to inactive; an immediate start trigger fires at once, a periodic one after its offset."""
        spec.state, spec.enabled_at = RospecState.INACTIVE, now
        start = spec.boundary("ROSpecStartTrigger")
        kind = start.integer("ROSpecStartTriggerType")
        spec.wanted = kind == StartTrigger.IMMEDIATE
        periodic = start.find("PeriodicTriggerValue")
        if kind == StartTrigger.PERIODIC and periodic:
            spec.next_start = now + periodic.integer("Offset") * 1_000
        self.schedule(now)

    def stop(self, spec: Rospec, now: int, *, disable: bool = False) -> None:
        """Active to inactive (or disabled); the radio goes to the next that waits."""
        if spec.state is RospecState.ACTIVE:
            self._deactivate(spec)
        spec.wanted = False
        if disable:
            spec.state = RospecState.DISABLED
        self.schedule(now)

    def schedule(self, now: int) -> None:
        """Give the radio to the best ROSpec that wants it; a better one preempts the one that runs."""
        waiting = [spec for spec in self.rospecs.values() if spec.wanted and spec.state is RospecState.INACTIVE]
        best = min(waiting, key=lambda spec: spec.rank, default=None)
        if best is None:
            return
        running = self.active
        if running is not None:
            if running.rank[0] <= best.rank[0]:
                return
            running.state = RospecState.INACTIVE
            running.wanted = True
            self.ended.append(running)
            self._event(running, 2, best.id)
        best.state, best.wanted = RospecState.ACTIVE, False
        best.started_at = best.index_started_at = best.reported_at = now
        best.index = best.tags_in_index = 0
        best.selection = selection_of(best.spec.find("ROReportSpec") or self.report_spec)
        self._event(best, 0)

    def _end(self, spec: Rospec) -> None:
        """A ROSpec came to its end by itself: an immediate start trigger is still true and fires again."""
        self._deactivate(spec)
        start = spec.boundary("ROSpecStartTrigger").integer("ROSpecStartTriggerType")
        spec.wanted = start == StartTrigger.IMMEDIATE

    def _deactivate(self, spec: Rospec) -> None:
        spec.state = RospecState.INACTIVE
        self.ended.append(spec)
        self._event(spec, 1)

    def _event(self, spec: Rospec, kind: int, preempting: int = 0) -> None:
        event = make("ROSpecEvent", EventType=kind, ROSpecID=spec.id, PreemptingROSpecID=preempting)
        self.events.append((Event.ROSPEC, event))

    def advance(self, now: int) -> None:
        """Let time-driven triggers fire: periodic starts, durations of ROSpec and AISpec."""
        for spec in self.rospecs.values():
            if spec.state is RospecState.INACTIVE and spec.next_start and now >= spec.next_start:
                spec.wanted = True
                periodic = spec.boundary("ROSpecStartTrigger").find("PeriodicTriggerValue")
                period = periodic.integer("Period") * 1_000 if periodic else 0
                spec.next_start = now + period if period else 0
        running = self.active
        if running is not None:
            stop = running.boundary("ROSpecStopTrigger")
            kind, duration = stop.integer("ROSpecStopTriggerType"), stop.integer("DurationTriggerValue")
            gpi = stop.find("GPITriggerValue")
            if kind == StopTrigger.GPI and gpi:
                duration = gpi.integer("Timeout")
            if kind and duration and now - running.started_at >= duration * 1_000:
                self._end(running)
            elif self._ai_spec_over(running, now):
                self.next_ai_spec(running, now)
        self.schedule(now)

    def _ai_spec_over(self, spec: Rospec, now: int) -> bool:
        trigger = spec.ai_specs[spec.index].find("AISpecStopTrigger") if spec.ai_specs else None
        if trigger is None:
            return False
        kind, duration = trigger.integer("AISpecStopTriggerType"), trigger.integer("DurationTrigger")
        observation, gpi = trigger.find("TagObservationTrigger"), trigger.find("GPITriggerValue")
        if kind == StopTrigger.TAG_OBSERVATION and observation:
            wanted = observation.integer("NumberOfTags")
            if wanted and spec.tags_in_index >= wanted:
                return True
            duration = observation.integer("Timeout")
        if kind == StopTrigger.GPI and gpi:
            duration = gpi.integer("Timeout")
        return bool(kind and duration and now - spec.index_started_at >= duration * 1_000)

    def next_ai_spec(self, spec: Rospec, now: int) -> None:
        """The running AISpec ended: report, go on with the next one, or end the ROSpec after the last."""
        event = make("AISpecEvent", EventType=0, ROSpecID=spec.id, SpecIndex=spec.index + 1)
        self.events.append((Event.AISPEC, event))
        if spec.index + 1 < len(spec.ai_specs):
            spec.index, spec.index_started_at, spec.tags_in_index = spec.index + 1, now, 0
            self.ended.append(spec)
        else:
            self._end(spec)

    def set_gpi(self, port: int, high: bool, now: int) -> None:
        """An input changed: notify, start and stop what waits for it."""
        level = int(high)
        if self.gpi.get(port) == level or not self.gpi_enabled.get(port):
            return
        self.gpi[port] = level
        self.events.append((Event.GPI, make("GPIEvent", GPIPortNumber=port, GPIEvent=level)))
        for spec in list(self.rospecs.values()):
            starts = _fires(spec.boundary("ROSpecStartTrigger"), StartTrigger.GPI, port, level)
            stops = _fires(spec.boundary("ROSpecStopTrigger"), StopTrigger.GPI, port, level)
            if spec.state is RospecState.ACTIVE and stops:
                self.stop(spec, now)
            elif spec.state is RospecState.ACTIVE:
                trigger = spec.ai_specs[spec.index].find("AISpecStopTrigger") if spec.ai_specs else None
                if trigger and _fires(trigger, StopTrigger.GPI, port, level):
                    self.next_ai_spec(spec, now)
            elif spec.state is RospecState.INACTIVE and starts:
                spec.wanted = True
        self.schedule(now)


def _fires(trigger: Element, kind: int, port: int, level: int) -> bool:
    name = next(name for name in trigger.values if name.endswith("TriggerType"))
    value = trigger.find("GPITriggerValue")
    if trigger.integer(name) != kind or value is None:
        return False
    return value.integer("GPIPortNum") == port and value.integer("GPIEvent") == level
