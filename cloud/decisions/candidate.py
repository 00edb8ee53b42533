"""What a decision about one item at one site rests on, and what comes out of it. Values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cloud.decisions.expiry import Lot
from cloud.decisions.terms import Freight, Terms
from cloud.forecasts.forecast import Forecast
from vocabulary.item import BaseUnit
from vocabulary.quantity import Money
from vocabulary.recommendation import Basis, Effect, Reason, Worth


class Position(msgspec.Struct, frozen=True):
    """What there is and will be, base units: available now, still to come from orders, owed to customers since before
    today, and booked by customers for within the horizon (part of the demand that is forecast, so not taken off).

    `on_hand` is what takes room in the building whatever its status; `lots` what of the available expires, and when.
    """

    available: int
    on_order: int = 0
    owed: int = 0
    booked: int = 0
    on_hand: int = 0
    lots: tuple[Lot, ...] = ()

    @property
    def total(self) -> int:
        """The inventory position. A negative record is a missing movement, not goods that could be owed: it counts as 0."""
        return self.without(0)

    def without(self, kept: int) -> int:
        """The inventory position when `kept` of the available are not for sale: on show, or not consumed in time."""
        return max(max(self.available, 0) - kept, 0) + self.on_order - self.owed


class Keeping(msgspec.Struct, frozen=True):
    """How an item is kept at a site. `display` base units stand on show; `service_floor` the least cycle service, per mille;
    `most` base units that may be there at once; `shelf_life_days` from receipt on; `volume_ml` of a base unit; it ends on
    `discontinued_on` (ISO date, "" never), when `successor` takes its demand over; `fed_by` the site that it comes from.
    """

    display: int = 0
    service_floor: int = 0
    most: int | None = None
    shelf_life_days: int | None = None
    volume_ml: int = 0
    discontinued_on: str = ""
    successor: str = ""
    fed_by: str = ""


class Policy(msgspec.Struct, frozen=True):
    """A site's policy: holding cost per mille of value and year; mean cycle service aimed at, per mille; review, days;
    what of the goods' own cost a demand not served costs besides, per mille.
    """

    holding_rate: int = 200
    service: int = 950
    review_days: int = 1
    value_share: int = 0


class Limits(msgspec.Struct, frozen=True):
    """What a site's orders must stay within. `budget_minor` of `currency` in seven days, of which `ordered_minor` is spent;
    `capacity_ml` that fit, of which `filled_ml` is taken by what is there and coming. None: no limit.

    `freight` by supplier; `ordered_today_minor` by supplier is what an order of today already adds up to.
    """

    currency: str = "EUR"
    budget_minor: int | None = None
    ordered_minor: int = 0
    capacity_ml: int | None = None
    filled_ml: int = 0
    freight: Mapping[str, Freight] = {}
    ordered_today_minor: Mapping[str, int] = {}


class Event(msgspec.Struct, frozen=True):
    """A campaign within the horizon: its days (ISO dates, both inside) and the planned change of demand, 0.3 for 30 % more."""

    name: str
    first: str
    last: str
    uplift: float


class Candidate(msgspec.Struct, frozen=True):
    """Everything a decision about one item at one site rests on; `events` are part of its forecast, and named for people."""

    forecast: Forecast
    terms: Terms
    position: Position
    unit: BaseUnit = "H87"
    suppliers: int = 1
    keeping: Keeping = Keeping()
    events: tuple[Event, ...] = ()


class Proposal(msgspec.Struct, frozen=True):
    """Buy `quantity` base units from `supplier`, to be there `by` (ISO date)."""

    site: str
    item: str
    supplier: str
    quantity: int
    by: str
    cost: Money
    price_micro: int
    confidence: int
    forecast: str
    reasons: tuple[Reason, ...]
    effect: Effect
    worth: tuple[Worth, ...] = ()
    basis: Basis | None = None


class LeftOut(msgspec.Struct, frozen=True):
    """An order that the forecast asks for and a limit forbids: how much was wanted, and which limit, in words."""

    site: str
    item: str
    quantity: int
    reason: Reason


class Replenishment(msgspec.Struct, frozen=True):
    """What a site should order today, and what it should but cannot."""

    proposals: tuple[Proposal, ...]
    left_out: tuple[LeftOut, ...] = ()
