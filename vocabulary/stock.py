"""What a ledger amounts to: the one function that applies a record, and the one search for stock.

`Stock` is what balances, verification, salvage and headquarters' projections share. It changes only in `apply`. Balances
change exactly by accounts; contents change exactly by `out_of` and `into`, and by what a unit holds when first met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from msgspec import UNSET, UnsetType

from vocabulary.count import Count
from vocabulary.document import Document, fulfilments
from vocabulary.movement import Content, Line, Movement, UnitEntry, accounts
from vocabulary.place import Account
from vocabulary.records import Record


class Goods(NamedTuple):
    """An item and its lot; the expiry date is part of the key only where there is no lot. "" stands for none."""

    item: str
    lot: str = ""
    expiry: str = ""


class Key(NamedTuple):
    """What a balance is kept for: an account and goods."""

    place: str
    status: str
    item: str
    lot: str = ""
    expiry: str = ""


class Amount(NamedTuple):
    """Base units, and net grams of a catch-weight item (else 0). May be negative."""

    quantity: int
    grams: int = 0


NOTHING = Amount(0, 0)
K = TypeVar("K", bound=tuple[str, ...])


@dataclass(slots=True)
class Unit:
    """Where a unit is and what it holds itself. `seq`, `at` are those of its last movement, `first_*` of its first."""

    account: Account
    first_seq: int
    first_at: int
    first_from: Account
    seq: int
    at: int
    container: str | None = None
    holds: dict[Goods, Amount] = field(default_factory=dict[Goods, Amount])


class CountMark(NamedTuple):
    """The latest count of an account, by its cut-off: its row and that time (microseconds UTC)."""

    seq: int
    at: int


class Stock:
    """Balances, units, contents, lots, counts and open documents after `applied_seq` rows of a ledger."""

    def __init__(self) -> None:
        self.applied_seq = 0
        self.balances: dict[Key, Amount] = {}
        #: the part of each balance that units there hold; the rest is loose
        self.held: dict[Key, Amount] = {}
        self.units: dict[str, Unit] = {}
        #: container -> the units in it, in the order in which they came
        self.children: dict[str, dict[str, None]] = {}
        #: (item, lot) -> expiry date
        self.lots: dict[tuple[str, str], str] = {}
        self.counts: dict[Account, CountMark] = {}
        #: item -> the keys of its balances; made when `keys_of` is first asked, kept by `apply` from then on
        self.by_item: dict[str, dict[Key, None]] | None = None
        #: documents opened at the site, whole; those of headquarters come by the downlink
        self.documents: dict[str, Document] = {}
        #: document -> line -> base units done
        self.done: dict[str, dict[int, int]] = {}

    def keys_of(self, item: str) -> Iterable[Key]:
        """The keys of all balances of an item that are not nothing."""
        if self.by_item is None:
            self.by_item = {}
            for key in self.balances:
                self.by_item.setdefault(key.item, {})[key] = None
        return self.by_item.get(item, {})

    def loose(self, key: Key) -> int:
        """Base units of a balance that no unit there holds."""
        return self.balances.get(key, NOTHING).quantity - self.held.get(key, NOTHING).quantity

    def contents(self, unit: str) -> dict[Goods, Amount]:
        """What a unit holds, with all the units in it, at any depth."""
        total: dict[Goods, Amount] = {}
        for inside in self.inside(unit):
            known = self.units.get(inside)
            for goods, amount in known.holds.items() if known else ():
                _add(total, goods, amount.quantity, amount.grams)
        return total

    def inside(self, unit: str) -> list[str]:
        """A unit and the units in it, at any depth, containers before what they contain."""
        found = {unit: None}
        queue = [unit]
        for container in queue:
            for child in self.children.get(container, ()):
                if child not in found:
                    found[child] = None
                    queue.append(child)
        return list(found)


def goods_of(part: Line | Content) -> Goods:
    """The key of a line or content: its lot, or its expiry where it has no lot."""
    lot = "" if part.lot is UNSET else part.lot
    expiry = "" if lot or part.expiry is UNSET else part.expiry
    return Goods(part.item, lot, expiry)


def apply(stock: Stock, seq: int, record: Record) -> None:
    """Bring `stock` from row `seq - 1` to row `seq`; a function of its arguments alone, changing only the first."""
    if isinstance(record, Movement):
        for entry in record.units:
            _apply_unit(stock, seq, record, entry)
        for line in record.lines:
            _apply_line(stock, record, line)
        for document, number, _, quantity in fulfilments(record):
            done = stock.done.setdefault(document, {})
            done[number] = done.get(number, 0) + quantity
    elif isinstance(record, Count):
        last = stock.counts.get(record.account)
        if last is None or record.occurred_at >= last.at:
            stock.counts[record.account] = CountMark(seq, record.occurred_at)
    elif isinstance(record, Document):
        if record.state == "open":
            stock.documents[record.id] = record
        else:
            stock.documents.pop(record.id, None)
    stock.applied_seq = seq


def _apply_line(stock: Stock, movement: Movement, line: Line) -> None:
    goods = goods_of(line)
    grams = 0 if line.grams is UNSET else line.grams
    if goods.lot and line.expiry is not UNSET:
        stock.lots[goods.item, goods.lot] = line.expiry
    source, target = accounts(movement, line)
    if source != target:
        _add_balance(stock, Key(*_pair(source), *goods), -line.quantity, -grams)
        _add_balance(stock, Key(*_pair(target), *goods), line.quantity, grams)
    _change_content(stock, line.out_of, goods, -line.quantity, -grams)
    _change_content(stock, line.into, goods, line.quantity, grams)


def _add_balance(stock: Stock, key: Key, quantity: int, grams: int) -> None:
    _add(stock.balances, key, quantity, grams)
    if stock.by_item is None:
        return
    keys = stock.by_item.setdefault(key.item, {})
    if key in stock.balances:
        keys[key] = None
    else:
        keys.pop(key, None)


def _change_content(stock: Stock, unit: str | UnsetType, goods: Goods, quantity: int, grams: int) -> None:
    if unit is UNSET:
        return
    known = stock.units.get(unit)
    if known is None:
        return  # a line may name a unit that retention has cut; its content is gone with it
    _add(known.holds, goods, quantity, grams)
    _add(stock.held, Key(*_pair(known.account), *goods), quantity, grams)


def _apply_unit(stock: Stock, seq: int, movement: Movement, entry: UnitEntry) -> None:
    source, target = accounts(movement, entry)
    unit = stock.units.get(entry.unit)
    if unit is None:
        unit = Unit(target, seq, movement.occurred_at, source, seq, movement.occurred_at)
        stock.units[entry.unit] = unit
    elif entry.past is not UNSET:
        if movement.occurred_at < unit.first_at:
            unit.first_seq, unit.first_at, unit.first_from = seq, movement.occurred_at, source
    elif unit.account != target:
        _hold(stock, unit, -1)
        unit.account = target
        _hold(stock, unit, 1)
    if entry.holds and not unit.holds:
        for content in entry.holds:
            _add(unit.holds, goods_of(content), content.quantity, 0 if content.grams is UNSET else content.grams)
            if content.lot is not UNSET and content.expiry is not UNSET:
                stock.lots[content.item, content.lot] = content.expiry
        _hold(stock, unit, 1)
    if entry.past is not UNSET:
        return
    if entry.container is not UNSET and entry.container != unit.container:
        if unit.container is not None:
            siblings = stock.children.get(unit.container, {})
            siblings.pop(entry.unit, None)
            if not siblings:
                stock.children.pop(unit.container, None)
        if entry.container is not None:
            stock.children.setdefault(entry.container, {})[entry.unit] = None
        unit.container = entry.container
    unit.seq = seq
    unit.at = movement.occurred_at


def _hold(stock: Stock, unit: Unit, sign: int) -> None:
    for goods, amount in unit.holds.items():
        _add(stock.held, Key(*_pair(unit.account), *goods), sign * amount.quantity, sign * amount.grams)


def _pair(account: Account) -> tuple[str, str]:
    return account.place, account.status


def _add(amounts: dict[K, Amount], key: K, quantity: int, grams: int) -> None:
    """Add to an amount; an amount of nothing is not kept, so that equal stock compares equal."""
    old = amounts.get(key, NOTHING)
    new = Amount(old.quantity + quantity, old.grams + grams)
    if new == NOTHING:
        amounts.pop(key, None)
    else:
        amounts[key] = new


class Draw(NamedTuple):
    """A part of a wanted quantity: the account and goods it comes from."""

    account: Account
    goods: Goods
    quantity: int


def draw(stock: Stock, item: str, quantity: int, scope: Sequence[Account], lots: Iterable[str] = ()) -> list[Draw]:
    """Where `quantity` base units of `item` come from: loose stock of the accounts in `scope`, in that order, first
    expiry first in each; what they do not cover goes negative in the first account, under the first wanted lot, else
    under the first to expire of those there (units hold them).

    `lots` limits the search to these lots (none given: any). Goods without a date come last in an account.
    """
    wanted = tuple(lots)
    drawn = covered(stock, item, quantity, scope, wanted)
    rest = quantity - sum(part.quantity for part in drawn)
    if rest:
        drawn.append(Draw(scope[0], _first_goods(stock, item, scope[0], wanted), rest))
    return drawn


def _first_goods(stock: Stock, item: str, account: Account, wanted: tuple[str, ...]) -> Goods:
    """The goods that go negative: of the wanted lot, else what is first to expire of the stock there."""
    if wanted:
        return Goods(item, wanted[0])
    there = [
        goods
        for goods in _by_expiry(stock, item, account, ())
        if stock.balances.get(Key(*_pair(account), *goods), NOTHING).quantity > 0
    ]
    return there[0] if there else Goods(item)


def covered(
    stock: Stock,
    item: str,
    quantity: int,
    scope: Sequence[Account],
    lots: Iterable[str] = (),
    less: Mapping[Key, int] | None = None,
) -> list[Draw]:
    """As `draw`, but only what loose stock covers, `less` what is spoken for already."""
    wanted = tuple(lots)
    drawn: list[Draw] = []
    for account in scope:
        if quantity == 0:
            break
        for goods in _by_expiry(stock, item, account, wanted):
            key = Key(*_pair(account), *goods)
            taken = min(quantity, stock.loose(key) - (less.get(key, 0) if less else 0))
            if taken > 0:
                drawn.append(Draw(account, goods, taken))
                quantity -= taken
    return drawn


def _by_expiry(stock: Stock, item: str, account: Account, lots: tuple[str, ...]) -> list[Goods]:
    """Goods of `item` in `account`, first expiry first (FEFO); undated last; lot and date break ties."""
    place, status = _pair(account)
    found = [
        Goods(item, key.lot, key.expiry)
        for key in stock.keys_of(item)
        if key.place == place and key.status == status and (not lots or key.lot in lots)
    ]
    found.sort(
        key=lambda goods: (stock.lots.get((item, goods.lot), goods.expiry) or "9999-99-99", goods.lot, goods.expiry)
    )
    return found
