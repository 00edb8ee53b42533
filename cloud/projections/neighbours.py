"""News between processes that share a PostgreSQL database: counters that each of them reads twice a second.

What a site's own columns count (arrivals, what its gateway is told) is told by them; every other commit is counted in
`change_count`. A process tells its own readers at once and its neighbours' within about a second. No LISTEN/NOTIFY: poolers
and distributed PostgreSQL do not carry it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.projections.changes import Change, Changes
from cloud.store import lanes, schema
from cloud.store.database import reading, writing
from runtime import Runtime

#: Seconds between two looks: half of the second within which a neighbour's readers are told.
LOOK_S = 0.5
#: What a neighbour's counted commit may have changed.
ANYTHING = ("documents", "recommendations", "exceptions", "gateways", "master", "cycle")

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("cloud.neighbours")


class Counters(NamedTuple):
    """A site's counters: arrivals, changes of what its gateway is told, other commits."""

    position: int = 0
    downlink: int = 0
    others: int = 0


async def follow(engine: AsyncEngine, runtime: Runtime, changes: Changes) -> None:
    """Exchange news with the processes that share `engine`'s database, until cancelled; where it is away, it waits."""
    changes.shared = True
    known: Mapping[str, Counters] | None = None
    while True:
        try:
            known = await look(engine, runtime, changes, known)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("neighbours.unknown", error=str(getattr(error, "orig", None) or error))
        await asyncio.sleep(LOOK_S)


async def look(
    engine: AsyncEngine, runtime: Runtime, changes: Changes, known: Mapping[str, Counters] | None
) -> Mapping[str, Counters]:
    """Count what happened here, tell our readers what differs from `known`; returns what is known now."""
    if changes.untold:
        told, changes.untold = changes.untold, {}
        try:
            async with writing(engine) as conn:
                await lanes.add(conn, schema.change_count, [(site_id, 1) for site_id in told])
        except BaseException:
            changes.untold = told | changes.untold
            raise
    found = await read_counters(engine)
    changes.counter = sum(map(sum, found.values()))
    if known is not None:
        now = runtime.now()
        for site_id, new in found.items():
            old = known.get(site_id, Counters())
            if new != old:
                changes.tell(Change(site_id, _kinds(old, new), new.position, now))
    return found


def _kinds(old: Counters, new: Counters) -> tuple[str, ...]:
    kinds = ("records",) if new.position != old.position else ()
    if new.downlink != old.downlink:
        kinds += ("downlink", "documents")
    return kinds + ANYTHING if new.others != old.others else kinds


async def read_counters(engine: AsyncEngine) -> dict[str, Counters]:
    """All sites' counters; "" the network's."""
    s, c = schema.site.c, schema.change_count.c
    async with reading(engine) as conn:
        others = {row.site_id: row.commits for row in await conn.execute(select(c.site_id, c.commits))}
        sites = (await conn.execute(select(s.id, s.position, s.downlink).order_by(s.id))).all()
    found = {row.id: Counters(row.position, row.downlink, others.pop(row.id, 0)) for row in sites}
    return found | {site_id: Counters(0, 0, count) for site_id, count in sorted(others.items())}
