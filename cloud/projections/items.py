"""What of each item is in the building, and since when none of it is available."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import EMPTY_MINUTES, DailyChanges
from cloud.store import lanes, schema


class StockChange(NamedTuple):
    """A line that changed what is in the building: base units, and when (microseconds UTC)."""

    item: str
    at: int
    on_hand: int
    available: int


async def change_items(
    conn: AsyncConnection, site_id: str, days: BusinessDays, changes: Sequence[StockChange], daily: DailyChanges
) -> None:
    """Apply `changes` in order; an item that becomes available again adds its empty opening minutes to `daily`."""
    if not changes:
        return
    columns = schema.item_stock.c
    names = list(dict.fromkeys(change.item for change in changes))
    found = await lanes.select_in(
        conn,
        (columns.item, columns.on_hand, columns.available, columns.empty_since, columns.changed_at),
        site_id,
        columns.item,
        names,
    )
    state: dict[str, tuple[int, int, int | None, int]] = {row[0]: (row[1], row[2], row[3], row[4]) for row in found}
    for item, at, on_hand_change, available_change in changes:
        on_hand, available, empty_since, _ = state.get(item, (0, 0, None, 0))
        on_hand += on_hand_change
        available += available_change
        if available <= 0 and empty_since is None:
            empty_since = at
        elif available > 0 and empty_since is not None:
            for day, minutes in days.open_minutes(empty_since, at).items():
                daily.add(item, day, EMPTY_MINUTES, minutes)
            empty_since = None
        state[item] = (on_hand, available, empty_since, at)
    await lanes.put(conn, schema.item_stock, [(site_id, item, *state[item]) for item in names])
