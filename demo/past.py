"""Writes a site's year through the gateway's own writer, as if the gateway had recorded it when it happened.

    python -m demo.past --config FILE --site SITE --until DAY --seed N      (DAY: the first day that is still to come)

Runs after enrolment and before the daemon. Every day has its customers' orders, opened in the morning and closed in the
evening, and every delivery its purchase order, so that what could not be delivered is known as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from random import Random

import click
import msgspec

from demo.catalogue import CURRENCY, CUSTOMERS, SITES, STORAGE, SUPPLIERS, DemoItem, DemoSite, items
from demo.history import DAYS, Event, year
from gateway.app import ledger_path
from gateway.config import load_config
from gateway.ledger.writer import LedgerWriter
from gateway.sync.identity import load_or_make_identity
from gateway.transactions.intents import AnyIntent, OpeningStocked, Origin, Recorded, Scanned
from runtime import SystemRuntime, new_event_loop
from vocabulary.document import Document, DocumentLine
from vocabulary.movement import Kind
from vocabulary.place import CUSTOMER, SUPPLIER, Account
from vocabulary.wire import BalanceLine

#: Minutes of the day at which orders are taken and at which the rest of them is given up.
_MORNING, _EVENING = 300, 1_080
_MINUTE_US = 60_000_000
#: Intents that are handed to the writer at a time: some days, so that it never waits and progress is seen.
STRETCH = 4_096
#: Customers who order at a site on one day.
_CUSTOMERS_A_DAY = 2
_CLERK = Origin(actor="clerk")


class Past:
    """A site's events as intents, in the order in which they happened."""

    def __init__(self, seed: int, site: DemoSite, catalogue: list[DemoItem], until: date, gateway: str) -> None:
        self._site, self._seed, self._gateway = site, seed, gateway
        self._catalogue = catalogue
        self._items = {item.id: item for item in catalogue}
        self._coming: dict[str, int] = {}
        self._purchase_of: dict[tuple[str, int], Document] = {}
        self.first = until - timedelta(days=DAYS)
        midnight = datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)
        self._start_us = round(midnight.timestamp() * 1_000_000)

    def intents(self) -> Iterator[AnyIntent]:
        """All intents of the year."""
        random = Random(f"{self._seed}:{self._site.id}:customers")
        events = year(self._seed, self._site, self._catalogue, self.first.weekday())
        for day, group in groupby(events, key=lambda event: event.day):
            yield from self._day(day, list(group), random)

    def day_of(self, intent: AnyIntent) -> int:
        """How many days of the year are behind an intent."""
        return (intent.occurred_at - self._start_us) // (1_440 * _MINUTE_US)

    def _at(self, day: int, minute: int) -> int:
        return self._start_us + (day * 1_440 + minute) * _MINUTE_US

    def _day(self, day: int, events: list[Event], random: Random) -> Iterator[AnyIntent]:
        if opening := [event for event in events if event.kind == "opening"]:
            yield self._opening(day, opening)
        orders, order_of = self._orders(day, [event for event in events if event.kind == "sold"], random)
        for order in orders:
            yield self._recorded(day, _MORNING, order)
        for event in events:
            if event.kind == "sold" and event.quantity:
                yield self._moved(event, "shipping", STORAGE, CUSTOMER, order_of[event.item])
            elif event.kind == "received":
                yield from self._received(event)
        for order in orders:
            yield self._recorded(day, _EVENING, _closed(order))
        yield from self._purchases(day, [event for event in events if event.kind == "bought"])

    def _opening(self, day: int, events: list[Event]) -> OpeningStocked:
        lines = tuple(
            BalanceLine(
                Account(STORAGE),
                event.item,
                event.quantity,
                unit_cost=self._items[event.item].price_micro,
                currency=CURRENCY,
            )
            for event in events
        )
        return OpeningStocked(occurred_at=self._at(day, 0), origin=_CLERK, lines=lines)

    def _orders(self, day: int, sales: list[Event], random: Random) -> tuple[list[Document], dict[str, str]]:
        """The orders of the customers who order that day, and the order in which each item stands."""
        names = random.sample(CUSTOMERS, _CUSTOMERS_A_DAY)
        customer_of = {event.item: random.choice(names) for event in sales}
        orders: list[Document] = []
        for customer in names:
            wanted = [event for event in sales if customer_of[event.item] == customer]
            lines = tuple(DocumentLine(number, event.item, event.wanted) for number, event in enumerate(wanted, 1))
            if lines:
                name, due = self._order_name(day, customer), self._at(day, _EVENING)
                orders.append(Document(name, 1, "outbound-order", "open", lines, partner=customer, due=due))
        return orders, {item: self._order_name(day, customer) for item, customer in customer_of.items()}

    def _order_name(self, day: int, customer: str) -> str:
        return f"{self._gateway}-SO{day:03d}-{customer}"

    def _purchases(self, day: int, events: list[Event]) -> Iterator[AnyIntent]:
        """One order for each supplier that something is bought of."""
        for supplier in SUPPLIERS:
            bought = [event for event in events if self._items[event.item].supplier == supplier.id]
            if not bought:
                continue
            lines = tuple(
                DocumentLine(
                    number,
                    event.item,
                    event.quantity,
                    unit_cost=self._items[event.item].price_micro,
                    currency=CURRENCY,
                )
                for number, event in enumerate(bought, 1)
            )
            name = f"{self._gateway}-PO{day:03d}-{supplier.id}"
            order = Document(name, 1, "expected-receipt", "open", lines, partner=supplier.id)
            self._coming[name] = len(lines)
            self._purchase_of |= {(event.item, event.number): order for event in bought}
            yield self._recorded(day, bought[0].minute, order)

    def _received(self, event: Event) -> Iterator[AnyIntent]:
        """A delivery; the last one of its order closes it."""
        order = self._purchase_of.pop((event.item, event.number))
        yield self._moved(event, "receiving", SUPPLIER, STORAGE, order.id)
        self._coming[order.id] -= 1
        if not self._coming[order.id]:
            yield self._recorded(event.day, event.minute, _closed(order))

    def _recorded(self, day: int, minute: int, document: Document) -> Recorded:
        return Recorded(occurred_at=self._at(day, minute), record=document)

    def _moved(self, event: Event, kind: Kind, source: str, target: str, document: str) -> Scanned:
        return Scanned(
            occurred_at=self._at(event.day, event.minute),
            origin=_CLERK,
            kind=kind,
            from_place=source,
            to_place=target,
            item=event.item,
            pieces=event.quantity,
            document=document,
        )


def _closed(document: Document) -> Document:
    return msgspec.structs.replace(document, revision=document.revision + 1, state="closed")


async def write(writer: LedgerWriter, past: Past, progress: Callable[[int, int], None]) -> int:
    """Submit the year, a stretch at a time; `progress` hears of (days, rows). Returns the rows written.

    Raises GatewayError.
    """
    before = writer.head.seq
    intents = past.intents()
    while stretch := list(islice(intents, STRETCH)):
        await writer.submit_many(stretch)
        progress(past.day_of(stretch[-1]), writer.head.seq - before)
    return writer.head.seq - before


@click.command()
@click.option("--config", "config_file", required=True, type=click.Path(path_type=Path))
@click.option("--site", "site_id", required=True, type=click.Choice([site.id for site in SITES]))
@click.option("--until", required=True, help="The first day that is still to come, such as 2026-01-05.")
@click.option("--seed", default=1, show_default=True)
def main(config_file: Path, site_id: str, until: str, seed: int) -> None:
    """Write a seeded year into the ledger of a gateway that does not run; a JSON line for each stretch."""
    path = ledger_path(load_config(config_file))
    site = next(site for site in SITES if site.id == site_id)

    def tell(days: int, rows: int) -> None:
        print(msgspec.json.encode({"days": days, "of": DAYS, "rows": rows}).decode(), flush=True)

    async def work() -> None:
        runtime = SystemRuntime()
        gateway = load_or_make_identity(path.parent, runtime).gateway
        writer = await LedgerWriter.open(path, runtime)
        try:
            await write(writer, Past(seed, site, items(seed), date.fromisoformat(until), gateway), tell)
        finally:
            await writer.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work())


if __name__ == "__main__":
    main()
