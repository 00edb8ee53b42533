"""The composition root: one application out of ingest, API and pages, ready for uvicorn or to be called in process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.access.http import Authentication
from cloud.access.services import make_services
from cloud.api.headers import security_headers
from cloud.api.metrics import Metrics, PushMeter, metrics_page
from cloud.api.problems import Problem, Problems
from cloud.api.routes import api_routes
from cloud.config import Config
from cloud.errors import CloudError
from cloud.forecasters import Forecaster, close, open_forecaster
from cloud.ingest.routes import GATEWAY_ROUTES, GatewayPaths
from cloud.interchange.sender import Sender
from cloud.interchange.webhook import Webhooks
from cloud.projections import neighbours
from cloud.projections.changes import Changes
from cloud.schedule import Schedule
from cloud.store.database import is_postgresql, open_engine
from cloud.store.migrate import check_version
from cloud.web.routes import error_page, page_routes, wants_page
from runtime import Runtime

#: Bytes of a request's body where no handler says less: the largest JSON a person or partner sends.
BODY_BYTES = 2 << 20

#: Allocations between two looks for garbage cycles. Records make none, and 1,000 of them are 10,000 objects: with
#: Python's 700 a third of ingest's time went into looking (measured by benchmarks/ingest.py).
COLLECT_AFTER = 100_000


AnyRequest = Request[Any, Any, Any]

_OPENAPI = OpenAPIConfig(
    title="Evercount headquarters",
    version="1",
    path="/api",
    render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
    security=[{"key": []}],
)


def settle_memory() -> None:
    """Keep what start-up made out of the garbage collector, and let it look less often; for a process that serves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def _for_both(answer: Callable[[AnyRequest, Any], Response[bytes]]) -> Callable[[AnyRequest, Any], Response[Any]]:
    """An exception handler outside the pages: `answer` is for programs, a browser gets the pages' error page."""

    def handler(request: AnyRequest, error: Exception) -> Response[Any]:
        told = answer(request, error)
        if not wants_page(request):
            return told
        problem = msgspec.json.decode(told.content, type=Problem)
        shown = error_page(request, problem.status, problem.detail)
        for name, value in told.headers.items():
            shown.set_header(name, value)
        return shown

    return handler


def _sender(config: Config, runtime: Runtime, engine: AsyncEngine, changes: Changes) -> Sender:
    webhooks = Webhooks(runtime, allow_private=config.purchasing.allow_private)
    return Sender(engine, runtime, changes, webhooks, config.server.public_url)


def build(
    config: Config, runtime: Runtime, engine: AsyncEngine | None = None, forecaster: Forecaster | None = None
) -> Litestar:
    """The application; call it within its lifespan. `engine` is closed by its giver, `forecaster` likewise.

    Without an engine the configured database is opened and closed here; without a forecaster the configured one works in
    processes of its own. Raises ConflictError at start when the database has another version than this program needs.
    """
    opened = engine or open_engine(config.database.url)
    worker = forecaster or open_forecaster(config.forecast)
    changes = Changes()
    schedule = Schedule(opened, runtime, worker, changes)
    services = make_services(config, opened, runtime, changes, schedule.run, schedule.begin)
    gateways = GatewayPaths(opened, runtime, changes, config.server.public_url)
    problems = Problems(runtime)
    metrics = Metrics(runtime, opened)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        await check_version(opened)
        tasks = [asyncio.ensure_future(_sender(config, runtime, opened, changes).keep_running())]
        if every_s := config.cycle.every_minutes * 60:
            tasks.append(asyncio.ensure_future(schedule.keep_running(every_s)))
        if is_postgresql(opened):  # several processes may serve one database
            tasks.append(asyncio.ensure_future(neighbours.follow(opened, runtime, changes)))
        try:
            yield
        finally:
            await schedule.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if forecaster is None:
                await close(worker)
            if engine is None:
                await opened.dispose()

    return Litestar(
        route_handlers=[*GATEWAY_ROUTES, metrics_page, *api_routes(), *page_routes()],
        middleware=[PushMeter(metrics), Authentication(opened, runtime, config.sessions)],
        exception_handlers={
            CloudError: _for_both(problems.known),
            HTTPException: _for_both(problems.framework),
            DBAPIError: _for_both(problems.database),
            NoConnectionError: _for_both(problems.busy),
            Exception: _for_both(problems.crash),
        },
        before_send=[security_headers],
        request_max_body_size=BODY_BYTES,
        state=State({"services": services, "gateways": gateways, "metrics": metrics}),
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=_OPENAPI,
    )
