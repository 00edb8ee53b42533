"""Orders to a gateway: written here, sent by the downlink until their result comes back as a record."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.ingest.downlink import touch
from cloud.store import schema
from runtime import Runtime
from vocabulary.wire import Command, Order

#: Microseconds in which a command must be executed: a gateway that was away longer gets the decision anew.
COMMAND_LIFE_US = 7 * 86_400 * 1_000_000

_encoder = msgspec.json.Encoder()


async def send(conn: AsyncConnection, runtime: Runtime, site_id: str, order: Order, actor: str) -> str:
    """Send `order` to the gateway of `site_id`, in the caller's transaction; returns the command's id."""
    now = runtime.now()
    command = Command(runtime.token_bytes(8).hex(), now + COMMAND_LIFE_US, order)
    await conn.execute(
        schema.command.insert().values(
            site_id=site_id,
            id=command.id,
            created_at=now,
            created_by=actor,
            expires_at=command.expires_at,
            body=_encoder.encode(command),
        )
    )
    await touch(conn, site_id)
    return command.id
