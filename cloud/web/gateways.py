"""The gateways: who speaks, how far behind, with which devices, and whether clock, disk, ledger and key can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litestar import Response, get
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.ingest.fleet import GatewayState, read_fleet
from cloud.store import schema
from cloud.store.database import reading
from cloud.web.freshness import SiteFreshness, sites_of
from cloud.web.page import HtmlRequest, Visit, html, page, render, sheet, visit
from cloud.web.words import iso


class GatewayFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds."""

    format: Literal["html", "csv"] = "html"


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A site and one of its gateways, None where it has none. `waiting` commands, `expired` ones among the last week's."""

    site: SiteFreshness
    gateway: GatewayState | None
    waiting: int
    expired: int
    parked: int


async def read_gateways(conn: AsyncConnection, visited: Visit) -> list[GatewayRow]:
    """Every site's gateways, those in service first; five queries."""
    sites = await sites_of(conn, visited.person, visited.now)
    ids = [site.id for site in sites]
    c, s, k = schema.command.c, schema.site.c, schema.parked.c

    def counted(table: object, *where: object):
        query = select(func.count()).select_from(table).where(*where)  # type: ignore[arg-type]
        return query.correlate(schema.site).scalar_subquery()

    unanswered = (c.site_id == s.id, c.result == "")
    counts = {
        one.id: one
        for one in await conn.execute(
            select(
                s.id,
                counted(schema.command, *unanswered, c.expires_at > visited.now).label("waiting"),
                counted(schema.command, *unanswered, c.expires_at <= visited.now).label("expired"),
                counted(schema.parked, k.site_id == s.id).label("parked"),
            ).where(s.id.in_(ids))
        )
    }
    fleet = await read_fleet(conn, lambda column: column.in_(ids), visited.now)
    found: list[GatewayRow] = []
    for site in sites:
        of = counts[site.id]
        for one in [one for one in fleet if one.site_id == site.id] or [None]:
            found.append(GatewayRow(site, one, of.waiting, of.expired, of.parked))
    return found


@get("/gateways", include_in_schema=False)
async def gateways_page(request: HtmlRequest) -> Response[str]:
    """The list; a script asks for it again and again."""
    visited = visit(request)
    wanted = visited.filter(GatewayFilter)
    async with reading(visited.services.engine) as conn:
        rows = await read_gateways(conn, visited)
        if wanted.format == "csv":
            return _sheet(rows)
        if visited.partial:
            return html(render("gateways_list.html", rows=rows, now=visited.now))
        return await page(visited, conn, "gateways.html", rows=rows)


def _sheet(rows: list[GatewayRow]) -> Response[str]:
    head = ("site", "gateway", "state", "last_contact", "behind_records", "behind_seconds", "clock", "clock_offset_us",
            "disk_free", "disk", "disk_days", "chain", "checked_at", "devices", "reads_per_second", "version", "epoch", "seq",
            "hash", "branches", "alarms")  # fmt: skip
    lines: list[tuple[str | int | float | None, ...]] = []
    for row in rows:
        one = row.gateway
        if one is None:
            lines.append((row.site.id, "", "no gateway", *[None] * (len(head) - 3)))
            continue
        status, branch = one.status, one.head
        lines.append(
            (row.site.id, one.id, one.state, iso(one.seen_at) if one.seen_at else "", one.lag_records, one.lag_seconds,
             one.clock, one.clock_offset_us,
             *((None,) * 8 if status is None else
               (status.disk_free, status.disk, None if status.disk_days < 0 else status.disk_days, status.chain or "good",
                iso(status.checked_at) if status.checked_at else "", len(status.devices),
                sum(device.reads_per_second for device in status.devices), status.version)),
             one.epoch, branch.seq if branch else None, branch.hash if branch else "", len(one.branches),
             "; ".join(alarm.kind for alarm in one.alarms))
        )  # fmt: skip
    return sheet("gateways", head, lines)
