"""Units as the ledger's tables keep them: those in the building in memory, those that left read when they are asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from vocabulary.place import CUSTOMER, IN_TRANSIT, SCRAP, SUPPLIER, Account
from vocabulary.stock import Amount, Goods, Unit

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_LEFT = frozenset({CUSTOMER, SUPPLIER, SCRAP})
_ROW = struct.Struct(">qI")


def has_left(place: str) -> bool:
    """Whether what is at `place` left the site; what is missing (`unknown`) did not, as far as anyone knows."""
    return place in _LEFT or place.startswith(IN_TRANSIT)


class Stored(dict[K, V]):
    """What is in memory of a table, and behind it the table: `find` reads one entry, which then stays until `clear`.

    `gone` are entries that were taken out and may still stand in the table. Iteration shows what is in memory.
    """

    def __init__(self, find: Callable[[K], V | None]) -> None:
        super().__init__()
        self._find = find
        self.gone: dict[K, None] = {}

    def __missing__(self, key: K) -> V:
        found = None if key in self.gone else self._find(key)
        if found is None:
            raise KeyError(key)
        super().__setitem__(key, found)
        return found

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self.get(key) is not None  # pyright: ignore[reportArgumentType]

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
        self.gone[key] = None
        return value

    def setdefault(self, key: K, default: V) -> V:  # pyright: ignore[reportIncompatibleMethodOverride]
        if key not in self:
            self[key] = default
        return self[key]

    def put_away(self, keys: Iterable[K]) -> None:
        """Drop entries from memory; the table holds them."""
        for key in keys:
            super().pop(key, None)

    def clear(self) -> None:
        """Drop all from memory; the table holds it."""
        super().clear()
        self.gone.clear()


class UnitBody(msgspec.Struct, frozen=True, array_like=True):
    """A unit as the column `unit.body` keeps it."""

    account: Account
    first_seq: int
    first_at: int
    first_from: Account
    seq: int
    at: int
    container: str | None
    holds: tuple[tuple[Goods, Amount], ...]


_encoder = msgspec.msgpack.Encoder()
_decode_body = msgspec.msgpack.Decoder(UnitBody).decode
_decode_inside = msgspec.msgpack.Decoder(list[str]).decode


def encode_unit(unit: Unit) -> bytes:
    """A unit as its table keeps it."""
    return _encoder.encode(
        UnitBody(
            unit.account,
            unit.first_seq,
            unit.first_at,
            unit.first_from,
            unit.seq,
            unit.at,
            unit.container,
            tuple(unit.holds.items()),
        )
    )


def decode_unit(body: bytes) -> Unit:
    """The unit that its table keeps. Raises msgspec.DecodeError."""
    row = _decode_body(body)
    return Unit(
        row.account, row.first_seq, row.first_at, row.first_from, row.seq, row.at, row.container, dict(row.holds)
    )


def encode_inside(units: Iterable[str]) -> bytes:
    """The units in a container, in the order in which they came."""
    return _encoder.encode(list(units))


def decode_inside(body: bytes) -> list[str]:
    """The units in a container. Raises msgspec.DecodeError."""
    return _decode_inside(body)


def encode_rows(rows: Iterable[tuple[int, int]]) -> bytes:
    """(occurred_at, seq) of the movements that name a unit, 12 bytes each."""
    return b"".join(_ROW.pack(at, seq) for at, seq in rows)


def decode_rows(body: bytes) -> list[tuple[int, int]]:
    """The (occurred_at, seq) of `encode_rows`."""
    return [(at, seq) for at, seq in _ROW.iter_unpack(body)]
