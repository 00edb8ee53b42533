"""The page that people at the site look at: passages, what needs judgement, last movements, devices. Read only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import msgspec
from litestar import Litestar, Response, get
from litestar.datastructures import ResponseHeader
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig

from vocabulary.wire import DeviceStatus

_HERE = Path(__file__).parent
_MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

#: Rows of each table on the page; the whole stands in the ledger and at headquarters.
ROWS = 25


class SiteView(msgspec.Struct, frozen=True):
    """The head of the page: who this is, how far the ledger is, and whether headquarters hears us."""

    name: str
    gateway: str
    seq: int
    waiting: int
    cloud: str
    online: bool
    clock_trusted: bool
    #: what is wrong with the ledger or its disk, a sentence each
    trouble: tuple[str, ...] = ()


class PassageView(msgspec.Struct, frozen=True):
    """One tag at a door now, with the evidence so far."""

    door: str
    tag: str
    outside: int
    inside: int
    strongest: str
    moving: str
    verdict: str


class MovementView(msgspec.Struct, frozen=True):
    """One row of the ledger, in words."""

    seq: int
    at: str
    kind: str
    goods: str
    source: str
    target: str
    document: str
    evidence: str
    digest: str


class ExceptionView(msgspec.Struct, frozen=True):
    """One open exception."""

    at: str
    text: str
    action: str


class StationView(msgspec.Struct, frozen=True):
    """All that the page shows, taken at one moment."""

    site: SiteView
    passages: tuple[PassageView, ...]
    more: int
    exceptions: tuple[ExceptionView, ...]
    movements: tuple[MovementView, ...]
    devices: tuple[DeviceStatus, ...]


class StationSource(Protocol):
    """Where the page's facts come from."""

    async def view(self) -> StationView:
        """What the page shows now."""
        ...

    def evidence(self, digest: str) -> bytes | None:
        """What the rule saw when it decided a movement, as JSON; None where it is no longer kept."""
        ...

    def metrics(self) -> bytes:
        """The same as figures for Prometheus."""
        ...


def build(source: StationSource) -> Litestar:
    """The station's web application over `source`."""
    files = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir()) if path.suffix in _MEDIA}

    async def fields() -> dict[str, Any]:
        view = await source.view()
        return {name: getattr(view, name) for name in view.__struct_fields__}

    @get("/")
    async def station() -> Template:
        return Template("station.html", context=await fields())

    @get("/live")
    async def live() -> Template:
        return Template("live.html", context=await fields())

    @get("/static/{name:str}")
    async def static(name: FromPath[str]) -> Response[bytes]:
        if name not in files:
            raise NotFoundException(f"there is no file {name}")
        return Response(files[name], media_type=_MEDIA[Path(name).suffix], headers={"cache-control": "max-age=3600"})

    @get("/evidence/{digest:str}")
    async def evidence(digest: FromPath[str]) -> Response[bytes]:
        found = source.evidence(digest)
        if found is None:
            raise NotFoundException("this evidence is not kept any more")
        return Response(found, media_type="application/json")

    @get("/metrics")
    async def metrics() -> Response[bytes]:
        return Response(source.metrics(), media_type="text/plain; version=0.0.4")

    return Litestar(
        route_handlers=[station, live, static, evidence, metrics],
        template_config=TemplateConfig(directory=_HERE / "templates", engine=JinjaTemplateEngine),
        response_headers=[
            ResponseHeader(
                name="content-security-policy",
                value="default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
                "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ResponseHeader(name="x-content-type-options", value="nosniff"),
            ResponseHeader(name="referrer-policy", value="no-referrer"),
        ],
        openapi_config=None,
        logging_config=None,
    )
