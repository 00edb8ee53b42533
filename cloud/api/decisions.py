"""/api/v1: forecasts, recommendations, exceptions, inspections, and starting a decision cycle."""

from __future__ import annotations

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import select

from cloud.api.caller import Http, caller_of
from cloud.api.paging import PAGE, Cursor, Filter, Limit, StateFilter, answer, page_of
from cloud.cycle import CycleReport
from cloud.errors import NotFoundError
from cloud.ingest.judgement import judge
from cloud.inputs.masters import Id, Text
from cloud.recommendations.decide import Decision, decide
from cloud.recommendations.rows import RecommendationRow, find
from cloud.store import schema
from vocabulary.exception import ExceptionKind, ExceptionState
from vocabulary.wire import DecideException


class ForecastRow(msgspec.Struct, frozen=True):
    """A version of a forecast, without its fan."""

    site_id: str
    item: str
    version: str
    created_at: int
    origin_day: str
    demand_class: str
    latest: bool


class Forecasts(msgspec.Struct, frozen=True):
    """A page of forecasts in force."""

    items: list[ForecastRow]
    next: str


class ForecastDetail(msgspec.Struct, frozen=True):
    """A forecast with its fan and lead-time quantiles, as the cycle wrote it."""

    row: ForecastRow
    forecast: dict[str, object]


class RecommendationSummary(msgspec.Struct, frozen=True):
    """A proposal in a list; ask for it alone to read its reasons. Money in minor units, times in µs UTC."""

    site_id: str
    id: str
    kind: str
    state: str
    item: str
    partner: str
    quantity: int
    by_day: str
    cost_minor: int | None
    currency: str
    confidence: int
    document: str
    created_at: int
    changed_at: int
    expires_at: int | None
    decided_by: str
    reason: str


class Recommendations(msgspec.Struct, frozen=True):
    """A page of proposals, the newest first."""

    items: list[RecommendationSummary]
    next: str


class ExceptionRow(msgspec.Struct, frozen=True):
    """What needs a person's judgement. `origin`: gateway or cloud owns its state."""

    site_id: str
    kind: str
    subject: str
    state: str
    origin: str
    at: int
    opened_at: int
    text: str
    action: str
    value_minor: int | None
    currency: str
    owner: str
    due: int | None
    reason: str
    actor: str


class Exceptions(msgspec.Struct, frozen=True):
    """A page of exceptions."""

    items: list[ExceptionRow]
    next: str


class ExceptionDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision about one exception; a reason is due where it is decided."""

    site: Id
    kind: ExceptionKind
    subject: Text
    state: ExceptionState
    reason: Text = ""


class Sent(msgspec.Struct, frozen=True):
    """The id of the command that was sent to the gateway; "" where headquarters decided by itself."""

    command: str


@get("/forecasts", operation_id="list_forecasts")
async def list_forecasts(
    request: Http, site: Filter = "", item: Filter = "", cursor: Cursor = "", limit: Limit = PAGE
) -> Response[Forecasts]:
    """The forecasts in force."""
    caller, f = caller_of(request, "read"), schema.forecast
    query = select(*(f.c[name] for name in ForecastRow.__struct_fields__)).where(
        caller.principal.scope(f.c.site_id), f.c.latest
    )
    if site:
        query = query.where(f.c.site_id == site)
    if item:
        query = query.where(f.c.item == item)
    async with caller.reading() as conn:
        return answer(request, Forecasts(*await page_of(conn, query, list(f.primary_key), ForecastRow, cursor, limit)))


@get("/forecasts/{site:str}/{item:str}", operation_id="get_forecast")
async def get_forecast(request: Http, site: FromPath[str], item: FromPath[str]) -> ForecastDetail:
    """The forecast in force of one item at one site, with its fan."""
    caller, f = caller_of(request, "read", site), schema.forecast
    columns = [f.c[name] for name in ForecastRow.__struct_fields__]
    async with caller.reading() as conn:
        found = (
            await conn.execute(select(*columns, f.c.body).where(f.c.site_id == site, f.c.item == item, f.c.latest))
        ).first()
    if found is None:
        raise NotFoundError(f"there is no forecast of {item} at {site}; the next decision cycle makes one")
    body = msgspec.json.decode(found.body, type=dict[str, object])
    return ForecastDetail(ForecastRow(*tuple(found)[:-1]), body)


@get("/recommendations", operation_id="list_recommendations")
async def list_recommendations(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    state_: StateFilter = "",
    kind: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Recommendations]:
    """Proposals, the newest first."""
    caller, r = caller_of(request, "read"), schema.recommendation
    query = select(*(r.c[name] for name in RecommendationSummary.__struct_fields__)).where(
        caller.principal.scope(r.c.site_id)
    )
    for column, value in ((r.c.site_id, site), (r.c.item, item), (r.c.state, state_), (r.c.kind, kind)):
        if value:
            query = query.where(column == value)
    keys = [r.c.created_at, r.c.site_id, r.c.id]
    async with caller.reading() as conn:
        page = await page_of(conn, query, keys, RecommendationSummary, cursor, limit, newest_first=True)
    return answer(request, Recommendations(*page))


@get("/recommendations/{site:str}/{recommendation:str}", operation_id="get_recommendation")
async def get_recommendation(request: Http, site: FromPath[str], recommendation: FromPath[str]) -> RecommendationRow:
    """One proposal with its reasons and expected effect."""
    caller = caller_of(request, "read", site)
    async with caller.reading() as conn:
        return await find(conn, site, recommendation)


@post(
    "/recommendations/{site:str}/{recommendation:str}/decision", operation_id="decide_recommendation", status_code=200
)
async def decide_recommendation(
    request: Http, site: FromPath[str], recommendation: FromPath[str], data: JSONBody[Decision]
) -> RecommendationRow:
    """Accept, edit, reject or snooze a proposal; accepting a purchase opens its order."""
    caller = caller_of(request, "approve", site)
    async with caller.writing(site, "recommendations", "documents", "downlink") as conn:
        return await decide(conn, caller.services.runtime, caller.actor, site, recommendation, data)


@get("/exceptions", operation_id="list_exceptions")
async def list_exceptions(
    request: Http,
    site: Filter = "",
    kind: Filter = "",
    state_: StateFilter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Exceptions]:
    """What needs a person's judgement."""
    caller, e = caller_of(request, "read"), schema.exception
    query = select(*(e.c[name] for name in ExceptionRow.__struct_fields__)).where(caller.principal.scope(e.c.site_id))
    for column, value in ((e.c.site_id, site), (e.c.kind, kind), (e.c.state, state_)):
        if value:
            query = query.where(column == value)
    async with caller.reading() as conn:
        return answer(
            request, Exceptions(*await page_of(conn, query, list(e.primary_key), ExceptionRow, cursor, limit))
        )


@post("/exceptions/decision", operation_id="decide_exception", status_code=200)
async def decide_exception(request: Http, data: JSONBody[ExceptionDecision]) -> Sent:
    """Assign, snooze or decide an exception; the gateway that raised it is told by a command, its answer comes back."""
    caller = caller_of(request, "operate", data.site)
    decision = DecideException(data.kind, data.subject, data.state, data.reason, caller.actor)
    async with caller.writing(data.site, "exceptions", "downlink") as conn:
        command = await judge(conn, caller.services.runtime, data.site, decision)
    return Sent(command)


@post("/cycle", operation_id="start_cycle", status_code=200)
async def start_cycle(request: Http) -> CycleReport:
    """Forecast and decide now, for the whole network."""
    caller = caller_of(request, "plan", "")
    return await caller.services.cycle("request")


DECISIONS = [
    list_forecasts, get_forecast, list_recommendations, get_recommendation, decide_recommendation, list_exceptions,
    decide_exception, start_cycle,
]  # fmt: skip
