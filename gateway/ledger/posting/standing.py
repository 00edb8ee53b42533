"""Where a unit stood at a time, and what it held then: the past of one unit, read from its own rows."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET

from gateway.ledger.posting.draft import Draft
from gateway.ledger.posting.history import Row
from vocabulary.movement import Movement, UnitEntry, accounts
from vocabulary.place import Account
from vocabulary.stock import Amount, Goods, goods_of


class Standing(NamedTuple):
    """The account of a unit at a time (None: not met before it). `later`: its movements recorded for a later time.

    `cut`: it moved later too, in rows that retention has cut; `account` is then where it stands now.
    """

    account: Account | None
    later: tuple[Row, ...] = ()
    cut: bool = False

    @property
    def past(self) -> bool:
        """Whether the unit has moved since."""
        return self.cut or bool(self.later)


def standing(draft: Draft, unit: str, at: int, rank: int | None = None) -> Standing:
    """Where `unit` stood at `at` by the rows that still count: those neither reversed nor reversals.

    Rows of the same time are in the order of `rank`; None means after all of them.
    """
    known = draft.stock.units.get(unit)
    if known is None:
        return Standing(None)
    if at > known.at or (at == known.at and rank is None):
        return Standing(known.account)
    account: Account | None = None
    later: list[Row] = []
    moved_later = False
    for row in live(draft, unit):
        entry = entry_of(row.movement, unit)
        if row.movement.occurred_at > at or (
            row.movement.occurred_at == at and rank is not None and rank_of(row) > rank
        ):
            later.append(row)
            moved_later = moved_later or entry is not None
        elif entry is not None:
            account = accounts(row.movement, entry)[1]
    if not is_cut(draft, unit):
        return Standing(account, tuple(later)) if moved_later else Standing(known.account)
    if not moved_later:
        return Standing(known.account, cut=at < known.at)
    if account is None:  # it stood where its first movement that is kept began
        entries = ((row.movement, entry_of(row.movement, unit)) for row in later)
        account = next(accounts(movement, entry)[0] for movement, entry in entries if entry is not None)
    return Standing(account, tuple(later))


def is_cut(draft: Draft, unit: str) -> bool:
    """Whether retention has cut rows of a unit that the ledger holds."""
    known = draft.stock.units.get(unit)
    return known is not None and known.first_seq <= draft.history.cut()


def rank_of(row: Row) -> int:
    """The place of a row among others of the same time: its own seq, or that of the row of this ledger it stands for."""
    return row.movement.replaces or row.seq


def live(draft: Draft, unit: str) -> list[Row]:
    """The rows that name `unit` and still count, by time and rank; those of this draft among them."""
    return [row for row in rows_of(draft, unit) if row.movement.reverses is UNSET and not draft.is_reversed(row.seq)]


def rows_of(draft: Draft, unit: str) -> list[Row]:
    """All rows that name `unit`, by time and rank; those of this draft among them."""
    drafted = [Row(seq, movement) for seq, movement in draft.movements if names(movement, unit)]
    rows = [*draft.history.movements_of(unit, 0), *drafted]
    rows.sort(key=lambda row: (row.movement.occurred_at, rank_of(row)))
    return rows


def names(movement: Movement, unit: str) -> bool:
    """Whether a movement names `unit`: as an entry, `out_of` or `into`."""
    return entry_of(movement, unit) is not None or any(unit in (line.out_of, line.into) for line in movement.lines)


def entry_of(movement: Movement, unit: str) -> UnitEntry | None:
    """The entry of `unit` in a movement."""
    return next((entry for entry in movement.units if entry.unit == unit), None)


def contents_at(draft: Draft, unit: str, at: int) -> dict[Goods, Amount]:
    """What `unit` itself held at `at`: what it held when first met, and what went in and out by then.

    Where rows of it are cut it is what the unit holds, without what went in and out since.
    """
    held: dict[Goods, Amount] = {}
    whole = not is_cut(draft, unit)
    if not whole:
        held.update(draft.stock.units[unit].holds)

    def add(goods: Goods, quantity: int, grams: int) -> None:
        old = held.get(goods, Amount(0, 0))
        held[goods] = Amount(old.quantity + quantity, old.grams + grams)

    rows = rows_of(draft, unit)
    first = min((row.seq for row in rows if (entry := entry_of(row.movement, unit)) and entry.holds), default=0)
    for row in rows:
        entry = entry_of(row.movement, unit)
        if row.seq == first and entry is not None and whole:
            for content in entry.holds:
                add(goods_of(content), content.quantity, 0 if content.grams is UNSET else content.grams)
        if row.movement.reverses is not UNSET or draft.is_reversed(row.seq) or (row.movement.occurred_at > at) == whole:
            continue
        sign = 1 if whole else -1
        for line in row.movement.lines:
            grams = 0 if line.grams is UNSET else line.grams
            if line.out_of == unit:
                add(goods_of(line), -sign * line.quantity, -sign * grams)
            if line.into == unit:
                add(goods_of(line), sign * line.quantity, sign * grams)
    return {goods: amount for goods, amount in held.items() if amount.quantity > 0}
