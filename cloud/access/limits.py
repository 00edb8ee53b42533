"""Rate limits: one token bucket per caller and purpose, in memory, bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from cloud.errors import RateLimitedError
from runtime import Runtime

#: Callers remembered per limit; the one not seen longest is forgotten first (its bucket would be full by then).
CALLERS = 10_000


@dataclass(slots=True)
class RateLimit:
    """At most `burst` requests at once and `per_minute` in the long run, for each caller; `refused` counts the others."""

    runtime: Runtime
    per_minute: float
    burst: int
    refused: int = 0
    _buckets: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict[str, "tuple[float, int]"])

    def take(self, caller: str) -> None:
        """Count a request of `caller`. Raises RateLimitedError with the seconds to wait."""
        now = self.runtime.monotonic()
        tokens, at = self._buckets.pop(caller, (float(self.burst), now))
        tokens = min(float(self.burst), tokens + (now - at) * self.per_minute / 60_000_000)
        refused = tokens < 1
        self._buckets[caller] = (tokens if refused else tokens - 1, now)
        if len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        if refused:
            self.refused += 1
            wait = int((1 - tokens) * 60 / self.per_minute) + 1
            raise RateLimitedError(f"too many requests; try again in {wait} s", wait)
