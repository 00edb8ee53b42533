"""/api/v1: what the forecast would have saved on a site's own history."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from cloud.api.caller import Http, caller_of
from cloud.api.masters import Id
from cloud.api.paging import Filter
from cloud.errors import BadInputError, NotFoundError
from cloud.replay.ledger import Kept, read_ledger, replays_of
from cloud.replay.words import as_json


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site to play."""

    site: Id


class ReplayAnswer(msgspec.Struct, frozen=True):
    """The last replay of a site, made at `made_at` (µs UTC): policies, comparisons with words, frontier and oracle."""

    site: str
    made_at: int
    replay: dict[str, object]


def _answer(kept: Kept) -> ReplayAnswer:
    return ReplayAnswer(kept.site, kept.made_at, as_json(kept.replay, kept.supposed))


@get("/replay", operation_id="get_replay")
async def get_replay(request: Http, site: Filter = "") -> ReplayAnswer:
    """The last replay of a site; start one with POST."""
    if not site:
        raise BadInputError("site: name one")
    caller_of(request, "read", site)
    kept = replays_of(request).of(site)
    if kept is None:
        raise NotFoundError(f"site {site} was not replayed since headquarters started; POST /api/v1/replay does it")
    return _answer(kept)


@post("/replay", operation_id="start_replay", status_code=200)
async def start_replay(request: Http, data: JSONBody[ReplayRequest]) -> ReplayAnswer:
    """Play a site's own demand with the forecast-driven policy, its opponents and an oracle; answers when it is done."""
    caller = caller_of(request, "plan", data.site)
    async with caller.reading() as conn:
        table = await read_ledger(conn, data.site, caller.now)
    return _answer(await replays_of(request).run(data.site, table))


REPLAY = [get_replay, start_replay]
