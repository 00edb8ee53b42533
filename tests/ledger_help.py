"""What the ledger's and sync's tests share: the simplest posting there is, and movements to post."""

from __future__ import annotations

from gateway.errors import PostingError
from gateway.transactions.intents import AnyIntent, Crossed, Recorded, SeenUnit
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.records import Record

#: A Monday morning, microseconds UTC.
AT = 1_767_592_800_000_000


def simple_post(state: object, intent: AnyIntent) -> tuple[Record, ...]:
    """One receiving movement for each crossing; the place `nowhere` is refused, a record posts as it is."""
    if isinstance(intent, Recorded):
        return (intent.record,)
    assert isinstance(intent, Crossed)
    if intent.place == "nowhere":
        raise PostingError("there is no such place")
    movement = Movement(
        kind="receiving",
        from_=Account("supplier"),
        to=Account(intent.place),
        occurred_at=intent.occurred_at,
        lines=(Line("apples", len(intent.units)),),
        units=tuple(UnitEntry(unit.unit) for unit in intent.units),
    )
    return (movement,)


def crossing(number: int, units: int = 1, place: str = "dock") -> Crossed:
    """A pallet with `units` units of its own through the dock door."""
    seen = tuple(SeenUnit(f"01/09506000134352/21/{number}-{index}") for index in range(units))
    return Crossed(occurred_at=AT + number, place=place, direction="in", units=seen)
