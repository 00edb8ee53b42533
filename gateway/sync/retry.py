"""How long to wait before the next try: longer each time, and never in step with other gateways."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from random import Random

#: First and longest ceiling of a wait after a network error, seconds: a link that comes back is used within 30 s.
FIRST_S, LONGEST_S = 1.0, 30.0
#: Longest ceiling after a server said that it is in trouble, seconds: with full jitter one request per 30 s on average.
SERVER_LONGEST_S = 60.0


class Backoff:
    """Full jitter: each wait is drawn from 0 to a ceiling that doubles with each failure in a row."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.failures = 0

    def wait_s(self, longest_s: float = LONGEST_S) -> float:
        """Seconds to wait after one more failure."""
        return self._random.uniform(0.0, self._ceiling_s(longest_s))

    def after(self, retry_after: str | None, now: int) -> float:
        """Seconds to wait when the server said when to come back (RFC 9110 Retry-After): never sooner, spread behind it."""
        asked = _seconds(retry_after, now)
        return asked + self._random.uniform(0.0, max(asked, self._ceiling_s(SERVER_LONGEST_S)))

    def _ceiling_s(self, longest_s: float) -> float:
        ceiling = min(longest_s, FIRST_S * 2 ** min(self.failures, 16))
        self.failures += 1
        return ceiling

    def worked(self) -> None:
        """A request worked: the next failure is the first again."""
        self.failures = 0


def _seconds(text: str | None, now: int) -> float:
    """Retry-After in seconds: a number or a date; 0 where it is absent or unreadable. `now` in microseconds UTC."""
    if not text:
        return 0.0
    if text.strip().isdigit():
        return min(float(text), 3_600.0)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now / 1_000_000), 3_600.0)
    except ValueError:
        return 0.0
