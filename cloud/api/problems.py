"""Everything that goes wrong is answered by an RFC 9457 problem document: a type, a title, one sentence of detail."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from sqlalchemy.exc import DBAPIError, OperationalError

from cloud.errors import (
    BadInputError,
    BadRowsError,
    BusyError,
    CloudError,
    ConflictError,
    DeniedError,
    NotFoundError,
    RateLimitedError,
    TooLargeError,
    UnauthorizedError,
)
from cloud.store.database import sqlstate
from runtime import Runtime
from vocabulary.wire import TIME_HEADER

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("cloud.api")

#: Error -> (status, type, title). The first that fits is taken.
_PROBLEMS: tuple[tuple[type[CloudError], int, str, str], ...] = (
    (BadInputError, 400, "bad-input", "The request cannot be used as it is"),
    (NotFoundError, 404, "not-found", "There is no such thing here"),
    (ConflictError, 409, "conflict", "The present state does not allow this"),
    (DeniedError, 403, "denied", "This is not allowed"),
    (UnauthorizedError, 401, "unauthorized", "The caller is not known"),
    (TooLargeError, 413, "too-large", "The request is too large"),
    (RateLimitedError, 429, "too-many-requests", "Too many requests"),
    (BusyError, 503, "busy", "The server is busy"),
)
#: PostgreSQL's classes of errors that pass: connection, rollback for others' sake, resources, locks, operator.
_PASSING = ("08", "40", "53", "55", "57")
#: PostgreSQL's codes for text that it cannot hold.
_UNTEXT = frozenset({"22021", "22P05"})
_TITLES = {status: (name, title) for _, status, name, title in _PROBLEMS} | {
    405: ("method-not-allowed", "This method is not offered here"),
    422: ("bad-rows", "Rows of the file are wrong"),
    500: ("internal", "Something went wrong here"),
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document. `fields` names each field that is wrong, and why; of
    several rows with its `line`."""

    type: str
    title: str
    status: int
    detail: str = ""
    fields: tuple[dict[str, str], ...] = ()


def problem(status: int, detail: str, headers: dict[str, str] | None = None, fields: Any = ()) -> Response[bytes]:
    """The problem document for `status`."""
    name, title = _TITLES.get(status, ("about:blank", "The request cannot be answered"))
    body = msgspec.json.encode(Problem(name, title, status, detail, tuple(fields)))
    return Response(body, status_code=status, media_type="application/problem+json", headers=headers or {})


class Problems:
    """Exception handlers for the application."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def known(self, _: Request[Any, Any, Any], error: CloudError) -> Response[bytes]:
        """One of our own errors."""
        status = next((status for kind, status, _, _ in _PROBLEMS if isinstance(error, kind)), 500)
        headers: dict[str, str] = {}
        if status == 401:
            headers[TIME_HEADER] = str(self._runtime.now())
            headers["www-authenticate"] = "Bearer"
        if isinstance(error, BusyError):
            headers["retry-after"] = str(error.retry_after)
        rows = error.rows if isinstance(error, BadRowsError) else ()
        fields = [{"line": str(row.line), "field": row.field, "message": row.text} for row in rows]
        return problem(status, str(error), headers, fields)

    def framework(self, request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
        """An error of the framework: no such path, a parameter out of bounds."""
        fields: list[dict[str, str]] = []
        if isinstance(error, ValidationException) and isinstance(error.extra, list):
            named = cast("list[dict[str, object]]", error.extra)
            fields = [{"field": str(one.get("key", "")), "message": str(one.get("message", ""))} for one in named]
        headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        nowhere = isinstance(error, NotFoundException)
        detail = f"nothing answers at {request.url.path}" if nowhere else error.detail
        return problem(error.status_code, detail, headers, fields)

    def database(self, request: Request[Any, Any, Any], error: DBAPIError) -> Response[bytes]:
        """What the database refused: because it was busy or away, because of a text that it cannot hold, or by our fault."""
        state = sqlstate(error)
        if isinstance(error, OperationalError) or error.connection_invalidated or state.startswith(_PASSING):
            return self.busy(request, error)
        if state in _UNTEXT:
            return problem(400, "a text in the request holds the character U+0000; leave it out")
        return self.crash(request, error)

    def busy(self, _: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The database is locked by another process, or away: the sender tries again."""
        _log.warning("database.unavailable", error=str(getattr(error, "orig", None) or error))
        return problem(503, "the database cannot be reached just now; try again", {"retry-after": "5"})

    def crash(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """A fault of ours: logged whole, told in one sentence."""
        _log.error("request.crashed", path=request.url.path, method=request.method, exc_info=error)
        return problem(500, "this is a fault of the server; it is logged with the time of this request")
