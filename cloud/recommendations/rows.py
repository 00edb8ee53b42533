"""A recommendation as it stands in the store: the proposal as it was made, and what became of it."""

from __future__ import annotations

from typing import cast

import msgspec
from sqlalchemy import Row, Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import NotFoundError
from cloud.store.schema import recommendation
from vocabulary.recommendation import Recommendation, RecommendationKind, RecommendationState

#: States in which a proposal still waits for an answer.
UNANSWERED: tuple[RecommendationState, ...] = ("proposed", "snoozed")
#: States in which its document is under way.
UNDER_WAY: tuple[RecommendationState, ...] = ("accepted", "edited", "auto-accepted", "released")


class RecommendationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `quantity` is as decided, `proposal` as proposed; times in microseconds UTC; `by_day` an ISO date."""

    site_id: str
    id: str
    kind: RecommendationKind
    state: RecommendationState
    item: str
    partner: str
    quantity: int
    by_day: str
    cost_minor: int | None
    currency: str
    confidence: int
    forecast: str
    document: str
    created_at: int
    changed_at: int
    expires_at: int | None
    snoozed_until: int | None
    decided_at: int | None
    decided_by: str
    reason: str
    proposal: Recommendation


#: Plain strings: SQLAlchemy's own names are a subclass that msgspec does not take for keys.
_NAMES = (*RecommendationRow.__struct_fields__[:-1], "body")


def query() -> Select[tuple[object, ...]]:
    """All columns of recommendations, for a caller to narrow; its rows are for `of_row`."""
    return cast(Select[tuple[object, ...]], select(*(recommendation.c[name] for name in _NAMES)))


def of_row(row: Row[tuple[object, ...]]) -> RecommendationRow:
    """A row of `query`."""
    values = dict(zip(_NAMES, row, strict=True))
    values["proposal"] = msgspec.json.decode(cast(bytes, values.pop("body")))
    return msgspec.convert(values, RecommendationRow)


async def find(conn: AsyncConnection, site_id: str, recommendation_id: str) -> RecommendationRow:
    """One recommendation. Raises NotFoundError."""
    table = recommendation.c
    row = (await conn.execute(query().where(table.site_id == site_id, table.id == recommendation_id))).first()
    if row is None:
        raise NotFoundError(f"site {site_id} has no recommendation {recommendation_id}")
    return of_row(row)


async def change(conn: AsyncConnection, row: RecommendationRow, **values: str | int | None) -> None:
    """Change columns of a recommendation in the caller's writing transaction."""
    table = recommendation.c
    await conn.execute(update(recommendation).where(table.site_id == row.site_id, table.id == row.id).values(**values))
