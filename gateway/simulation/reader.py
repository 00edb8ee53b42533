"""An emulated LLRP reader: a TCP server that inventories a scene.

`EmulatedReader.start()` listens; a client connects, configures and gets reports as from a real reader. Everything it does
follows from the runtime's clock and randomness, so on virtual time the same seed sends the same bytes.
Faults that tests and demonstrations order are in `faults.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from gateway.simulation import impinj, requests
from gateway.simulation.connection import VERSIONS, Connection
from gateway.simulation.inventory import Inventory, ports_of, power_indexes
from gateway.simulation.llrp.codec import HEADER, Element, Message, decode_message, make, status_element
from gateway.simulation.llrp.grammar import MESSAGE_BY_NUMBER
from gateway.simulation.llrp.status import RequestError, StatusCode
from gateway.simulation.outbox import Outbox
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.radio import Antenna, Radio, RadioConfig
from gateway.simulation.recorder import Frame, Recorder
from gateway.simulation.scenario import Scene
from gateway.simulation.state import TIMED_TRIGGERS, Event, ReaderState, Rospec
from gateway.simulation.tagreport import Batch, TagReportEncoder, accumulate
from runtime import Runtime
from runtime.system import Listener

#: Seconds between two looks at the scene: a pallet at 1.3 m/s moves 7 cm in it.
TICK_S: Final = 0.05
#: Longest time one tick makes up for, in microseconds; more is lost, as on a reader whose CPU was busy.
_MAX_TICK_US: Final = 500_000
#: Tags in one message at most: keeps a message well below the receive buffers of small clients.
_TAGS_PER_REPORT: Final = 64
#: Different tags one ROSpec gathers before it reports even without its trigger: bounds the memory of trigger "none".
_MAX_PENDING: Final = 10_000
#: ConnectionAttemptEvent status (LLRP 1.0.1 section 13.2.6.10).
_ATTEMPT_OK, _ATTEMPT_REFUSED, _ANOTHER_ATTEMPT = 0, 2, 4


class EmulatedReader:
    """One reader on `host`:`port` (0 takes a free one) that sees `scene` through `antennas`."""

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        profile: ReaderProfile,
        antennas: Sequence[Antenna],
        scene: Scene,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        radio: RadioConfig | None = None,
        clock_skew_us: int = 0,
        recorder: Recorder | None = None,
    ) -> None:
        self.name, self.profile, self.host, self.port = name, profile, host, port
        self.recorder = recorder
        self.clock_skew_us = clock_skew_us
        self.silent = False
        self.client: Connection | None = None
        self._runtime, self._scene, self._antennas = runtime, scene, tuple(antennas)
        self._radio_config = radio or RadioConfig()
        self._seed = f"{runtime.random(f'{name}/shadowing').random()}"
        self.connections: list[Connection] = []
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._power_up()

    def _power_up(self) -> None:
        """A reader that has just been switched on: factory settings, empty buffers, fresh air."""
        self.state = ReaderState(self.profile)
        self.outbox = Outbox(self.profile.report_buffer)
        self._holding = False
        random = self._runtime.random(f"{self.name}/air")
        air = Radio(self._radio_config, self._seed, random)
        self._inventory = Inventory(self.profile, self._antennas, self._scene, air, random)
        self._booted_at = 0
        self._ticked_at = 0

    async def start(self) -> None:
        """Listen and begin to look at the scene. Raises OSError when the address is taken."""
        self._listener = await self._runtime.listen(self._accept, self.host, self.port)
        self.port = self._listener.port
        self._booted_at = self._ticked_at = self._runtime.monotonic()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tick_for_ever()), loop.create_task(self._keep_alive())]

    async def stop(self) -> None:
        """Close everything; the reader can be started again on the same port, with factory settings."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.abort()
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        self.connections.clear()
        self.client = None
        self._power_up()

    def clock(self) -> int:
        """The reader's own time in microseconds: UTC with its skew, or the time since it was switched on."""
        if self.profile.utc_clock:
            return self._runtime.now() + self.clock_skew_us
        return self._runtime.monotonic() - self._booted_at

    def set_gpi(self, port: int, high: bool) -> None:
        """Drive an input of the reader: a light curtain, a door contact."""
        self.state.set_gpi(port, high, self._runtime.monotonic())
        self._settle()

    def set_antenna(self, port: int, connected: bool) -> None:
        """Plug or unplug an antenna; an unplugged one reads nothing."""
        (self.state.failed_antennas.discard if connected else self.state.failed_antennas.add)(port)
        self.state.events.append((Event.ANTENNA, make("AntennaEvent", EventType=int(connected), AntennaID=port)))
        self._settle()

    # What the connection calls

    def _accept(self) -> Connection:
        return Connection(self, TagReportEncoder(self.profile.utc_clock, self.profile.omit_unchanged))

    def connected(self, connection: Connection) -> None:
        """A client connected: welcome it, or refuse it when there is one already."""
        self.connections.append(connection)
        connection.silent = self.silent
        if self.client is not None:
            connection.send(self._notification(make("ConnectionAttemptEvent", Status=_ATTEMPT_REFUSED)))
            connection.close()
            self.client.send(self._notification(make("ConnectionAttemptEvent", Status=_ANOTHER_ATTEMPT)))
            return
        self.client = connection
        self._holding = self.state.hold
        connection.send(self._notification(make("ConnectionAttemptEvent", Status=_ATTEMPT_OK)))
        self._drain()

    def lost(self, connection: Connection) -> None:
        """A client is gone; its ROSpecs run on and fill the buffer."""
        if connection in self.connections:
            self.connections.remove(connection)
        if connection is self.client:
            self.client = None

    def writable(self, connection: Connection) -> None:
        """The client takes bytes again."""
        self._drain()

    @property
    def recording(self) -> bool:
        """Whether a recorder keeps the frames."""
        return self.recorder is not None

    def record(self, direction: Literal["sent", "received"], data: bytes) -> None:
        """Hand a frame to the recorder."""
        if self.recorder is not None:
            self.recorder.record(Frame(self._runtime.now(), self.name, direction, data))

    def received(self, connection: Connection, frame: bytes) -> None:
        """Answer one request."""
        head, _, message_id = HEADER.unpack_from(frame)
        version, number = head >> 10 & 0x07, head & 0x3FF
        if version not in VERSIONS[: self.profile.llrp_version]:
            text = f"LLRP version {version} is not spoken here; this reader speaks 1 to {self.profile.llrp_version}"
            self._refuse(connection, message_id, RequestError(StatusCode.M_UNSUPPORTED_VERSION, text))
            return
        try:
            message = decode_message(frame)
        except RequestError as refused:
            definition = MESSAGE_BY_NUMBER.get(number)
            self._refuse(connection, message_id, refused, definition.name if definition else None)
            return
        try:
            self._perform(connection, message)
        except RequestError as refused:
            self._refuse(connection, message_id, refused, message.body.name)

    def _perform(self, connection: Connection, message: Message) -> None:
        match message.body.name:
            case "KEEPALIVE_ACK":
                return
            case "ENABLE_EVENTS_AND_REPORTS":
                self._holding = False
                self._drain()
            case "GET_REPORT":
                self._send_report_now(connection)
            case "CLOSE_CONNECTION":
                connection.send(make("CLOSE_CONNECTION_RESPONSE", status_element()), message.id)
                connection.close()
            case "GET_SUPPORTED_VERSION":
                body = make(
                    "GET_SUPPORTED_VERSION_RESPONSE",
                    status_element(),
                    CurrentVersion=connection.version,
                    SupportedVersion=self.profile.llrp_version,
                )
                connection.send(body, message.id, message.version)
            case "CUSTOM_MESSAGE" if self.profile.vendor == "impinj":
                connection.send(impinj.answer(message.body), message.id)
            case "SET_PROTOCOL_VERSION":
                self._set_version(connection, message)
            case _:
                body = requests.answer(self.state, message, self._runtime.monotonic())
                connection.send(body, message.id)
        self._settle()

    def _send_report_now(self, connection: Connection) -> None:
        for spec in self.state.rospecs.values():
            self._report(spec)
        batch = self.outbox.take()
        connection.send_report(connection.encoder.encode(batch) if batch else b"")
        self._holding = False

    def _set_version(self, connection: Connection, message: Message) -> None:
        wanted = message.body.integer("ProtocolVersion")
        if not 1 <= wanted <= self.profile.llrp_version:
            text = f"protocol version {wanted} is not 1 to {self.profile.llrp_version}"
            raise RequestError(StatusCode.M_UNSUPPORTED_VERSION, text)
        connection.version = wanted
        connection.send(make("SET_PROTOCOL_VERSION_RESPONSE", status_element()), message.id, message.version)

    def _refuse(
        self, connection: Connection, message_id: int, refused: RequestError, request: str | None = None
    ) -> None:
        name = requests.answer_name(request) if request else None
        if request == "GET_SUPPORTED_VERSION" or refused.code is StatusCode.M_UNSUPPORTED_MESSAGE:
            name = None
        connection.send(make(name or "ERROR_MESSAGE", status_element(refused)), message_id)

    # Time

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    async def _keep_alive(self) -> None:
        sent_at = self._runtime.monotonic()
        while True:
            period = self.state.keepalive_ms
            await asyncio.sleep(min(period / 1_000, 1.0) if period else 1.0)
            now = self._runtime.monotonic()
            if self.client is None or not period:
                sent_at = now
            elif now - sent_at >= period * 1_000:
                sent_at = now
                self.client.send(make("KEEPALIVE"))

    def tick(self) -> None:
        """Read what the antennas see since the last tick and report what is due."""
        now, wall = self._runtime.monotonic(), self._runtime.now()
        start = max(self._ticked_at, now - _MAX_TICK_US)
        self._ticked_at = now
        running = self.state.active
        if running is not None and running.ai_specs:
            self._inventory_of(running, wall - (now - start), wall)
            if self._due(running, now):
                running.reported_at = now
                self._report(running)
        self.state.advance(now)
        self._settle()

    def _inventory_of(self, running: Rospec, start: int, end: int) -> None:
        spec = running.ai_specs[running.index]
        ports = ports_of(spec, self.profile)
        chosen = power_indexes(spec, ports)
        powers: dict[int, int] = {}
        for port in ports:
            transmitter = self.state.antenna_settings[port].find("RFTransmitter")
            default = transmitter.integer("TransmitPower") if transmitter else 0
            if port not in self.state.failed_antennas:
                powers[port] = self.profile.power(chosen.get(port, default))
        reads = self._inventory.run(ports, powers, start, end)
        shift = self.clock() - end
        running.tags_in_index += len(reads)
        report = running.spec.find("ROReportSpec") or self.state.report_spec
        trigger, limit = report.integer("ROReportTrigger"), report.integer("N")
        by_number = trigger in (1, 2) and limit > 0
        for read in reads:
            accumulate(running.pending, read._replace(at=read.at + shift), running.selection)
            if (by_number and len(running.pending) >= limit) or len(running.pending) >= _MAX_PENDING:
                self._report(running)

    def _due(self, running: Rospec, now: int) -> bool:
        report = running.spec.find("ROReportSpec") or self.state.report_spec
        unit = TIMED_TRIGGERS.get(report.integer("ROReportTrigger"))
        return unit is not None and now - running.reported_at >= report.integer("N") * unit

    # Reports and events

    def _report(self, spec: Rospec) -> None:
        """Move what a ROSpec has gathered into the outbox."""
        if not spec.pending:
            return
        tags = tuple(spec.pending.values())
        spec.pending.clear()
        inventory = spec.ai_specs[spec.index].all("InventoryParameterSpec")[0]
        identifier = inventory.integer("InventoryParameterSpecID")
        for at in range(0, len(tags), _TAGS_PER_REPORT):
            part = tags[at : at + _TAGS_PER_REPORT]
            event = self.outbox.put(Batch(spec.id, spec.index + 1, identifier, spec.selection, part))
            if event is not None:
                self.state.events.append((Event.BUFFER_FILL, event))

    def _settle(self) -> None:
        """Send what the last change of state gave rise to: end-of-spec reports, buffered reports, events."""
        ended, self.state.ended = self.state.ended, []
        for spec in ended:
            report = spec.spec.find("ROReportSpec") or self.state.report_spec
            if report.integer("ROReportTrigger"):
                self._report(spec)
        self._drain()
        events, self.state.events = self.state.events, []
        for kind, event in events:
            if not self.state.notify.get(kind):
                continue
            if self.client is None or self._holding:
                self.outbox.hold(self._notification(event))
            else:
                self.client.send(self._notification(event))

    def _drain(self) -> None:
        client = self.client
        if client is None or self._holding:
            return
        for notification in self.outbox.release():
            client.send(notification)
        while client.open and not client.paused and (batch := self.outbox.take()):
            client.send_report(client.encoder.encode(batch))

    def _notification(self, event: Element) -> Element:
        name = "UTCTimestamp" if self.profile.utc_clock else "Uptime"
        time = make(name, Microseconds=self.clock())
        return make("READER_EVENT_NOTIFICATION", make("ReaderEventNotificationData", time, event))
