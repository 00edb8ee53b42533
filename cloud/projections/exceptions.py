"""Exceptions that only headquarters can see: goods that came back after their site forgot them, and rests under way.

What headquarters raises it owns; one that is open is left to who works on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.projections.reports import store_exception
from cloud.store import schema
from cloud.store.database import reading, writing
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.place import CUSTOMER, IN_TRANSIT
from vocabulary.stock import Stock

#: 95 % quantile of the standard normal distribution, for a lane's lead time (ledger rule 12).
Z95 = 1.645
#: Microseconds of a day.
DAY_US = 86_400_000_000


def late_returns(stock: Stock, movement: Movement) -> list[str]:
    """The pieces that `movement` received as new although `stock`, from before it, holds them at a customer (rule 6)."""
    if movement.kind != "receiving" or movement.reverses is not UNSET:
        return []
    units = (entry.unit for entry in movement.units if entry.unit.startswith("01/"))
    return [unit for unit in units if unit in stock.units and stock.units[unit].account.place == CUSTOMER]


async def report_late_return(conn: AsyncConnection, site_id: str, units: Sequence[str], at: int, cause: int) -> None:
    """Tell people of `units` that came back in one movement, row `cause`."""
    others = f" and {len(units) - 1} more" if len(units) > 1 else ""
    text = f"{units[0]}{others} came in as new goods and had been shipped to a customer from here: this is a return."
    action = "Inspect it, and put it on hold where it cannot be sold; credit the customer."
    record = ExceptionRecord(
        "late-return", units[0], "open", at, text, action, facts={"units": len(units)}, cause=cause
    )
    await store_exception(conn, site_id, record, "cloud")


async def report_rests(engine: AsyncEngine, now: int) -> int:
    """Raise what of transfers has not arrived in their lane's 95 % lead time, settle what has; how many were raised."""
    async with reading(engine) as conn:
        rests = await _rests(conn)
        overdue = await _overdue(conn, rests, now)
        e = schema.exception.c
        mine = (e.kind == "in-transit-rest") & (e.origin == "cloud") & (e.state != "decided")
        known = {(row.site_id, row.subject) for row in await conn.execute(select(e.site_id, e.subject).where(mine))}
    fresh = [one for one in overdue if (one[0], one[1].subject) not in known]
    for site_id, record in fresh:
        async with writing(engine, site_id) as conn:
            await store_exception(conn, site_id, record, "cloud")
    for site_id, transfer in sorted(known):
        if transfer not in rests:
            async with writing(engine, site_id) as conn:
                await conn.execute(
                    update(schema.exception)
                    .where(mine, e.site_id == site_id, e.subject == transfer)
                    .values(state="decided", at=now, reason="Nothing of the transfer is under way any more.")
                )
    return len(fresh)


async def _rests(conn: AsyncConnection) -> dict[str, int]:
    """Base units under way by transfer: what the sender put there less what the receiver took."""
    b = schema.balance.c
    total = func.sum(b.quantity)
    query = (
        select(b.place, b.item, total.label("rest"))
        .where(b.place.like(f"{IN_TRANSIT}%"))
        .group_by(b.place, b.item)
        .having(total > 0)
        .order_by(b.place)
    )
    rests: dict[str, int] = {}
    for row in await conn.execute(query):
        transfer = row.place.removeprefix(IN_TRANSIT)
        rests[transfer] = rests.get(transfer, 0) + int(row.rest)
    return rests


async def _overdue(conn: AsyncConnection, rests: dict[str, int], now: int) -> list[tuple[str, ExceptionRecord]]:
    """The receiving sites and what they miss: transfers whose last departure is longer ago than their lane takes."""
    d, lane = schema.document.c, schema.lane.c
    query = (
        select(d.id, d.from_site, d.to_site, d.changed_at, lane.lead_time_days, lane.lead_time_sd)
        .join_from(schema.document, schema.lane, (lane.from_site == d.from_site) & (lane.to_site == d.to_site))
        .where(d.type == "transfer", d.site_id == d.from_site, d.progress != "waiting")
        .order_by(d.to_site, d.id)
    )
    found: list[tuple[str, ExceptionRecord]] = []
    for row in await conn.execute(query):
        days = row.lead_time_days + Z95 * row.lead_time_sd
        if row.id not in rests or now - row.changed_at <= days * DAY_US:
            continue
        text = (
            f"{rests[row.id]} base units of transfer {row.id} from {row.from_site} have not arrived; 95 of 100 loads of this "
            f"lane arrive within {days:.1f} days."
        )
        action = "Ask the carrier and both sites; close the transfer when the rest will not come, and it is booked as missing."
        facts: dict[str, str | int] = {"rest": rests[row.id], "from": row.from_site, "sent_at": row.changed_at}
        record = ExceptionRecord("in-transit-rest", row.id, "open", now, text, action, facts=facts)
        found.append((row.to_site, record))
    return found
