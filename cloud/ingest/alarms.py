"""What headquarters notices about its gateways by itself and tells people: possible clones, and pushes that do not pass."""

from __future__ import annotations

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.reports import store_exception
from cloud.store import schema
from vocabulary.exception import ExceptionKind, ExceptionRecord

#: Times that processes of one gateway must come back within RETURN_US after another one had spoken: once may be a request
#: of a process that has ended, held up on its way; two are two machines.
RETURNS = 2
RETURN_US = 3_600_000_000
#: Microseconds that an ended process is remembered: longer than any request is held up.
REMEMBERED_US = 86_400_000_000
#: Refused pushes in a row after which people are told: fewer heal by themselves, as the gateway sends smaller ones.
REFUSALS = 5

REVOKE = "Stop the copy, or enrol one of the two anew; revoke the other. The rows of both are kept and count."


async def instance_spoke(conn: AsyncConnection, site_id: str, gateway: str, instance: str, now: int) -> None:
    """Note that the gateway's process `instance` took over from another one; two that take turns are two machines."""
    p = schema.gateway_process.c
    mine = (p.site_id == site_id) & (p.gateway == gateway)
    back = await conn.execute(
        update(schema.gateway_process).where(mine, p.instance == instance).values(returns=p.returns + 1, spoke_at=now)
    )
    if back.rowcount == 0:
        await conn.execute(delete(schema.gateway_process).where(mine, p.spoke_at < now - REMEMBERED_US))
        await conn.execute(
            schema.gateway_process.insert().values(
                site_id=site_id, gateway=gateway, instance=instance, first_at=now, spoke_at=now
            )
        )
        return
    returns, alive = (
        await conn.execute(
            select(func.sum(p.returns), func.count()).where(mine, p.spoke_at > now - RETURN_US, p.returns > 0)
        )
    ).one()
    if returns >= RETURNS:
        text = f"{max(alive, 2)} machines speak in turn with the key of gateway {gateway}: its card was copied and both run."
        await _raise(conn, site_id, "gateway-clone", f"gateway {gateway}", now, text, REVOKE)


async def branched(conn: AsyncConnection, site_id: str, gateway: str, common_seq: int, rows: int, now: int) -> None:
    """Note that a gateway goes on from an earlier row than the last one here: `rows` that it sent are not in its ledger."""
    text = (
        f"Gateway {gateway} goes on behind row {common_seq}, and {rows} rows that came from it later are not in its ledger: "
        "its card was restored from a copy, recovered after damage, or a second machine runs with its key."
    )
    action = f"If its card was restored, nothing is to be done: what it lacks is sent back to it. If not: {REVOKE}"
    await _raise(conn, site_id, "gateway-clone", f"gateway {gateway}", now, text, action, common=common_seq, rows=rows)


async def push_refused(conn: AsyncConnection, site_id: str, gateway: str, reason: str, now: int) -> None:
    """Note that what a gateway sends is refused again and again, so that its rows wait there."""
    text = f"Pushes of gateway {gateway} are refused one after the other, its rows wait there: {reason}"
    action = (
        "Look what stands between it and headquarters, and that both have versions that fit. Nothing is lost meanwhile."
    )
    await _raise(conn, site_id, "device", f"pushes of gateway {gateway}", now, text, action)


async def push_passed(conn: AsyncConnection, site_id: str, gateway: str, now: int) -> None:
    """Note that its rows arrive again."""
    e = schema.exception.c
    await conn.execute(
        update(schema.exception)
        .where(
            e.site_id == site_id, e.kind == "device", e.subject == f"pushes of gateway {gateway}", e.origin == "cloud"
        )
        .where(e.state != "decided")
        .values(state="decided", at=now, reason="Its rows arrive again.")
    )


async def _raise(
    conn: AsyncConnection,
    site_id: str,
    kind: ExceptionKind,
    subject: str,
    now: int,
    text: str,
    action: str,
    **facts: int,
) -> None:
    """Open an exception of headquarters; one that is open already is left to who works on it."""
    e = schema.exception.c
    known = await conn.execute(
        select(e.state).where(e.site_id == site_id, e.kind == kind, e.subject == subject, e.text == text[:500])
    )
    if known.scalar_one_or_none() not in (None, "decided"):
        return
    record = ExceptionRecord(kind, subject, "open", now, text[:500], action)
    if facts:
        record = ExceptionRecord(kind, subject, "open", now, text[:500], action, facts=dict(facts))
    await store_exception(conn, site_id, record, "cloud")
