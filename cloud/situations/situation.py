"""What the decisions about a site rest on, read from the store: settings, demand, terms."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Terms
from cloud.forecasts.forecast import Driver, Request
from cloud.situations.demand import series
from cloud.situations.drivers import site_drivers
from cloud.situations.sites import SiteSetting
from cloud.situations.supply import terms_of
from cloud.store import schema
from vocabulary.item import BaseUnit


class Situation(msgspec.Struct, frozen=True):
    """What of a site changes slowly: the series to forecast and what can move them, and by item its terms, base unit and number
    of suppliers.
    """

    site: SiteSetting
    requests: tuple[Request, ...]
    terms: Mapping[str, Terms]
    suppliers: Mapping[str, int]
    units: Mapping[str, BaseUnit]
    drivers: tuple[Driver, ...] = ()


async def situation(conn: AsyncConnection, site: SiteSetting, now: int) -> Situation:
    """What forecasting and deciding about one site need, but for its positions, in a fixed number of queries."""
    found = await frame(conn, site, now)
    return msgspec.structs.replace(found, requests=await series(conn, site, found.terms, now))


async def frame(conn: AsyncConnection, site: SiteSetting, now: int) -> Situation:
    """The situation without its series."""
    terms, suppliers = await terms_of(conn, site.id, now)
    found = await conn.execute(select(schema.item.c.id, schema.item.c.unit))
    units: dict[str, BaseUnit] = {row.id: row.unit for row in found}
    return Situation(site, (), terms, suppliers, units, await site_drivers(conn, site))
