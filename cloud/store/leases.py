"""Leases: what one process at a time does, among all that share the database."""

from __future__ import annotations

from sqlalchemy import or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import schema

_MAKE = text("INSERT INTO lease (name) VALUES (:name) ON CONFLICT (name) DO NOTHING")


async def take(conn: AsyncConnection, name: str, holder: str, now: int, life_us: int, idle_us: int = 0) -> bool:
    """Take or renew a lease for `life_us` microseconds; False while another holds it, or held it less than `idle_us` ago.

    `now` is the process's own time: hosts that share a database keep theirs by NTP, within a small part of `life_us`.
    """
    row = schema.lease.c
    await conn.execute(_MAKE, {"name": name})
    free = (row.expires_at <= now) & (row.renewed_at <= now - idle_us)
    taken = await conn.execute(
        update(schema.lease)
        .where(row.name == name, or_(row.holder == holder, free))
        .values(holder=holder, renewed_at=now, expires_at=now + life_us)
    )
    return taken.rowcount == 1


async def give_back(conn: AsyncConnection, name: str, holder: str, now: int) -> None:
    """End a lease before its time."""
    row = schema.lease.c
    await conn.execute(
        update(schema.lease).where(row.name == name, row.holder == holder).values(renewed_at=now, expires_at=0)
    )


async def held(conn: AsyncConnection, name: str, now: int) -> bool:
    """Whether somebody holds the lease."""
    row = schema.lease.c
    return (await conn.execute(select(row.name).where(row.name == name, row.expires_at > now))).first() is not None
