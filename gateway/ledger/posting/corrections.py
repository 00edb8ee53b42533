"""What did not happen so: the event is reversed whole and, if something did happen, posted again (rule 8)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from gateway.errors import PostingError
from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of
from gateway.ledger.posting.fulfilment import assign
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.relink import begin_at, group_of, join_cut, reverse
from gateway.ledger.posting.standing import contents_at, entry_of, rank_of, standing
from gateway.transactions.documents import Pending, document_of
from gateway.transactions.intents import Corrected
from vocabulary.movement import Movement, accounts
from vocabulary.place import Account


def post_corrected(draft: Draft, intent: Corrected) -> None:
    """Reverse the rows of an event that still count, post the replacement, and re-link what its units did next."""
    rows, cut = event_of(draft, intent)
    first = min(rows, key=rank_of)
    touched: dict[str, Account] = {}
    for row in sorted(rows, key=rank_of, reverse=True):
        reverse(draft, row, intent.origin.actor)
        for entry in entries_of(row.movement):
            touched[entry.unit] = entry.source
    if intent.replacement is not None:
        for entry in _replace(draft, intent, intent.replacement, first, rows if cut else ()):
            touched[entry.unit] = entry.target
    at, rank = first.movement.occurred_at, max(rank_of(row) for row in rows)
    if cut:
        touched = _join_cut(draft, touched, rows, at, rank)
    begin_at(draft, touched, at, rank)


def _join_cut(draft: Draft, touched: dict[str, Account], rows: list[Row], at: int, rank: int) -> dict[str, Account]:
    """Lead units whose next movement is cut to where it began; those whose next one is kept are left over."""
    began = {entry.unit: entry.target for row in sorted(rows, key=rank_of) for entry in entries_of(row.movement)}
    left: dict[str, Account] = {}
    ends: dict[str, tuple[Account, Account]] = {}
    for unit, account in touched.items():
        stood = standing(draft, unit, at, rank)
        if unit not in began or not stood.past:
            left[unit] = account
            continue
        entries = ((row.movement, entry_of(row.movement, unit)) for row in stood.later)
        sources = [accounts(movement, entry)[0] for movement, entry in entries if entry is not None]
        if sources and sources[0] == began[unit]:
            left[unit] = account
        else:
            ends[unit] = (account, began[unit])
    join_cut(draft, ends, at)
    return left


def event_of(draft: Draft, intent: Corrected) -> tuple[list[Row], bool]:
    """The rows of the event that still count, and whether retention has cut any of them. Raises PostingError when there is
    nothing to take back.
    """
    group = draft.history.group(intent.group)
    if intent.original and (not group or intent.group <= draft.history.cut()):
        return _cut_event(draft, intent, group), True
    if not group and intent.group <= draft.history.cut():
        raise PostingError(f"Row {intent.group} was cut; a correction of it must bring the event's rows along.")
    if not group:
        raise PostingError(f"Row {intent.group} is no movement of this ledger; nothing was corrected.")
    rows = [
        row
        for row in group
        if row.movement.reverses is UNSET and row.movement.compensates is UNSET and not draft.is_reversed(row.seq)
    ]
    if not rows:
        raise PostingError(f"The event of row {intent.group} was taken back already; a row is reversed at most once.")
    if any(row.movement.kind == "counting" for row in rows):
        raise PostingError(f"Row {intent.group} comes from a count; count again to correct it.")
    return rows, False


def _cut_event(draft: Draft, intent: Corrected, group: Sequence[Row]) -> list[Row]:
    """The event as headquarters tells it; rows of it that are kept go by their own seq, the others by the event's.

    Units that the ledger has forgotten are left out where goods stand beside them: these come back as loose stock, and who
    is sensed later is a piece of it (rule 3).
    """
    kept = [row for row in group if row.movement.reverses is UNSET and not draft.is_reversed(row.seq)]
    rows: list[Row] = []
    for movement in intent.original:
        if movement.kind == "counting":
            raise PostingError(f"Row {intent.group} comes from a count; count again to correct it.")
        if movement.group is UNSET and draft.is_reversed(intent.group):
            raise PostingError(
                f"The event of row {intent.group} was taken back already; a row is reversed at most once."
            )
        same = next((row for row in kept if row.movement == movement), None)
        if same is None and movement.lines:
            known = tuple(entry for entry in movement.units if entry.unit in draft.stock.units)
            movement = msgspec.structs.replace(movement, units=known)
        rows.append(same or Row(intent.group, movement))
    return rows


def _replace(
    draft: Draft, intent: Corrected, replacement: Movement, first: Row, cut: Sequence[Row] = ()
) -> list[Entry]:
    """Post what did happen, dated as the event it stands for; its entries. Lines left out are what its units hold, or what
    the rows that were `cut` moved.
    """
    at = first.movement.occurred_at
    entries = entries_of(replacement)
    flows = flows_of(replacement)
    if cut:
        entries = [entry for entry in entries if entry.unit in draft.stock.units or entry.holds]
    if not flows:
        _fill(draft, entries, flows, at)
        if cut and not entries:
            source, target = replacement.from_, replacement.to
            moved = [flow for row in cut for flow in flows_of(row.movement)]
            flows = [Flow(flow.goods, flow.quantity, source, target, flow.grams) for flow in moved]
        if replacement.document is not UNSET:
            document = document_of(draft.catalogue, draft.stock, replacement.document)
            pending: Pending = {}
            for flow in flows:
                assign(draft, document, flow, pending)
    for entry in entries:
        entry.past = standing(draft, entry.unit, at, rank_of(first)).past
    movement = assemble(replacement, flows, entries)
    if movement is None:
        return []
    movement = msgspec.structs.replace(
        movement,
        occurred_at=at,
        group=UNSET,
        replaces=rank_of(first),
        reverses=UNSET,
        actor=intent.origin.actor or movement.actor,
    )
    draft.post(movement, group_of(first))
    return entries


def _fill(draft: Draft, entries: list[Entry], flows: list[Flow], at: int) -> None:
    """Add the units that were in the named ones before the reversal, and lines for what all of them held."""
    named = {entry.unit for entry in entries}
    for top in list(entries):
        for unit in draft.base.inside(top.unit):
            if unit not in named and (known := draft.base.units.get(unit)) is not None:
                entries.append(Entry(unit, top.source, top.target, known.container))
    for entry in entries:
        if entry.unit in draft.stock.units:
            for key, amount in contents_at(draft, entry.unit, at).items():
                flows.append(Flow(key, amount.quantity, entry.source, entry.target, amount.grams))
