"""Replays of a site's own ledger, kept as studies; and the setting that one of them suggests, put to use."""

from __future__ import annotations

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import ConflictError, NotFoundError
from cloud.replay.games import Point
from cloud.replay.replay import SEEDS, Replay, replay
from cloud.replay.studies import Progress, Studies, Study, last, result
from cloud.replay.tables import Table
from cloud.replay.warehouse import Unserved
from cloud.store import audit, schema

#: Seeds of the lead times that can be asked for: more narrow the band no further, and each costs as much as the first.
MOST_SEEDS = 9
#: Median lead time, periods, below which a replay says nothing about the service to aim at: with a review of a whole period
#: instead of a day, its own lots and reviews cover most of what a stock-out risk is about.
LEAST_LEAD_TIME = 2.0
#: Bounds of a site's `service`, per mille.
_LEAST_SERVICE, _MOST_SERVICE = 1, 999


class Kept(msgspec.Struct, frozen=True):
    """What came out of a replay, and in sentences what was supposed for it."""

    replay: Replay
    supposed: tuple[str, ...]


class Setting(msgspec.Struct, frozen=True):
    """What a site orders by: mean cycle `service` aimed at, and the share of goods' cost that a demand not served costs
    besides, both per mille.
    """

    service: int
    value_share: int


async def begin_replay(
    studies: Studies, site: str, actor: str, table: Table, unserved: Unserved = "waits", seeds: int = len(SEEDS)
) -> int:
    """Start a replay in the background; returns when it began (microseconds UTC). Raises BusyError while one is in work."""
    numbers = tuple(range(SEEDS[0], SEEDS[0] + seeds))

    def job(progress: Progress) -> bytes:
        try:
            found = replay(table.history, unserved=unserved, seeds=numbers, progress=progress)
        except ValueError as error:
            raise ValueError(f"site {site}: {error}; a longer history is needed") from None
        return msgspec.json.encode(Kept(found, table.supposed))

    later = "waits" if unserved == "waits" else "is lost"
    text = f"{len(table.history.names)} items; draws of lead times: {seeds}; what is not served at once {later}"
    return await studies.begin(site, "replay", actor, text, job)


async def kept_replay(
    conn: AsyncConnection, site: str, now: int, started_at: int | None = None
) -> tuple[Study, Kept] | None:
    """The latest replay of a site that is done, or the one that began at `started_at`."""
    study = await last(conn, site, "replay", now, "done", started_at)
    if study is None:
        return None
    return study, msgspec.json.decode(await result(conn, study), type=Kept)


def unusable(found: Replay, opponent: str) -> str:
    """Why what was chosen against an opponent cannot be put to use, in words; "" where it can."""
    one = next((one for one in found.comparisons if one.opponent == opponent), None)
    if one is not None and not one.reached:
        return "nowhere on its slider does the forecast serve as much of the value as this opponent"
    if found.lead_time < LEAST_LEAD_TIME:
        return (
            f"half the lead times are below {LEAST_LEAD_TIME:g} weeks, and a replay by weeks is too coarse to tell the "
            "service that days need"
        )
    return ""


def setting_of(point: Point) -> Setting:
    """The setting of a site that orders as the replay did at a position of the slider."""
    service = min(max(round(point.service * 1_000), _LEAST_SERVICE), _MOST_SERVICE)
    return Setting(service, round(point.value_share * 1_000))


async def setting_now(conn: AsyncConnection, site: str) -> Setting:
    """What a site orders by today. Raises NotFoundError where there is no such site."""
    c = schema.site.c
    row = (await conn.execute(select(c.service, c.value_share).where(c.id == site))).first()
    if row is None:
        raise NotFoundError(f"there is no site {site}")
    return Setting(row.service, row.value_share)


async def use_setting(
    conn: AsyncConnection, site: str, started_at: int, opponent: str, actor: str, now: int
) -> tuple[Setting, Setting]:
    """Have the site order by what the replay of `started_at` chose against `opponent`, inside a writing transaction of the
    site; (before, after). Raises NotFoundError where there is no such replay, ConflictError where it is `unusable`.
    """
    found = await kept_replay(conn, site, now, started_at)
    if found is None:
        raise NotFoundError(f"site {site} has no finished replay of that time; look at the list of replays")
    one = next((one for one in found[1].replay.comparisons if one.opponent == opponent), None)
    if one is None:
        names = ", ".join(one.opponent for one in found[1].replay.comparisons)
        raise NotFoundError(f"opponent: {opponent} was not played; choose one of {names}")
    if why := unusable(found[1].replay, opponent):
        raise ConflictError(f"this setting cannot be put to use: {why}")
    before, after = await setting_now(conn, site), setting_of(one.chosen)
    c = schema.site.c
    await conn.execute(
        update(schema.site).where(c.id == site).values(service=after.service, value_share=after.value_share)
    )
    detail = {
        "before": msgspec.structs.asdict(before),
        "after": msgspec.structs.asdict(after),
        "replay": started_at,
        "opponent": opponent,
        "stockout_value": one.chosen.stockout_value,
    }
    await audit.record(conn, now, actor, "site.use-replay", site, site, detail)
    return before, after
