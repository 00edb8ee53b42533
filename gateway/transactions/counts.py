"""Helpers of counting: opening balances as counted lines, and a difference spread over lots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.transactions.intents import CountedLine
from vocabulary.place import Account
from vocabulary.stock import Amount, Goods
from vocabulary.wire import BalanceLine


def lines_by_account(lines: Iterable[BalanceLine]) -> dict[Account, tuple[CountedLine, ...]]:
    """Balance lines as counted lines of each account, in their order; the same goods named twice are added up."""
    found: dict[Account, dict[tuple[str, str, str], CountedLine]] = {}
    for line in lines:
        account = found.setdefault(line.account, {})
        key = (line.item, line.lot, line.expiry)
        before = account.get(key)
        account[key] = CountedLine(
            line.item,
            line.quantity + (before.counted if before else 0),
            line.lot,
            line.expiry,
            line.grams + (before.grams if before else 0),
            unit_cost=line.unit_cost,
            currency=line.currency,
        )
    return {account: tuple(counted.values()) for account, counted in found.items()}


def spread(
    book: Mapping[Goods, Amount], difference: int, lots: Mapping[tuple[str, str], str]
) -> list[tuple[Goods, int]]:
    """A difference between count and book, spread over the goods that the count did not tell apart.

    What is missing is taken from those first to expire; what is too much goes to the only goods, else to none in
    particular (no lot). A single kind of goods takes all of it, whichever way.
    """
    if difference == 0:
        return []
    if len(book) == 1:
        return [(next(iter(book)), difference)]
    item = next(iter(book)).item
    if difference > 0:
        return [(Goods(item), difference)]
    parts: list[tuple[Goods, int]] = []
    for goods in sorted(book, key=lambda goods: (lots.get((item, goods.lot), goods.expiry) or "9999-99-99", goods)):
        taken = min(-difference, max(0, book[goods].quantity))
        if taken:
            parts.append((goods, -taken))
            difference += taken
    if difference:
        parts.append((Goods(item), difference))
    return parts
