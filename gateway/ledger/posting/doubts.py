"""What a posting leaves in doubt: the exceptions that a person is asked about."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from gateway.ledger.posting.draft import Draft
from gateway.ledger.posting.loads import PROVISIONAL, Load, is_logistic, is_outside
from gateway.transactions.documents import done
from gateway.transactions.intents import Crossed, Moved, Unreadable
from vocabulary.document import Document
from vocabulary.place import UNKNOWN

#: Microseconds in a second.
SECOND = 1_000_000


def about_crossing(draft: Draft, intent: Crossed, document: Document | None, loads: Sequence[Load], cause: int) -> None:
    """The doubts that a crossing of `loads` against `document` leaves; `cause` is its row."""
    at, place = intent.occurred_at, intent.place
    way = "came in" if intent.direction == "in" else "went out"
    for load in loads:
        _about_load(draft, intent, load, cause)
        if load.contradicted is not None:
            draft.note(
                "against-ledger",
                load.top,
                at,
                f"{load.top} {way} at {place}, but the ledger held it at {load.contradicted.place}.",
                "Check how it got there unseen; correct the movement if it is wrong.",
                cause,
                {"held": load.contradicted.place, "sensed": place},
            )
    if document is None:
        tops = loads[0].top if len(loads) == 1 else f"{loads[0].top} and {len(loads) - 1} more"
        draft.note(
            "no-document",
            loads[0].top,
            at,
            f"{tops} {way} at {place} and no document expects it.",
            "Name the delivery or order it belongs to, or correct the movement.",
            cause,
            {"place": place, "direction": intent.direction, "units": sum(len(load.parts) for load in loads)},
        )
        return
    if document.state == "cancelled":
        draft.note(
            "document-cancelled",
            document.id,
            at,
            f"Goods of the cancelled document {document.id} {way} at {place}.",
            "Send the goods back, or open the document again.",
            cause,
        )
    if document.type == "expected-receipt":
        _about_surplus(draft, document, at, cause)


def _about_surplus(draft: Draft, document: Document, at: int, cause: int) -> None:
    for line in document.lines:
        came = done(draft.stock, document.id, line.line)
        if came > line.quantity:
            draft.note(
                "over-receipt",
                f"{document.id}/{line.line}",
                at,
                f"{came} of {line.item} came for {document.id}, which expects {line.quantity}.",
                "Accept the surplus or send it back.",
                cause,
                {"expected": line.quantity, "came": came},
            )


def about_unreadable(draft: Draft, intent: Unreadable) -> None:
    """An EPC that makes no item: one exception per header and company prefix."""
    draft.note(
        "undecodable",
        intent.subject,
        intent.occurred_at,
        f"Tags such as {intent.epc} name no stock: {intent.reason}.",
        "Ask who wrote these tags; they are counted and not posted.",
        facts={"subject": intent.subject},
    )


def about_place(draft: Draft, intent: Moved, loads: Sequence[Load], cause: int) -> None:
    """The doubts that units sensed at a place leave."""
    for load in loads:
        _about_load(draft, intent, load, cause)
        source = load.parts[0].source
        if not load.parts[0].first and source is not None and is_outside(source.place) and source.place != UNKNOWN:
            draft.note(
                "against-ledger",
                load.top,
                intent.occurred_at,
                f"{load.top} was sensed at {intent.place}, but the ledger held it at {source.place}.",
                "Check through which door it came in unseen; correct the movement if it is wrong.",
                cause,
                {"held": source.place, "sensed": intent.place},
            )


def _about_load(draft: Draft, intent: Crossed | Moved, load: Load, cause: int) -> None:
    at = intent.occurred_at
    _about_identity(draft, intent, load, cause)
    for part in load.parts:
        gtin = next((key.item.removeprefix(PROVISIONAL) for key in part.goods if part.provisional), "")
        if part.first and gtin:
            draft.note(
                "unknown-gtin",
                gtin,
                at,
                f"No item carries the GTIN {gtin}; its stock is on hold as the provisional item {PROVISIONAL}{gtin}.",
                "Say which item it is.",
                cause,
            )
        elif part.first and any(one.account.place == UNKNOWN for one in part.drawn):
            draft.note(
                "unexplained-unit",
                part.unit,
                at,
                f"{part.unit} was sensed at {intent.place} and no loose stock of the site explains it.",
                "Count the item, or find the delivery that was missed.",
                cause,
                {"place": intent.place},
            )
    _about_content(draft, load, at, cause)


def _about_content(draft: Draft, load: Load, at: int, cause: int) -> None:
    if load.top.startswith("00/") and len(load.parts) == 1 and not load.parts[0].goods:
        draft.note(
            "unknown-content",
            load.top,
            at,
            f"Nobody knows what {load.top} holds; it moved without content.",
            "Send the shipping notice, or count what it holds.",
            cause,
        )
    if load.conflict:
        draft.note(
            "content-conflict",
            load.top,
            at,
            f"The label of {load.top} and its shipping notice disagree about what it holds; the notice was believed.",
            "Count what it holds.",
            cause,
        )
    if load.undeclared:
        draft.note(
            "content-undeclared",
            load.top,
            at,
            f"{len(load.undeclared)} units were read with {load.top} that its shipper did not declare.",
            "Count what it holds.",
            cause,
            {"units": len(load.undeclared), "first": load.undeclared[0]},
        )
    if load.declared and 2 * load.read < load.declared and is_logistic(load.top):
        draft.note(
            "content-doubtful",
            load.top,
            at,
            f"Only {load.read} of the {load.declared} units in {load.top} were read; it crossed whole.",
            "Count what it holds.",
            cause,
            {"read": load.read, "declared": load.declared},
        )


def _about_identity(draft: Draft, intent: Crossed | Moved, load: Load, cause: int) -> None:
    """One identity in two places within travel time: sensed elsewhere so shortly before that one of them is a copy."""
    known = draft.before(load.top)
    interval = intent.origin.interval
    if known is None or interval is None or interval[0] - known.at > draft.catalogue.thresholds.travel_time_s * SECOND:
        return
    since = interval[0] - draft.catalogue.thresholds.travel_time_s * SECOND
    for row in draft.history.movements_of(load.top, since):
        other = row.movement
        if (
            other.reverses is not UNSET
            or other.interval is UNSET
            or other.read_point in (UNSET, intent.origin.read_point)
            or other.occurred_at - other.interval > interval[1]
        ):
            continue
        if load.contradicted is not None or other.occurred_at >= interval[0]:
            draft.note(
                "possible-clone",
                load.top,
                intent.occurred_at,
                f"{load.top} was sensed at {other.read_point} and at {intent.origin.read_point}"
                f" within {draft.catalogue.thresholds.travel_time_s} s.",
                "Look at the tag: two things may carry the same identity.",
                cause,
                {"first": str(other.read_point), "second": intent.origin.read_point},
            )
            return
