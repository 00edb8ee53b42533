"""When the first goods of a document arrived (`document.arrived_at`), which lead times are learned from.

That is when the movement happened by which what came in against the document, or against a notice of it, last rose above
nothing, in the order of the ledger; null while nothing has come, or what came was taken back. Items that the document does
not name do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.flows import RECEIVED
from cloud.store import lanes, schema

#: Documents whose past is gone through at a time: bounds memory.
_DOCUMENTS = 200
_LINE = {name: place for place, name in enumerate(schema.movement_line.columns.keys())}
_ITEM, _AT, _DOCUMENT = _LINE["item"], _LINE["occurred_at"], _LINE["document"]
_FLOW, _QUANTITY = _LINE["flow"], _LINE["flow_quantity"]


async def follow(conn: AsyncConnection, site_id: str, lines: Sequence[lanes.Row]) -> None:
    """Bring the arrivals from before to after `lines`, rows of the table movement_line that were just stored."""
    came: dict[str, list[lanes.Row]] = {}
    for line in lines:
        if line[_DOCUMENT] and line[_FLOW] == RECEIVED and line[_QUANTITY]:
            came.setdefault(str(line[_DOCUMENT]), []).append(line)
    if not came:
        return
    c = schema.document.c
    columns = (c.id, c.announces, c.arrived_at)
    found = await lanes.select_in(conn, columns, site_id, c.id, list(came))
    behind = {order: name for name, order, _ in found if order}
    found += await lanes.select_in(conn, columns, site_id, c.id, [order for order in behind if order not in came])
    items = await _items(conn, site_id, [name for name, _, _ in found])
    done = await _began(conn, site_id, [name for name, _, arrived in found if arrived is None])
    again: list[str] = []
    for name, _, arrived in found:
        mine = [
            line
            for source in (name, *(notice for notice, order, _ in found if order == name))
            for line in came.get(source, ())
            if line[_ITEM] in items.get(name, ())
        ]
        if any(_number(line[_QUANTITY]) < 0 for line in mine) or (arrived is None and name in done):
            again.append(name)  # what came before decides, so all of it is gone through
        elif mine and arrived is None:
            first = min(mine, key=lambda line: (line[_LINE["position"]], line[_LINE["line"]]))
            await _set(conn, site_id, name, _number(first[_AT]))
    await derive(conn, site_id, again)


async def derive(conn: AsyncConnection, site_id: str, documents: Iterable[str]) -> None:
    """Derive the arrivals of `documents` from all that moved against them."""
    names = list(dict.fromkeys(documents))
    for start in range(0, len(names), _DOCUMENTS):
        await _derive(conn, site_id, names[start : start + _DOCUMENTS])


async def derive_moved(conn: AsyncConnection, site_id: str, documents: Iterable[str]) -> None:
    """Derive the arrivals of `documents`, whose movements got another time, and of the orders behind them."""
    names = list(dict.fromkeys(documents))
    c = schema.document.c
    found = await lanes.select_in(conn, (c.announces,), site_id, c.id, names)
    await derive(conn, site_id, [*names, *(order for (order,) in found if order)])


async def forget(conn: AsyncConnection, site_id: str) -> None:
    """Take all arrivals of a site back, before they are derived anew."""
    c = schema.document.c
    await conn.execute(
        update(schema.document).where(c.site_id == site_id, c.arrived_at.is_not(None)).values(arrived_at=None)
    )


async def _derive(conn: AsyncConnection, site_id: str, names: list[str]) -> None:
    c, line = schema.document.c, schema.movement_line.c
    notices = await lanes.select_in(conn, (c.id, c.announces), site_id, c.announces, names)
    counts_for = {name: [name] for name in names}
    for notice, order in notices:
        counts_for.setdefault(notice, []).append(order)
    items = await _items(conn, site_id, names)
    every = sorted({item for found in items.values() for item in found})
    net: dict[str, int] = {}
    arrived: dict[str, int | None] = dict.fromkeys(names)
    columns = (line.position, line.line, line.item, line.occurred_at, line.document, line.flow, line.flow_quantity)
    moved = await lanes.select_in(conn, columns, site_id, line.item, every)
    for _, _, item, at, document, flow, quantity in sorted(moved):
        if flow != RECEIVED:
            continue
        for name in counts_for.get(document, ()):
            if item not in items.get(name, ()):
                continue
            before = net.get(name, 0)
            after = net[name] = before + quantity
            if after <= 0:
                arrived[name] = None
            elif before <= 0:
                arrived[name] = at
    for name, at in arrived.items():
        await _set(conn, site_id, name, at)


async def _items(conn: AsyncConnection, site_id: str, names: Sequence[str]) -> dict[str, set[str]]:
    line = schema.document_line.c
    found: dict[str, set[str]] = {}
    for name, item in await lanes.select_in(conn, (line.document, line.item), site_id, line.document, names):
        found.setdefault(name, set()).add(item)
    return found


async def _began(conn: AsyncConnection, site_id: str, names: Sequence[str]) -> set[str]:
    """Those of `names` against which something moved before."""
    c = schema.document_done.c
    return {name for (name,) in await lanes.select_in(conn, (c.document,), site_id, c.document, names)}


async def _set(conn: AsyncConnection, site_id: str, name: str, at: int | None) -> None:
    c = schema.document.c
    await conn.execute(update(schema.document).where(c.site_id == site_id, c.id == name).values(arrived_at=at))


def _number(value: lanes.Value) -> int:
    assert isinstance(value, int)
    return value
