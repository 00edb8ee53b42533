"""What suppliers offer: prices by quantity, lead times as agreed and as learned, freight. Values."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class PriceBreak(NamedTuple):
    """From `quantity` base units an order on, every unit of it costs `price_micro` (10^-6 major units)."""

    quantity: int
    price_micro: int


class Promise(msgspec.Struct, frozen=True):
    """The lead time that was agreed, days, where receipts have taught another one; how many did, and orders overdue."""

    lead_time_days: float
    lead_time_sd: float
    receipts: int
    overdue: int = 0


class Terms(msgspec.Struct, frozen=True):
    """On what terms a supplier delivers an item to a site: price in 10^-6 major units per base unit, lead time in days.

    `breaks` ascend in quantity; `promised` is set where the lead time was learned from receipts (`decisions.leadtime`).
    """

    supplier: str
    price_micro: int
    currency: str
    moq: int = 0
    pack: int = 1
    lead_time_days: float = 7.0
    lead_time_sd: float = 0.0
    order_cost_minor: int = 0
    breaks: tuple[PriceBreak, ...] = ()
    promised: Promise | None = None

    def price_at(self, quantity: float) -> int:
        """The price of each base unit of an order of `quantity`, 10^-6 major units."""
        price = self.price_micro
        for one in self.breaks:
            if quantity >= one.quantity:
                price = one.price_micro
        return price


class Freight(msgspec.Struct, frozen=True):
    """An order below `free_minor` costs `freight_minor` more, minor units of `currency`."""

    free_minor: int
    freight_minor: int
    currency: str
