"""What the reader's clock says, told in ours."""

from __future__ import annotations

#: Microseconds; how long a smallest delay stays good. A clock that drifts by 100 ppm moves 6 ms in it, and a reader
#: whose own clock was set back is followed after two of them.
WINDOW = 60_000_000
#: Microseconds; a reader's clock that seems to leap ahead by more than this is believed at the second arrival that says
#: so, because one damaged timestamp would otherwise shift every other for two windows.
LEAP = 1_000_000


class OffsetEstimate:
    """How far our monotonic clock is ahead of one clock of the reader.

    A message can only arrive after what it tells of, so arrival minus reader time is the offset plus a delay, and the
    smallest difference seen lately is the best estimate. All times in microseconds.
    """

    def __init__(self) -> None:
        self._opened = 0
        self._smallest: int | None = None
        self._previous: int | None = None
        self._suspect: int | None = None

    def observe(self, reader_time: int, monotonic: int) -> None:
        """Take one arrival into account: `reader_time` as told by the reader, `monotonic` as read here."""
        difference = monotonic - reader_time
        known = self.offset
        if known is not None and known - difference > LEAP:
            if self._suspect is None or abs(self._suspect - difference) > LEAP:
                self._suspect = difference
                return
            self._smallest = self._previous = None
        age = monotonic - self._opened
        if self._smallest is None or age > WINDOW:
            self._previous = self._smallest if age <= 2 * WINDOW else None
            self._smallest = difference
            self._opened = monotonic
        elif difference < self._smallest:
            self._smallest = difference

    @property
    def offset(self) -> int | None:
        """Microseconds to add to the reader's time to get our monotonic time; None before the first arrival."""
        if self._smallest is None or self._previous is None:
            return self._smallest
        return min(self._smallest, self._previous)


class ReaderClock:
    """Both clocks that a reader may stamp with: UTC, and microseconds since it started."""

    def __init__(self) -> None:
        self.utc = OffsetEstimate()
        self.uptime = OffsetEstimate()

    def restart(self) -> None:
        """Forget everything: the reader may have been restarted or set."""
        self.utc = OffsetEstimate()
        self.uptime = OffsetEstimate()

    def shift(self, uptime: bool, wall: int, monotonic: int) -> int | None:
        """Microseconds to add to a reader time to get our wall time; `wall` and `monotonic` are of one moment."""
        offset = (self.uptime if uptime else self.utc).offset
        return None if offset is None else offset + wall - monotonic
