"""What did not happen so: the event is reversed whole and, if something did happen, posted again (rule 8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from gateway.errors import PostingError
from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of
from gateway.ledger.posting.fulfilment import assign
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.relink import ELSEWHERE, begin_at, group_of, join_cut, reverse
from gateway.ledger.posting.standing import contents_at, entry_of, rank_of, standing
from gateway.transactions.documents import Pending, document_of
from gateway.transactions.intents import Corrected
from vocabulary.movement import Movement, accounts
from vocabulary.place import Account
from vocabulary.wire import OPENING_SNAPSHOT


def post_corrected(draft: Draft, intent: Corrected) -> None:
    """Reverse the rows of an event that still count, post the replacement, and re-link what its units did next."""
    if intent.group == ELSEWHERE:
        _post_elsewhere(draft, intent)
        return
    rows, cut = event_of(draft, intent)
    first = min(rows, key=rank_of)
    touched: dict[str, Account] = {}
    for row in sorted(rows, key=rank_of)[::-1]:  # of equal rank the last one first
        reverse(draft, row, intent.origin.actor)
        for entry in entries_of(row.movement):
            touched[entry.unit] = entry.source
    if intent.replacement is not None:
        for entry in _replace(draft, intent, intent.replacement, rows, cut=cut):
            touched[entry.unit] = entry.target
    at, rank = first.movement.occurred_at, max(rank_of(row) for row in rows)
    if cut:
        touched = _join_cut(draft, touched, rows, at, rank)
    begin_at(draft, touched, at, rank)


def _post_elsewhere(draft: Draft, intent: Corrected) -> None:
    """Reverse rows of another ledger of this site: what headquarters told of it holds what they came to.

    A unit that has not moved since goes back with its goods. One that has stays where it is, as behind a cut; its next
    movement is linked anew where this ledger recorded it.
    """
    for movement in intent.original:
        _refuse_count(movement, "The event")
    rows = [
        Row(ELSEWHERE, msgspec.structs.replace(_known_part(draft, movement), group=UNSET, replaces=UNSET))
        for movement in sorted(intent.original, key=lambda one: one.occurred_at)
    ]
    if not rows:
        raise PostingError("The event is of another ledger of this site; a correction of it must bring its rows along.")
    last = {entry.unit: (row.movement.occurred_at, entry.target) for row in rows for entry in entries_of(row.movement)}
    known = draft.stock.units
    past = {unit: unit in known and (known[unit].at, known[unit].account) != end for unit, end in last.items()}
    touched: dict[str, Account] = {}
    for row in reversed(rows):
        reverse(draft, row, intent.origin.actor, past)
        touched.update({entry.unit: entry.source for entry in entries_of(row.movement)})
    if intent.replacement is not None:
        for entry in _replace(draft, intent, intent.replacement, rows, cut=True, past=past):
            touched[entry.unit] = entry.target
    at = rows[-1].movement.occurred_at
    linked: dict[str, Account] = {}
    ends: dict[str, tuple[Account, Account]] = {}
    for unit, account in touched.items():
        if past.get(unit):
            began = last[unit][1]
            following = _next_of(standing(draft, unit, last[unit][0]).later, unit)
            if following is not None and following.rule != OPENING_SNAPSHOT and _source(following, unit) == began:
                linked[unit] = account
            else:
                ends[unit] = (account, began)
    join_cut(draft, ends, at)
    begin_at(draft, linked, at)


def _next_of(later: Sequence[Row], unit: str) -> Movement | None:
    """The first of these rows that moves `unit`."""
    return next((row.movement for row in later if entry_of(row.movement, unit) is not None), None)


def _source(movement: Movement, unit: str) -> Account:
    entry = entry_of(movement, unit)
    assert entry is not None
    return accounts(movement, entry)[0]


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
        following = _next_of(stood.later, unit)
        if following is not None and _source(following, unit) == began[unit]:
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
        raise _taken_back(intent)
    for row in rows:
        _refuse_count(row.movement, f"Row {intent.group}")
    return rows, False


def _cut_event(draft: Draft, intent: Corrected, group: Sequence[Row]) -> list[Row]:
    """The event as headquarters tells it; rows of it that are kept go by their own seq, the others by the event's.

    Units that the ledger has forgotten are left out where goods stand beside them: these come back as loose stock, and who
    is sensed later is a piece of it (rule 3).
    """
    kept = [row for row in group if row.movement.reverses is UNSET and not draft.is_reversed(row.seq)]
    if len(intent.rows) == len(intent.original):
        return _numbered(draft, intent, {row.seq: row for row in kept})
    rows: list[Row] = []
    for movement in intent.original:
        _refuse_count(movement, f"Row {intent.group}")
        if movement.group is UNSET and draft.is_reversed(intent.group):
            raise _taken_back(intent)
        same = next((row for row in kept if row.movement == movement), None)
        rows.append(same or Row(intent.group, _known_part(draft, movement)))
    return rows


def _numbered(draft: Draft, intent: Corrected, kept: Mapping[int, Row]) -> list[Row]:
    """The event's rows by the numbers that headquarters told. Raises PostingError where it does not hold them all."""
    if any(row.movement.compensates is UNSET and seq not in intent.rows for seq, row in kept.items()):
        raise PostingError(f"The event of row {intent.group} has changed since; look at it again.")
    rows: list[Row] = []
    for seq, movement in zip(intent.rows, intent.original, strict=True):
        _refuse_count(movement, f"Row {seq}")
        if draft.is_reversed(seq):
            raise _taken_back(intent)
        rows.append(kept.get(seq) or Row(seq, _known_part(draft, movement)))
    return rows


def _known_part(draft: Draft, movement: Movement) -> Movement:
    """A movement without the units that the ledger has forgotten, where goods stand beside them."""
    if not movement.lines:
        return movement
    known = tuple(entry for entry in movement.units if entry.unit in draft.stock.units)
    return msgspec.structs.replace(movement, units=known)


def _refuse_count(movement: Movement, name: str) -> None:
    if movement.kind == "counting":
        raise PostingError(f"{name} comes from a count; count again to correct it.")


def _taken_back(intent: Corrected) -> PostingError:
    return PostingError(f"The event of row {intent.group} was taken back already; a row is reversed at most once.")


def _replace(
    draft: Draft,
    intent: Corrected,
    replacement: Movement,
    rows: Sequence[Row],
    *,
    cut: bool,
    past: Mapping[str, bool] | None = None,
) -> list[Entry]:
    """Post what did happen, dated as the event it stands for; its entries. Lines left out are what its units hold, or what
    the event's `rows` moved where it names no units. `cut`: units that the ledger has forgotten are left out.
    """
    first = min(rows, key=rank_of)
    at = first.movement.occurred_at
    entries = entries_of(replacement)
    flows = flows_of(replacement)
    if cut:
        entries = [entry for entry in entries if entry.unit in draft.stock.units or entry.holds]
    if not flows:
        _fill(draft, entries, flows, at)
        if not entries:
            flows = _moved(rows, replacement)
    if replacement.document is not UNSET and replacement.document_line is UNSET:
        document = document_of(draft.catalogue, draft.stock, replacement.document)
        pending: Pending = {}
        for flow in flows:
            if flow.document_line is None:
                assign(draft, document, flow, pending)
    for entry in entries:
        if past is None:
            entry.past = standing(draft, entry.unit, at, rank_of(first)).past
        else:
            entry.past = past[entry.unit] if entry.unit in past else standing(draft, entry.unit, at).past
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
    draft.post(movement, group_of(first) or None)
    return entries


def _moved(rows: Sequence[Row], replacement: Movement) -> list[Flow]:
    """The goods that somebody saw move in an event, between the accounts of what stands for it."""
    seen = [flow for row in rows if row.movement.implied is UNSET for flow in flows_of(row.movement)]
    ends = {"source": replacement.from_, "target": replacement.to}
    return [dataclasses.replace(flow, **ends, out_of="", into="", document_line=None) for flow in seen]


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
