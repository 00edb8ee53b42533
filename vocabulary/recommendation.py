"""What headquarters proposes, why, and what became of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from vocabulary.quantity import Money

RecommendationKind = Literal["purchase", "transfer", "obsolescence", "count-request"]
RecommendationState = Literal[
    "proposed", "accepted", "edited", "rejected", "snoozed", "auto-accepted", "released", "fulfilled", "expired"
]


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reason in words, and the numbers it rests on."""

    text: str
    numbers: dict[str, float | int | str]


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is expected at one site: stock-out probability per mille over the cover period, and days of cover."""

    site: str
    stockout_before: int
    stockout_after: int
    cover_before: float
    cover_after: float


class Recommendation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A proposal. `quantity` in base units; `by` the date by which it should be there, ISO; `confidence` per mille."""

    id: str
    kind: RecommendationKind
    state: RecommendationState
    site: str
    item: str
    quantity: int
    from_: str = msgspec.field(name="from")
    to: str = ""
    by: str = ""
    cost: Money | None = None
    confidence: int = 0
    forecast: str = ""
    reasons: tuple[Reason, ...] = ()
    effects: tuple[Effect, ...] = ()
    document: str = ""
