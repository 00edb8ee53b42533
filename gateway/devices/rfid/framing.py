"""Cuts a reader's byte stream into LLRP messages by the length in each header."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from gateway.devices.rfid.errors import FramingError

#: Header of every message: 3 reserved bits, 3 bits version, 10 bits type; length in bytes; message id (LLRP 1.1, 17.1).
HEADER = Struct("!HII")
#: Bytes; no message is shorter than its own header.
MIN_LENGTH = HEADER.size
#: Bytes; the longest answers seen (capabilities, a flushed report buffer) stay far below, a wrong length rarely does.
MAX_LENGTH = 4 * 1024 * 1024
#: Protocol versions with this header: 1 is LLRP 1.0.1, 2 is LLRP 1.1.
VERSIONS = (1, 2)


class Frame(NamedTuple):
    """One message: its type, its id, and the bytes after the header."""

    type: int
    id: int
    version: int
    body: bytes


class Framer:
    """Collects chunks of any size and hands out whole messages.

    `handle` is called with each message in order. `shortcut(data, position, end)`, when given, is asked first: it may
    take whole messages off the front by itself and returns the position behind them. A header that cannot be one sets
    `fault`: from then on the stream is lost and everything is refused.
    """

    __slots__ = ("_buffer", "_handle", "_needed", "_shortcut", "fault")

    def __init__(
        self, handle: Callable[[Frame], None], shortcut: Callable[[bytes, int, int], int] | None = None
    ) -> None:
        self._handle = handle
        self._shortcut = shortcut
        self._buffer = bytearray()
        self._needed = MIN_LENGTH
        self.fault: FramingError | None = None

    @property
    def pending(self) -> int:
        """Bytes of a message that has not arrived whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Hand out the messages that `data` completes; those before a fault are still handed out."""
        if self.fault is not None:
            return
        buffer = self._buffer
        if buffer:
            buffer += data
            # Waiting for the whole of a long message before looking again keeps its collection linear.
            if len(buffer) < self._needed:
                return
            data = bytes(buffer)
            buffer.clear()
        position, end = 0, len(data)
        self._needed = MIN_LENGTH
        while end - position >= MIN_LENGTH:
            if self._shortcut is not None:
                position = self._shortcut(data, position, end)
                if end - position < MIN_LENGTH:
                    break
            head, length, message_id = HEADER.unpack_from(data, position)
            if head >> 10 not in VERSIONS or not MIN_LENGTH <= length <= MAX_LENGTH:
                self.fault = _fault(data[position:], head, length)
                return
            if end - position < length:
                self._needed = length
                break
            self._handle(Frame(head & 0x3FF, message_id, head >> 10, data[position + MIN_LENGTH : position + length]))
            position += length
        if position < end:
            buffer += data[position:]


def _fault(rest: bytes, head: int, length: int) -> FramingError:
    shown = rest[:16]
    if rest[:4] in (b"HTTP", b"RTSP", b"SSH-") or (
        len(shown) > 10 and shown.isascii() and shown.decode().isprintable()
    ):
        reason = f"the peer does not speak LLRP (it sent {shown.decode('ascii', 'replace')!r}); check host and port"
    elif head >> 10 not in VERSIONS:
        reason = f"a message header has the impossible version {head >> 10}"
    else:
        reason = f"a message header has the impossible length {length}"
    return FramingError(f"{reason}; {len(rest)} bytes dropped", len(rest))
