"""The time that the whole gateway uses: the monotonic clock, set to the wall clock only when that can be believed.

A small computer without a battery boots in 1970, an operator sets a clock back, a time source lies for a while. So the wall
clock is believed only while something synchronises it and it stands behind the build date; between two looks time runs with
the monotonic clock alone, and nothing in the gateway meets a step that was not decided here. Rows that were recorded under a
time that turned out wrong get one `clock` record (see `gateway.health.timekeeping`).
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import msgspec

from runtime import Runtime
from runtime.system import Listener

#: Microseconds UTC (2026-01-01); no time before it can be true, whoever says so. Moved on with each release.
BUILD_US = 1_767_225_600_000_000
#: Seconds between two looks at the wall clock: drift of 500 ppm moves 1 ms in it.
LOOK_S = 2.0
#: Microseconds that the wall clock may differ at a look and still only be followed: NTP slews what is less.
STEP_US = 500_000
#: Microseconds for which a synchronised clock that was believed before must stand by a step. A source that errs is found
#: out in less, and what is recorded meanwhile is right by the monotonic clock or is corrected.
CONFIRM_US = 600_000_000


class KeptClock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a restart in the same boot must know: how far wall time is ahead of the monotonic clock (microseconds), whether
    that was ever and is now believed."""

    boot: str
    offset: int
    trusted: bool
    ever: bool


class _Doors:
    """A runtime's other methods, as they are."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def monotonic(self) -> int:
        return self._runtime.monotonic()

    def clock_synchronised(self) -> bool:
        return self._runtime.clock_synchronised()

    def boot_id(self) -> str:
        return self._runtime.boot_id()

    def random(self, name: str) -> random.Random:
        return self._runtime.random(name)

    def token_bytes(self, count: int) -> bytes:
        return self._runtime.token_bytes(count)

    def executor(self, name: str) -> Executor | None:
        return self._runtime.executor(name)

    async def connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, Any]:
        return await self._runtime.connect(protocol, host, port, tls)

    async def listen(self, protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Listener:
        return await self._runtime.listen(protocol, host, port)


class SiteClock(_Doors):
    """A Runtime whose `now` runs with the monotonic clock and steps only in `look`. Times in microseconds.

    `floor` is a time that has certainly passed; the first `look` tells whether the wall clock can be believed. `trusted`:
    the time is known to be right. `stepped` is the sum of all steps so far; `steady` is a Runtime whose `now` leaves them
    out, for what must not be torn by one. `always` believes the system's clock without asking what synchronises it. `kept`
    is what the last process of this boot knew.
    """

    def __init__(
        self, runtime: Runtime, floor: int = BUILD_US, always: bool = False, kept: KeptClock | None = None
    ) -> None:
        super().__init__(runtime)
        self.trusted = False
        #: whether it was ever trusted in this boot
        self.ever = False
        self.stepped = 0
        self.steady: Runtime = _Steady(self)
        self._always = always
        #: a step that is not believed yet: since when, and how large
        self._doubt: tuple[int, int] | None = None
        monotonic, wall = runtime.monotonic(), runtime.now()
        believed = self._believable(wall)
        self._offset = (wall if believed else max(wall, floor)) - monotonic
        if kept is not None and kept.boot == runtime.boot_id() != "":
            self.ever = kept.ever
            if not (believed and kept.trusted):  # the rows of that process stand on its timeline: go on with it
                self._offset = kept.offset

    def now(self) -> int:
        """Wall clock, microseconds UTC; moves with the monotonic clock, and steps only in `look`."""
        return self._offset + self._runtime.monotonic()

    def raise_floor(self, floor: int) -> None:
        """Time is at least `floor`, unless it is known to be right. Before anything is dated by this clock."""
        if not self.trusted and not self.ever:
            self._offset = max(self._offset, floor - self._runtime.monotonic())

    def look(self) -> int:
        """Look at the wall clock; returns the step that time made now, 0 for none."""
        monotonic, wall = self._runtime.monotonic(), self._runtime.now()
        if not self._believable(wall):
            self.trusted, self._doubt = False, None
            return 0
        ahead = wall - monotonic - self._offset
        if abs(ahead) <= STEP_US:
            self._believe(ahead)
            return 0
        if self.ever and not self._confirmed(monotonic, ahead):
            self.trusted = False
            return 0
        self._believe(ahead)
        self.stepped += ahead
        return ahead

    def kept(self) -> KeptClock:
        """What the next process of this boot must know."""
        return KeptClock(self._runtime.boot_id(), self._offset, self.trusted, self.ever)

    def _believable(self, wall: int) -> bool:
        return wall >= BUILD_US and (self._always or self._runtime.clock_synchronised())

    def _confirmed(self, monotonic: int, ahead: int) -> bool:
        """Whether the wall clock has stood by this step for long enough."""
        if self._doubt is None or abs(self._doubt[1] - ahead) > STEP_US:
            self._doubt = monotonic, ahead
        return monotonic - self._doubt[0] >= CONFIRM_US

    def _believe(self, ahead: int) -> None:
        self._offset += ahead
        self.trusted = self.ever = True
        self._doubt = None


class _Steady(_Doors):
    def __init__(self, clock: SiteClock) -> None:
        super().__init__(clock)
        self._clock = clock

    def now(self) -> int:
        return self._clock.now() - self._clock.stepped
