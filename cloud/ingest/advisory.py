"""What a gateway says it holds before a long catch-up: kept, and shown, until its rows have arrived."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError
from cloud.ingest.batch import epoch_of, inflate
from cloud.store import lanes, schema
from vocabulary.wire import Advisory

#: Parts of one advisory at most: 50 of 20,000 lines are a million balances of one site.
MOST_PARTS = 50

_decoder = msgspec.json.Decoder(Advisory)
_encoder = msgspec.json.Encoder()


async def store_advisory(conn: AsyncConnection, site_id: str, body: bytes) -> bool:
    """Keep what a gateway says it holds; whether it is whole now. Raises BadInputError, TooLargeError.

    A part waits for the others of its moment; an older moment than the one that is here changes nothing.
    """
    try:
        advisory = _decoder.decode(inflate(body))
    except msgspec.DecodeError as error:
        raise BadInputError(f"the advisory snapshot cannot be read: {error}") from None
    if not 0 <= advisory.part < advisory.parts <= MOST_PARTS:
        raise BadInputError(
            f"the advisory snapshot's part {advisory.part} of {advisory.parts} is none of 1 to {MOST_PARTS}"
        )
    epoch = epoch_of(advisory.epoch)
    a, p = schema.advisory.c, schema.advisory_part.c
    newer = select(a.at).where(a.site_id == site_id, a.epoch == epoch, a.at > advisory.at)
    if (await conn.execute(newer)).first() is not None:
        return False
    await conn.execute(
        delete(schema.advisory_part).where(p.site_id == site_id, (p.at < advisory.at) | (p.epoch != epoch))
    )
    if advisory.parts > 1:
        row = (site_id, advisory.part, epoch, advisory.at, _encoder.encode(advisory))
        await lanes.put(conn, schema.advisory_part, [row])
        mine = (p.site_id == site_id) & (p.epoch == epoch) & (p.at == advisory.at)
        found = (await conn.execute(select(p.body).where(mine).order_by(p.part))).scalars().all()
        if len(found) < advisory.parts:
            return False
        lines = tuple(line for part in found for line in _decoder.decode(part).balances)
        advisory = msgspec.structs.replace(advisory, balances=lines, part=0, parts=1)
        await conn.execute(delete(schema.advisory_part).where(p.site_id == site_id))
    row = (site_id, epoch, advisory.seq, advisory.at, _encoder.encode(advisory))
    await lanes.put(conn, schema.advisory, [row])
    return True
