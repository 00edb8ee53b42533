"""What headquarters tells a gateway: items, packaging, places, open documents, thresholds and commands, whole."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import msgspec
import zstandard
from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.projections.changes import Changes
from cloud.projections.documents import read_document
from cloud.store import schema
from cloud.store.database import reading
from runtime import Runtime
from vocabulary.item import Item, PackagingLevel
from vocabulary.place import Place, PlaceKind
from vocabulary.wire import Command, Downlink, Thresholds

#: Seconds a poll is held at most: shorter than the patience of common proxies.
LONGEST_WAIT_S = 30
#: Documents that were cancelled, and transfers that were closed, are told for a week, microseconds: goods may still move
#: against a cancelled one, and the receiver of a closed transfer books what did not come.
ENDED_US = 7 * 86_400_000_000
#: zstd level: the cheap one, for a downlink is made anew at each change; it repeats itself enough.
LEVEL = 3
#: Sites whose downlink stays encoded in memory.
KEPT = 200

_command = msgspec.json.Decoder(Command)
_encoder = msgspec.json.Encoder()


async def touch(conn: AsyncConnection, site_id: str | None = None) -> None:
    """Count a change of what the gateway of `site_id` (None = of every site) is told, in the caller's transaction."""
    s = schema.site.c
    change = update(schema.site).values(downlink=s.downlink + 1)
    await conn.execute(change if site_id is None else change.where(s.id == site_id))


async def read_downlink(conn: AsyncConnection, site_id: str, version: str, now: int) -> Downlink:
    """All that the gateway of `site_id` is told at `now` (microseconds UTC), under `version`."""
    i, p, d, c = schema.item, schema.packaging, schema.document.c, schema.command.c
    site = (await conn.execute(select(schema.site).where(schema.site.c.id == site_id))).one()
    items = tuple(
        Item(row.id, row.name, row.unit, row.lot, row.serial, row.expiry, row.catch_weight, row.provisional)
        for row in await conn.execute(select(i).order_by(i.c.id))
    )
    packaging = tuple(
        PackagingLevel(row.gtin, row.item, row.quantity, row.name)
        for row in await conn.execute(select(p).order_by(p.c.gtin))
    )
    places = tuple(
        Place(row.id, _place_kind(row.kind), row.parent, row.name, row.sgln)
        for row in await conn.execute(
            select(schema.place).where(schema.place.c.site_id == site_id).order_by(schema.place.c.id)
        )
    )
    ended = or_(d.state == "cancelled", d.type == "transfer")
    documents = await conn.execute(
        select(d.body)
        .where(
            d.site_id == site_id,
            d.opened_by == "cloud",
            or_(d.state == "open", and_(ended, d.changed_at > now - ENDED_US)),
        )
        .order_by(d.opened_at, d.id)
    )
    commands = await conn.execute(
        select(c.body).where(c.site_id == site_id, c.result == "", c.expires_at > now).order_by(c.created_at, c.id)
    )
    return Downlink(
        version,
        items,
        packaging,
        places,
        tuple(read_document(body) for body in documents.scalars()),
        tuple(_command.decode(body) for body in commands.scalars()),
        Thresholds(site.count_difference, site.travel_time_s),
    )


def _place_kind(text: str) -> PlaceKind:
    return msgspec.convert(text, PlaceKind)


class Downlinks:
    """Answers the gateways' long polls; an unchanged downlink is encoded once."""

    def __init__(self, engine: AsyncEngine, changes: Changes, runtime: Runtime) -> None:
        self._engine, self._changes, self._runtime = engine, changes, runtime
        self._encoded: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    async def poll(self, site_id: str, known: str, wait_s: float) -> tuple[str, bytes | None]:
        """(version, body as a zstd frame), as soon as the version differs from `known`.

        (known, None) after `wait_s` seconds, or when the server stops.
        """
        with self._changes.subscribe() as news:
            version = await self._version(site_id)
            try:
                async with asyncio.timeout(min(max(wait_s, 0), LONGEST_WAIT_S)):
                    while version == known:
                        if self._changes.closed:
                            return known, None
                        change = await news.next()
                        if change.site_id in ("", site_id):
                            version = await self._version(site_id)
            except TimeoutError:
                return known, None
        return version, await self._body(site_id, version)

    async def _version(self, site_id: str) -> str:
        s = schema.site.c
        async with reading(self._engine) as conn:
            return str((await conn.execute(select(s.downlink).where(s.id == site_id))).scalar_one())

    async def _body(self, site_id: str, version: str) -> bytes:
        kept = self._encoded.get(site_id)
        if kept is not None and kept[0] == version:
            return kept[1]
        async with reading(self._engine) as conn:
            body = _encoder.encode(await read_downlink(conn, site_id, version, self._runtime.now()))
        body = zstandard.ZstdCompressor(level=LEVEL).compress(body)
        self._encoded[site_id] = (version, body)
        if len(self._encoded) > KEPT:
            self._encoded.popitem(last=False)
        return body
