"""From a device's configuration to its driver; a driver's module is imported only when a device needs it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.devices.driver import Driver
from gateway.devices.rfid.config import ReaderConfig
from gateway.errors import GatewayError
from gateway.observations.sighting import Sighting
from runtime import Runtime

#: What a device may be configured as; more kinds join this union.
DeviceConfig = ReaderConfig


class Decoder(Protocol):
    """The part of a driver that turns bytes into sightings without any I/O."""

    def connected(self) -> None:
        """A connection begins."""
        ...

    def feed(self, data: bytes, wall: int, monotonic: int) -> list[Sighting]:
        """The sightings that bytes, arrived at that moment (microseconds), complete."""
        ...

    def disconnected(self) -> None:
        """The connection is over."""
        ...


def open_driver(config: DeviceConfig, runtime: Runtime) -> Driver:
    """The driver of one configured device; it does nothing before it runs."""
    from gateway.devices.rfid.reader import RfidReader

    return RfidReader(config, runtime)


def kind_of(config: DeviceConfig) -> str:
    """The kind under which captures and pages name a device."""
    return "rfid"


def open_decoder(kind: str, config: bytes) -> Decoder:
    """The decoder for bytes of a device of `kind`, configured by the JSON of its configuration.

    Raises GatewayError when the kind is unknown or the configuration is none.
    """
    if kind != "rfid":
        raise GatewayError(f"devices of kind {kind!r} are unknown to this version; use a newer one")
    from gateway.devices.rfid.stream import ReaderStream

    try:
        return ReaderStream(msgspec.json.decode(config, type=ReaderConfig))
    except msgspec.DecodeError as error:
        raise GatewayError(f"the device's configuration cannot be read: {error}") from None
