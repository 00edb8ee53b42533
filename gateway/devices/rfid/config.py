"""What a person writes about one RFID reader."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Intent(StrEnum):
    """What a reader is for; the ROSpec follows from it."""

    PORTAL = "portal"
    ZONE = "zone"
    SHELF = "shelf"


class AntennaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One antenna of a reader."""

    port: int
    """Number printed beside the connector; 1 is the first."""

    zone: str
    """What the antenna looks at, such as `inside`, `outside` or the name of a place."""

    power_dbm: float | None = None
    """Lower it where the antenna sees too far; unset takes the highest power that the reader offers in its region."""


class ReaderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One RFID reader that speaks LLRP."""

    name: str
    """How people call it; read points are named after it. Changing it makes it another reader."""

    host: str
    """Address or host name of the reader."""

    intent: Intent
    """`portal` for a door, `zone` for an area, `shelf` for a smart shelf."""

    antennas: tuple[AntennaConfig, ...]
    """Every connected antenna; what is not listed is not used."""

    port: int = 5084
    """Change it where the reader listens elsewhere; 5085 is usual with TLS."""

    tls: bool = False
    """Turn it on where the reader offers LLRP over TLS."""

    certificate: str | None = None
    """PEM file of the reader's own certificate, or of the authority that signed it, which readers rarely bring along."""

    keepalive_s: float = 10.0
    """Lower it to notice a dead cable sooner (after two and a half of it), at the price of traffic."""

    channels_mhz: tuple[float, ...] = ()
    """Name some of the region's channels to keep neighbouring doors apart; not possible where readers must hop."""

    def __post_init__(self) -> None:
        ports = [antenna.port for antenna in self.antennas]
        if not self.name or not self.host:
            raise ValueError("a reader needs a name and a host")
        if not ports:
            raise ValueError("antennas: a reader needs at least one antenna; add one with its port and zone")
        if len(set(ports)) != len(ports):
            raise ValueError("antennas: the same port is listed twice; give each antenna its own port")
        if min(ports) < 1:
            raise ValueError("antennas: ports count from 1; correct the port")
        if not 1 <= self.port <= 65535:
            raise ValueError("port: write a number from 1 to 65535")
        if not 1 <= self.keepalive_s <= 60:
            raise ValueError("keepalive_s: write 1 to 60 seconds")
        if self.certificate is not None and not self.tls:
            raise ValueError("certificate: is only used with tls = true; set it or remove the certificate")
