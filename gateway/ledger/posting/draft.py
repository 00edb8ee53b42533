"""The records of one intent while they are made: each sees what those before it did, nothing else does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET, UnsetType

from gateway.ledger.posting.dated import Dated
from gateway.ledger.posting.history import History
from gateway.ledger.posting.overlay import copy_unit, overlay
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Intent
from vocabulary.exception import ExceptionKind, ExceptionRecord
from vocabulary.movement import Content, Kind, Line, Movement, UnitEntry, accounts
from vocabulary.place import Account
from vocabulary.records import Record
from vocabulary.stock import Goods, Stock, Unit, apply, goods_of

#: Stands in a header until its parts are known.
NOWHERE = Account("")


@dataclass(frozen=True, slots=True)
class PostingState:
    """All that `post` may look at. It changes none of it."""

    stock: Stock
    catalogue: Catalogue
    history: History


@dataclass(slots=True)
class Flow:
    """Goods that go from an account to another, or out of or into a unit where they are."""

    goods: Goods
    quantity: int
    source: Account
    target: Account
    grams: int = 0
    expiry: str = ""
    out_of: str = ""
    into: str = ""
    document_line: int | None = None
    unit_cost: int = 0
    currency: str = ""
    inferred: bool = False


@dataclass(slots=True)
class Entry:
    """A unit that goes from an account to another. `container` "" leaves it in what it is in, None takes it out."""

    unit: str
    source: Account
    target: Account
    container: str | None = ""
    holds: tuple[Content, ...] = ()
    past: bool = False


class Draft:
    """The records of one intent, applied one by one to an overlay of the stock."""

    def __init__(self, state: PostingState) -> None:
        self.base = state.stock
        self.history: History = state.history
        self._dated: Dated | None = None
        if state.history.corrections():
            self.history = self._dated = Dated(state.history)
        self.stock = overlay(state.stock, self._dated.date if self._dated else None)
        self.catalogue = state.catalogue
        self.records: list[Record] = []
        #: seq of the first movement of this event
        self.group: int | None = None
        #: movements of this draft, for what must be compensated
        self.movements: list[tuple[int, Movement]] = []
        #: how many of them were looked at for what must be compensated
        self.compensated = 0
        #: seqs of the rows that this draft reverses
        self.taken_back: set[int] = set()

    def before(self, unit: str) -> Unit | None:
        """A unit as the ledger held it before this draft."""
        known = self.base.units.get(unit)
        return known if known is None or self._dated is None else self._dated.date(copy_unit(known))

    def record(self, record: Record) -> int:
        """Add a record as it is; its seq."""
        seq = self.stock.applied_seq + 1
        self.records.append(record)
        apply(self.stock, seq, record)
        return seq

    def post(self, movement: Movement, group: int | None = None) -> int:
        """Add a movement to this event, or to the event `group` when it reverses or replaces one of its rows; its seq."""
        seq = self.stock.applied_seq + 1
        if group is None:
            if self.group is None:
                self.group = seq
            else:
                group = self.group
        if group is not None:
            movement = msgspec.structs.replace(movement, group=group)
        self.movements.append((seq, movement))
        if movement.reverses is not UNSET:
            self.taken_back.add(movement.reverses)
        return self.record(movement)

    def is_reversed(self, seq: int) -> bool:
        """Whether a row was taken back, in the ledger or in this draft."""
        return seq in self.taken_back or self.history.reversed_by(seq) is not None

    def note(
        self,
        kind: ExceptionKind,
        subject: str,
        at: int,
        text: str,
        action: str,
        cause: int | None = None,
        facts: dict[str, str | int] | None = None,
    ) -> None:
        """Raise an exception, once: not when it is open already with the same facts, here or in the ledger."""
        for earlier in self.records:
            if isinstance(earlier, ExceptionRecord) and (earlier.kind, earlier.subject) == (kind, subject):
                return
        last = self.history.exception(kind, subject)
        told = facts if facts else UNSET
        if last is not None and last.state != "decided" and last.facts == told:
            return
        self.record(
            ExceptionRecord(
                kind=kind,
                subject=subject,
                state="open" if last is None or last.state == "decided" else last.state,
                at=at,
                text=text,
                action=action,
                facts=told,
                cause=UNSET if cause is None else cause,
                owner=UNSET if last is None or last.state == "decided" else last.owner,
                due=UNSET if last is None or last.state == "decided" else last.due,
            )
        )

    def settle(self, kind: ExceptionKind, subject: str, at: int, reason: str) -> None:
        """Close an exception that settled itself; nothing when it is not open."""
        last = self.history.exception(kind, subject)
        if last is not None and last.state != "decided":
            self.record(msgspec.structs.replace(last, state="decided", at=at, reason=reason, cause=UNSET))


def movement_of(
    kind: Kind,
    intent: Intent,
    flows: Iterable[Flow],
    entries: Sequence[Entry],
    document: str = "",
    implied: bool = False,
    inspection: int | UnsetType = UNSET,
) -> Movement | None:
    """A movement in its shortest form: what most parts share stands in the header alone. None when nothing is in it."""
    origin = intent.origin
    return assemble(
        Movement(
            kind=kind,
            from_=NOWHERE,
            to=NOWHERE,
            occurred_at=intent.occurred_at,
            document=document or UNSET,
            read_point=UNSET if implied or not origin.read_point else origin.read_point,
            interval=UNSET if implied or origin.interval is None else max(0, intent.occurred_at - origin.interval[0]),
            rule=origin.rule or UNSET,
            confidence=UNSET if implied or origin.confidence is None else origin.confidence,
            evidence=UNSET if implied or not origin.evidence else origin.evidence,
            actor=origin.actor or UNSET,
            inspection=inspection,
            implied=True if implied else UNSET,
        ),
        flows,
        entries,
    )


def assemble(header: Movement, flows: Iterable[Flow], entries: Sequence[Entry]) -> Movement | None:
    """`header` with these flows and entries in place of its own; None when nothing is in it."""
    merged = merge(flows)
    if not merged and not entries:
        return None
    source, target = _most_common([(part.source, part.target) for part in (*merged, *entries)])
    numbers = [flow.document_line for flow in merged if flow.document_line is not None]
    number = max(numbers, key=lambda line: (numbers.count(line), -line)) if numbers else None
    return msgspec.structs.replace(
        header,
        from_=source,
        to=target,
        lines=tuple(_line(flow, source, target, number) for flow in merged),
        units=tuple(_entry(entry, source, target) for entry in entries),
        document_line=UNSET if number is None else number,
    )


def flows_of(movement: Movement) -> list[Flow]:
    """The lines of a movement with nothing left to its header."""
    flows: list[Flow] = []
    for line in movement.lines:
        source, target = accounts(movement, line)
        number = movement.document_line if line.document_line is UNSET else line.document_line
        flows.append(
            Flow(
                goods_of(line),
                line.quantity,
                source,
                target,
                grams=0 if line.grams is UNSET else line.grams,
                expiry="" if line.expiry is UNSET else line.expiry,
                out_of="" if line.out_of is UNSET else line.out_of,
                into="" if line.into is UNSET else line.into,
                document_line=None if number is UNSET else number,
                unit_cost=0 if line.unit_cost is UNSET else line.unit_cost,
                currency="" if line.currency is UNSET else line.currency,
                inferred=line.inferred is not UNSET,
            )
        )
    return flows


def entries_of(movement: Movement) -> list[Entry]:
    """The unit entries of a movement with nothing left to its header."""
    return [
        Entry(
            entry.unit,
            *accounts(movement, entry),
            container="" if entry.container is UNSET else entry.container,
            holds=entry.holds,
            past=entry.past is not UNSET,
        )
        for entry in movement.units
    ]


def merge(flows: Iterable[Flow]) -> list[Flow]:
    """Flows of the same goods between the same accounts and units as one; flows of nothing left out."""
    found: dict[tuple[object, ...], Flow] = {}
    for flow in flows:
        key = (flow.goods, flow.source, flow.target, flow.out_of, flow.into, flow.document_line, flow.inferred)
        known = found.get(key)
        if known is None:
            found[key] = replace(flow)
        else:
            known.quantity += flow.quantity
            known.grams += flow.grams
            known.expiry = known.expiry or flow.expiry
    return [
        flow
        for flow in found.values()
        if flow.quantity > 0 and (flow.source != flow.target or flow.out_of or flow.into)
    ]


def _most_common(pairs: list[tuple[Account, Account]]) -> tuple[Account, Account]:
    """The pair of accounts that most parts share, the first of them when several do."""
    counts: dict[tuple[Account, Account], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return max(counts, key=lambda pair: counts[pair])


def _line(flow: Flow, source: Account, target: Account, number: int | None) -> Line:
    item, lot, expiry = flow.goods
    return Line(
        item=item,
        quantity=flow.quantity,
        lot=lot or UNSET,
        expiry=expiry or flow.expiry or UNSET,
        grams=flow.grams or UNSET,
        from_=UNSET if flow.source == source else flow.source,
        to=UNSET if flow.target == target else flow.target,
        out_of=flow.out_of or UNSET,
        into=flow.into or UNSET,
        document_line=UNSET if flow.document_line is None or flow.document_line == number else flow.document_line,
        unit_cost=flow.unit_cost or UNSET,
        currency=flow.currency or UNSET,
        inferred=True if flow.inferred else UNSET,
    )


def _entry(entry: Entry, source: Account, target: Account) -> UnitEntry:
    return UnitEntry(
        unit=entry.unit,
        from_=UNSET if entry.source == source else entry.source,
        to=UNSET if entry.target == target else entry.target,
        container=UNSET if entry.container == "" else entry.container,
        holds=entry.holds,
        past=True if entry.past else UNSET,
    )
