"""The gateway's configuration: one TOML file, one frozen struct per section, unknown keys refused.

Devices and network are owned here; items, places, documents and thresholds come from headquarters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from gateway.devices.rfid.config import ReaderConfig
from gateway.observations.portal import DoorConfig
from runtime.toml import ConfigError, line_of, load


class LedgerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the site's facts are kept."""

    folder: str = "var"
    """Folder of the ledger, the gateway's key and the last downlink, relative to this file; on a disk that lasts."""


class CloudConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Headquarters. Without this section the gateway works alone."""

    url: str
    """Address of headquarters as its certificate names it; http:// only for an address of this machine."""

    def __post_init__(self) -> None:
        local = self.url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))
        if not self.url.startswith("https://") and not local:
            raise ValueError("url must begin with https:// (http:// is accepted for 127.0.0.1 only); write https://")


class StationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page for the site's own people."""

    host: str = "127.0.0.1"
    """Address to listen on; leave it on loopback unless a proxy with a sign-in stands before it."""
    port: int = 8500
    """Port to listen on; 0 takes a free one."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port} is not between 0 and 65535; choose a free one such as 8500")


class ClockConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the system's clock is believed."""

    trusted: Literal["system", "always"] = "system"
    """"system": while the kernel says that it is synchronised; "always" where the host keeps it right unseen."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    ledger: LedgerConfig = LedgerConfig()
    cloud: CloudConfig | None = None
    station: StationConfig = StationConfig()
    clock: ClockConfig = ClockConfig()
    reader: tuple[ReaderConfig, ...] = ()
    door: tuple[DoorConfig, ...] = ()


def load_config(path: Path) -> Config:
    """The configuration in the file at `path`, its folder made absolute. Raises runtime.toml.ConfigError."""
    config = load(path, Config)
    text = path.read_text(encoding="utf-8")
    for where, complaint in _contradictions(config):
        named = ".".join(f"{step}" if isinstance(step, str) else f"[{step + 1}]" for step in where).replace(".[", "[")
        raise ConfigError(f"{path}:{line_of(text, where)}: {named} {complaint}")
    folder = (path.parent / config.ledger.folder).resolve()
    return msgspec.structs.replace(config, ledger=LedgerConfig(folder=str(folder)))


def _contradictions(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What no single section can know: names given twice, read points that no reader has."""
    for section, names in (
        ("reader", [reader.name for reader in config.reader]),
        ("door", [door.name for door in config.door]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                yield (section, index, "name"), f'"{name}" is given twice; give each {section} a name of its own'
    known = [f"{reader.name}/{antenna.port}" for reader in config.reader for antenna in reader.antennas]
    taken: dict[str, str] = {}
    for index, door in enumerate(config.door):
        for side, points in (("inside", door.inside), ("outside", door.outside)):
            where = ("door", index, side)
            if not points:
                yield where, "is empty; name at least one read point such as reader/1"
            for point in points:
                if point not in known:
                    yield where, f'names "{point}", which no reader has; known: {", ".join(known) or "none"}'
                if point in taken:
                    yield where, f'names "{point}", which door {taken[point]} has already; an antenna looks at one side'
                taken[point] = door.name
