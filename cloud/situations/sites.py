"""The sites that can be decided about, and what each is set to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.decisions.replenishment import Policy
from cloud.projections.calendar import BusinessDays
from cloud.store import schema


class SiteSetting(msgspec.Struct, frozen=True):
    """What a site is set to. `open_minutes`: opening time of a day; `today` its business day; `country` has the holidays."""

    id: str
    days: BusinessDays
    open_minutes: int
    policy: Policy
    today: date
    country: str = ""


async def arriving(conn: AsyncConnection) -> list[str]:
    """The sites whose history is still on its way: their gateway announced its stock ahead of a long catch-up."""
    told, head = schema.advisory.c, schema.epoch.c
    query = (
        select(told.site_id)
        .select_from(schema.advisory)
        .outerjoin(schema.epoch, (head.site_id == told.site_id) & (head.epoch == told.epoch))
        .where(func.coalesce(head.seq, 0) < told.seq)
        .order_by(told.site_id)
    )
    return list((await conn.execute(query)).scalars())


async def site_settings(conn: AsyncConnection, now: int, only: Sequence[str] | None = None) -> list[SiteSetting]:
    """The sites that can be decided about, or `only` these of them, by id; not those whose history is still arriving."""
    c = schema.site.c
    query = select(schema.site).where(c.id.not_in(await arriving(conn))).order_by(c.id)
    if only is not None:
        query = query.where(c.id.in_(only))
    return [setting_of(row, now) for row in (await conn.execute(query)).mappings()]


def setting_of(row: RowMapping, now: int) -> SiteSetting:
    """What a row of `site` says, at the moment `now`."""
    days = BusinessDays(row["zone"], row["day_start"], row["opens"], row["closes"])
    policy = Policy(row["holding_rate"], row["service"], row["review_days"], row["value_share"])
    today = date.fromisoformat(days.day(now))
    return SiteSetting(row["id"], days, max(row["closes"] - row["opens"], 1), policy, today, row["country"])
