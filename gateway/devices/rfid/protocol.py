"""One connection to one reader: bytes in, requests out, and the alarm that rings when the line falls silent."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.devices.driver import Deliver, Moment, Tap
from gateway.devices.rfid.errors import DamagedMessageError, LlrpError, RefusedByReaderError
from gateway.devices.rfid.events import status
from gateway.devices.rfid.framing import Frame
from gateway.devices.rfid.messages import Request, status_start
from gateway.devices.rfid.standard import Message
from gateway.devices.rfid.stream import ReaderStream
from runtime import Runtime

#: Seconds; readers answer in milliseconds, the slowest known (a ROSpec on a busy reader) in two.
RESPONSE_TIMEOUT = 5.0
#: Keepalive intervals without any byte after which the line counts as dead: two may be lost, the third is late by half.
SILENCE = 2.5
#: Requests that wait for their answer; our conversation has one at a time.
MAX_PENDING = 16
#: Bytes; a reader that sends but does not read gets no more answers than this.
MAX_UNSENT = 64 * 1024


class LlrpProtocol(asyncio.Protocol):
    """Speaks LLRP over one transport; made anew for every connection.

    `closed` is resolved when the connection is over, with the reason or None when we closed it.
    """

    def __init__(
        self, runtime: Runtime, stream: ReaderStream, deliver: Deliver, keepalive_s: float, tap: Tap | None = None
    ) -> None:
        self._runtime = runtime
        self._stream = stream
        self._deliver = deliver
        self._silence_us = int(keepalive_s * SILENCE * 1_000_000)
        self._tap = tap
        self._transport: asyncio.Transport | None = None
        self._pending: dict[int, asyncio.Future[Frame]] = {}
        self._next_id = 1
        self._alarm: asyncio.TimerHandle | None = None
        self._paused = False
        self._resumed_at = 0
        self._reason: LlrpError | None = None
        self.closed: asyncio.Future[LlrpError | None] = asyncio.get_running_loop().create_future()
        #: LLRP version of what we send: 1 is LLRP 1.0.1, 2 is LLRP 1.1.
        self.version = 1
        #: Monotonic microseconds of the last byte; of the connection before the first.
        self.last_byte = runtime.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        self.last_byte = self._runtime.monotonic()
        self._stream.connected()
        self._stream.on_control = self._control
        if self._tap is not None:
            self._tap(Moment.CONNECTED, b"", self._runtime.now(), self.last_byte)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what arrived."""
        wall, now = self._runtime.now(), self._runtime.monotonic()
        self.last_byte = now
        if self._tap is not None:
            self._tap(Moment.RECEIVED, data, wall, now)
        sightings = self._stream.feed(data, wall, now)
        if sightings:
            self._deliver(sightings)
        if self._stream.fault is not None:
            self.abort(self._stream.fault)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop when the connection is over, for whatever reason."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._tap is not None:
            self._tap(Moment.CLOSED, b"", self._runtime.now(), self._runtime.monotonic())
        self._stream.on_control = None
        self._stream.disconnected()
        reason = self._reason or (LlrpError(f"the connection broke: {exc}") if exc else None)
        for future in self._pending.values():
            if not future.done():
                future.set_exception(reason or LlrpError("the reader closed the connection"))
        self._pending.clear()
        if not self.closed.done():
            self.closed.set_result(reason)

    def abort(self, reason: LlrpError | None = None) -> None:
        """Drop the connection at once; `closed` is resolved in the loop's next round."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading: TCP holds the reader back. Silence is no alarm until `resume`."""
        if self._transport is not None and not self._paused:
            self._transport.pause_reading()
        self._paused = True

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and self._paused:
            self._transport.resume_reading()
        self._paused = False
        self.last_byte = self._resumed_at = self._runtime.monotonic()

    def send(self, request: Request) -> int:
        """Send a message and do not wait; returns its id."""
        message_id = self._next_id
        self._next_id = self._next_id % 0xFFFFFFFF + 1
        self._write(request.encode(message_id, self.version))
        return message_id

    async def request(self, request: Request) -> Frame:
        """Send a request and wait for the answer with its id.

        Raises RefusedByReaderError when its status is an error, LlrpError when none comes within 5 s or the
        connection ends before.
        """
        name = Message(request.type).name
        if len(self._pending) >= MAX_PENDING:
            raise LlrpError(f"{name} was not sent: {MAX_PENDING} requests wait for their answers already")
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        message_id = self.send(request)
        self._pending[message_id] = future
        try:
            frame = await self._answer(future, name)
        finally:
            self._pending.pop(message_id, None)
        if frame.type not in (request.answer, Message.ERROR_MESSAGE):
            raise LlrpError(f"the reader answered {name} with a message of type {frame.type}")
        try:
            told = status(frame.body, status_start(frame.type))
        except DamagedMessageError:
            self._stream.errors["damaged_message"] += 1
            raise
        if told is None and frame.type == Message.ERROR_MESSAGE:
            raise RefusedByReaderError(f"the reader refused {name} and did not say why")
        if told is not None and told.code != 0:
            raise RefusedByReaderError(f"the reader refused {name}: {told}")
        return frame

    async def _answer(self, future: asyncio.Future[Frame], name: str) -> Frame:
        """Wait for an answer; the time in which we ourselves do not read is not the reader's."""
        asked_at = self._runtime.monotonic()
        while not future.done():
            left = RESPONSE_TIMEOUT
            if not self._paused:
                left -= (self._runtime.monotonic() - max(asked_at, self._resumed_at)) / 1_000_000
            if left <= 0:
                self._stream.errors["no_answer"] += 1
                raise LlrpError(f"the reader did not answer {name} within {RESPONSE_TIMEOUT:g} s")
            await asyncio.wait([future], timeout=left)
        return future.result()

    def _control(self, frame: Frame) -> None:
        if frame.type == Message.KEEPALIVE:
            self._write(Request(Message.KEEPALIVE_ACK, b"", None).encode(frame.id, self.version))
            return
        future = self._pending.get(frame.id)
        if future is None and frame.type == Message.ERROR_MESSAGE and len(self._pending) == 1:
            # A reader that could not read our header does not know our id either.
            future = next(iter(self._pending.values()))
        if future is not None and not future.done():
            future.set_result(frame)
        else:
            self._stream.errors["unexpected_message"] += 1

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self._stream.errors["reader_does_not_read"] += 1
            return
        transport.write(data)

    def _watch(self) -> None:
        """Ring when nothing came for too long, else look again at the earliest moment it could be so."""
        loop = asyncio.get_running_loop()
        left = self.last_byte + self._silence_us - self._runtime.monotonic()
        if self._paused:
            left = self._silence_us
        if left <= 0:
            self._stream.errors["silence"] += 1
            self.abort(
                LlrpError(f"nothing was received for {self._silence_us / 1e6:g} s; check cable, switch and power")
            )
            return
        self._alarm = loop.call_later(left / 1_000_000, self._watch)
