"""What did not happen so: the event is reversed whole and, if something did happen, posted again (rule 8)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from gateway.errors import PostingError
from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of
from gateway.ledger.posting.fulfilment import assign
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.relink import begin_at, group_of, reverse
from gateway.ledger.posting.standing import contents_at, rank_of, standing
from gateway.transactions.documents import Pending, document_of
from gateway.transactions.intents import Corrected
from vocabulary.movement import Movement
from vocabulary.place import Account


def post_corrected(draft: Draft, intent: Corrected) -> None:
    """Reverse the rows of an event that still count, post the replacement, and re-link what its units did next."""
    rows = event_of(draft, intent)
    first = min(rows, key=rank_of)
    touched: dict[str, Account] = {}
    for row in sorted(rows, key=rank_of, reverse=True):
        reverse(draft, row, intent.origin.actor)
        for entry in entries_of(row.movement):
            touched[entry.unit] = entry.source
    if intent.replacement is not None:
        for entry in _replace(draft, intent, intent.replacement, first):
            touched[entry.unit] = entry.target
    begin_at(draft, touched, first.movement.occurred_at, max(rank_of(row) for row in rows))


def event_of(draft: Draft, intent: Corrected) -> list[Row]:
    """The rows of the event that still count. Raises PostingError when there is nothing to take back."""
    group = draft.history.group(intent.group)
    if not group and intent.original:
        return [Row(intent.group, movement) for movement in intent.original]
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
    return rows


def _replace(draft: Draft, intent: Corrected, replacement: Movement, first: Row) -> list[Entry]:
    """Post what did happen, dated as the event it stands for; its entries. Lines left out are what its units hold."""
    at = first.movement.occurred_at
    entries = entries_of(replacement)
    flows = flows_of(replacement)
    if not flows:
        _fill(draft, entries, flows, at)
        if replacement.document is not UNSET:
            document = document_of(draft.catalogue, draft.stock, replacement.document)
            pending: Pending = {}
            for flow in flows:
                assign(draft, document, flow, pending)
    for entry in entries:
        entry.past = bool(standing(draft, entry.unit, at, rank_of(first)).later)
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
