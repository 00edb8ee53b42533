"""What a site announced before a long catch-up: shown in place of what its history, still arriving, amounts to so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.flows import inside
from cloud.store import schema
from cloud.web.freshness import SiteFreshness
from vocabulary.place import AVAILABLE
from vocabulary.wire import Advisory

_advisory = msgspec.json.Decoder(Advisory)


@dataclass(slots=True)
class Announced:
    """An item's stock as its site announced it, base units; `micro` at the announced cost, 10^-6 major units."""

    on_hand: int = 0
    available: int = 0
    micro: int = 0
    currency: str = ""


async def announced(conn: AsyncConnection, sites: Sequence[SiteFreshness]) -> dict[str, dict[str, Announced]]:
    """By site and item, for those of `sites` whose history is arriving; one query, none where there is no such site."""
    wanted = [site.id for site in sites if site.arriving]
    if not wanted:
        return {}
    a = schema.advisory.c
    found: dict[str, dict[str, Announced]] = {}
    for row in await conn.execute(select(a.site_id, a.body).where(a.site_id.in_(wanted))):
        items = found.setdefault(row.site_id, {})
        for line in _advisory.decode(row.body).balances:
            if not inside(line.account.place):
                continue
            item = items.setdefault(line.item, Announced())
            item.on_hand += line.quantity
            item.available += line.quantity if line.account.status == AVAILABLE else 0
            item.micro += line.quantity * line.unit_cost
            item.currency = line.currency or item.currency
    return found
