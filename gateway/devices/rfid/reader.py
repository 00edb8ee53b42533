"""The driver of one LLRP reader: connect, negotiate, read; and again, for ever."""

from __future__ import annotations

import asyncio

from gateway.devices.driver import AntennaStatus, Deliver, DeviceState, DeviceStatus, Tap
from gateway.devices.rfid import messages
from gateway.devices.rfid.capabilities import Capabilities
from gateway.devices.rfid.config import ReaderConfig
from gateway.devices.rfid.connection import CONNECT_TIMEOUT, STEADY, Backoff, closed_early, explain, tls_context
from gateway.devices.rfid.errors import DamagedMessageError, LlrpError, RefusedByReaderError
from gateway.devices.rfid.events import ATTEMPTS, Event, antennas_connected
from gateway.devices.rfid.protocol import LlrpProtocol
from gateway.devices.rfid.rospec import build
from gateway.devices.rfid.standard import Message
from gateway.devices.rfid.stream import ReaderStream
from gateway.observations.sighting import Sighting
from runtime import Runtime

#: The one ROSpec that we run; a reader starts with none, and all are deleted before.
ROSPEC_ID = 1
#: Microseconds over which the read rate is taken: long enough to be steady, short enough to see a pallet.
RATE_WINDOW = 5_000_000
#: Read points whose reads are counted; a reader has at most 64 antennas, more appear only in a damaged stream.
MAX_READ_POINTS = 256


class RfidReader:
    """Driver of one LLRP reader; see `gateway.devices.driver.Driver`.

    A `tap` that is set while connected sees the next connection.
    """

    def __init__(self, config: ReaderConfig, runtime: Runtime) -> None:
        self.config = config
        self.tap: Tap | None = None
        self._runtime = runtime
        self._stream = ReaderStream(config)
        self._stream.on_event = self._event
        self._backoff = Backoff(runtime.random(f"rfid/{config.name}/backoff"))
        self._state = DeviceState.STOPPED
        self._reason = "not started"
        self._retry_at: int | None = None
        self._protocol: LlrpProtocol | None = None
        self._attempt: asyncio.Future[Event] | None = None
        self._capabilities: Capabilities | None = None
        self._knows_versions = True
        self._rospec_runs = False
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._pauses = 0
        self._deliver: Deliver | None = None
        self._reads: dict[str, int] = {f"{config.name}/{antenna.port}": 0 for antenna in config.antennas}
        self._reads_total = 0
        self._rate_opened = 0
        self._rate_count = 0
        self._rate = 0.0
        self._connected_antennas: dict[int, bool] = {}

    @property
    def name(self) -> str:
        """The reader's name in the configuration."""
        return self.config.name

    @property
    def state(self) -> DeviceState:
        """Where the driver is now."""
        return self._state

    async def run(self, deliver: Deliver) -> None:
        """Read until cancelled. Whatever the reader or the network does ends in another attempt, never in an error."""
        self._deliver = deliver
        try:
            while True:
                await self._unpaused.wait()
                self._enter(DeviceState.CONNECTING, f"calling {self.config.host}:{self.config.port}")
                began = self._runtime.monotonic()
                try:
                    reason = await self._converse()
                except (LlrpError, OSError, TimeoutError) as error:
                    reason = explain(self.config, error)
                    if isinstance(error, RefusedByReaderError):
                        self._stream.errors["refused"] += 1
                if self._runtime.monotonic() - began > STEADY * 1_000_000:
                    self._backoff.succeeded()
                wait = self._backoff.next_wait()
                self._retry_at = self._runtime.monotonic() + int(wait * 1_000_000)
                self._enter(DeviceState.WAITING, reason)
                await asyncio.sleep(wait)
                self._retry_at = None
        finally:
            self._retry_at = None
            self._enter(DeviceState.STOPPED, "stopped")

    def pause(self) -> None:
        """Hold the reader back, because the consumer is full: TCP makes it keep its reports."""
        if self._unpaused.is_set():
            self._pauses += 1
            self._unpaused.clear()
            if self._protocol is not None:
                self._protocol.pause()

    def resume(self) -> None:
        """Take reports again."""
        if not self._unpaused.is_set():
            self._unpaused.set()
            if self._protocol is not None:
                self._protocol.resume()

    async def set_output(self, port: int, on: bool) -> None:
        """Switch a general purpose output, such as a stack light. Raises LlrpError when it cannot be done now."""
        if self._protocol is None or self._state != DeviceState.READING:
            raise LlrpError(f"{self.name}: the output was not switched, the reader is {self._state}")
        outputs = self._capabilities.gpos if self._capabilities is not None else 0
        if not 1 <= port <= outputs:
            raise LlrpError(f"{self.name}: output {port} does not exist, the reader has {outputs}; correct the port")
        await self._protocol.request(messages.set_output(port, on))

    def status(self) -> DeviceStatus:
        """The reader's health now."""
        now = self._runtime.monotonic()
        self._roll_rate(now)
        shift = self._stream.clock.shift(False, self._runtime.now(), now)
        return DeviceStatus(
            name=self.name,
            kind="rfid",
            state=self._state,
            reason=self._reason,
            retry_at=self._retry_at,
            last_byte=self._protocol.last_byte if self._protocol is not None else None,
            reads_total=self._reads_total,
            reads_per_second=self._rate,
            errors=dict(self._stream.errors),
            bytes_dropped=self._stream.bytes_dropped,
            pauses=self._pauses,
            clock_offset_us=None if shift is None else -shift,
            model=self._capabilities.product if self._capabilities is not None else "",
            antennas=tuple(
                AntennaStatus(
                    read_point=f"{self.name}/{antenna.port}",
                    port=antenna.port,
                    zone=antenna.zone,
                    connected=self._connected_antennas.get(antenna.port),
                    reads=self._reads[f"{self.name}/{antenna.port}"],
                )
                for antenna in self.config.antennas
            ),
        )

    def _enter(self, state: DeviceState, reason: str) -> None:
        self._state = state
        self._reason = reason

    async def _converse(self) -> str:
        """One connection from its first byte to its last; returns why it ended."""
        context = tls_context(self.config)
        self._attempt = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, protocol = await self._runtime.connect(self._make_protocol, self.config.host, self.config.port, context)
        assert isinstance(protocol, LlrpProtocol)
        self._protocol = protocol
        self._rospec_runs = False
        try:
            self._enter(DeviceState.NEGOTIATING, "waiting for the reader's greeting")
            if not await self._greeted(protocol, self._attempt):
                return closed_early(self.config)
            await self._negotiate(protocol)
            self._enter(DeviceState.READING, "")
            if not self._unpaused.is_set():
                protocol.pause()
            ended = await asyncio.shield(protocol.closed)
            return str(ended) if ended is not None else "the reader closed the connection"
        except asyncio.CancelledError:
            await self._goodbye(protocol)
            raise
        finally:
            self._protocol = None
            protocol.abort()
            # The old connection must have let go of the stream before the next one takes it.
            await asyncio.wait([protocol.closed], timeout=1.0)

    def _make_protocol(self) -> LlrpProtocol:
        return LlrpProtocol(self._runtime, self._stream, self._received, self.config.keepalive_s, self.tap)

    async def _greeted(self, protocol: LlrpProtocol, attempt: asyncio.Future[Event]) -> bool:
        """Wait for the reader's ConnectionAttemptEvent; False when it closed without one. Raises LlrpError."""
        await asyncio.wait([attempt, protocol.closed], timeout=CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if attempt.done():
            code = int(attempt.result().values["status"])
            if code != 0:
                self._stream.errors["connection_refused"] += 1
                why = ATTEMPTS.get(code, f"connection status {code}")
                raise LlrpError(f"{self.config.host} refuses us: {why}; disconnect it or wait until it has left")
            return True
        if protocol.closed.done():
            reason = protocol.closed.result()
            if reason is not None:
                raise reason
            return False
        raise LlrpError(
            f"{self.config.host}:{self.config.port} accepts the connection but sends no LLRP greeting; "
            "check that it is a reader and that the port is right"
        )

    async def _negotiate(self, protocol: LlrpProtocol) -> None:
        """Bring the reader from its greeting to reading with our ROSpec. Raises LlrpError."""
        self._enter(DeviceState.NEGOTIATING, "asking what the reader can do")
        await self._agree_on_version(protocol)
        offered = messages.capabilities(await protocol.request(messages.get_capabilities()))
        self._capabilities = offered
        rospec = build(self.config, offered, protocol.version, ROSPEC_ID)
        self._enter(DeviceState.NEGOTIATING, "configuring the reader")
        if offered.is_impinj:
            await protocol.request(messages.enable_impinj_extensions())
        keepalive_ms = int(self.config.keepalive_s * 1000)
        await protocol.request(messages.set_reader_config(keepalive_ms, offered.can_hold_reports))
        # Before the old ROSpec goes: what the reader held back while we were away belongs to it.
        protocol.send(messages.enable_events_and_reports())
        await protocol.request(messages.rospec_command(Message.DELETE_ROSPEC, 0))
        await protocol.request(messages.add_rospec(rospec))
        await protocol.request(messages.rospec_command(Message.ENABLE_ROSPEC, ROSPEC_ID))
        await protocol.request(messages.rospec_command(Message.START_ROSPEC, ROSPEC_ID))
        try:
            self._antennas(antennas_connected((await protocol.request(messages.get_antennas())).body))
        except (RefusedByReaderError, DamagedMessageError):
            return  # Many readers do not know; the reads will show it.

    async def _agree_on_version(self, protocol: LlrpProtocol) -> None:
        """Speak LLRP 1.1 where the reader does; the question is of 1.1 itself, an older reader answers with an error."""
        if not self._knows_versions:
            return
        protocol.version = 2
        try:
            offered = messages.supported_version(await protocol.request(messages.get_supported_version()))
            if offered >= 2:
                await protocol.request(messages.set_protocol_version(2))
                return
        except (RefusedByReaderError, DamagedMessageError):
            pass
        except LlrpError:
            # It fell silent or hung up over the question: never ask this reader again.
            self._knows_versions = False
            raise
        protocol.version = 1

    async def _goodbye(self, protocol: LlrpProtocol) -> None:
        """Let the reader know that we leave; it must not cost the shutdown more than a moment."""
        if protocol.closed.done() or self._state != DeviceState.READING:
            return
        try:
            async with asyncio.timeout(1.0):
                await protocol.request(messages.close_connection())
        except (LlrpError, TimeoutError):
            return

    def _received(self, sightings: list[Sighting]) -> None:
        reads = self._reads
        for sighting in sightings:
            point = sighting.read_point
            if point in reads or len(reads) < MAX_READ_POINTS:
                reads[point] = reads.get(point, 0) + 1
        self._reads_total += len(sightings)
        self._roll_rate(sightings[0].monotonic)
        self._rate_count += len(sightings)
        if self._deliver is not None:
            self._deliver(sightings)

    def _roll_rate(self, now: int) -> None:
        passed = now - self._rate_opened
        if passed >= RATE_WINDOW:
            # A window that ended long ago says nothing about now.
            self._rate = self._rate_count * 1_000_000 / passed if passed < 2 * RATE_WINDOW else 0.0
            self._rate_opened, self._rate_count = now, 0

    def _event(self, event: Event) -> None:
        if event.name == "ConnectionAttemptEvent":
            if self._attempt is not None and not self._attempt.done():
                self._attempt.set_result(event)
            else:
                self._stream.errors["other_client_tried"] += 1
        elif event.name == "AntennaEvent":
            self._antennas({int(event.values["antenna"]): event.values["connected"] == 1})
        elif event.name == "ReportBufferOverflowErrorEvent":
            self._stream.errors["reader_lost_reports"] += 1
        elif event.name == "ReaderExceptionEvent":
            self._stream.errors["reader_exception"] += 1
        elif event.name == "ROSpecEvent" and event.values["rospec"] == ROSPEC_ID:
            self._rospec_changed(int(event.values["change"]))
        elif event.name == "ConnectionCloseEvent" and self._protocol is not None:
            self._protocol.abort(LlrpError("the reader says that it closes the connection"))

    def _antennas(self, connected: dict[int, bool]) -> None:
        for antenna in self.config.antennas:
            if antenna.port in connected:
                self._connected_antennas[antenna.port] = connected[antenna.port]

    def _rospec_changed(self, change: int) -> None:
        """Change 0 is a start; an end while we read means that the reader stopped by itself or was told to by others."""
        if change == 0:
            self._rospec_runs = True
        elif self._rospec_runs and self._state == DeviceState.READING and self._protocol is not None:
            self._stream.errors["rospec_ended"] += 1
            self._protocol.abort(LlrpError("the reader ended the ROSpec; it is set up again"))
