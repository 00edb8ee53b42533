"""The wall clock and the event loop that follows it, at real speed or faster."""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

#: Environment variable that every process of a demo shares.
VARIABLE = "EVERCOUNT_CLOCK"


@dataclass(frozen=True, slots=True)
class Clock:
    """A wall clock that stood at `start_us` when the system's clock stood at `origin_us`, running `factor` times as fast.

    All processes that share start, origin and factor agree on the time. Units: microseconds UTC.
    """

    start_us: int
    origin_us: int
    factor: float

    def now(self) -> int:
        """The present time in microseconds UTC."""
        real_us = time.time_ns() // 1_000
        return self.start_us + int((real_us - self.origin_us) * self.factor)


SYSTEM_CLOCK = Clock(start_us=0, origin_us=0, factor=1.0)


def clock_from_environment(environment: Mapping[str, str] = os.environ) -> Clock:
    """The clock that EVERCOUNT_CLOCK asks for: `start,factor` or `start,factor,origin` (ISO times); the system's without it.

    Raises ValueError with one sentence when the variable cannot be read.
    """
    text = environment.get(VARIABLE)
    if not text:
        return SYSTEM_CLOCK
    parts = text.split(",")
    try:
        start = _microseconds(parts[0])
        factor = float(parts[1])
        origin = _microseconds(parts[2]) if len(parts) > 2 else time.time_ns() // 1_000
    except (ValueError, IndexError):
        raise ValueError(
            f"{VARIABLE}={text!r} is not start,factor; write for example 2026-01-05T06:00:00+00:00,10"
        ) from None
    if not 0 < factor <= 1_000:
        raise ValueError(f"{VARIABLE}: the factor {factor} is not between 0 and 1000")
    return Clock(start, origin, factor)


def _microseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


class _PacedSelector(selectors.DefaultSelector):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
    """Waits `factor` times shorter than it is asked to, because the loop's seconds are that much shorter."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self._factor if timeout else timeout)


class _PacedLoop(asyncio.SelectorEventLoop):
    def __init__(self, factor: float) -> None:
        super().__init__(_PacedSelector(factor))
        self._factor = factor

    def time(self) -> float:
        return super().time() * self._factor


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of a process: its timers run at the pace of the clock in the environment."""
    factor = clock_from_environment().factor
    return asyncio.new_event_loop() if factor == 1.0 else _PacedLoop(factor)
