"""What an item's page says about its forecast: campaigns and what if, why it is so, what came of earlier ones, odd orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.forecasts.forecast import DemandClass, Forecast
from cloud.situations.bulk import OrderLine, striking_lines
from cloud.situations.demand import HISTORY_DAYS, pasts
from cloud.situations.drivers import Campaign
from cloud.situations.sites import SiteSetting
from cloud.situations.whatif import Change, WhatIf, campaigns_of, supposed
from cloud.store import schema

#: Past forecasts shown, and days between two of them at least: neighbouring ones tell the same.
WEEKS, APART_DAYS = 26, 7
#: Bounds of the band shown.
LOW, HIGH = 0.05, 0.95

CLASSES: Mapping[DemandClass, str] = {
    "smooth": "wanted in most weeks, in steady amounts",
    "erratic": "wanted in most weeks, in amounts that vary much",
    "intermittent": "wanted in some weeks only, in like amounts",
    "lumpy": "wanted in some weeks only, in amounts that vary much",
    "new": "known for less than eight weeks",
    "dead": "not wanted yet",
}
MODELS: Mapping[str, str] = {
    "SES": "exponential smoothing",
    "TSB": "smoothing of how often and how much",
    "IMAPA": "smoothing over weeks, months and longer",
    "ADIDA": "smoothing of longer periods",
    "SeasonalNaive": "the same weeks of last year",
    "LightGBM": "what all items together teach",
    "mean": "its mean so far",
}

_forecast = msgspec.json.Decoder(Forecast)


@dataclass(frozen=True, slots=True)
class Told:
    """A past forecast and what came: demand over its lead time and review, from `origin` on for `days` days."""

    origin: str
    days: int
    mean: float
    low: float
    high: float
    came: int

    @property
    def inside(self) -> bool:
        """Whether it came within the band."""
        return self.low <= self.came <= self.high


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of past forecasts, the latest first."""

    told: list[Told]

    @property
    def coverage(self) -> float:
        """The share that came within the band."""
        return sum(one.inside for one in self.told) / max(len(self.told), 1)

    @property
    def bias(self) -> float | None:
        """How much more was foreseen than came, as a share; None where nothing came."""
        came = sum(one.came for one in self.told)
        return sum(one.mean for one in self.told) / came - 1 if came else None


@dataclass(frozen=True, slots=True)
class Foresight:
    """All that the page says about an item's forecast at a site."""

    campaigns: list[Campaign]
    what_if: WhatIf | None
    outcome: Outcome
    striking: list[OrderLine]


async def read_foresight(
    conn: AsyncConnection, site: SiteSetting, item: str, forecast: Forecast | None, change: Change | None, now: int
) -> Foresight:
    """In eight queries. Raises NotFoundError and BadInputError for a change that cannot be supposed."""
    campaigns = await campaigns_of(conn, site, item)
    what_if = supposed(forecast, campaigns, change) if change is not None and forecast is not None else None
    outcome = Outcome([] if forecast is None else await _outcome(conn, site, item, forecast, now))
    return Foresight(campaigns, what_if, outcome, await striking_lines(conn, site.id, item))


async def _outcome(conn: AsyncConnection, site: SiteSetting, item: str, forecast: Forecast, now: int) -> list[Told]:
    f = schema.forecast.c
    newest = site.today - timedelta(days=ceil(forecast.horizon))
    oldest = newest - timedelta(days=WEEKS * APART_DAYS)
    mine = (f.site_id == site.id, f.item == item)
    listed = await conn.execute(
        select(f.version, f.origin_day)
        .where(*mine, f.origin_day >= oldest.isoformat(), f.origin_day <= newest.isoformat())
        .order_by(f.origin_day.desc(), f.created_at.desc(), f.version)
    )
    chosen: list[str] = []
    last: date | None = None
    for version, origin_day in listed:
        origin = date.fromisoformat(origin_day)
        if last is None or (last - origin).days >= APART_DAYS:
            chosen.append(version)
            last = origin
    if not chosen:
        return []
    bodies = await conn.execute(select(f.body).where(*mine, f.version.in_(chosen[:WEEKS])))
    known = await pasts(conn, site, now, [item])
    if item not in known:
        return []
    first = site.today.toordinal() - HISTORY_DAYS + known[item].begins
    found = [told(_forecast.decode(body), known[item].quantities, first) for (body,) in bodies]
    return sorted((one for one in found if one is not None), key=lambda one: one.origin, reverse=True)


def told(forecast: Forecast, quantities: Sequence[int], first: int) -> Told | None:
    """A past forecast beside demand by day from the ordinal date `first` on; None where its time is not over. Pure."""
    days = max(1, round(forecast.horizon * forecast.period_days))
    start = date.fromisoformat(forecast.origin).toordinal() - first
    if start + days > len(quantities) or start + days <= 0:
        return None
    came = sum(quantities[max(start, 0) : start + days])
    return Told(forecast.origin, days, forecast.mean, forecast.quantile(LOW), forecast.quantile(HIGH), came)


def model_words(forecast: Forecast) -> str:
    """The models behind a forecast in words, with what each counts."""
    weights = forecast.weights or (1.0,) * len(forecast.models)
    total = sum(weights) or 1.0
    parts = [
        f"{100 * weight / total:.0f} % {MODELS.get(name, name)}"
        for name, weight in sorted(zip(forecast.models, weights, strict=True), key=lambda pair: -pair[1])
    ]
    return parts[0].partition(" % ")[2] if len(parts) == 1 else ", ".join(parts)


def chart_campaigns(campaigns: Sequence[Campaign]) -> list[dict[str, object]]:
    """The campaigns for the chart, times in seconds UTC; the end is the begin of the day after."""
    epoch = date(1970, 1, 1).toordinal()
    return [
        {"name": one.name, "from": (one.first - epoch) * 86_400, "to": (one.last + 1 - epoch) * 86_400,
         "uplift": one.uplift / 10}
        for one in campaigns
    ]  # fmt: skip


def day_of(ordinal: int) -> str:
    """An ordinal date as ISO date."""
    return date.fromordinal(ordinal).isoformat()
