"""Counts: what was found against what the book said at the cut-off (rule 10), and opening stock (rule 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from gateway.errors import PostingError
from gateway.ledger.posting.compensation import compensate
from gateway.ledger.posting.crossings import post_moved
from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.loads import add_all
from gateway.transactions.counts import lines_by_account, spread
from gateway.transactions.intents import Counted, CountedLine, Moved, OpeningStocked, SeenUnit
from vocabulary.count import Count, CountLine
from vocabulary.movement import Movement, accounts
from vocabulary.place import OPENING, Account
from vocabulary.stock import NOTHING, Amount, Goods, Key, Stock, goods_of


@dataclass(slots=True)
class _Book:
    """What the ledger holds of an account: now, and what changed it after a time."""

    stock: Stock
    account: Account
    later: Sequence[Row]
    goods: list[Goods] = field(default_factory=list[Goods])

    def at(self, goods: Goods, cut_off: int) -> Amount:
        """The balance by the lines dated up to `cut_off`."""
        now = self.stock.balances.get(Key(self.account.place, self.account.status, *goods), NOTHING)
        quantity, grams = now
        for row in self.later:
            if row.movement.occurred_at > cut_off:
                changed = _change(row.movement, self.account, goods)
                quantity -= changed.quantity
                grams -= changed.grams
        return Amount(quantity, grams)


def _change(movement: Movement, account: Account, goods: Goods) -> Amount:
    quantity = grams = 0
    for line in movement.lines:
        if goods_of(line) != goods:
            continue
        source, target = accounts(movement, line)
        sign = (target == account) - (source == account)
        quantity += sign * line.quantity
        grams += sign * (0 if line.grams is UNSET else line.grams)
    return Amount(quantity, grams)


def post_opening(draft: Draft, intent: OpeningStocked) -> None:
    """Post a page of opening stock: a count of each account's lines against `opening`."""
    for account, lines in lines_by_account(intent.lines).items():
        counted = Counted(
            occurred_at=intent.occurred_at,
            origin=intent.origin,
            account=account,
            scope="listed",
            first_scan=intent.occurred_at,
            lines=lines,
            against=OPENING,
        )
        _post(draft, counted)


def post_counted(draft: Draft, intent: Counted) -> None:
    """Post a count. Units seen there that the ledger held elsewhere are moved there first."""
    if intent.units is not None:
        strangers = [unit for unit in intent.units if not _stands_at(draft.stock, unit, intent.account)]
        if strangers:
            post_moved(
                draft,
                Moved(
                    occurred_at=intent.first_scan,
                    origin=intent.origin,
                    place=intent.account.place,
                    units=tuple(SeenUnit(unit) for unit in strangers),
                ),
            )
            compensate(draft)  # an earlier count saw them elsewhere: the book of this one is what comes out
    _post(draft, intent)


def _stands_at(stock: Stock, unit: str, account: Account) -> bool:
    known = stock.units.get(unit)
    return known is not None and known.account.place == account.place


def _post(draft: Draft, intent: Counted) -> None:
    if intent.first_scan < draft.history.cut_at():
        raise PostingError(f"The count of {intent.account.place} is older than the rows that are kept; count it again.")
    earliest = min([intent.first_scan, *(line.first_scan for line in intent.lines if line.first_scan is not None)])
    later = [*draft.history.movements_at(intent.account, earliest - 1), *_drafted(draft, earliest)]
    book = _Book(draft.stock, intent.account, later, _goods_at(draft, intent, later))
    missing = _missing(draft, intent)
    lines: list[CountLine] = []
    flows: dict[int, list[Flow]] = {}
    gone: dict[Goods, Amount] = {}
    for unit in missing:
        add_all(gone, draft.stock.units[unit].holds)
    for counted in _counted_lines(intent, book, gone):
        line, parts = _compare(draft, intent, counted, book)
        lines.append(line)
        if line.again is UNSET:
            flows.setdefault(line.cut_off, []).extend(parts)
    again = {line.item for line in lines if line.again is not UNSET}
    missing = [unit for unit in missing if not any(key.item in again for key in draft.stock.units[unit].holds)]
    seq = draft.record(
        Count(
            account=intent.account,
            scope=intent.scope,
            against=intent.against,
            occurred_at=max([intent.occurred_at, *(line.cut_off for line in lines)]),
            lines=tuple(lines),
            document=intent.document or UNSET,
            rule=intent.origin.rule or UNSET,
            confidence=UNSET if intent.origin.confidence is None else intent.origin.confidence,
            evidence=intent.origin.evidence or UNSET,
            actor=intent.origin.actor or UNSET,
        )
    )
    if missing:
        flows.setdefault(intent.occurred_at, [])
    against = Account(intent.against)
    for cut_off in sorted(flows):
        entries = (
            [Entry(unit, draft.stock.units[unit].account, against, None) for unit in missing]
            if cut_off == intent.occurred_at
            else []
        )
        header = Movement(
            kind="counting",
            from_=against,
            to=against,
            occurred_at=cut_off,
            rule=intent.origin.rule or UNSET,
            actor=intent.origin.actor or UNSET,
            count=seq,
        )
        movement = assemble(header, flows[cut_off], entries)
        if movement is not None:
            draft.post(movement)
    _doubt(draft, intent, lines, seq)


def _drafted(draft: Draft, since: int) -> list[Row]:
    """What this count has posted before it: strangers that it saw, and what they did next, linked to here."""
    return [Row(seq, movement) for seq, movement in draft.movements if movement.occurred_at >= since]


def _goods_at(draft: Draft, intent: Counted, later: Sequence[Row]) -> list[Goods]:
    """The goods that the counted account holds, or held before `later`, in order; of the listed items if only those."""
    account = intent.account
    listed = {line.item: None for line in intent.lines}
    whole = intent.scope == "whole" or intent.units is not None
    keys = draft.stock.balances if whole else [key for item in listed for key in draft.stock.keys_of(item)]
    found = {
        Goods(key.item, key.lot, key.expiry)
        for key in keys
        if key.place == account.place and key.status == account.status
    }
    for row in later:
        for line in row.movement.lines:
            if account in accounts(row.movement, line) and (whole or line.item in listed):
                found.add(goods_of(line))
    return sorted(found)


def _counted_lines(intent: Counted, book: _Book, gone: dict[Goods, Amount]) -> list[CountedLine]:
    """The lines that were counted and, where the whole account was, those of what was not found."""
    lines = list(intent.lines)
    if intent.units is not None and not lines:
        # a count by identity says nothing of loose goods: each kind of goods is what the book says less what is missing
        for goods in book.goods:
            held = book.at(goods, intent.occurred_at)
            lost = gone.get(goods, NOTHING)
            lines.append(
                CountedLine(goods.item, held.quantity - lost.quantity, goods.lot, goods.expiry, held.grams - lost.grams)
            )
        return lines
    if intent.scope == "whole":
        named = {line.item for line in lines if not line.lot and not line.expiry}
        exact = {Goods(line.item, line.lot, "" if line.lot else line.expiry) for line in lines}
        lines += [
            CountedLine(goods.item, 0, goods.lot, goods.expiry)
            for goods in book.goods
            if goods not in exact and goods.item not in named and book.at(goods, intent.occurred_at) != NOTHING
        ]
    return lines


def _compare(draft: Draft, intent: Counted, counted: CountedLine, book: _Book) -> tuple[CountLine, list[Flow]]:
    """A counted line against the book at its cut-off, and the flows that make up the difference."""
    first_scan = intent.first_scan if counted.first_scan is None else counted.first_scan
    cut_off = intent.occurred_at if counted.cut_off is None else counted.cut_off
    named = Goods(counted.item, counted.lot, "" if counted.lot else counted.expiry)
    exact = {(line.item, line.lot, line.expiry) for line in intent.lines if line.lot or line.expiry}
    whole_item = not (named.lot or named.expiry) and not any(item == counted.item for item, _, _ in exact)
    goods = [one for one in book.goods if one.item == counted.item] if whole_item else [named]
    amounts = {one: book.at(one, cut_off) for one in goods} or {named: NOTHING}
    held = Amount(sum(one.quantity for one in amounts.values()), sum(one.grams for one in amounts.values()))
    touched = counted.item in intent.busy or any(
        first_scan <= row.movement.occurred_at <= cut_off and _touches(draft, row, intent.account, one)
        for row in book.later
        for one in amounts
    )
    line = CountLine(
        item=counted.item,
        counted=counted.counted,
        book=held.quantity,
        first_scan=first_scan,
        cut_off=cut_off,
        lot=counted.lot or UNSET,
        expiry=counted.expiry or UNSET,
        grams=counted.grams or UNSET,
        again=True if touched else UNSET,
    )
    against = Account(intent.against)
    flows: list[Flow] = []
    for one, difference in spread(amounts, counted.counted - held.quantity, draft.stock.lots):
        source, target = (against, intent.account) if difference > 0 else (intent.account, against)
        grams = abs(counted.grams - held.grams) if counted.grams and len(amounts) == 1 else 0
        flow = Flow(one, abs(difference), source, target, grams, inferred=whole_item and len(amounts) > 1)
        flow.expiry = counted.expiry if one.lot and difference > 0 else ""
        flow.unit_cost, flow.currency = counted.unit_cost, counted.currency
        flows.append(flow)
    return line, flows


def _touches(draft: Draft, row: Row, account: Account, goods: Goods) -> bool:
    """Whether a movement that still counts changed these goods there; what counts post touches nothing."""
    movement = row.movement
    if movement.kind == "counting" or movement.reverses is not UNSET or draft.is_reversed(row.seq):
        return False
    if row.seq > draft.base.applied_seq and movement.replaces is UNSET:
        return False  # what the count itself found to stand here
    return any(
        goods_of(line) == goods and account in (ends := accounts(movement, line)) and ends[0] != ends[1]
        for line in movement.lines
    )


def _missing(draft: Draft, intent: Counted) -> list[str]:
    """Units that the ledger holds there and nobody saw, neither them nor what they are in. None unless all was counted."""
    if intent.units is None or intent.scope != "whole":
        return []
    seen = {inside for unit in intent.units for inside in draft.stock.inside(unit)}
    return [
        unit
        for unit in sorted(draft.stock.units)
        if unit not in seen
        and draft.stock.units[unit].account == intent.account
        and draft.stock.units[unit].at <= intent.first_scan
    ]


def _doubt(draft: Draft, intent: Counted, lines: Sequence[CountLine], seq: int) -> None:
    place = intent.account.place
    for line in lines:
        subject = "/".join((place, intent.account.status, line.item, "" if line.lot is UNSET else line.lot))
        if line.again is not UNSET:
            draft.note(
                "recount",
                subject,
                line.cut_off,
                f"{line.item} at {place} moved while it was counted; the count was not posted.",
                "Count it again.",
                seq,
            )
        elif intent.against != OPENING and abs(line.counted - line.book) > draft.catalogue.thresholds.count_difference:
            draft.note(
                "count-difference",
                subject,
                line.cut_off,
                f"{line.counted} of {line.item} were counted at {place}; the book said {line.book}.",
                "Look for the cause; count again if the count is in doubt.",
                seq,
                {"counted": line.counted, "book": line.book},
            )
