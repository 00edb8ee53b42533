"""Every frame that passed on the wire, for people who debug and for outside dissectors."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple


class Frame(NamedTuple):
    """One frame. `at` in microseconds UTC; `direction` as seen by the emulated reader."""

    at: int
    reader: str
    direction: Literal["sent", "received"]
    data: bytes


class Recorder:
    """Keeps the newest `limit` frames and counts those it let go."""

    def __init__(self, limit: int = 10_000) -> None:
        self._frames: deque[Frame] = deque(maxlen=limit)
        self.dropped = 0

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames kept, oldest first."""
        return tuple(self._frames)

    def record(self, frame: Frame) -> None:
        """Keep one frame."""
        if len(self._frames) == self._frames.maxlen:
            self.dropped += 1
        self._frames.append(frame)

    def hexdump(self) -> str:
        """The frames as `text2pcap` reads them, one packet each."""
        lines: list[str] = []
        for frame in self._frames:
            for start in range(0, len(frame.data), 16):
                lines.append(f"{start:06x} {frame.data[start : start + 16].hex(' ')}")
            lines.append("")
        return "\n".join(lines)
