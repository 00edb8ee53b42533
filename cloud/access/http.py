"""Requests of people and programs: who they are, and that a browser was not tricked into sending them."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.access import accounts
from cloud.access.principal import Principal
from cloud.config import Sessions
from cloud.errors import DeniedError, UnauthorizedError
from cloud.store.database import reading, writing
from runtime import Runtime

#: Cookie of a session. No "__Host-" prefix: it would not work on plain HTTP at loopback, where everybody starts.
COOKIE = "evercount_session"
#: Where an unsafe request with a cookie carries its CSRF token: this header, or this field of a form.
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf_token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Authentication(ASGIMiddleware):
    """Puts the `Principal`, or None, into `scope["user"]`; a request with a bad key or CSRF token goes no further."""

    engine: AsyncEngine
    runtime: Runtime
    sessions: Sessions

    scopes = (ScopeType.HTTP,)
    exclude_path_pattern = ("^/v1/", "^/static/")

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Find out who asks."""
        request: Request[Any, Any, Any] = Request(scope, receive=receive, send=send)
        scope["user"] = None
        scope["auth"] = None
        if (header := request.headers.get("authorization")) is not None:
            scope["user"] = await self._by_key(header)
        elif (token := request.cookies.get(COOKIE)) is not None and (
            found := await self._by_session(token)
        ) is not None:
            if request.method not in _SAFE:
                await _check_csrf(request, found)
            scope["user"] = found
            scope["auth"] = token
        await next_app(scope, receive, send)

    async def _by_key(self, header: str) -> Principal:
        scheme, _, key = header.partition(" ")
        principal = None
        if scheme.lower() == "bearer" and key.startswith(accounts.KEY_PREFIX):
            async with reading(self.engine) as conn:
                principal = await accounts.by_key(conn, key.strip())
        if principal is None:
            raise UnauthorizedError("the API key is unknown or revoked; send Authorization: Bearer evk_...")
        return principal

    async def _by_session(self, token: str) -> Principal | None:
        now = self.runtime.now()
        async with reading(self.engine) as conn:
            found = await accounts.by_session(conn, token, now, self.sessions)
        if found is None:
            return None
        if found.note:
            async with writing(self.engine) as conn:
                await accounts.note_session(conn, token, now)
        return found.principal


async def _check_csrf(request: Request[Any, Any, Any], principal: Principal) -> None:
    sent = request.headers.get(CSRF_HEADER, "")
    kind = request.headers.get("content-type", "")
    if not sent and kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        sent = str((await request.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(sent.encode(), principal.csrf.encode()):
        raise DeniedError(
            f"the form has expired or came from elsewhere; reload the page ({CSRF_HEADER} does not match)"
        )


def session_cookie(token: str, *, secure: bool) -> Cookie:
    """The cookie of a session: not for scripts, not sent by other sites' forms; `secure` where HTTPS is spoken."""
    return Cookie(key=COOKIE, value=token, path="/", httponly=True, samesite="lax", secure=secure)


def ended_cookie(*, secure: bool) -> Cookie:
    """The cookie that takes a session's cookie away."""
    return Cookie(key=COOKIE, value="", path="/", httponly=True, samesite="lax", secure=secure, max_age=0)


def principal_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """Who asks. Raises UnauthorizedError for nobody."""
    user: object = cast("dict[str, object]", connection.scope).get("user")
    if not isinstance(user, Principal):
        raise UnauthorizedError("sign in, or send an API key: Authorization: Bearer evk_...")
    return user
