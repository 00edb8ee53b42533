"""Demand from before the ledger, out of files of any length: told by series first, then stored in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.inputs.import_rows import DemandRow
from cloud.store import lanes, plans, schema
from cloud.store.database import is_postgresql

#: The indicator that a demand file's column `promotion` becomes.
PROMOTION = "promotion"
#: Series whose old rows are deleted at once.
_SERIES = 1_000

Name = tuple[str, str]


@dataclass(slots=True)
class _Span:
    """A series in the file: its first and last day, and whether its days rise from row to row."""

    first: str
    last: str
    rises: bool = True
    seen: str = ""
    price: int = -1


@dataclass
class DemandImport:
    """A demand file, row by row: `look` at all of them, `begin`, then `store` all of them.

    The file is the whole truth of its series between their first and last day there: what stood there before goes.
    """

    columns: tuple[str, ...] = ()
    spans: dict[Name, _Span] = field(default_factory=dict[Name, _Span])
    _currency: dict[str, str] = field(default_factory=dict[str, str])

    def look(self, rows: Sequence[DemandRow]) -> None:
        """Note which days of which series these rows are about."""
        for row in rows:
            span = self.spans.get((row.site_id, row.item))
            if span is None:
                self.spans[row.site_id, row.item] = _Span(row.day, row.day, seen=row.day)
                continue
            span.rises = span.rises and row.day >= span.seen
            span.seen = row.day
            span.first, span.last = min(span.first, row.day), max(span.last, row.day)

    async def begin(self, conn: AsyncConnection) -> None:
        """Delete what the file replaces."""
        s = schema.site.c
        self._currency = {row.id: row.currency for row in await conn.execute(select(s.id, s.currency))}
        tables = [(plans.demand_history, "")]
        tables += [(plans.price_plan, "")] if "price" in self.columns else []
        tables += [(plans.indicator, PROMOTION)] if "promotion" in self.columns else []
        spans = list(self.spans.items())
        for table, name in tables:
            c = table.c
            old = delete(table).where(
                c.site_id == bindparam("site"),
                c.item == bindparam("sku"),
                c.day >= bindparam("first"),
                c.day <= bindparam("last"),
            )
            if name:
                old = old.where(c.name == name)
            for start in range(0, len(spans), _SERIES):
                part = spans[start : start + _SERIES]
                values = [
                    {"site": site, "sku": item, "first": span.first, "last": span.last} for (site, item), span in part
                ]
                await conn.execute(old, values)

    async def store(self, conn: AsyncConnection, rows: Sequence[DemandRow], now: int) -> None:
        """Store rows; those of one day add up. `now` in microseconds UTC."""
        sums: dict[tuple[str, str, str], tuple[int, bool]] = {}
        for row in rows:
            key = (row.site_id, row.item, row.day)
            quantity, empty = sums.get(key, (0, False))
            out = row.empty or (row.on_hand is not None and row.on_hand <= 0)
            sums[key] = (quantity + row.quantity, empty or out)
        await _add(conn, [(*key, *value) for key, value in sums.items()])
        if "promotion" in self.columns:
            promoted = [
                (row.site_id, PROMOTION, row.item, row.day, row.promotion, row.day) for row in rows if row.promotion
            ]
            await lanes.put(conn, plans.indicator, promoted)
        if "price" in self.columns:
            await lanes.put(conn, plans.price_plan, self._prices(rows, now))

    def _prices(self, rows: Sequence[DemandRow], now: int) -> list[lanes.Row]:
        """The prices that differ from the one before; of a series whose days do not rise, all. Known on their day at last."""
        found: list[lanes.Row] = []
        for row in rows:
            if row.price is None:
                continue
            micro = round(row.price * 1_000_000)
            span = self.spans[row.site_id, row.item]
            if span.rises and micro == span.price:
                continue
            span.price = micro
            midnight = int(datetime.fromisoformat(row.day).replace(tzinfo=UTC).timestamp()) * 1_000_000
            currency = self._currency.get(row.site_id, "EUR")
            found.append((row.site_id, row.item, row.day, micro, currency, max(min(midnight, now), 0)))
        return found


async def _add(conn: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of the demand's history, or add them to what this file said of the same day before."""
    h = plans.demand_history
    insert = postgresql.insert(h) if is_postgresql(conn) else sqlite.insert(h)
    changes = {"quantity": h.c.quantity + insert.excluded.quantity, "empty": or_(h.c.empty, insert.excluded.empty)}
    names = h.columns.keys()
    await conn.execute(
        insert.on_conflict_do_update(index_elements=list(h.primary_key), set_=changes),
        [dict(zip(names, row, strict=True)) for row in rows],
    )
