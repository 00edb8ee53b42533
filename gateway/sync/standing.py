"""Whether this gateway may record: not any more once headquarters has enrolled another one in its place.

The readers belong to the other one then: most accept one client only, and a passage recorded by two boxes is a passage too
many. It is kept on disk, so that a revoked box that starts without a link stays quiet; an accepted request ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway.sync.identity import write_whole


class Standing:
    """What headquarters last said of this gateway; `folder` is where the key is."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "revoked"
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("standing")
        self.revoked = self._path.exists()
        self._in_service, self._out_of_service = asyncio.Event(), asyncio.Event()
        self._tell()

    def told(self, revoked: bool) -> None:
        """Headquarters said that this gateway is revoked, or accepted what it sent."""
        if revoked == self.revoked:
            return
        self.revoked = revoked
        self._tell()
        self._log.error("revoked: readers are let go" if revoked else "in service again")
        try:
            if revoked:
                write_whole(self._path, b"headquarters enrolled another gateway in place of this one\n")
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:  # it is asked again after the next start
            self._log.error("the disk did not keep it", error=str(error))

    def _tell(self) -> None:
        on, off = self._in_service, self._out_of_service
        if self.revoked:
            on, off = off, on
        off.clear()
        on.set()

    async def while_in_service(self, run: Callable[[], Awaitable[None]]) -> None:
        """Keep `run` running while this gateway may record. Raises what `run` raises; ends when it does."""
        while True:
            await self._in_service.wait()
            running = asyncio.ensure_future(run())
            leaving = asyncio.ensure_future(self._out_of_service.wait())
            try:
                await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    return await running
            finally:
                for task in (running, leaving):
                    task.cancel()
                await asyncio.gather(running, leaving, return_exceptions=True)
