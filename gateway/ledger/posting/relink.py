"""Rows that are taken back and rows that take their place: late facts (rule 9) and what corrections share with them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.standing import contents_at, entry_of, live, rank_of, standing
from vocabulary.movement import Movement, accounts
from vocabulary.place import Account
from vocabulary.stock import Amount, Goods
from vocabulary.wire import OPENING_SNAPSHOT

#: The number of a row of another ledger of this site, of which this one knows only what it came to; own ones begin at 1.
ELSEWHERE = 0


def begin_at(draft: Draft, targets: dict[str, Account], at: int, rank: int | None = None) -> None:
    """Reverse and replace the next movement of each unit after `at`, so that it begins at the unit's new account.

    Each row is reversed once for all of its units. An implied movement is only reversed: nobody sensed it, and the one
    after it is joined to the new account instead. What an opening snapshot told of a unit is no movement: it stays.
    """
    begin: dict[str, tuple[Account, int, int | None]] = {unit: (to, at, rank) for unit, to in targets.items()}
    told: dict[str, int] = {}
    while begin:
        found: dict[int, tuple[Row, dict[str, Account]]] = {}
        for unit, (account, since, after) in begin.items():
            for row in _next(draft, unit, account, since, after):
                if row.movement.rule == OPENING_SNAPSHOT:
                    told[unit] = since
                    break
                found.setdefault(row.seq, (row, {}))[1][unit] = account
        begin = {}
        for seq in sorted(found):
            row, units = found[seq]
            reverse(draft, row)
            if row.movement.implied is UNSET:
                replace(draft, row, rebased(draft, row.movement, units))
            else:
                replace(draft, row, rebased(draft, row.movement, units, drop=True))
                begin.update({unit: (to, row.movement.occurred_at, rank_of(row)) for unit, to in units.items()})
    _join_told(draft, told)


def _join_told(draft: Draft, told: Mapping[str, int]) -> None:
    """Post, implied, how each unit came from where this event leaves it, at a time, to where its story was before.

    Headquarters has told what became of it since, and the balances with it: no event before that changes them.
    """
    joins: dict[int, dict[str, tuple[Account, Account]]] = {}
    for unit, at in told.items():
        ends: Counter[Account] = Counter()
        for _, movement in draft.movements:
            entry = entry_of(movement, unit)
            if entry is not None:
                source, target = accounts(movement, entry)
                ends[source] -= 1
                ends[target] += 1
        source = next((account for account, sign in ends.items() if sign > 0), None)
        target = next((account for account, sign in ends.items() if sign < 0), None)
        if source is not None and target is not None:
            joins.setdefault(at, {})[unit] = source, target
    for at, units in joins.items():
        join_cut(draft, units, at)


def _next(draft: Draft, unit: str, account: Account, at: int, rank: int | None) -> list[Row]:
    """The live rows after `at` that must begin elsewhere: what went out of or into the unit, then its next movement.

    What was told of it in an opening snapshot is the last of them.
    """
    found: list[Row] = []
    for row in standing(draft, unit, at, rank).later:
        if row.movement.rule == OPENING_SNAPSHOT:
            return [*found, row]
        entry = entry_of(row.movement, unit)
        if entry is not None:
            return found if accounts(row.movement, entry)[0] == account else [*found, row]
        found.append(row)
    return []


def join_cut(draft: Draft, ends: dict[str, tuple[Account, Account]], at: int) -> None:
    """Post, implied, how each unit came from its first account to the second, where its next movement began: that is not
    here."""
    flows: list[Flow] = []
    entries: list[Entry] = []
    for unit, (source, target) in ends.items():
        if source != target:
            goods = contents_at(draft, unit, at)
            flows += [Flow(key, amount.quantity, source, target, amount.grams) for key, amount in goods.items()]
            entries.append(Entry(unit, source, target, past=True))
    header = Movement(kind="moving", from_=Account(""), to=Account(""), occurred_at=at, implied=True)
    movement = assemble(header, flows, entries) if entries else None
    if movement is not None:
        draft.post(movement)


def group_of(row: Row) -> int:
    """The event that a row belongs to; 0 where it belongs to none of this ledger."""
    return row.seq if row.movement.group is UNSET else row.movement.group


def reverse(draft: Draft, row: Row, actor: str = "", past: Mapping[str, bool] | None = None) -> None:
    """Take a row back, in its event; see `reversal`."""
    taken_back = reversal(draft, row, actor, past)
    if taken_back is not None:
        draft.post(taken_back, group_of(row) or None)


def reversal(draft: Draft, row: Row, actor: str = "", past: Mapping[str, bool] | None = None) -> Movement | None:
    """What takes a row back: the same lines and units, accounts swapped, dated as it was.

    `past` says of each unit whether it has moved since, where the rows of this ledger do not.
    """
    movement = row.movement
    flows = flows_of(movement)
    for flow in flows:
        flow.source, flow.target = flow.target, flow.source
        flow.out_of, flow.into = flow.into, flow.out_of
    entries = [
        Entry(
            entry.unit,
            entry.target,
            entry.source,
            "" if entry.container == "" else _container_before(draft, entry.unit, row),
            past=past[entry.unit]
            if past is not None
            else standing(draft, entry.unit, movement.occurred_at, rank_of(row)).past,
        )
        for entry in entries_of(movement)
    ]
    header = Movement(
        kind=movement.kind,
        from_=movement.to,
        to=movement.from_,
        occurred_at=movement.occurred_at,
        document=movement.document,
        actor=actor or UNSET,
        reverses=row.seq,
        implied=movement.implied,
    )
    return assemble(header, flows, entries)


def _container_before(draft: Draft, unit: str, row: Row) -> str | None:
    before: str | None = None
    for earlier in live(draft, unit):
        if (earlier.movement.occurred_at, rank_of(earlier)) >= (row.movement.occurred_at, rank_of(row)):
            break
        entry = entry_of(earlier.movement, unit)
        if entry is not None and entry.container is not UNSET:
            before = entry.container
    return before


def replace(draft: Draft, row: Row, movement: Movement | None) -> None:
    """Post what stands for a row that was taken back, in its event and at its place in time."""
    if movement is None:
        return
    entries = entries_of(movement)
    for entry in entries:
        entry.past = standing(draft, entry.unit, movement.occurred_at, rank_of(row)).past
    again = assemble(movement, flows_of(movement), entries)
    if again is not None:
        draft.post(msgspec.structs.replace(again, group=UNSET, replaces=rank_of(row)), group_of(row))


def rebased(draft: Draft, movement: Movement, begin: dict[str, Account], drop: bool = False) -> Movement | None:
    """A movement whose units in `begin` start at another account, with what they held at that time.

    `drop` leaves these units out instead. Goods that went out of or into such a unit follow it.
    """
    flows = flows_of(movement)
    entries = entries_of(movement)
    for entry in entries:
        account = begin.get(entry.unit)
        if account is None:
            continue
        for goods, amount in contents_at(draft, entry.unit, movement.occurred_at).items():
            moved = _take(flows, goods, amount, entry)
            if drop:
                continue
            for flow in moved or [Flow(goods, amount.quantity, account, entry.target, amount.grams)]:
                flow.source = account
                flows.append(flow)
        entry.source = account
    named = {entry.unit for entry in entries}
    for flow in flows:
        unit = next((unit for unit in (flow.out_of, flow.into) if unit in begin and unit not in named), None)
        if unit is not None:
            stays = flow.source == flow.target
            if flow.out_of == unit or stays:
                flow.source = begin[unit]
            if flow.into == unit or stays:
                flow.target = begin[unit]
    if drop:
        entries = [entry for entry in entries if entry.unit not in begin]
    return assemble(movement, flows, entries)


def _take(flows: list[Flow], goods: Goods, amount: Amount, entry: Entry) -> list[Flow]:
    """Take what a unit moved out of the flows of its movement; the parts taken.

    From its own account first; what a unit was drawn from when it was first met may be several accounts.
    """
    if entry.source == entry.target:
        return []
    taken: list[Flow] = []
    left = amount.quantity
    for flow in sorted(flows, key=lambda flow: flow.source != entry.source):
        if flow.goods != goods or flow.target != entry.target or flow.out_of or flow.into:
            continue
        if left and (flow.source == entry.source or entry.holds):
            part = min(left, flow.quantity)
            grams = flow.grams if part == flow.quantity else min(flow.grams, amount.grams)
            taken.append(dataclasses.replace(flow, quantity=part, grams=grams))
            flow.quantity -= part
            flow.grams -= grams
            left -= part
    flows[:] = [flow for flow in flows if flow.quantity > 0]
    return taken
