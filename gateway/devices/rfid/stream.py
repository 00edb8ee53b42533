"""From a reader's bytes to sightings, without any I/O: the daemon and the replay of a capture run the same code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import cast

from gateway.devices.rfid.clock import ReaderClock
from gateway.devices.rfid.config import ReaderConfig
from gateway.devices.rfid.errors import DamagedMessageError, FramingError
from gateway.devices.rfid.events import Event, events
from gateway.devices.rfid.framing import Frame, Framer
from gateway.devices.rfid.report import ReportDecoder, Tag
from gateway.devices.rfid.standard import Message
from gateway.observations.sighting import Sighting

_KNOWN = frozenset(int(kind) for kind in Message)
_last_seen = itemgetter(5)


class ReaderStream:
    """Everything that is known about one reader's bytes.

    `errors` counts by kind and is never reset; `on_control(frame)` gets every sound message that is neither a report
    nor an event, `on_event(event)` every event.
    """

    def __init__(self, config: ReaderConfig) -> None:
        self.name = config.name
        self.clock = ReaderClock()
        self.errors: Counter[str] = Counter()
        self.bytes_dropped = 0
        self.on_control: Callable[[Frame], None] | None = None
        self.on_event: Callable[[Event], None] | None = None
        self._decoder = ReportDecoder()
        self._framer = Framer(self._handle, self._decoder.shortcut)
        self._read_points = {antenna.port: f"{config.name}/{antenna.port}" for antenna in config.antennas}
        self._only = next(iter(self._read_points.values())) if len(self._read_points) == 1 else f"{config.name}/0"
        self._arrival = 0

    @property
    def fault(self) -> FramingError | None:
        """Why the stream cannot be read on; only a new connection cures it."""
        return self._framer.fault

    def connected(self) -> None:
        """A new connection begins: nothing of the last one may leak into it."""
        self._decoder.restart()
        self._framer = Framer(self._handle, self._decoder.shortcut)
        self.clock.restart()

    def disconnected(self) -> None:
        """The connection is over: what is left of it is counted once."""
        if self.fault is not None:
            self.errors["framing"] += 1
            self.bytes_dropped += self.fault.dropped
        elif self._framer.pending:
            self.errors["cut_off"] += 1
            self.bytes_dropped += self._framer.pending
        self._framer = Framer(self._handle, self._decoder.shortcut)

    def feed(self, data: bytes, wall: int, monotonic: int) -> list[Sighting]:
        """The sightings that `data`, arrived at that moment (microseconds), completes."""
        self._arrival = monotonic
        self._framer.feed(data)
        return self._sightings(self._decoder.take(), wall, monotonic)

    def _handle(self, frame: Frame) -> None:
        if frame.type == Message.RO_ACCESS_REPORT:
            if self._decoder.decode(frame.body, frame.version) is not None:
                self.errors["damaged_message"] += 1
        elif frame.type == Message.READER_EVENT_NOTIFICATION:
            try:
                noticed = events(frame.body)
            except DamagedMessageError:
                self.errors["damaged_message"] += 1
                return
            for event in noticed:
                self._event(event)
        elif frame.type not in _KNOWN:
            self.errors["unknown_message"] += 1
        elif self.on_control is not None:
            self.on_control(frame)

    def _event(self, event: Event) -> None:
        if event.utc is not None:
            self.clock.utc.observe(event.utc, self._arrival)
        if event.uptime is not None:
            self.clock.uptime.observe(event.uptime, self._arrival)
        if self.on_event is not None:
            self.on_event(event)

    def _sightings(self, tags: list[Tag], wall: int, monotonic: int) -> list[Sighting]:
        if not tags:
            return []
        uptime = self._decoder.uptime
        latest = self._latest(tags)
        if latest is not None:
            (self.clock.uptime if uptime else self.clock.utc).observe(latest, monotonic)
        shift = self.clock.shift(uptime, wall, monotonic)
        name, points = self.name, self._read_points
        sightings: list[Sighting] = []
        for epc, antenna, rssi, channel, _, last, count, fine, phase, _ in tags:
            if not epc:
                self.errors["blank_epc"] += 1
                continue
            point = points.get(cast(int, antenna)) or self._point(antenna)
            time = wall if last is None or shift is None else last + shift
            if time > wall:
                time = wall  # Nothing is seen after it was told: the timestamp itself is damaged.
            strength = fine if fine is not None or rssi is None else rssi * 100
            sightings.append(
                Sighting(name, point, epc.hex().upper(), time, monotonic, strength, phase, channel, count or 1)
            )
        return sightings

    def _point(self, antenna: int | None) -> str:
        """The read point of an antenna that the configuration does not name, or that the reader did not tell."""
        return self._only if antenna is None else self._read_points.setdefault(antenna, f"{self.name}/{antenna}")

    @staticmethod
    def _latest(tags: list[Tag]) -> int | None:
        if len(tags) == 1:
            return tags[0][5]
        try:
            return max(cast("map[int]", map(_last_seen, tags)))
        except TypeError:  # Some carry no time: the first reports of a reader that leaves out what it has not told yet.
            return max((tag[5] for tag in tags if tag[5] is not None), default=None)
