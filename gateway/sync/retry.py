"""How long to wait before the next try: longer each time, and never in step with other gateways."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random

#: First and longest ceiling of a wait after a network error, seconds: a link that comes back is used within 30 s.
FIRST_S, LONGEST_S = 1.0, 30.0
#: Longest ceiling after a server said that it is in trouble, seconds: with full jitter one request per 45 s on average.
SERVER_LONGEST_S = 90.0
#: Longest wait that a server may ask for, seconds: a date decades ahead must not silence a gateway.
ASKED_LONGEST_S = 3_600.0


class Backoff:
    """Full jitter: each wait is drawn from 0 to a ceiling that doubles with each failure in a row."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.failures = 0

    def wait_s(self, longest_s: float = LONGEST_S) -> float:
        """Seconds to wait after one more failure."""
        return self._random.uniform(0.0, self._ceiling_s(longest_s))

    def after(self, headers: Mapping[str, str], now: int) -> float:
        """Seconds to wait when a server turned us away: never sooner than its Retry-After, spread behind it.

        `headers` of the answer, names in lower case; `now` in microseconds UTC where the answer has no Date.
        """
        asked = _asked_s(headers.get("retry-after", ""), headers.get("date", ""), now)
        return asked + self._random.uniform(0.0, max(asked, self._ceiling_s(SERVER_LONGEST_S)))

    def _ceiling_s(self, longest_s: float) -> float:
        ceiling = min(longest_s, FIRST_S * 2 ** min(self.failures, 16))
        self.failures += 1
        return ceiling

    def worked(self) -> None:
        """A request worked: the next failure is the first again."""
        self.failures = 0


def _asked_s(text: str, sent: str, now: int) -> float:
    """Retry-After (RFC 9110) in seconds: a number, or a date, which counts from the server's own Date; 0 where unreadable."""
    if text.strip().isdigit():
        return min(float(text), ASKED_LONGEST_S)
    until = _date_s(text)
    if until is None:
        return 0.0
    from_ = _date_s(sent)
    return min(max(0.0, until - (now / 1_000_000 if from_ is None else from_)), ASKED_LONGEST_S)


def _date_s(text: str) -> float | None:
    """An HTTP date in seconds UTC; None where it is none."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
