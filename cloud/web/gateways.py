"""The gateways: who speaks, how far behind, with which devices, and whether their clocks can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from litestar import Response, get
from msgspec import Struct
from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import schema
from cloud.store.database import reading
from cloud.web.freshness import SiteFreshness, sites_of
from cloud.web.page import HtmlRequest, Visit, html, page, render, sheet, visit
from cloud.web.words import iso
from vocabulary.wire import Status

#: Gateways shown: one for each site, and those that were replaced.
LISTED = 500
#: Microseconds by which a gateway's clock may differ before it is said: more than a request takes.
CLOCK_OFF_US = 2_000_000

_status = msgspec.json.Decoder(Status)


class GatewayFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds."""

    format: Literal["html", "csv"] = "html"


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A site's gateway. `lag_us`: how much older the newest record here is than its last contact, 0 when none is missing.

    `clock_us`: how far its clock was from headquarters' at its last push. `row` and `head` as stored, None for none.
    """

    site: SiteFreshness
    row: Any
    status: Status | None
    head: Any
    lag_us: int
    clock_us: int
    waiting: int
    parked: int

    @property
    def revoked(self) -> bool:
        """Whether another one took its place."""
        return self.row is not None and self.row.revoked_at is not None

    @property
    def clock(self) -> str:
        """What is to be said of its clock."""
        if self.status is None:
            return "unknown"
        if not self.status.clock_trusted:
            return "not trusted"
        return "trusted" if abs(self.clock_us) <= CLOCK_OFF_US else "off"


async def read_gateways(conn: AsyncConnection, visited: Visit) -> list[GatewayRow]:
    """Every site's gateways, those in service first; four queries."""
    sites = await sites_of(conn, visited.person, visited.now)
    ids = [site.id for site in sites]
    g, p, c, row, s, k = (
        schema.gateway.c, schema.epoch.c, schema.command.c, schema.ledger.c, schema.site.c, schema.parked.c,
    )  # fmt: skip
    gateways = (
        await conn.execute(
            select(schema.gateway).where(g.site_id.in_(ids)).order_by(g.site_id, g.revoked_at.is_not(None), g.id)
        )
    ).all()[:LISTED]
    heads = {
        (head.site_id, str(head.epoch)): head
        for head in await conn.execute(select(schema.epoch).where(p.site_id.in_(ids)).order_by(p.site_id, p.ordinal))
    }
    newest = {
        one.id: one
        for one in await conn.execute(
            select(
                s.id,
                row.occurred_at,
                select(func.count())
                .where(c.site_id == s.id, c.result == "")
                .select_from(schema.command)
                .correlate(schema.site)
                .scalar_subquery()
                .label("waiting"),
                select(func.count())
                .where(k.site_id == s.id)
                .select_from(schema.parked)
                .correlate(schema.site)
                .scalar_subquery()
                .label("parked"),
            )
            .select_from(schema.site)
            .outerjoin(schema.ledger, and_(row.site_id == s.id, row.position == s.position))
            .where(s.id.in_(ids))
        )
    }
    found: list[GatewayRow] = []
    for site in sites:
        mine = [one for one in gateways if one.site_id == site.id] or [None]
        last = newest[site.id]
        for one in mine:
            status = _status.decode(one.status) if one is not None and one.status else None
            behind = one.behind if one is not None else 0
            lag = max(0, visited.now - last.occurred_at) if behind and last.occurred_at else 0
            off = one.clock_us if one is not None else 0
            head = None if one is None else heads.get((site.id, one.epoch))
            found.append(GatewayRow(site, one, status, head, lag, off, last.waiting, last.parked))
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
    head = ("site", "gateway", "state", "last_contact", "behind_records", "behind_seconds", "clock", "disk_free",
            "devices", "reads_per_second", "epoch", "seq", "hash")  # fmt: skip
    lines = [
        (one.site.id, "" if one.row is None else one.row.id, "revoked" if one.revoked else one.site.state,
         "" if one.row is None or not one.row.seen_at else iso(one.row.seen_at),
         0 if one.row is None else one.row.behind, one.lag_us // 1_000_000, one.clock,
         None if one.status is None else one.status.disk_free, 0 if one.status is None else len(one.status.devices),
         0 if one.status is None else sum(device.reads_per_second for device in one.status.devices),
         "" if one.head is None else str(one.head.epoch), None if one.head is None else one.head.seq,
         "" if one.head is None else one.head.hash.hex())
        for one in rows
    ]  # fmt: skip
    return sheet("gateways", head, lines)
