"""A seeded year of trade that none of our models assumes, as plain events in the order in which they happened.

Demand comes from processes of their own: a level that breaks, a season of no exact period, campaigns with a dip behind
them, a market that switches between two moods, customers who order in batches, items that die or are born. A clerk
replenishes by a fixed minimum and maximum that was right at the start, so shelves run empty and sales are lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from demo.catalogue import SUPPLIERS, DemoItem, DemoSite

DAYS = 365
#: Sales by weekday, Monday first: a wholesaler's week.
_WEEK = (1.2, 1.1, 1.0, 1.05, 1.25, 0.4, 0.0)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `minute` of `day`; `quantity` in base units.

    `sold` comes with what was asked for in `wanted`, and with nothing in `quantity` where the shelf was empty.
    `bought` and the `received` that answers it share `number`.
    """

    day: int
    minute: int
    kind: Literal["opening", "bought", "received", "sold"]
    item: str
    quantity: int
    wanted: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A promotion of an item at a site: `days` days from day `start` on, demand `uplift` times as high; a dip behind it."""

    start: int
    days: int
    uplift: float


@dataclass(slots=True)
class _Market:
    """How one item's customers behave at one site."""

    level: float
    breaks: dict[int, float]
    campaigns: tuple[Campaign, ...]
    moods: dict[int, float]
    swing: float
    phase: float
    batch: int
    lively: bool
    switch: float
    born: int
    dies: int

    @classmethod
    def drawn(cls, random: Random, daily: float) -> _Market:
        breaks = {
            random.randrange(40, DAYS): random.choice((0.5, 0.7, 1.4, 2.0)) for _ in range(random.choice((0, 1, 1, 2)))
        }
        campaigns = tuple(
            Campaign(random.randrange(20, DAYS - 20), random.randrange(4, 11), random.uniform(1.6, 3.0))
            for _ in range(random.choice((0, 0, 1, 2)))
        )
        moods: dict[int, float] = {}
        for one in campaigns:
            end = one.start + one.days
            moods.update(dict.fromkeys(range(one.start, end), one.uplift))
            moods.update(dict.fromkeys(range(end, end + one.days // 2), 0.55))
        fate = random.random()
        return cls(
            level=daily,
            breaks=breaks,
            campaigns=campaigns,
            moods=moods,
            swing=random.uniform(0.0, 0.35),
            phase=random.uniform(0, math.tau),
            batch=random.choice((1, 1, 1, 2, 6)),
            lively=True,
            switch=random.choice((0.0, 0.01, 0.04)),
            born=random.randrange(60, 250) if fate > 0.92 else 0,
            dies=random.randrange(150, 330) if fate < 0.10 else DAYS + 1,
        )

    def demand(self, random: Random, day: int, weekday: int) -> int:
        if day in self.breaks:
            self.level *= self.breaks[day]
        if random.random() < self.switch:
            self.lively = not self.lively
        if not self.born <= day < self.dies:
            return 0
        mean = self.level * _WEEK[weekday] * self.moods.get(day, 1.0) * (1.0 if self.lively else 0.35)
        mean *= 1 + self.swing * math.sin(self.phase + day / 61)
        return self.batch * _poisson(random, mean / self.batch)


def year(seed: int, site: DemoSite, catalogue: list[DemoItem], first_weekday: int) -> Iterator[Event]:
    """The events of `DAYS` days at a site, day by day; `first_weekday` 0 is Monday."""
    shops = [_Shop(_drawn(seed, site, item), item, site.share) for item in catalogue]
    for shop in shops:
        yield Event(0, 0, "opening", shop.item.id, shop.stock)
    for day in range(DAYS):
        events = [event for shop in shops for event in shop.day(day, (first_weekday + day) % 7)]
        yield from sorted(events, key=lambda event: (event.minute, event.item))


def campaigns(seed: int, site: DemoSite, catalogue: list[DemoItem]) -> Iterator[tuple[DemoItem, Campaign]]:
    """The promotions of the same year at a site."""
    for item in catalogue:
        shop = _Shop(_drawn(seed, site, item), item, site.share)
        yield from ((item, campaign) for campaign in shop.campaigns)


def _drawn(seed: int, site: DemoSite, item: DemoItem) -> Random:
    return Random(f"{seed}:{site.id}:{item.id}")


class _Shop:
    """One item at one site: its market, its shelf, and the clerk's fixed minimum and maximum."""

    def __init__(self, random: Random, item: DemoItem, share: float) -> None:
        self.item = item
        self._random = random
        daily = item.daily * share * random.uniform(0.6, 1.4)
        self._market = _Market.drawn(random, daily)
        self._lead = next(supplier for supplier in SUPPLIERS if supplier.id == item.supplier)
        self._minimum = round(daily * (self._lead.lead_time_days + 3)) + 1
        self._lot = max(item.moq, -(-round(daily * 14) // item.case) * item.case)
        self.stock = self._minimum + self._lot
        self._coming: dict[int, list[tuple[int, int]]] = {}
        self._orders = 0

    @property
    def campaigns(self) -> tuple[Campaign, ...]:
        """Its promotions."""
        return self._market.campaigns

    def day(self, day: int, weekday: int) -> Iterator[Event]:
        """What happens on one day: deliveries in the morning, sales over the day, an order in the evening."""
        random, item = self._random, self.item
        for number, arriving in self._coming.pop(day, []):
            self.stock += arriving
            yield Event(day, random.randrange(360, 600), "received", item.id, arriving, number=number)
        wanted = self._market.demand(random, day, weekday)
        if wanted:
            sold = min(wanted, self.stock)
            self.stock -= sold
            yield Event(day, random.randrange(600, 1_020), "sold", item.id, sold, wanted)
        coming = sum(quantity for orders in self._coming.values() for _, quantity in orders)
        if weekday < 5 and self.stock + coming < self._minimum:
            arrival = day + max(1, round(random.gauss(self._lead.lead_time_days, self._lead.lead_time_sd)))
            if arrival < DAYS:  # what would come later is for the programs to order
                self._orders += 1
                self._coming.setdefault(arrival, []).append((self._orders, self._lot))
                yield Event(day, 1_050, "bought", item.id, self._lot, number=self._orders)


def _poisson(random: Random, mean: float) -> int:
    """Knuth's product for small means, a rounded normal above (Devroye 1986)."""
    if mean > 40:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        count += 1
        product *= random.random()
    return count
