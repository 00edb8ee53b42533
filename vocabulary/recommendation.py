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
    """What is expected at one site: stock-out probability per mille over the cover period, days of cover, and the money
    tied up in what is there and coming, minor units of the recommendation's currency.
    """

    site: str
    stockout_before: int
    stockout_after: int
    cover_before: float
    cover_after: float
    tied_before: int = 0
    tied_after: int = 0


class Worth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a better condition would save in a year, minor units: `lead-time` in days, `moq` in base units, from - to."""

    change: Literal["lead-time", "moq"]
    before: float
    after: float
    saving_minor: int
    currency: str


class Basis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters behind a proposal, kept with it so that it can be judged later.

    `holding_rate` and `value_share` per mille, `service_target` and `service_floor` per mille, `service` the level of the
    quantile that was used; `stockout_value` major units for each unserved demand; base units, days; `lead_time_days` as
    used, `promised_days` as agreed, `receipts` behind the difference; `breaks` (from base units on, 10^-6 each).
    """

    holding_rate: int
    value_share: int
    service_target: int
    service_floor: int
    review_days: int
    stockout_value: float
    service: float
    reorder_point: int
    lot: int
    price_micro: int
    currency: str
    moq: int
    pack: int
    order_cost_minor: int
    lead_time_days: float
    lead_time_sd: float
    promised_days: float
    promised_sd: float
    receipts: int = 0
    breaks: tuple[tuple[int, int], ...] = ()
    position: int = 0
    display: int = 0
    spoiling: int = 0


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
    worth: tuple[Worth, ...] = ()
    basis: Basis | None = None
