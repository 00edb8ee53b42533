"""/api/v1: what the forecast would have saved on a site's own history."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from cloud.api.caller import Http, caller_of
from cloud.api.paging import Filter
from cloud.errors import BadInputError, NotFoundError
from cloud.inputs.masters import Id
from cloud.replay.kept import MOST_SEEDS, Setting, begin_replay, kept_replay, use_setting
from cloud.replay.ledger import read_ledger
from cloud.replay.replay import SEEDS
from cloud.replay.studies import Study, last, listing, stop, studies_of
from cloud.replay.words import as_json


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site to play; whether demand not served at once waits or is lost; how many draws of lead times."""

    site: Id
    unserved: Literal["waits", "lost"] = "waits"
    seeds: Annotated[int, Meta(ge=1, le=MOST_SEEDS)] = len(SEEDS)


class ReplayStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site whose replay is to stop."""

    site: Id


class ReplayUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which replay's setting a site is to order by: the one that began at `started_at`, as chosen against `opponent`."""

    site: Id
    started_at: int
    opponent: Annotated[str, Meta(max_length=100)]


class ReplayAnswer(msgspec.Struct, frozen=True):
    """A finished replay of a site (times in µs UTC): policies, comparisons with words, frontier and oracle."""

    site: str
    started_at: int
    made_at: int
    settings: str
    replay: dict[str, object]


class ReplayRuns(msgspec.Struct, frozen=True):
    """The replays of a site, the latest first."""

    items: list[Study]


class SettingChange(msgspec.Struct, frozen=True):
    """What a site ordered by, and what it orders by from the next decision cycle on."""

    site: str
    before: Setting
    after: Setting


@get("/replay", operation_id="get_replay")
async def get_replay(request: Http, site: Filter = "", started_at: int | None = None) -> ReplayAnswer:
    """The latest finished replay of a site, or the one that began at `started_at`; start one with POST."""
    if not site:
        raise BadInputError("site: name one")
    caller = caller_of(request, "read", site)
    async with caller.reading() as conn:
        found = await kept_replay(conn, site, caller.now, started_at)
    if found is None:
        raise NotFoundError(f"no replay of site {site} is there; POST /api/v1/replay starts one")
    study, kept = found
    made = study.finished_at or study.started_at
    return ReplayAnswer(site, study.started_at, made, study.text, as_json(kept.replay, kept.supposed))


@get("/replay/runs", operation_id="list_replays")
async def list_replays(request: Http, site: Filter = "") -> ReplayRuns:
    """The replays of a site: running, done and failed, with settings and progress."""
    if not site:
        raise BadInputError("site: name one")
    caller = caller_of(request, "read", site)
    async with caller.reading() as conn:
        return ReplayRuns(await listing(conn, site, "replay", caller.now))


@post("/replay", operation_id="start_replay", status_code=202)
async def start_replay(request: Http, data: JSONBody[ReplayRequest]) -> Study:
    """Play a site's own demand with the forecast-driven policy, its opponents and an oracle; answers at once, and GET
    /api/v1/replay/runs tells how far it is.
    """
    caller = caller_of(request, "plan", data.site)
    async with caller.reading() as conn:
        table = await read_ledger(conn, data.site, caller.now)
    started = await begin_replay(studies_of(request), data.site, caller.actor, table, data.unserved, data.seeds)
    async with caller.reading() as conn:
        study = await last(conn, data.site, "replay", caller.now, started_at=started)
    assert study is not None
    return study


@post("/replay/stop", operation_id="stop_replay", status_code=202)
async def stop_replay(request: Http, data: JSONBody[ReplayStop]) -> ReplayRuns:
    """Ask the running replay of a site to stop."""
    caller = caller_of(request, "plan", data.site)
    async with caller.writing(data.site, "replay") as conn:
        await stop(conn, data.site, "replay", caller.actor, caller.now)
        return ReplayRuns(await listing(conn, data.site, "replay", caller.now))


@post("/replay/use", operation_id="use_replay", status_code=200)
async def use_replay(request: Http, data: JSONBody[ReplayUse]) -> SettingChange:
    """Have a site order by the setting that a replay chose: its cycle service and value share change."""
    caller = caller_of(request, "plan", data.site)
    async with caller.writing(data.site, "sites") as conn:
        before, after = await use_setting(conn, data.site, data.started_at, data.opponent, caller.actor, caller.now)
    return SettingChange(data.site, before, after)


REPLAY = [get_replay, list_replays, start_replay, stop_replay, use_replay]
