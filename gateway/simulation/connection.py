"""One client's connection to an emulated reader: framing, sending, and the faults that live on the wire."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, Protocol, cast

from gateway.simulation.llrp.codec import HEADER, Element, encode_message
from gateway.simulation.tagreport import TagReportEncoder

#: Largest request taken, in bytes; the largest legitimate one (a ROSpec with many antennas) is far below.
MAX_REQUEST: Final = 1_000_000
#: Protocol versions of the header: 1 = LLRP 1.0.1, 2 = LLRP 1.1.
VERSIONS: Final = (1, 2)


class FrameSink(Protocol):
    """The reader behind a connection."""

    @property
    def recording(self) -> bool:
        """Whether anyone keeps the frames."""
        ...

    def connected(self, connection: Connection) -> None:
        """A client connected."""
        ...

    def received(self, connection: Connection, frame: bytes) -> None:
        """One whole frame arrived."""
        ...

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        ...

    def writable(self, connection: Connection) -> None:
        """The client takes bytes again."""
        ...

    def record(self, direction: Literal["sent", "received"], data: bytes) -> None:
        """A frame passed."""
        ...


class Connection(asyncio.Protocol):
    """Cuts the stream into frames. A length that cannot be closes the connection: nothing after it can be trusted."""

    def __init__(self, reader: FrameSink, encoder: TagReportEncoder) -> None:
        self._reader = reader
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._next_id = 1
        self.encoder = encoder
        self.version = 1
        self.paused = False
        self.silent = False
        self.cut_next = False

    @property
    def open(self) -> bool:
        """Whether bytes can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        self._transport = cast("asyncio.Transport", transport)
        self._reader.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's callback."""
        self._transport = None
        self._reader.lost(self)

    def pause_writing(self) -> None:
        """asyncio's callback: the client is slow."""
        self.paused = True

    def resume_writing(self) -> None:
        """asyncio's callback."""
        self.paused = False
        self._reader.writable(self)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        if self.silent:
            return
        self._data += data
        while len(self._data) >= HEADER.size and self.open:
            _, length, _ = HEADER.unpack_from(self._data)
            if not HEADER.size <= length <= MAX_REQUEST:
                self._data.clear()
                self.close()
                return
            if len(self._data) < length:
                return
            frame = bytes(self._data[:length])
            del self._data[:length]
            self._reader.record("received", frame)
            self._reader.received(self, frame)

    def send(self, body: Element, message_id: int | None = None, version: int | None = None) -> None:
        """Send one message; without an id it gets the connection's next one."""
        self.send_frame(encode_message(body, self._id(message_id), version or self.version))

    def send_report(self, parameters: bytes) -> None:
        """Send an RO_ACCESS_REPORT made of encoded parameters."""
        head = HEADER.pack(self.version << 10 | 61, HEADER.size + len(parameters), self._id(None))
        self.send_frame(head + parameters)

    def send_frame(self, frame: bytes) -> None:
        """Send bytes as they are; where a cut was ordered, half of them and then the end."""
        if self._transport is None or self._transport.is_closing() or self.silent:
            return
        if self.cut_next:
            self._transport.write(frame[: max(1, len(frame) // 2)])
            self._transport.close()
            return
        self._reader.record("sent", frame)
        self._transport.write(frame)

    def send_burst(self, frames: list[bytes]) -> None:
        """Send many frames in one write."""
        if self.cut_next or self.silent or self._transport is None or self._transport.is_closing():
            for frame in frames:
                self.send_frame(frame)
            return
        if self._reader.recording:
            for frame in frames:
                self._reader.record("sent", frame)
        self._transport.write(b"".join(frames))

    def close(self) -> None:
        """Close after what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _id(self, message_id: int | None) -> int:
        if message_id is not None:
            return message_id
        self._next_id = self._next_id % 0xFFFFFFFF + 1
        return self._next_id
