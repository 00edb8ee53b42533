"""The decisions about one site: what they rest on is read in the transaction that issues what comes out of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.candidate import Event
from cloud.decisions.replenishment import Candidate, Keeping, Position, Replenishment, replenish
from cloud.forecasts.forecast import Forecast
from cloud.situations.conditions import keepings, limits_of
from cloud.situations.drivers import Campaign, read_campaigns
from cloud.situations.situation import Situation
from cloud.situations.supply import positions


async def propose(conn: AsyncConnection, one: Situation, forecasts: Mapping[str, Forecast], now: int) -> Replenishment:
    """The orders that a site should place for the items that somebody supplies; `now` in microseconds UTC."""
    horizons = {item: forecast.horizon * forecast.period_days for item, forecast in forecasts.items()}
    held = await positions(conn, one.site, horizons)
    kept = await keepings(conn, one.site.id)
    limits = await limits_of(conn, one.site, held, kept, now)
    ahead = one.site.today + timedelta(days=round(max(horizons.values(), default=0)))
    campaigns = await read_campaigns(conn, one.site, one.site.today, ahead)
    usual, nothing = Keeping(), Position(0)
    candidates = [
        Candidate(
            forecasts[item],
            one.terms[item],
            held.get(item, nothing),
            one.units.get(item, "H87"),
            one.suppliers[item],
            kept.get(item, usual),
            _events(campaigns, item, one.site.today.toordinal() + horizons[item]),
        )
        for item in sorted(one.terms)
        if item in forecasts
    ]
    return replenish(candidates, one.site.policy, one.site.today, limits)


def _events(campaigns: list[Campaign], item: str, end: float) -> tuple[Event, ...]:
    """The campaigns of an item that begin before `end` (an ordinal date)."""
    return tuple(
        Event(
            one.name or one.id,
            date.fromordinal(one.first).isoformat(),
            date.fromordinal(one.last).isoformat(),
            one.uplift / 1_000,
        )
        for one in campaigns
        if one.item in ("", item) and one.first < end
    )
