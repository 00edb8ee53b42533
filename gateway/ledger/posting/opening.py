"""What headquarters holds of the site, taken over: rows of the rule `opening-snapshot`, which are no movement for it.

The rows lead from what this ledger holds to what headquarters will hold once it has all rows of this ledger. So nothing is
posted twice: a second time there is nothing left to post. Balances are dated at the beginning of the site's past and
units at their last movement, so that a late fact meets them as it would have met the rows that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET

from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of
from gateway.ledger.posting.loads import add_all, as_contents, from_contents
from gateway.ledger.posting.relink import reversal
from gateway.transactions.intents import SnapshotTold
from vocabulary.document import Document, fulfilments
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Line, Movement, accounts
from vocabulary.place import CUSTOMER, OPENING, Account
from vocabulary.records import Record
from vocabulary.stock import NOTHING, Amount, Goods, Key, Stock, goods_of
from vocabulary.wire import OPENING_SNAPSHOT, UnitLine, in_snapshot

#: Lines or units of one row at most: some 100 kB of JSON.
PARTS = 500

_OPENING = Account(OPENING)
_T = TypeVar("_T")


def post_snapshot(draft: Draft, intent: SnapshotTold) -> None:
    """Bring the ledger to what headquarters holds and the rows `beyond` it say; no rows where it is there already."""
    beyond = [record for record in intent.beyond if not (isinstance(record, Movement) and _is_snapshot(record))]
    moved = [record for record in beyond if isinstance(record, Movement)]
    own = {name for movement in moved for name in _units_of(movement)}
    _papers(draft, intent, beyond)
    _take_back(draft, intent, own)
    _balances(draft, intent, moved)
    _units(draft, intent, own)
    _progress(draft, intent, moved)
    for count in intent.counts:
        mark = draft.stock.counts.get(count.account)
        if mark is None or mark.at < count.occurred_at:
            draft.record(msgspec.structs.replace(count, rule=OPENING_SNAPSHOT))


def _chunks(parts: list[_T]) -> Iterator[list[_T]]:
    return (parts[start : start + PARTS] for start in range(0, len(parts), PARTS))


def _is_snapshot(movement: Movement) -> bool:
    return movement.rule == OPENING_SNAPSHOT


def _units_of(movement: Movement) -> Iterator[str]:
    yield from (entry.unit for entry in movement.units)
    yield from (unit for line in movement.lines for unit in (line.out_of, line.into) if unit is not UNSET)


def _take_back(draft: Draft, intent: SnapshotTold, own: set[str]) -> None:
    """Repeat here that another branch took rows back, so that nothing takes them back again; the last one first.

    What it posted instead is in the balances and units that are told next. The units in `own` stay as they are.
    """
    for seq in sorted(intent.taken_back, reverse=True):
        row = next((row for row in draft.history.group(seq) if row.seq == seq), None)
        if row is None or row.movement.reverses is not UNSET or draft.is_reversed(seq):
            continue
        back = reversal(draft, row, intent.origin.actor)
        if back is None:
            continue
        flows, entries = flows_of(back), entries_of(back)
        for flow in flows:
            flow.out_of, flow.into = ("" if unit in own else unit for unit in (flow.out_of, flow.into))
        for entry in entries:
            entry.past = entry.past or entry.unit in own
        back = assemble(msgspec.structs.replace(back, rule=OPENING_SNAPSHOT), flows, entries)
        if back is not None:
            draft.taken_back.add(seq)
            draft.record(back)


def _papers(draft: Draft, intent: SnapshotTold, beyond: Sequence[Record]) -> None:
    """The site's open documents and exceptions; what this ledger recorded of them since is newer."""
    own = {record.id for record in beyond if isinstance(record, Document)}
    told = {document.id: document for document in intent.documents}
    for document in told.values():
        known = draft.stock.documents.get(document.id)
        if document.id not in own and (known is None or known.revision < document.revision):
            draft.record(document)
    for name in [name for name in draft.stock.documents if name not in told and name not in own]:
        draft.record(msgspec.structs.replace(draft.stock.documents[name], state="closed"))
    decided = {(record.kind, record.subject) for record in beyond if isinstance(record, ExceptionRecord)}
    for exception in intent.exceptions:
        last = draft.history.exception(exception.kind, exception.subject)
        if (exception.kind, exception.subject) not in decided and (last is None or last.at < exception.at):
            draft.record(exception)


# ------------------------------------------------------------------------------------------------------ balances


def _balances(draft: Draft, intent: SnapshotTold, moved: Sequence[Movement]) -> None:
    wanted: dict[Key, Amount] = {}
    dates: dict[Goods, str] = {}
    for line in intent.balances:
        goods = Goods(line.item, line.lot, "" if line.lot else line.expiry)
        wanted[Key(line.account.place, line.account.status, *goods)] = Amount(line.quantity, line.grams)
        if line.lot and line.expiry:
            dates[goods] = line.expiry
    for movement in moved:
        for line in movement.lines:
            _add_line(wanted, movement, line)
    for key in draft.stock.balances:
        if in_snapshot(key.place):
            wanted.setdefault(key, NOTHING)
    lines: list[Line] = []
    for key in sorted(wanted):
        now = draft.stock.balances.get(key, NOTHING)
        quantity, grams = wanted[key].quantity - now.quantity, wanted[key].grams - now.grams
        lines += _opening_lines(key, quantity, grams, dates.get(Goods(key.item, key.lot, key.expiry), key.expiry))
    for part in _chunks(lines):
        _record(draft, intent, intent.since, _OPENING, part)


def _add_line(wanted: dict[Key, Amount], movement: Movement, line: Line) -> None:
    source, target = accounts(movement, line)
    if source == target:
        return
    grams = 0 if line.grams is UNSET else line.grams
    for account, sign in ((source, -1), (target, 1)):
        if in_snapshot(account.place):
            key = Key(account.place, account.status, *goods_of(line))
            old = wanted.get(key, NOTHING)
            wanted[key] = Amount(old.quantity + sign * line.quantity, old.grams + sign * grams)


def _opening_lines(key: Key, quantity: int, grams: int, expiry: str) -> Iterator[Line]:
    """From `opening` to the account, or back where it holds too much; lines have a quantity above 0."""
    account = Account(key.place, key.status)

    def line(count: int, weight: int, source: Account, target: Account) -> Line:
        return Line(
            key.item,
            count,
            key.lot or UNSET,
            expiry or UNSET,
            weight or UNSET,
            from_=UNSET if source == _OPENING else source,
            to=target,
        )

    if quantity and quantity * grams >= 0:
        ends = (_OPENING, account) if quantity > 0 else (account, _OPENING)
        yield line(abs(quantity), abs(grams), *ends)
        return
    if quantity:
        ends = (_OPENING, account) if quantity > 0 else (account, _OPENING)
        yield line(abs(quantity), 0, *ends)
    if grams:  # the pieces are right and their weight is not: one goes and comes back heavier or lighter
        yield line(1, max(0, -grams), account, _OPENING)
        yield line(1, max(0, grams), _OPENING, account)


# --------------------------------------------------------------------------------------------------------- units


def _units(draft: Draft, intent: SnapshotTold, own: set[str]) -> None:
    """Units to where headquarters holds them; those that it holds nowhere on the site have left it."""
    rows: dict[tuple[int, Account], tuple[list[Flow], list[Entry]]] = {}
    told: set[str] = set()
    for line in intent.units:
        told.add(line.unit)
        if line.unit in own:
            continue
        flows, entries = _unit(draft.stock, line)
        if flows or entries:
            row = rows.setdefault((line.at or intent.since, line.account), ([], []))
            row[0].extend(flows)
            row[1].extend(entries)
    for name in sorted(name for name in draft.stock.units if name not in told and name not in own):
        unit = draft.stock.units[name]
        if in_snapshot(unit.account.place):
            row = rows.setdefault((unit.at, Account(CUSTOMER)), ([], []))
            row[1].append(Entry(name, unit.account, Account(CUSTOMER), None if unit.container else ""))
    for (at, account), (flows, entries) in sorted(rows.items(), key=lambda row: row[0][0]):
        for part in _chunks(entries):
            _parts(draft, intent, at, account, (), part)
        for part in _chunks(flows):
            _parts(draft, intent, at, account, part, ())


def _unit(stock: Stock, line: UnitLine) -> tuple[list[Flow], list[Entry]]:
    """What makes a unit of this ledger the one that headquarters holds; nothing where it is."""
    container = line.container or None
    holds = from_contents(line.holds)
    known = stock.units.get(line.unit)
    if known is None:
        first = line.first or line.account
        return [], [Entry(line.unit, first, line.account, container or "", as_contents(holds))]
    entries: list[Entry] = []
    if (known.account, known.container) != (line.account, container):
        inside = "" if known.container == container else container
        entries.append(Entry(line.unit, known.account, line.account, inside))
    add_all(holds, known.holds, -1)
    flows = [
        Flow(
            goods,
            abs(amount.quantity),
            line.account,
            line.account,
            abs(amount.grams),
            out_of=line.unit if amount.quantity < 0 else "",
            into=line.unit if amount.quantity > 0 else "",
        )
        for goods, amount in holds.items()
        if amount.quantity
    ]
    return flows, entries


def _parts(
    draft: Draft, intent: SnapshotTold, at: int, account: Account, flows: Sequence[Flow], entries: Sequence[Entry]
) -> None:
    header = Movement("counting", account, account, at, rule=OPENING_SNAPSHOT, actor=intent.origin.actor or UNSET)
    movement = assemble(header, flows, entries)
    if movement is not None:
        draft.record(movement)


# ------------------------------------------------------------------------------------------------------ progress


def _progress(draft: Draft, intent: SnapshotTold, moved: Sequence[Movement]) -> None:
    """How much of open documents is done, told by lines that move nothing. What is done here beyond that stays."""
    wanted = {(done.document, done.line): done.quantity for done in intent.done}
    items = {(done.document, done.line): done.item for done in intent.done}
    for movement in moved:
        for document, number, item, quantity in fulfilments(movement):
            if (document, number) in wanted:
                wanted[document, number] += quantity
                items.setdefault((document, number), item)
    lines: dict[str, list[Line]] = {}
    for (document, number), quantity in wanted.items():
        missing = quantity - draft.stock.done.get(document, {}).get(number, 0)
        if missing > 0:
            lines.setdefault(document, []).append(Line(items[document, number], missing, document_line=number))
    for document in sorted(lines):
        _record(draft, intent, intent.since, _OPENING, lines[document], document)


def _record(
    draft: Draft, intent: SnapshotTold, at: int, to: Account, lines: Sequence[Line], document: str = ""
) -> None:
    draft.record(
        Movement(
            "counting",
            _OPENING,
            to,
            at,
            tuple(lines),
            document=document or UNSET,
            rule=OPENING_SNAPSHOT,
            actor=intent.origin.actor or UNSET,
        )
    )
