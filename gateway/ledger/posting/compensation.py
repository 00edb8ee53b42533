"""What was recorded after a count but dated before it: the count already saw it (rule 10)."""

from __future__ import annotations

from msgspec import UNSET

from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble
from gateway.ledger.posting.history import CountRow
from vocabulary.count import CountLine
from vocabulary.movement import Movement, accounts
from vocabulary.place import UNKNOWN, Account
from vocabulary.stock import Amount, Goods, goods_of


def compensate(draft: Draft) -> None:
    """Undo, at the earliest count after its date, what this draft's movements change of each account counted since.

    Movements that an earlier call has looked at are done.
    """
    changes: dict[tuple[Account, Goods, int], Amount] = {}
    rows: dict[int, CountRow] = {}
    fresh, draft.compensated = draft.movements[draft.compensated :], len(draft.movements)
    for _, movement in fresh:
        for line in movement.lines:
            source, target = accounts(movement, line)
            if source == target:
                continue
            grams = 0 if line.grams is UNSET else line.grams
            for account, sign in ((source, -1), (target, 1)):
                row = _count_after(draft, account, goods_of(line), movement)
                if row is not None:
                    rows[row.seq] = row
                    key = (account, goods_of(line), row.seq)
                    old = changes.get(key, Amount(0, 0))
                    changes[key] = Amount(old.quantity + sign * line.quantity, old.grams + sign * grams)
    for seq in sorted(rows):
        _post(draft, rows[seq], {key[:2]: amount for key, amount in changes.items() if key[2] == seq})


def _post(draft: Draft, row: CountRow, changes: dict[tuple[Account, Goods], Amount]) -> None:
    unknown = Account(UNKNOWN)
    by_date: dict[int, list[Flow]] = {}
    for (account, goods), amount in changes.items():
        if amount.quantity == 0:
            continue
        source, target = (account, unknown) if amount.quantity > 0 else (unknown, account)
        line = covering(row, goods)
        at = row.record.occurred_at if line is None else line.cut_off
        by_date.setdefault(at, []).append(Flow(goods, abs(amount.quantity), source, target, abs(amount.grams)))
    entries: list[Entry] = []
    for at in sorted(by_date):
        header = Movement(kind="counting", from_=unknown, to=unknown, occurred_at=at, compensates=row.seq)
        movement = assemble(header, by_date[at], entries)
        if movement is not None:
            draft.post(movement)


def _count_after(draft: Draft, account: Account, goods: Goods, movement: Movement) -> CountRow | None:
    """The earliest recorded count of these goods after the movement's date; one at its very time too, but for what a count
    posts itself. What is taken back or linked anew of a count's own rows changes what that count saw."""
    own = movement.kind == "counting" and movement.reverses is UNSET and movement.replaces is UNSET
    at = movement.occurred_at + own
    last = draft.base.counts.get(account)
    if movement.compensates is not UNSET or last is None or (last.at < at and not draft.history.corrections()):
        return None
    found: tuple[int, CountRow] | None = None
    for row in draft.history.counts_of(account, at):
        line = covering(row, goods)
        if line is not None and line.again is not UNSET:
            continue
        if line is None and row.record.scope == "listed":
            continue
        cut_off = row.record.occurred_at if line is None else line.cut_off
        if cut_off >= at and (found is None or cut_off < found[0]):
            found = cut_off, row
    return None if found is None else found[1]


def covering(row: CountRow, goods: Goods) -> CountLine | None:
    """The line of a count for these goods: theirs, else that of their item where the count told no lots apart."""
    whole: CountLine | None = None
    told_apart = False
    for line in row.record.lines:
        if line.item != goods.item:
            continue
        lot = "" if line.lot is UNSET else line.lot
        expiry = "" if lot or line.expiry is UNSET else line.expiry
        if (lot, expiry) == (goods.lot, goods.expiry):
            return line
        if lot or expiry:
            told_apart = True
        else:
            whole = line
    return None if told_apart else whole
