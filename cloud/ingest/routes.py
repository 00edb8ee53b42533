"""The gateways' paths, as `vocabulary/wire.py` lists them. Each request but an enrolment is signed by the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import zstandard
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.access.limits import RateLimit
from cloud.errors import BadInputError, UnauthorizedError
from cloud.ingest import enrolment, opening
from cloud.ingest.advisory import store_advisory
from cloud.ingest.batch import epoch_of
from cloud.ingest.downlink import LONGEST_WAIT_S, Downlinks
from cloud.ingest.epochs import read_head
from cloud.ingest.receive import Receiver
from cloud.ingest.salvage import keep_rows
from cloud.ingest.signature import SignedRequest, verify
from cloud.projections.changes import Change, Changes
from cloud.store import schema
from cloud.store.database import reading, writing
from runtime import Runtime
from vocabulary.wire import BATCH_BYTES, Conflict, Enrolment

#: Enrolments of one address: a code has 128 bits, so this only spares the database.
ENROLMENTS_PER_MINUTE, ENROLMENT_BURST = 6, 10
#: Largest seq that a query may name.
MOST_SEQ = 1 << 53

_enrolment = msgspec.json.Decoder(Enrolment)
_encoder = msgspec.json.Encoder()
#: Type of bodies that travel as they are.
_JSON = "application/json"
_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway whose signature held."""

    id: str
    site_id: str
    revoked: bool


@dataclass
class GatewayPaths:
    """What the gateways' handlers share. `public_url` is what gateways sign where a proxy stands before the server."""

    engine: AsyncEngine
    runtime: Runtime
    changes: Changes
    public_url: str = ""

    def __post_init__(self) -> None:
        self.receiver = Receiver(self.engine, self.runtime, self.changes)
        self.downlinks = Downlinks(self.engine, self.changes, self.runtime)
        self.limit = RateLimit(self.runtime, ENROLMENTS_PER_MINUTE, ENROLMENT_BURST)

    async def authenticate(self, request: Request[Any, Any, Any], gateway: str, body: bytes = b"") -> Gateway:
        """Who signed the request. Raises UnauthorizedError."""
        async with reading(self.engine) as conn:
            known = await enrolment.enrolled_gateway(conn, gateway)
        if known is None:
            raise UnauthorizedError(f"gateway {gateway} is not enrolled here; enrol it with a code")
        site_id, key, revoked = known
        verify(
            SignedRequest(request.method, self._url(request), dict(request.headers)),
            body,
            gateway,
            key,
            self.runtime.now(),
        )
        return Gateway(gateway, site_id, revoked)

    def _url(self, request: Request[Any, Any, Any]) -> str:
        public = urlsplit(self.public_url)
        scheme = public.scheme or request.scope["scheme"]
        host = public.netloc or request.headers.get("host", "")
        path = request.scope["raw_path"].decode("ascii", "replace") or request.scope["path"]
        query = request.scope["query_string"].decode("ascii", "replace")
        return f"{scheme}://{host}{path}" + (f"?{query}" if query else "")

    async def seen(self, gateway: Gateway) -> None:
        """Note that a gateway spoke."""
        g = schema.gateway.c
        async with writing(self.engine) as conn:
            await conn.execute(
                update(schema.gateway)
                .where(g.site_id == gateway.site_id, g.id == gateway.id)
                .values(seen_at=self.runtime.now())
            )


def _json(content: object, status: int = 200) -> Response[bytes]:
    return Response(_encoder.encode(content), media_type=_JSON, status_code=status)


def _conflict(conflict: Conflict) -> Response[bytes]:
    return Response(_encoder.encode(conflict), media_type=_PROBLEM, status_code=conflict.status)


REVOKED = Conflict("revoked", "another gateway was enrolled in place of this one; it may not record any more", 409)


def _paths(request: Request[Any, Any, Any]) -> GatewayPaths:
    paths = request.app.state["gateways"]
    assert isinstance(paths, GatewayPaths)
    return paths


@post("/v1/enrolments", include_in_schema=False, request_max_body_size=10_000, status_code=200)
async def enrol(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A one-time code and a public key become a gateway."""
    paths = _paths(request)
    paths.limit.take(request.client.host if request.client else "")
    try:
        wanted = _enrolment.decode(await request.body())
    except msgspec.DecodeError as error:
        raise BadInputError(f"the enrolment cannot be read: {error}") from None
    async with writing(paths.engine) as conn:
        enrolled = await enrolment.enrol(conn, paths.runtime, wanted)
    paths.changes.publish(Change(enrolled.site, ("gateways", "downlink"), 0, paths.runtime.now()))
    return _json(enrolled)


@post(
    "/v1/gateways/{gateway:str}/ledger",
    include_in_schema=False,
    request_max_body_size=BATCH_BYTES,
    status_code=200,
)
async def push(request: Request[Any, Any, Any], gateway: FromPath[str]) -> Response[bytes]:
    """Rows of a ledger: stored once, or told why they do not fit."""
    paths = _paths(request)
    body = await request.body()
    signer = await paths.authenticate(request, gateway, body)
    if signer.revoked:
        return _conflict(REVOKED)
    answer = await paths.receiver.push(signer.id, signer.site_id, body)
    return _conflict(answer) if isinstance(answer, Conflict) else _json(answer)


@post(
    "/v1/gateways/{gateway:str}/salvaged",
    include_in_schema=False,
    request_max_body_size=BATCH_BYTES,
    status_code=200,
)
async def salvaged(request: Request[Any, Any, Any], gateway: FromPath[str]) -> Response[bytes]:
    """Rows of a dead card that this gateway found: kept once, without effect, or told why they do not fit."""
    paths = _paths(request)
    body = await request.body()
    signer = await paths.authenticate(request, gateway, body)
    if signer.revoked:
        return _conflict(REVOKED)
    answer, position = await keep_rows(paths.engine, paths.runtime, signer.id, signer.site_id, body)
    if isinstance(answer, Conflict):
        return _conflict(answer)
    paths.changes.publish(Change(signer.site_id, ("gateways",), position, paths.runtime.now()))
    return _json(answer)


@get("/v1/gateways/{gateway:str}/head", include_in_schema=False)
async def head(
    request: Request[Any, Any, Any],
    gateway: FromPath[str],
    epoch: Annotated[str, QueryParameter(max_length=19)],
    seq: Annotated[int | None, QueryParameter(ge=0, le=MOST_SEQ)] = None,
) -> Response[bytes]:
    """Where a branch stands here, and the hash at a row."""
    paths = _paths(request)
    signer = await paths.authenticate(request, gateway)
    async with reading(paths.engine) as conn:
        return _json(await read_head(conn, signer.site_id, epoch_of(epoch), seq))


@post(
    "/v1/gateways/{gateway:str}/advisory",
    include_in_schema=False,
    request_max_body_size=BATCH_BYTES,
    status_code=204,
)
async def advisory(request: Request[Any, Any, Any], gateway: FromPath[str]) -> None:
    """What a gateway holds, before its history arrives."""
    paths = _paths(request)
    body = await request.body()
    signer = await paths.authenticate(request, gateway, body)
    if signer.revoked:
        raise UnauthorizedError(REVOKED.title)
    async with writing(paths.engine, signer.site_id) as conn:
        whole = await store_advisory(conn, signer.site_id, body)
    if whole:
        paths.changes.publish(Change(signer.site_id, ("gateways",), 0, paths.runtime.now()))


@get("/v1/gateways/{gateway:str}/opening", include_in_schema=False)
async def opening_page(
    request: Request[Any, Any, Any],
    gateway: FromPath[str],
    page: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
    epoch: Annotated[str, QueryParameter(max_length=19)] = "",
) -> Response[bytes]:
    """What is held of the site, for a gateway that begins anew or lacks a part of the past."""
    paths = _paths(request)
    signer = await paths.authenticate(request, gateway)
    async with reading(paths.engine) as conn:
        return _json(await opening.read_page(conn, signer.site_id, page, epoch))


@get("/v1/gateways/{gateway:str}/downlink", include_in_schema=False)
async def downlink(
    request: Request[Any, Any, Any],
    gateway: FromPath[str],
    wait: Annotated[int, QueryParameter(ge=0, le=LONGEST_WAIT_S)] = 0,
) -> Response[bytes]:
    """All that the gateway is told, as soon as it changes."""
    paths = _paths(request)
    signer = await paths.authenticate(request, gateway)
    if signer.revoked:
        return _conflict(REVOKED)
    await paths.seen(signer)
    known = request.headers.get("if-none-match", "").strip().removeprefix("W/").strip('"')
    version, body = await paths.downlinks.poll(signer.site_id, known, wait)
    headers = {"etag": f'"{version}"', "cache-control": "no-cache"}
    if body is None:
        return Response(b"", media_type=_JSON, status_code=304, headers=headers)
    if "zstd" not in request.headers.get("accept-encoding", ""):
        return Response(zstandard.ZstdDecompressor().decompress(body), media_type=_JSON, headers=headers)
    return Response(body, media_type=_JSON, headers=headers | {"content-encoding": "zstd"})


#: The handlers of all gateway paths; they need `gateways`, a `GatewayPaths`, in the application's state.
GATEWAY_ROUTES: list[HTTPRouteHandler] = [enrol, push, salvaged, head, advisory, opening_page, downlink]
