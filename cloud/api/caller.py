"""Who calls the API, what they may do, and the database on their behalf."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from litestar import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.http import principal_of
from cloud.access.principal import Permission, Principal
from cloud.access.services import Services, services_of
from cloud.errors import BadInputError
from cloud.projections.changes import Change
from cloud.store.database import reading, writing

Http = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller. `now`: microseconds UTC, the same for the whole request."""

    principal: Principal
    services: Services
    now: int

    @property
    def actor(self) -> str:
        """As the audit log names them."""
        return self.principal.actor

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that sees one snapshot."""
        return reading(self.services.engine)

    @asynccontextmanager
    async def writing(self, site_id: str, *kinds: str) -> AsyncGenerator[AsyncConnection, None]:
        """One transaction; after its commit everybody who waits is told that `kinds` changed at `site_id` ("" = everywhere)."""
        async with writing(self.services.engine, site_id) as conn:
            yield conn
        self.services.changes.publish(Change(site_id, kinds, 0, self.services.runtime.now()))


def caller_of(
    request: Http, permission: Permission, site_id: str | None = None, body: Sequence[str] = ("application/json",)
) -> Caller:
    """The caller, who may do that at `site_id` ("" = network-wide, None = at some site); `body` are the content types taken.

    Raises UnauthorizedError, RateLimitedError, DeniedError, NotFoundError (a site that the caller may not know of).
    """
    principal, services = principal_of(request), services_of(request)
    services.requests.take(principal.actor)
    if site_id is not None:
        principal.require(permission, site_id)
    elif not principal.may_somewhere(permission):
        principal.require(permission, "")
    if request.method in ("POST", "PUT") and not request.headers.get("content-type", "").startswith(tuple(body)):
        raise BadInputError(f"send the body as {' or '.join(body)}")
    return Caller(principal, services, services.runtime.now())
