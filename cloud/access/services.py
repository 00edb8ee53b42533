"""What the handlers of API and pages share, and how they find it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.access.limits import RateLimit
from cloud.access.passwords import Passwords
from cloud.config import Config
from cloud.projections.changes import Changes
from runtime import Runtime

#: Sign-ins of one address: people mistype, programs do not need to.
SIGN_INS_PER_MINUTE, SIGN_IN_BURST = 6, 10
#: API requests of one caller: a partner's program that polls a few lists, with room.
REQUESTS_PER_MINUTE, REQUEST_BURST = 600, 200


@dataclass(frozen=True, slots=True)
class Services:
    """It stands in `app.state["services"]`."""

    config: Config
    engine: AsyncEngine
    runtime: Runtime
    changes: Changes
    passwords: Passwords
    sign_ins: RateLimit
    requests: RateLimit
    #: runs a decision cycle for a reason (schedule, request, demo) and returns its report
    cycle: Callable[[str], Awaitable[Any]]
    #: starts one and waits for a moment; whether it was done by then
    begin_cycle: Callable[[str], Awaitable[bool]]


def make_services(
    config: Config,
    engine: AsyncEngine,
    runtime: Runtime,
    changes: Changes,
    cycle: Callable[[str], Awaitable[Any]],
    begin_cycle: Callable[[str], Awaitable[bool]],
) -> Services:
    """The services of one application."""
    return Services(
        config,
        engine,
        runtime,
        changes,
        Passwords(runtime),
        RateLimit(runtime, SIGN_INS_PER_MINUTE, SIGN_IN_BURST),
        RateLimit(runtime, REQUESTS_PER_MINUTE, REQUEST_BURST),
        cycle,
        begin_cycle,
    )


def services_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Services:
    """The services of the application that answers this request."""
    services = connection.app.state["services"]
    assert isinstance(services, Services)
    return services
