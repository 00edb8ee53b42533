"""Serving until a signal says stop: long polls are answered at once, so that a normal stop is quiet and quick.

The service manager hears when it listens, that it lives, and when it stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator

import structlog
import uvicorn
from litestar import Litestar
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.access.services import Services
from cloud.projections.changes import Changes
from cloud.store.database import reading
from runtime.notify import Notify, Watchdog

#: Seconds that open requests may take when the server stops.
STOP_S = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve_until_stopped(app: Litestar, host: str, port: int, serving: Callable[[int], None]) -> None:
    """Serve `app`, built by `cloud.app`, until SIGINT or SIGTERM; `serving` is told the port once it answers there."""
    services = app.state["services"]
    assert isinstance(services, Services)
    options = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # addresses for rate limits are the peer's; the public name stands in public_url
        timeout_graceful_shutdown=STOP_S,
    )
    notify = Notify.from_environment()

    def ready(bound: int) -> None:
        notify.ready(f"serving http://{host}:{bound}")
        serving(bound)

    watching = asyncio.create_task(_watchdog(notify, services.engine).run(), name="watchdog")
    try:
        await _Server(options, services.changes, ready, notify.stopping).serve()
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def _watchdog(notify: Notify, engine: AsyncEngine) -> Watchdog:
    """Signs of life: the loop turns, and the database answers. That it is away is an answer, and no reason to restart."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("watchdog")
    told = "serving"

    async def database() -> str:
        nonlocal told
        try:
            async with reading(engine) as conn:
                await conn.execute(text("SELECT 1"))
            told = "serving"
        except PoolTimeout:
            return "no connection to the database becomes free"
        except (SQLAlchemyError, OSError) as error:
            told = f"serving, but the database is away: {getattr(error, 'orig', None) or error}"
        return ""

    watchdog = Watchdog(notify, lambda: told, lambda why: log.error("no sign of life is given any more", reason=why))
    watchdog.watch("the database", database)
    return watchdog


class _Server(uvicorn.Server):
    def __init__(
        self,
        options: uvicorn.Config,
        changes: Changes,
        serving: Callable[[int], None],
        stopping: Callable[[], None],
    ) -> None:
        super().__init__(options)
        self._changes = changes
        self._serving = serving
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """A signal is the normal way to stop: it is not raised again, so that the exit status is 0."""
        loop = asyncio.get_running_loop()
        for one in _SIGNALS:
            loop.add_signal_handler(one, self.handle_exit, one, None)
        try:
            yield
        finally:
            for one in _SIGNALS:
                loop.remove_signal_handler(one)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as ever, and tell."""
        await super().startup(sockets)
        if self.started:
            self._serving(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the long polls, then stop as ever."""
        self._stopping()
        self._changes.close()
        await super().shutdown(sockets)
