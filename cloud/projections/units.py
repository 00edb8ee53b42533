"""Balances and units between the tables and `vocabulary.stock.Stock`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import lanes, schema
from vocabulary.movement import Movement
from vocabulary.place import Account
from vocabulary.stock import NOTHING, Amount, Goods, Stock, Unit

#: How a unit's content stands in the table: [item, lot, expiry, quantity, grams] for each goods.
Holds = list[tuple[str, str, str, int, int]]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Holds)


def read_holds(text: str) -> Holds:
    """The content of a unit from the column `holds`."""
    return _decoder.decode(text) if text else []


async def load(conn: AsyncConnection, site_id: str, stock: Stock, units: Sequence[str]) -> dict[str, int]:
    """Put the known ones of `units` into `stock`; returns the epoch that moved each last."""
    epochs: dict[str, int] = {}
    c = schema.unit.c
    columns = (
        c.unit, c.place, c.status, c.container, c.holds, c.first_seq, c.first_at, c.first_place, c.first_status, c.seq, c.at,
        c.epoch,
    )  # fmt: skip
    for row in await lanes.select_in(conn, columns, site_id, c.unit, units):
        unit, place, status, container, holds, first_seq, first_at, first_place, first_status, seq, at, epoch = row
        epochs[unit] = epoch
        stock.units[unit] = Unit(
            Account(place, status),
            first_seq,
            first_at,
            Account(first_place, first_status),
            seq,
            at,
            container or None,
            {
                Goods(item, lot, expiry): Amount(quantity, grams)
                for item, lot, expiry, quantity, grams in read_holds(holds)
            },
        )
    return epochs


def placed(stock: Stock, epochs: dict[str, int], epoch: int, movement: Movement) -> Movement:
    """`movement`, recorded in `epoch`, as it places units: where two tails of a ledger moved a unit, the later time counts.

    A unit that another epoch moved at a later time stays there, and the entry only says where it was. Within an epoch the
    gateway has said so itself. Notes in `epochs` which epoch moved each unit last; of one microsecond, what arrives last.
    """
    stale: set[str] = set()
    for entry in movement.units:
        known = stock.units.get(entry.unit)
        if known is not None and entry.past is not UNSET:
            continue
        if known is not None and movement.occurred_at < known.at and epochs.get(entry.unit, epoch) != epoch:
            stale.add(entry.unit)
        else:
            epochs[entry.unit] = epoch
    if not stale:
        return movement
    entries = (replace(entry, past=True) if entry.unit in stale else entry for entry in movement.units)
    return replace(movement, units=tuple(entries))


async def store(conn: AsyncConnection, site_id: str, stock: Stock, epochs: dict[str, int]) -> None:
    """Write the units of `stock` back, with the epoch that moved each last, and the lots it learnt."""
    await lanes.put(conn, schema.unit, list(_unit_rows(site_id, stock, epochs)))
    await lanes.put(conn, schema.lot, [(site_id, item, lot, expiry) for (item, lot), expiry in stock.lots.items()])


def _unit_rows(site_id: str, stock: Stock, epochs: dict[str, int]) -> Iterator[lanes.Row]:
    for name, unit in stock.units.items():
        holds = [(*goods, amount.quantity, amount.grams) for goods, amount in unit.holds.items()]
        items = {goods.item for goods in unit.holds}
        yield (
            site_id,
            name,
            unit.account.place,
            unit.account.status,
            unit.container or "",
            items.pop() if len(items) == 1 else "",
            _encoder.encode(holds).decode() if holds else "",
            unit.first_seq,
            unit.first_at,
            unit.first_from.place,
            unit.first_from.status,
            unit.seq,
            unit.at,
            epochs.get(name, 0),
        )


def balance_changes(site_id: str, stock: Stock) -> list[lanes.Row]:
    """What to add to the table `balance`, from a stock whose balances began empty."""
    rows: list[lanes.Row] = []
    held = stock.held
    for key, amount in stock.balances.items():
        inside = held.get(key, NOTHING)
        rows.append((site_id, *key, amount.quantity, amount.grams, inside.quantity, inside.grams))
    rows += [
        (site_id, *key, 0, 0, amount.quantity, amount.grams)
        for key, amount in held.items()
        if key not in stock.balances
    ]
    return rows
