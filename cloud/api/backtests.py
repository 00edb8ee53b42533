"""/api/v1: how good the forecasts would have been on a site's own demand."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from cloud.api.caller import Http, caller_of
from cloud.api.paging import Filter
from cloud.errors import BadInputError, NotFoundError
from cloud.inputs.masters import Id
from cloud.replay.backtest import Backtest
from cloud.replay.site_backtest import begin_backtest, kept_backtest, read_task
from cloud.replay.studies import Study, last, listing, stop, studies_of


class BacktestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site whose forecasts are measured."""

    site: Id


class BacktestAnswer(msgspec.Struct, frozen=True):
    """A finished backtest of a site (times in µs UTC), of `items` items with demand."""

    site: str
    started_at: int
    made_at: int
    settings: str
    items: int
    backtest: Backtest


class BacktestRuns(msgspec.Struct, frozen=True):
    """The backtests of a site, the latest first."""

    items: list[Study]


def _named(site: str) -> str:
    if not site:
        raise BadInputError("site: name one")
    return site


@get("/backtests", operation_id="get_backtest")
async def get_backtest(request: Http, site: Filter = "", started_at: int | None = None) -> BacktestAnswer:
    """The latest finished backtest of a site, or the one that began at `started_at`; start one with POST."""
    caller = caller_of(request, "read", _named(site))
    async with caller.reading() as conn:
        found = await kept_backtest(conn, site, caller.now, started_at)
    if found is None:
        raise NotFoundError(f"no backtest of site {site} is there; POST /api/v1/backtests starts one")
    study, kept = found
    made = study.finished_at or study.started_at
    return BacktestAnswer(site, study.started_at, made, study.text, kept.items, kept.backtest)


@get("/backtests/runs", operation_id="list_backtests")
async def list_backtests(request: Http, site: Filter = "") -> BacktestRuns:
    """The backtests of a site: running, done and failed, with settings and progress."""
    caller = caller_of(request, "read", _named(site))
    async with caller.reading() as conn:
        return BacktestRuns(await listing(conn, site, "backtest", caller.now))


@post("/backtests", operation_id="start_backtest", status_code=202)
async def start_backtest(request: Http, data: JSONBody[BacktestRequest]) -> Study:
    """Measure the forecasts of a site at past origins beside other models; answers at once, and GET
    /api/v1/backtests/runs tells how far it is.
    """
    caller = caller_of(request, "plan", data.site)
    async with caller.reading() as conn:
        task, items = await read_task(conn, data.site, caller.now)
    started = await begin_backtest(studies_of(request), data.site, caller.actor, task, items)
    async with caller.reading() as conn:
        study = await last(conn, data.site, "backtest", caller.now, started_at=started)
    assert study is not None
    return study


@post("/backtests/stop", operation_id="stop_backtest", status_code=202)
async def stop_backtest(request: Http, data: JSONBody[BacktestRequest]) -> BacktestRuns:
    """Ask the running backtest of a site to stop."""
    caller = caller_of(request, "plan", data.site)
    async with caller.writing(data.site, "backtest") as conn:
        await stop(conn, data.site, "backtest", caller.actor, caller.now)
        return BacktestRuns(await listing(conn, data.site, "backtest", caller.now))


BACKTESTS = [get_backtest, list_backtests, start_backtest, stop_backtest]
