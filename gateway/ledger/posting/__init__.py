"""Intents become records (READ FIRST): the one pure function through which anything enters the ledger.

`post` makes a draft, lets the part that knows the intent write into it, and closes it: facts dated before a count are
compensated (rule 10), and what a place then lacks is shown (rule 1). The rules stand in the parts:

    crossings    units at doors and places               rules 2, 3, 4, 5, 6, 7, 12
    relink       facts that come late                    rule 9
    corrections  what did not happen so                  rule 8
    counts       counts and opening stock                rules 10, 11
    loose        goods without identity, and their state rule 13
    knowledge    identity, lot or content learnt later   rules 4, 5, 12
    opening      what headquarters holds of the site
    salvage      what another ledger of the site recorded
"""

from __future__ import annotations

import msgspec

from gateway.errors import PostingError
from gateway.ledger.posting.compensation import compensate
from gateway.ledger.posting.corrections import post_corrected
from gateway.ledger.posting.counts import post_counted, post_opening
from gateway.ledger.posting.crossings import post_crossed, post_moved
from gateway.ledger.posting.doubts import about_unreadable
from gateway.ledger.posting.draft import Draft, PostingState
from gateway.ledger.posting.history import CountRow, History, Row
from gateway.ledger.posting.knowledge import (
    post_content_learnt,
    post_document_came,
    post_identified,
    post_lot_learnt,
    post_transfer_closed,
)
from gateway.ledger.posting.loose import post_loose_picked, post_packed, post_scanned, post_status, post_unpacked
from gateway.ledger.posting.opening import post_snapshot
from gateway.ledger.posting.overlay import changed
from gateway.ledger.posting.salvage import post_salvaged
from gateway.transactions import intents
from gateway.transactions.intents import AnyIntent, ExceptionDecided, Recorded
from vocabulary.count import Count
from vocabulary.movement import Movement
from vocabulary.place import is_virtual
from vocabulary.records import Record
from vocabulary.stock import NOTHING

__all__ = ["CountRow", "History", "PostingState", "Row", "post"]


def post(state: PostingState, intent: AnyIntent) -> tuple[Record, ...]:
    """The records of an intent, in order: the rows `state.stock.applied_seq + 1` and on. Changes nothing in `state`.

    No records when the ledger knows it already. Raises PostingError for an intent that contradicts itself or names a
    row, unit or document that is not there.
    """
    draft = Draft(state)
    _write(draft, intent)
    compensate(draft)
    if not isinstance(intent, intents.SnapshotTold):  # it brings the exceptions of those places along
        _show_negatives(draft, intent.occurred_at)
    return tuple(draft.records)


def _write(draft: Draft, intent: AnyIntent) -> None:  # noqa: C901 (one line for each kind of intent)
    match intent:
        case intents.Crossed():
            post_crossed(draft, intent)
        case intents.Moved():
            post_moved(draft, intent)
        case intents.Unreadable():
            about_unreadable(draft, intent)
        case intents.Scanned():
            post_scanned(draft, intent)
        case intents.LoosePicked():
            post_loose_picked(draft, intent)
        case intents.Counted():
            post_counted(draft, intent)
        case intents.OpeningStocked():
            post_opening(draft, intent)
        case intents.SnapshotTold():
            post_snapshot(draft, intent)
        case intents.Salvaged():
            post_salvaged(draft, intent)
        case intents.Corrected():
            post_corrected(draft, intent)
        case intents.StatusChanged():
            post_status(draft, intent)
        case intents.Packed():
            post_packed(draft, intent)
        case intents.Unpacked():
            post_unpacked(draft, intent)
        case intents.Identified():
            post_identified(draft, intent)
        case intents.LotLearnt():
            post_lot_learnt(draft, intent)
        case intents.ContentLearnt():
            post_content_learnt(draft, intent)
        case intents.DocumentCame():
            post_document_came(draft, intent)
        case intents.TransferClosed():
            post_transfer_closed(draft, intent)
        case ExceptionDecided():
            _decide(draft, intent)
        case Recorded():
            if isinstance(intent.record, Movement | Count):
                raise PostingError("A movement or count is not recorded as it is; submit what was sensed instead.")
            draft.record(intent.record)


def _decide(draft: Draft, intent: ExceptionDecided) -> None:
    last = draft.history.exception(intent.kind, intent.subject)
    if last is None:
        raise PostingError(f"There is no exception {intent.kind} about {intent.subject} at this site.")
    draft.record(
        msgspec.structs.replace(
            last, state=intent.state, at=intent.occurred_at, reason=intent.reason, actor=intent.actor
        )
    )


def _show_negatives(draft: Draft, at: int) -> None:
    """A place that now holds less than nothing is an exception, reported as it is; it settles when more is there (rule 1)."""
    for key in changed(draft.stock.balances):
        if is_virtual(key.place):
            continue
        before = draft.base.balances.get(key, NOTHING).quantity
        now = draft.stock.balances.get(key, NOTHING).quantity
        subject = "/".join((key.place, key.status, key.item, key.lot or key.expiry))
        if now < 0 and now != before:
            draft.note(
                "negative-balance",
                subject,
                at,
                f"{key.place} holds {now} of {key.item}: more went out than came in by the ledger.",
                "Count the place, or find the movement that was missed.",
                draft.group,
                {"balance": now},
            )
        elif before < 0 <= now:
            draft.settle("negative-balance", subject, at, "The balance is no longer negative.")
