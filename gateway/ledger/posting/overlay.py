"""A stock that can be tried out: changes stay in the overlay, the stock beneath is never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from vocabulary.stock import Key, Stock, Unit

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Layer(dict[K, V]):
    """A dict that shows another one beneath it and keeps all changes to itself.

    Only what `apply` and posting use is there: look-up, assignment, `get`, `pop`, `setdefault`, iteration over keys; `own`
    are the entries that were changed, or read if `copy_value` is given, which makes values safe to change in place.
    """

    __slots__ = ("base", "copy_value", "gone")

    def __init__(self, base: dict[K, V], copy_value: Callable[[V], V] | None = None) -> None:
        super().__init__()
        self.base = base
        self.copy_value = copy_value
        self.gone: dict[K, None] = {}

    def __missing__(self, key: K) -> V:
        if key in self.gone:
            raise KeyError(key)
        value = self.base[key]
        if self.copy_value is not None:
            value = self.copy_value(value)
            super().__setitem__(key, value)
        return value

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key not in self.gone and key in self.base)

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self.base if key not in self.gone)
        yield from (key for key in super().__iter__() if key not in self.base)

    def own(self) -> list[K]:
        """Keys that were changed or taken out here, or read if values are copied; in the order in which it happened."""
        return [*super().__iter__(), *self.gone]

    def __setitem__(self, key: K, value: V) -> None:
        self.gone.pop(key, None)
        super().__setitem__(key, value)

    def get(self, key: K, default: D = None) -> V | D:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            return self[key]
        except KeyError:
            return default

    def pop(self, key: K, default: D = None) -> V | D:  # pyright: ignore[reportIncompatibleMethodOverride]
        value = self.get(key, default)
        super().pop(key, None)
        if key in self.base:
            self.gone[key] = None
        return value

    def setdefault(self, key: K, default: V) -> V:  # pyright: ignore[reportIncompatibleMethodOverride]
        if key not in self:
            self[key] = default
        return self[key]


def copy_unit(unit: Unit) -> Unit:
    """A unit that can be changed without changing `unit`."""
    return Unit(
        unit.account,
        unit.first_seq,
        unit.first_at,
        unit.first_from,
        unit.seq,
        unit.at,
        unit.container,
        dict(unit.holds),
    )


def overlay(stock: Stock, date: Callable[[Unit], Unit] | None = None) -> Stock:
    """A stock equal to `stock`, whose changes leave `stock` as it is; `date` corrects the times of a unit (its copy)."""
    top = Stock()
    top.applied_seq = stock.applied_seq
    top.balances = Layer(stock.balances)
    top.held = Layer(stock.held)
    top.units = Layer(stock.units, copy_unit if date is None else lambda unit: date(copy_unit(unit)))
    top.children = Layer(stock.children, dict[str, None])
    top.lots = Layer(stock.lots)
    top.counts = Layer(stock.counts)
    top.documents = Layer(stock.documents)
    top.done = Layer(stock.done, dict[int, int])
    stock.keys_of("")  # makes the index beneath, once
    top.by_item = Layer(stock.by_item or {}, dict[Key, None])
    return top


def changed(entries: dict[K, V]) -> list[K]:
    """The keys of an overlay's dict that were changed."""
    return entries.own() if isinstance(entries, Layer) else []
