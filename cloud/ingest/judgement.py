"""A person's decision about an exception: here where headquarters owns it, by a command where a gateway does."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError, NotFoundError
from cloud.ingest import commands
from cloud.store import audit, schema
from runtime import Runtime
from vocabulary.wire import DecideException


async def judge(conn: AsyncConnection, runtime: Runtime, site_id: str, decision: DecideException) -> str:
    """Record `decision` in the caller's transaction; the id of the command to the gateway, "" where none is needed.

    Raises BadInputError without a reason, NotFoundError, ConflictError where the exception is decided already.
    """
    kind, subject, state = decision.exception, decision.subject, decision.state
    if state == "decided" and not decision.reason.strip():
        raise BadInputError("reason: say what was decided and why, so that it can be understood later")
    e, now = schema.exception.c, runtime.now()
    where = (e.site_id == site_id) & (e.kind == kind) & (e.subject == subject)
    found = (await conn.execute(select(e.origin, e.state).where(where))).first()
    if found is None:
        raise NotFoundError(f"site {site_id} has no exception {kind} about {subject}")
    if found.state == "decided":
        raise ConflictError(f"the exception {kind} about {subject} is decided already")
    command = ""
    if found.origin == "gateway":
        command = await commands.send(conn, runtime, site_id, decision, decision.actor)
    else:
        values: dict[str, str | int] = {"state": state, "reason": decision.reason, "actor": decision.actor, "at": now}
        if state == "assigned":
            values["owner"] = decision.actor
        await conn.execute(update(schema.exception).where(where).values(**values))
    detail = {"kind": kind, "reason": decision.reason}
    await audit.record(conn, now, decision.actor, f"exception.{state}", site_id, subject, detail)
    return command
