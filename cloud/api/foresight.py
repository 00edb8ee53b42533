"""/api/v1: what if a campaign were otherwise, and orders that are left out of the demand that is foreseen."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from cloud.api.caller import Http, caller_of
from cloud.errors import NotFoundError
from cloud.forecasts.whatif import Foreseen
from cloud.inputs.masters import Id, Text
from cloud.situations.bulk import mark, unmark
from cloud.situations.sites import site_settings
from cloud.situations.whatif import LEAST_UPLIFT, MOST_MOVED, MOST_UPLIFT, Change, what_if

CampaignId = Annotated[str, QueryParameter(min_length=1, max_length=200, description="the campaign's id")]
Moved = Annotated[int, QueryParameter(ge=-MOST_MOVED, le=MOST_MOVED, description="days later; below 0 earlier")]
Uplift = Annotated[
    int | None, QueryParameter(ge=LEAST_UPLIFT, le=MOST_UPLIFT, description="per mille; none: as it is planned")
]


class WhatIfAnswer(msgspec.Struct, frozen=True):
    """A forecast in force and as it would be, base units. Quantiles of demand over the horizon (lead time plus review, days)
    stand beside `levels`, those of each day from `origin` on beside `fan_levels`. `share`: how much of what is planned counts.
    """

    site: str
    item: str
    version: str
    origin: str
    horizon: float
    levels: tuple[float, ...]
    fan_levels: tuple[float, ...]
    before: Foreseen
    after: Foreseen
    counts: bool
    share: float
    reason: str


class BulkOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a customer order, and why it is left out or counts."""

    site: Id
    document: Text
    line: Annotated[int, Meta(ge=0, le=1_000_000)]
    reason: Annotated[str, Meta(max_length=500)] = ""


@get("/forecasts/{site:str}/{item:str}/what-if", operation_id="what_if_forecast")
async def get_what_if(
    request: Http,
    site: FromPath[str],
    item: FromPath[str],
    campaign: CampaignId,
    days: Moved = 0,
    uplift: Uplift = None,
    left_out: bool = False,
) -> WhatIfAnswer:
    """The forecast before and after moving a campaign, planning another uplift, or leaving it out; nothing is stored."""
    caller = caller_of(request, "read", site)
    async with caller.reading() as conn:
        settings = await site_settings(conn, caller.now, [site])
        if not settings:
            raise NotFoundError(f"site {site} has no forecast while its history is arriving")
        found = await what_if(conn, settings[0], item, Change(campaign, days, uplift, left_out))
    made = found.forecast
    return WhatIfAnswer(
        site, item, made.version, made.origin, made.horizon * made.period_days, made.levels, made.fan_levels,
        found.before, found.after, found.counts, found.share, found.reason,
    )  # fmt: skip


@post("/bulk-orders", operation_id="mark_bulk_order", status_code=200)
async def mark_bulk_order(request: Http, data: JSONBody[BulkOrder]) -> BulkOrder:
    """Leave an order line that will not come again out of the demand that is foreseen."""
    caller = caller_of(request, "plan", data.site)
    async with caller.writing(data.site, "demand") as conn:
        await mark(conn, data.site, data.document, data.line, data.reason, caller.actor, caller.now)
    return data


@post("/bulk-orders/undo", operation_id="unmark_bulk_order", status_code=200)
async def unmark_bulk_order(request: Http, data: JSONBody[BulkOrder]) -> BulkOrder:
    """Let an order line that was left out count as demand again."""
    caller = caller_of(request, "plan", data.site)
    async with caller.writing(data.site, "demand") as conn:
        await unmark(conn, data.site, data.document, data.line, caller.actor, caller.now)
    return data


FORESIGHT = [get_what_if, mark_bulk_order, unmark_bulk_order]
