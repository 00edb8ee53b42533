"""What if a campaign were moved, planned otherwise or left out: one item's forecast before and after, nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, NotFoundError
from cloud.forecasts.forecast import Forecast
from cloud.forecasts.whatif import Foreseen, foreseen, instead
from cloud.situations.drivers import CAMPAIGNS, Campaign, planned_change, read_campaigns
from cloud.situations.sites import SiteSetting
from cloud.store import schema

#: Days back from which campaigns are read: one that began long ago may still run.
_BACK_DAYS, _AHEAD_DAYS = 90, 400
#: Days by which a campaign can be moved, and the change that can be planned, per mille.
MOST_MOVED, LEAST_UPLIFT, MOST_UPLIFT = 365, -900, 10_000


class Change(msgspec.Struct, frozen=True):
    """What to suppose of the campaign `id`: moved by `days`, with another `uplift` (per mille), or left out."""

    id: str
    days: int = 0
    uplift: int | None = None
    left_out: bool = False


class WhatIf(msgspec.Struct, frozen=True):
    """A forecast as it is and as it would be. `share`: how much of a plan counts, and why in words; `counts` is False where
    campaigns do not enter this forecast, which then stays as it is.
    """

    forecast: Forecast
    before: Foreseen
    after: Foreseen
    share: float
    counts: bool
    reason: str


async def in_force(conn: AsyncConnection, site_id: str, item: str) -> Forecast:
    """The forecast of an item at a site that stands. Raises NotFoundError."""
    f = schema.forecast.c
    query = select(f.body).where(f.site_id == site_id, f.item == item, f.latest).limit(1)
    body = (await conn.execute(query)).scalar_one_or_none()
    if body is None:
        raise NotFoundError(f"there is no forecast of {item} at {site_id}; the next decision cycle makes one")
    return msgspec.json.decode(body, type=Forecast)


async def campaigns_of(conn: AsyncConnection, site: SiteSetting, item: str) -> list[Campaign]:
    """The campaigns that concern an item at a site, those lately over and those to come."""
    first, last = site.today - timedelta(days=_BACK_DAYS), site.today + timedelta(days=_AHEAD_DAYS)
    return await read_campaigns(conn, site, first, last, item)


async def what_if(conn: AsyncConnection, site: SiteSetting, item: str, change: Change) -> WhatIf:
    """The forecast of an item at a site before and after a change of a campaign. Raises NotFoundError, BadInputError."""
    forecast = await in_force(conn, site.id, item)
    return supposed(forecast, await campaigns_of(conn, site, item), change)


def supposed(forecast: Forecast, campaigns: Sequence[Campaign], change: Change) -> WhatIf:
    """The same from what is known. Pure. Raises NotFoundError for a campaign that does not concern the item, BadInputError."""
    if abs(change.days) > MOST_MOVED:
        raise BadInputError(f"days: move a campaign by at most {MOST_MOVED} days, not by {change.days}")
    if change.uplift is not None and not LEAST_UPLIFT <= change.uplift <= MOST_UPLIFT:
        raise BadInputError(f"uplift: write {LEAST_UPLIFT} to {MOST_UPLIFT} per mille (300 is 30 % more)")
    if not any(one.id == change.id for one in campaigns):
        raise NotFoundError(f"no campaign {change.id} concerns {forecast.item} at {forecast.site}")
    share, counts, reason = share_of(forecast)
    site, item = forecast.site, forecast.item
    planned = planned_change(campaigns, site, item)
    other = planned_change([two for one in campaigns for two in _changed(one, change)], site, item)
    return WhatIf(forecast, foreseen(forecast), instead(forecast, planned, other, share), share, counts, reason)


def _changed(one: Campaign, change: Change) -> list[Campaign]:
    if one.id != change.id:
        return [one]
    if change.left_out:
        return []
    uplift = one.uplift if change.uplift is None else change.uplift
    return [one._replace(first=one.first + change.days, last=one.last + change.days, uplift=uplift)]


def share_of(forecast: Forecast) -> tuple[float, bool, str]:
    """How much of a campaign's plan counts in a forecast, whether campaigns enter it, and why."""
    verdict = next((one for one in forecast.drivers if one.name == CAMPAIGNS), None)
    if verdict is None:
        made = date.fromisoformat(forecast.origin)
        return 1.0, True, f"the forecast of {made} knows no campaign of this item: what is planned is taken"
    if not verdict.accepted:
        return 0.0, False, verdict.reason
    return (1.0 if verdict.share is None else verdict.share), True, verdict.reason
