"""How old what is known of each site is. A site that is silent is shown grey, never green."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import Principal
from cloud.errors import NotFoundError
from cloud.store import schema
from cloud.web.words import age

#: Microseconds of silence after which nothing about a site counts as fresh: four times a gateway's long poll.
STALE_US = 120_000_000

State = Literal["fresh", "behind", "stale", "history arriving", "no gateway"]


@dataclass(frozen=True, slots=True)
class SiteFreshness:
    """A site and how fresh it is. `behind` records that its gateway has and headquarters has not; times µs UTC."""

    id: str
    name: str
    zone: str
    currency: str
    position: int
    seen_at: int
    behind: int
    arriving: bool
    now: int

    @property
    def state(self) -> State:
        """The one word for it. Silence outweighs everything else."""
        if not self.seen_at:
            return "no gateway"
        if self.now - self.seen_at > STALE_US:
            return "stale"
        if self.arriving:
            return "history arriving"
        return "behind" if self.behind else "fresh"

    @property
    def text(self) -> str:
        """The state in words with its numbers."""
        if not self.seen_at:
            return "no gateway is enrolled"
        seen = f"last contact {age(self.now - self.seen_at)} ago"
        if self.arriving:
            return f"{seen}; history arriving, {self.behind} records to come"
        return f"{seen}, {self.behind} records behind" if self.behind else seen


async def sites_of(conn: AsyncConnection, person: Principal, now: int) -> list[SiteFreshness]:
    """The sites that `person` may see, by id, in one query."""
    s, g, a = schema.site.c, schema.gateway.c, schema.advisory.c
    spoke = (
        select(g.site_id, func.max(g.seen_at).label("seen_at"), func.max(g.behind).label("behind"))
        .where(g.revoked_at.is_(None))
        .group_by(g.site_id)
        .subquery()
    )
    rows = await conn.execute(
        select(s.id, s.name, s.zone, s.currency, s.position, spoke.c.seen_at, spoke.c.behind, a.seq)
        .outerjoin_from(schema.site, spoke, spoke.c.site_id == s.id)
        .outerjoin(schema.advisory, a.site_id == s.id)
        .where(person.scope(s.id))
        .order_by(s.id)
    )
    return [
        SiteFreshness(
            row.id,
            row.name or row.id,
            row.zone,
            row.currency,
            row.position,
            row.seen_at or 0,
            row.behind or 0,
            row.seq is not None,
            now,
        )
        for row in rows
    ]


def chosen(sites: list[SiteFreshness], site_id: str) -> list[SiteFreshness]:
    """`sites`, or only the one that is asked for. Raises NotFoundError where it is not among them."""
    if not site_id:
        return sites
    found = [site for site in sites if site.id == site_id]
    if not found:
        raise NotFoundError(f"there is no site {site_id} that you may see")
    return found
