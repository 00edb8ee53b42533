"""Serving until a signal says stop: long polls are answered at once, so that a normal stop is quiet and quick."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn
from litestar import Litestar

from cloud.access.services import Services
from cloud.projections.changes import Changes

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
    await _Server(options, services.changes, serving).serve()


class _Server(uvicorn.Server):
    def __init__(self, options: uvicorn.Config, changes: Changes, serving: Callable[[int], None]) -> None:
        super().__init__(options)
        self._changes = changes
        self._serving = serving

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
        self._changes.close()
        await super().shutdown(sockets)
