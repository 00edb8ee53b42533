"""Headquarters' configuration: one frozen struct per section of its TOML file; unknown keys are refused."""

from __future__ import annotations

import msgspec


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where people and gateways reach it. `public_url` is what stands before a proxy, scheme and host."""

    #: loopback unless somebody decides otherwise: there may be no TLS proxy yet
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port} is not between 0 and 65535; choose a free one such as 8080")
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise ValueError("public_url must begin with https:// (or http://); write it as people type it")


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One URL: `sqlite:///evercount.db` (relative to the working directory) or `postgresql://user:password@host/name`."""

    url: str = "sqlite:///evercount-cloud.db"

    def __post_init__(self) -> None:
        if not self.url.startswith(("sqlite:///", "sqlite+aiosqlite:///", "postgresql://", "postgresql+asyncpg://")):
            raise ValueError(
                "url must begin with sqlite:/// or postgresql://; for example sqlite:///evercount-cloud.db"
            )


class Sessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a person stays signed in."""

    #: hours without a request after which a session ends: a working day
    idle_hours: int = 12
    #: hours after which it ends in any case: a working week
    longest_hours: int = 120

    def __post_init__(self) -> None:
        if self.idle_hours < 1 or self.longest_hours < self.idle_hours:
            raise ValueError("idle_hours must be at least 1 and longest_hours at least idle_hours")


class Cycle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When headquarters forecasts and decides by itself."""

    #: minutes between two cycles; 0 = only on request
    every_minutes: int = 60

    def __post_init__(self) -> None:
        if self.every_minutes < 0:
            raise ValueError("every_minutes must not be negative; 0 switches the schedule off")


class Forecasting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where forecasts are made."""

    #: worker processes; 0 = one for each core but one, at least one
    workers: int = 0
    #: a Ray cluster instead: "auto" (the one that runs on this machine), "local" (one for this process) or ray://HOST:PORT
    ray: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= 256:
            raise ValueError(f"workers {self.workers} is not between 0 and 256; 0 takes what the machine has")
        if self.ray not in ("", "auto", "local") and not self.ray.startswith("ray://"):
            raise ValueError(
                'ray must be "auto", "local" or ray://HOST:PORT; leave it out for processes of this machine'
            )


class Purchasing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How purchase orders go out to suppliers."""

    #: orders may go to private and loopback addresses, to the latter without TLS too; off, so that no supplier's address
    #: can reach what stands behind the firewall
    allow_private: bool = False
    #: a TrueType file for the PDF's letters that DejaVu Sans lacks (Chinese, Japanese, Korean, Indic); "" = none
    font: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    server: Server = Server()
    database: Database = Database()
    sessions: Sessions = Sessions()
    cycle: Cycle = Cycle()
    forecast: Forecasting = Forecasting()
    purchasing: Purchasing = Purchasing()
