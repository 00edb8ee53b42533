"""The forecasts that hold: which of those stored still do, how new ones take their place, and what the classes taught.

A forecast holds on the day it was made for while its inputs are the same. Where demand is sparse a day on which nothing was
wanted says little, so it holds on until something else changes, or its turn comes: once in a week each series has its day.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.forecasts.forecast import CODE_VERSION, Calibration, Effect, Forecast, Request, Touching, inputs_hash
from cloud.situations.sites import SiteSetting
from cloud.store import lanes, schema

#: Classes in which a day without demand is an ordinary day.
_SPARSE = frozenset({"intermittent", "lumpy", "dead"})
#: Days after which a forecast is made again although nothing happened: the models look at weeks.
LONGEST_DAYS = 7

#: Row of `meta` for what the last cycles learnt; another version of the forecast makes its own.
_LEARNT = f"forecast-learnt {CODE_VERSION}"


class Learnt(msgspec.Struct, frozen=True):
    """What cycles leave to each other: the calibration of each class, the effect of each driver, and the number of series that
    taught them.
    """

    calibration: dict[str, Calibration] = {}
    effects: dict[str, Effect] = {}
    series: int = 0


async def read_learnt(conn: AsyncConnection) -> Learnt:
    """What the last cycle that learnt something left."""
    row = (await conn.execute(select(schema.meta.c.value).where(schema.meta.c.key == _LEARNT))).first()
    return msgspec.json.decode(row.value, type=Learnt) if row else Learnt()


async def store_learnt(conn: AsyncConnection, made: Learnt) -> None:
    """Keep it for the next cycle."""
    await lanes.put(conn, schema.meta, [(_LEARNT, msgspec.json.encode(made).decode())])


def slim(forecast: Forecast) -> Forecast:
    """The part of a forecast that decisions look at: without the fan, three quarters of it."""
    return msgspec.structs.replace(forecast, fan=())


async def in_force(
    conn: AsyncConnection, site: SiteSetting, requests: Sequence[Request], touching: Touching
) -> dict[str, Forecast]:
    """The stored forecasts that still hold for neighbouring series of a site, by item; slim ones."""
    if not requests:
        return {}
    today = site.today
    wanted = {request.item: request for request in requests}
    c = schema.forecast.c
    oldest = today - timedelta(days=LONGEST_DAYS - 1)
    rows = await conn.execute(
        select(c.item, c.origin_day, c.demand_class, c.inputs_hash, c.body).where(
            c.site_id == site.id,
            c.latest,
            c.item >= requests[0].item,
            c.item <= requests[-1].item,
            c.origin_day >= oldest.isoformat(),
            c.origin_day <= today.isoformat(),
        )
    )
    found: dict[str, Forecast] = {}
    for row in rows:
        request = wanted.get(row.item)
        if request is not None and _holds(row, request, touching, today):
            forecast = msgspec.json.decode(row.body, type=Forecast)
            if row.origin_day == today.isoformat() or not forecast.drivers:  # what is planned comes nearer every day
                found[row.item] = slim(forecast)
    return found


def _holds(row: Any, request: Request, touching: Touching, today: date) -> bool:
    """Whether a stored forecast is what would be made of `request`, but for days on which nothing was wanted."""
    origin = date.fromisoformat(row.origin_day)
    age = (today - origin).days
    if not age:
        return inputs_hash(origin.toordinal(), 1, request, touching) == row.inputs_hash
    known = len(request.quantities) - age
    if row.demand_class not in _SPARSE or known <= 0 or _has_its_turn(request, today):
        return False
    if any(request.quantities[known:]) or (request.censored and request.censored[-1] >= known):
        return False
    before = msgspec.structs.replace(request, quantities=request.quantities[:known])
    return inputs_hash(origin.toordinal(), 1, before, touching) == row.inputs_hash


def _has_its_turn(request: Request, today: date) -> bool:
    """One day of LONGEST_DAYS for each series, evenly spread: not all of them in one night."""
    return zlib.crc32(f"{request.site}|{request.item}".encode()) % LONGEST_DAYS == today.toordinal() % LONGEST_DAYS


async def store(conn: AsyncConnection, site_id: str, forecasts: Sequence[Forecast], now: int) -> None:
    """Write new versions and put them in force; a version that stands already holds the same, as it names its inputs."""
    c = schema.forecast.c
    items = [forecast.item for forecast in forecasts]
    for start in range(0, len(items), lanes.IN_LIST):
        chunk = items[start : start + lanes.IN_LIST]
        await conn.execute(
            update(schema.forecast).where(c.site_id == site_id, c.item.in_(chunk), c.latest).values(latest=False)
        )
    rows: list[lanes.Row] = [
        (
            site_id,
            forecast.item,
            forecast.version,
            now,
            forecast.origin,
            forecast.demand_class,
            forecast.inputs,
            True,
            msgspec.json.encode(forecast),
        )
        for forecast in forecasts
    ]
    await lanes.put(conn, schema.forecast, rows)
