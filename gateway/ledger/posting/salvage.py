"""What another ledger of this site recorded and headquarters never got: late facts of this ledger, each posted once.

A movement is posted with the accounts that it had, for draws and contents are resolved once (rule 9); a unit that this
ledger believes elsewhere at that time moves from there. A passage that this ledger knows posts nothing (rule 7), the next
movement of the unit is linked to it (rule 9), and a count is compared with this ledger's book (rule 10).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from gateway.ledger.posting.counts import post_counted
from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.loads import is_outside
from gateway.ledger.posting.relink import begin_at, rebased
from gateway.ledger.posting.standing import entry_of, standing
from gateway.transactions.intents import Counted, CountedLine, Origin, Salvaged
from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.place import UNKNOWN, Account
from vocabulary.records import CommandResult
from vocabulary.wire import OPENING_SNAPSHOT


def post_salvaged(draft: Draft, intent: Salvaged) -> None:
    """Post what a salvaged row tells, and its mark. What this ledger knows already leaves the mark alone."""
    record = intent.record
    if isinstance(record, Movement):
        _movement(draft, intent, record)
    elif isinstance(record, Count):
        _count(draft, intent, record)
    elif isinstance(record, Document):
        known = draft.stock.documents.get(record.id)
        if known is None or known.revision < record.revision:
            draft.record(record)
    elif isinstance(record, ExceptionRecord):
        last = draft.history.exception(record.kind, record.subject)
        if last is None or last.at < record.at:
            draft.record(msgspec.structs.replace(record, cause=UNSET))
    else:
        draft.record(record)
    draft.record(CommandResult(intent.mark, intent.occurred_at, "done"))


def _actor(intent: Salvaged, actor: str) -> str:
    """Who says so: the card's row, and the person that it named."""
    row = f"salvaged from row {intent.seq} of {intent.epoch}"
    return f"{actor}, {row}" if actor else row


def _movement(draft: Draft, intent: Salvaged, told: Movement) -> None:
    movement: Movement | None = msgspec.structs.replace(told, actor=_actor(intent, told.actor or ""))
    if not intent.fixed:
        known = {entry.unit: entry.source for entry in entries_of(told) if _is_known(draft, told, entry.unit)}
        if known:
            movement = rebased(draft, movement, known, drop=True) if len(known) < len(told.units) else None
        movement = None if movement is None else _from_here(draft, movement)
    if movement is None:
        return
    if intent.inspection is not None:
        movement = msgspec.structs.replace(movement, inspection=draft.record(intent.inspection))
    if movement.kind in ("hold", "release") and any(
        standing(draft, entry.unit, movement.occurred_at).later for entry in movement.units
    ):
        _hold_now(draft, movement)
    else:
        _post(draft, movement)


def _hold_now(draft: Draft, movement: Movement) -> None:
    """Hold or release units that moved on since: where they are now, or the next movement would undo it."""
    entries: list[Entry] = []
    flows: list[Flow] = []
    at = movement.occurred_at
    for entry in entries_of(movement):
        known = draft.stock.units.get(entry.unit)
        if known is None or is_outside(known.account.place):
            continue
        target = Account(known.account.place, entry.target.status)
        if target != known.account:
            entries.append(Entry(entry.unit, known.account, target))
            flows += [Flow(key, one.quantity, known.account, target, one.grams) for key, one in known.holds.items()]
            at = max(at, known.at)
    posted = assemble(msgspec.structs.replace(movement, occurred_at=at), flows, entries)
    if posted is not None:
        draft.post(posted)


def _is_known(draft: Draft, movement: Movement, unit: str) -> bool:
    """Whether this ledger recorded the same event of the unit: an overlapping passage (rule 7), or the same move."""
    at = movement.occurred_at
    first = at if movement.interval is UNSET else at - movement.interval
    inward = is_outside(movement.from_.place)
    for row in draft.history.movements_of(unit, first):
        other = row.movement
        if other.reverses is not UNSET or other.rule == OPENING_SNAPSHOT or entry_of(other, unit) is None:
            continue
        if movement.interval is UNSET or other.interval is UNSET:
            if (other.occurred_at, other.kind, other.to) == (at, movement.kind, movement.to):
                return True
        elif other.occurred_at - other.interval <= at and (
            other.read_point == movement.read_point or is_outside(other.from_.place) == inward
        ):
            return True
    return False


def _from_here(draft: Draft, movement: Movement) -> Movement | None:
    """The movement with each unit beginning where this ledger holds it at that time, if it knows."""
    begin: dict[str, Account] = {}
    for entry in entries_of(movement):
        stood = standing(draft, entry.unit, movement.occurred_at)
        if entry.past:
            continue  # what headquarters knew of it afterwards begins where it ended
        if stood.account is not None and stood.account != entry.source and not _sealed(stood.later, entry.unit):
            begin[entry.unit] = stood.account
    return rebased(draft, movement, begin) if begin else movement


def _sealed(later: Sequence[Row], unit: str) -> bool:
    """Whether headquarters knew a later movement of the unit: what came before that is in what it told."""
    following = (row.movement for row in later if entry_of(row.movement, unit) is not None)
    return getattr(next(following, None), "rule", UNSET) == OPENING_SNAPSHOT


def _post(draft: Draft, movement: Movement) -> None:
    """Post it where it stands in time, and link what its units did next."""
    at = movement.occurred_at
    targets: dict[str, Account] = {}
    entries: list[Entry] = []
    for entry in entries_of(movement):
        settled = entry.past
        if entry.unit in draft.stock.units:
            entry.holds = entry.holds if settled else ()
            later = standing(draft, entry.unit, at).later
            entry.past = settled or bool(later)
            if later and not settled and not _sealed(later, entry.unit):
                targets[entry.unit] = entry.target
        elif settled:
            continue  # it has left since, and this ledger need not know it
        entries.append(entry)
    posted = assemble(movement, flows_of(movement), entries)
    if posted is not None:
        draft.post(posted)
        begin_at(draft, targets, at)


def _count(draft: Draft, intent: Salvaged, record: Count) -> None:
    """Count again with what was counted: the book is this ledger's."""
    actor = _actor(intent, record.actor or "")
    missing = [
        Entry(unit, record.account, Account(UNKNOWN), None)
        for unit in intent.missing
        if standing(draft, unit, record.occurred_at).account == record.account
    ]
    header = Movement("counting", record.account, Account(UNKNOWN), record.occurred_at, rule=record.rule, actor=actor)
    lost = assemble(header, (), missing)
    if lost is not None:
        _post(draft, lost)
    costs = {cost[:3]: cost[3:] for cost in intent.costs}
    lines: list[CountedLine] = []
    for line in record.lines:
        lot, expiry = line.lot or "", line.expiry or ""
        cost, currency = costs.get((line.item, lot, "" if lot else expiry), (0, ""))
        grams = line.grams or 0
        lines.append(
            CountedLine(
                line.item,
                line.counted,
                lot,
                expiry,
                grams,
                line.first_scan,
                line.cut_off,
                unit_cost=cost,
                currency=currency,
            )
        )
    post_counted(
        draft,
        Counted(
            occurred_at=record.occurred_at,
            origin=Origin(
                rule=record.rule or "",
                confidence=None if record.confidence is UNSET else record.confidence,
                evidence=record.evidence or "",
                actor=actor,
            ),
            account=record.account,
            scope=record.scope,
            first_scan=min((line.first_scan for line in record.lines), default=record.occurred_at),
            lines=tuple(lines),
            busy=tuple(line.item for line in record.lines if line.again is not UNSET),
            against=record.against,
            document=record.document or "",
        ),
    )
