"""What every device driver offers to the gateway, whatever it drives."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Protocol

import msgspec

from gateway.observations.sighting import Sighting

#: Called with the sightings of one chunk of bytes, in the order in which the device reported them; must not wait.
Deliver = Callable[[list[Sighting]], None]


class Moment(IntEnum):
    """What happens on a connection to a device, as a capture records it."""

    CONNECTED = 1
    RECEIVED = 2
    CLOSED = 3


#: Called with what happened, the bytes received (none for the others), wall clock and monotonic microseconds.
Tap = Callable[[Moment, bytes, int, int], None]


class DeviceState(StrEnum):
    """Where a driver is in its life; `DeviceStatus.reason` says why."""

    CONNECTING = "connecting"
    NEGOTIATING = "negotiating"
    READING = "reading"
    WAITING = "waiting"
    STOPPED = "stopped"


class AntennaStatus(msgspec.Struct, frozen=True):
    """One read point: `connected` is None until the device has said something about it."""

    read_point: str
    port: int
    zone: str
    connected: bool | None
    reads: int


class DeviceStatus(msgspec.Struct, frozen=True):
    """The health of one device now. Times are our monotonic microseconds.

    `errors` counts by kind since the gateway started; `pauses` how often the consumer was full and the device was held
    back; `clock_offset_us` is how far the device's clock is ahead of ours.
    """

    name: str
    kind: str
    state: DeviceState
    reason: str
    retry_at: int | None
    last_byte: int | None
    reads_total: int
    reads_per_second: float
    errors: dict[str, int]
    bytes_dropped: int
    pauses: int
    clock_offset_us: int | None
    model: str
    antennas: tuple[AntennaStatus, ...]


class Driver(Protocol):
    """One device. It never gives up and never raises for what the device or the network does."""

    #: Sees every byte before it is decoded; None while nobody captures.
    tap: Tap | None

    @property
    def name(self) -> str:
        """The device's name in the configuration."""
        ...

    @property
    def state(self) -> DeviceState:
        """Where the driver is now."""
        ...

    async def run(self, deliver: Deliver) -> None:
        """Connect, read and deliver until cancelled; reconnects for ever."""
        ...

    def status(self) -> DeviceStatus:
        """The device's health now."""
        ...

    def pause(self) -> None:
        """Stop taking bytes from the device, because the consumer is full; the device or the network holds them."""
        ...

    def resume(self) -> None:
        """Take bytes again."""
        ...
