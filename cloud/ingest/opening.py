"""What a site holds, as a gateway that begins anew is told; and what a gateway says it holds before a long catch-up."""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, NotFoundError
from cloud.ingest.batch import epoch_of, inflate
from cloud.projections.units import read_holds
from cloud.store import lanes, schema
from vocabulary.movement import Content
from vocabulary.place import CUSTOMER, SUPPLIER, Account, is_virtual
from vocabulary.wire import Advisory, BalanceLine, OpeningPage, UnitLine

#: Lines of one page, balances and units together.
PAGE = 1_000

_advisory = msgspec.json.Decoder(Advisory)
_encoder = msgspec.json.Encoder()


async def page_count(conn: AsyncConnection, site_id: str, epoch: str) -> int:
    """How many pages of opening stock a gateway that starts `epoch` must apply; 0 where the site has no past.

    A gateway that enrols again with the epoch that is here already has its own past, and gets none.
    """
    e = schema.epoch.c
    known = (await conn.execute(select(e.epoch).where(e.site_id == site_id))).scalars().all()
    if not known or epoch_of(epoch) in known:
        return 0
    balances, units = await _counts(conn, site_id)
    return -(-(balances + units) // PAGE)


async def _counts(conn: AsyncConnection, site_id: str) -> tuple[int, int]:
    b, u = schema.balance, schema.unit
    balances = (await conn.execute(select(func.count()).select_from(b).where(_kept(site_id)))).scalar_one()
    units = (await conn.execute(select(func.count()).select_from(u).where(_here(site_id)))).scalar_one()
    return balances, units


def _kept(site_id: str):
    b = schema.balance.c
    return (b.site_id == site_id) & or_(b.quantity != 0, b.grams != 0)


def _here(site_id: str):
    u = schema.unit.c
    return (u.site_id == site_id) & u.place.not_in((CUSTOMER, SUPPLIER))


async def read_page(conn: AsyncConnection, site_id: str, page: int) -> OpeningPage:
    """One page (from 0) of the site's present stock. Raises NotFoundError behind the last one.

    Balances of virtual places are left out: they are what left, not what is here.
    """
    b, u = schema.balance, schema.unit
    balances, units = await _counts(conn, site_id)
    pages = -(-(balances + units) // PAGE)
    if not 0 <= page < max(1, pages):
        raise NotFoundError(f"there are {pages} pages, counted from 0")
    first = page * PAGE
    lines: list[BalanceLine] = []
    rows = await conn.execute(
        select(b).where(_kept(site_id)).order_by(*b.primary_key).offset(min(first, balances)).limit(PAGE)
    )
    taken = 0
    for row in rows:
        taken += 1
        if not is_virtual(row.place):
            lines.append(
                BalanceLine(Account(row.place, row.status), row.item, row.quantity, row.lot, row.expiry, row.grams)
            )
    found: list[UnitLine] = []
    if taken < PAGE:
        rest = await conn.execute(
            select(u.c.unit, u.c.place, u.c.status, u.c.container, u.c.holds)
            .where(_here(site_id))
            .order_by(u.c.unit)
            .offset(max(0, first - balances))
            .limit(PAGE - taken)
        )
        found = [
            UnitLine(row.unit, Account(row.place, row.status), row.container, _contents(row.holds)) for row in rest
        ]
    return OpeningPage(page, pages, tuple(lines), tuple(found))


def _contents(holds: str) -> tuple[Content, ...]:
    return tuple(
        Content(item, quantity, lot or UNSET, expiry or UNSET, grams or UNSET)
        for item, lot, expiry, quantity, grams in read_holds(holds)
    )


async def store_advisory(conn: AsyncConnection, site_id: str, body: bytes) -> None:
    """Keep what a gateway says it holds until its rows have arrived. Raises BadInputError, TooLargeError."""
    try:
        advisory = _advisory.decode(inflate(body))
    except msgspec.DecodeError as error:
        raise BadInputError(f"the advisory snapshot cannot be read: {error}") from None
    row = (site_id, epoch_of(advisory.epoch), advisory.seq, advisory.at, _encoder.encode(advisory))
    await lanes.put(conn, schema.advisory, [row])
