"""A ledger in memory that tests post into: every record goes through its canonical bytes."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET

from gateway.ledger.posting import PostingState, post
from gateway.ledger.posting.memory import ListHistory
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent, Crossed, Moved, Origin, SeenUnit
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.exception import ExceptionRecord
from vocabulary.item import Item, PackagingLevel
from vocabulary.movement import Content, Line, Movement, accounts
from vocabulary.place import AVAILABLE, Account, Place
from vocabulary.records import Record, decode, encode
from vocabulary.stock import Key, Stock, apply, goods_of
from vocabulary.wire import Downlink, Thresholds

CASE_GTIN = "09506000134352"
SSCC = "00/106141412345678908"
PLACES = (
    Place("site", "site"),
    Place("dock-1", "dock", "site"),
    Place("dock-2", "dock", "site"),
    Place("zone", "zone", "site"),
    Place("aisle", "aisle", "zone"),
    Place("bin-1", "bin", "aisle"),
    Place("bin-2", "bin", "aisle"),
)


def case(number: int, gtin: str = CASE_GTIN) -> str:
    return f"01/{gtin}/21/{number}"


def catalogue(*documents: Document, thresholds: Thresholds | None = None) -> Catalogue:
    return Catalogue.from_downlink(
        Downlink(
            "1",
            items=(Item("water", "Water"), Item("juice", "Juice", lot=True), Item("ham", "Ham", "GRM")),
            packaging=(
                PackagingLevel(CASE_GTIN, "water", 24),
                PackagingLevel("19506000134359", "water", 1),
                PackagingLevel("09506000134369", "juice", 6),
            ),
            places=PLACES,
            documents=documents,
            thresholds=thresholds or Thresholds(),
        ),
        "site",
    )


def shipping_notice(cases: int = 4, name: str = "ASN-1", sscc: str = SSCC, first: int = 1) -> Document:
    """A pallet of cases of water, each announced by its serial."""
    return Document(
        id=name,
        revision=1,
        type="expected-receipt",
        state="open",
        lines=(DocumentLine(1, "water", 24 * cases, unit_cost=250_000, currency="EUR"),),
        units=(
            ExpectedUnit(sscc),
            *(ExpectedUnit(case(first + index), sscc, (Content("water", 24),)) for index in range(cases)),
        ),
    )


class World:
    """One site's stock, past and catalogue."""

    def __init__(self, *documents: Document, thresholds: Thresholds | None = None) -> None:
        self.catalogue = catalogue(*documents, thresholds=thresholds)
        self.stock = Stock()
        self.history = ListHistory()

    def do(self, intent: AnyIntent) -> list[Record]:
        """Post an intent as the writer does."""
        records = post(PostingState(self.stock, self.catalogue, self.history), intent)
        return [self.add(record) for record in records]

    def add(self, record: Record) -> Record:
        record = decode(encode(record))
        seq = self.history.append(record)
        apply(self.stock, seq, record)
        return record

    def cross(
        self, direction: Literal["in", "out"], at: int, *units: str, door: str = "dock-1", **more: Any
    ) -> list[Record]:
        return self.do(crossed(direction, at, *units, door=door, **more))

    def move(self, place: str, at: int, *units: str, **more: Any) -> list[Record]:
        return self.do(moved(place, at, *units, **more))

    def loose(
        self, place: str, item: str, quantity: int, lot: str = "", expiry: str = "", status: str = AVAILABLE
    ) -> None:
        """Put loose stock somewhere, without any rule."""
        line = Line(item=item, quantity=quantity, lot=lot or UNSET, expiry=expiry or UNSET)
        self.add(Movement("receiving", Account("supplier"), Account(place, status), 0, lines=(line,)))

    def at(self, place: str, item: str = "water", status: str = AVAILABLE, lot: str | None = None) -> int:
        return sum(
            amount.quantity
            for key, amount in self.stock.balances.items()
            if key.place == place and key.item == item and key.status == status and lot in (None, key.lot)
        )

    def balances(self) -> dict[Key, int]:
        """What is at each place of the building, and outside it, of each item."""
        return {key: amount.quantity for key, amount in sorted(self.stock.balances.items())}

    def exceptions(self) -> set[str]:
        """Kinds of the exceptions that are open."""
        last: dict[tuple[str, str], ExceptionRecord] = {}
        for record in self.history.records:
            if isinstance(record, ExceptionRecord):
                last[record.kind, record.subject] = record
        return {kind for (kind, _), record in last.items() if record.state != "decided"}

    def movements(self) -> list[Movement]:
        return [record for record in self.history.records if isinstance(record, Movement)]

    def check(self) -> None:
        """What must hold at any time: nothing is made or lost, contents fit balances, a replay gives the same stock."""
        sums: dict[Key, int] = {}
        for movement in self.movements():
            assert movement.lines or movement.units
            for line in movement.lines:
                assert line.quantity > 0
                for account, sign in zip(accounts(movement, line), (-1, 1), strict=True):
                    key = Key(account.place, account.status, *goods_of(line))
                    sums[key] = sums.get(key, 0) + sign * line.quantity
        assert {key: quantity for key, quantity in sums.items() if quantity} == self.balances()
        items = {key.item for key in self.stock.balances}
        for item in items:
            assert sum(amount.quantity for key, amount in self.stock.balances.items() if key.item == item) == 0
        again = Stock()
        for seq, record in enumerate(self.history.records, 1):
            apply(again, seq, record)
        for name in ("applied_seq", "balances", "held", "units", "children", "lots", "counts", "documents", "done"):
            assert getattr(again, name) == getattr(self.stock, name), name
        held: dict[Key, int] = {}
        for unit in self.stock.units.values():
            for goods, amount in unit.holds.items():
                key = Key(unit.account.place, unit.account.status, *goods)
                held[key] = held.get(key, 0) + amount.quantity
        assert {key: one.quantity for key, one in self.stock.held.items() if one.quantity} == {
            key: quantity for key, quantity in held.items() if quantity
        }
        taken_back = [movement.reverses for movement in self.movements() if movement.reverses is not UNSET]
        assert len(taken_back) == len(set(taken_back))
        for seq in taken_back:
            original = self.history.records[seq - 1]
            assert isinstance(original, Movement)
            assert original.reverses is UNSET


def crossed(direction: Literal["in", "out"], at: int, *units: str, door: str = "dock-1", **more: Any) -> Crossed:
    origin = Origin(f"{door}/portal", (at - 2_000_000, at), "dock-door/1", 990)
    values = {"origin": origin, "units": tuple(SeenUnit(unit) for unit in units), **more}
    return Crossed(occurred_at=at, place=door, direction=direction, **values)


def moved(place: str, at: int, *units: str, **more: Any) -> Moved:
    return Moved(occurred_at=at, place=place, units=tuple(SeenUnit(unit) for unit in units), **more)
