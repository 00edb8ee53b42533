"""Units at doors and places: from where the ledger holds them to where they were sensed (rules 1 to 7, 9 and 12)."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import UNSET

from gateway.ledger.posting import doubts
from gateway.ledger.posting.draft import Draft, Entry, Flow, movement_of
from gateway.ledger.posting.fulfilment import assign
from gateway.ledger.posting.knowledge import learn_announced
from gateway.ledger.posting.loads import (
    Load,
    Part,
    as_contents,
    is_logistic,
    is_outside,
    loads_of,
    scope_of,
    target_at,
)
from gateway.ledger.posting.relink import begin_at, join_cut
from gateway.ledger.posting.standing import entry_of, is_cut
from gateway.transactions.catalogue import Wanted, wanted_lines
from gateway.transactions.documents import (
    Direction,
    Pending,
    document_of,
    outside_of,
    wanting,
)
from gateway.transactions.intents import Crossed, Moved, SeenUnit
from vocabulary.document import Document
from vocabulary.movement import Kind, accounts
from vocabulary.place import CUSTOMER, SUPPLIER, UNKNOWN, Account
from vocabulary.stock import Amount, Draw, Goods, Key, covered


@dataclass(slots=True)
class _Row:
    """A movement in the making: loads of one kind and document."""

    kind: Kind
    document: Document | None
    loads: list[Load] = field(default_factory=list[Load])
    flows: list[Flow] = field(default_factory=list[Flow])
    entries: list[Entry] = field(default_factory=list[Entry])


def post_crossed(draft: Draft, intent: Crossed) -> None:
    """Post what went through a door; nothing when the passage is recorded already."""
    seen = _new_passages(draft, intent)
    for unit in seen:
        learn_announced(draft, intent, unit.unit)
    loads = loads_of(draft, seen, intent.occurred_at, intent.direction)
    pending: Pending = {}
    at_site = wanted_lines(draft.base.documents.values())
    reserved: dict[Key, int] = {}
    for load in loads:  # before anything is posted: what is implied for one load is no loose stock for the next
        load.document = _document(draft, intent, load, pending, at_site)
        _sources(draft, intent, load, reserved)
    rows: dict[tuple[Kind, str], _Row] = {}
    for load in loads:
        _imply(draft, intent, load)
        if intent.direction == "in":
            _empty(draft, intent, load)
        kind = _kind(intent.direction, load)
        row = rows.setdefault((kind, "" if load.document is None else load.document.id), _Row(kind, load.document))
        row.loads.append(load)
        place = intent.place if intent.direction == "in" else _outside(intent, load.document)
        _add(draft, row, load, place, pending)
    for row in rows.values():
        movement = movement_of(
            row.kind, intent, row.flows, row.entries, "" if row.document is None else row.document.id
        )
        if movement is None:
            continue
        seq = draft.post(movement)
        _join(draft, row, intent.occurred_at)
        doubts.about_crossing(draft, intent, row.document, row.loads, seq)


def post_moved(draft: Draft, intent: Moved) -> None:
    """Post units sensed at a place of the site; a place that the ledger knows already is recorded as seen there."""
    seen = list({unit.unit: unit for unit in intent.units}.values())
    loads = loads_of(draft, seen, intent.occurred_at, None)
    reserved: dict[Key, int] = {}
    document = document_of(draft.catalogue, draft.stock, intent.document) if intent.document else None
    row = _Row(intent.kind, document)
    pending: Pending = {}
    for load in loads:
        _sources(draft, intent, load, reserved)
        row.loads.append(load)
        _add(draft, row, load, intent.place, pending)
    movement = movement_of(row.kind, intent, row.flows, row.entries, intent.document)
    if movement is None:
        return
    seq = draft.post(movement)
    _join(draft, row, intent.occurred_at)
    doubts.about_place(draft, intent, row.loads, seq)


def _new_passages(draft: Draft, intent: Crossed) -> list[SeenUnit]:
    """The units whose passage is not recorded yet: no row of theirs with this read point overlaps the interval (rule 7).

    An overlapping passage in the same direction at another door was decided there already.
    """
    units = list({unit.unit: unit for unit in intent.units}.values())
    interval = intent.origin.interval
    if interval is None:
        return units
    return [unit for unit in units if not _recorded(draft, intent, unit.unit, interval)]


def _recorded(draft: Draft, intent: Crossed, unit: str, interval: tuple[int, int]) -> bool:
    known = draft.stock.units.get(unit)
    if known is None or known.at < interval[0]:
        return False  # a recorded passage is dated within its interval
    if interval[1] < draft.history.cut_at() and is_cut(draft, unit):
        return True  # the rows that would tell are cut, and where it went since is known: the present is the same
    for row in draft.history.movements_of(unit, interval[0]):
        other = row.movement
        if other.interval is UNSET or other.occurred_at - other.interval > interval[1]:
            continue
        if other.reverses is not UNSET or not any(entry.unit == unit for entry in other.units):
            continue
        inward = is_outside(other.from_.place)
        if other.read_point == intent.origin.read_point or inward == (intent.direction == "in"):
            return True
    return False


def _document(
    draft: Draft, intent: Crossed, load: Load, pending: Pending, at_site: dict[str, tuple[Wanted, ...]]
) -> Document | None:
    """The document of a load: the one said, the one that announces it, or one that still wants its goods."""
    if intent.document:
        return document_of(draft.catalogue, draft.stock, intent.document)
    source = load.parts[0].source
    if intent.direction == "in" and source is not None:
        if not is_outside(source.place) or source.place == CUSTOMER:
            return None  # it was delivered before: it returns, or it never left by the ledger
        transfer = document_of(draft.catalogue, draft.stock, source.place.partition(":")[2])
        if transfer is not None:
            return transfer
    if load.document is not None:
        return load.document
    goods = load.goods
    items = sorted({key.item for key in goods}, key=lambda item: (-_quantity(goods, item), item))
    return wanting(draft.catalogue, draft.base, at_site, items, intent.direction, pending)


def _quantity(goods: dict[Goods, Amount], item: str) -> int:
    return sum(amount.quantity for key, amount in goods.items() if key.item == item)


def _outside(intent: Crossed, document: Document | None) -> str:
    return intent.outside or outside_of(document, intent.direction)


def _sources(draft: Draft, intent: Crossed | Moved, load: Load, reserved: dict[Key, int]) -> None:
    """Give each part of a load its from-account: where the ledger holds it, else where a new one must come from."""
    inward = isinstance(intent, Crossed) and intent.direction == "in"
    outside = _outside(intent, load.document) if isinstance(intent, Crossed) else UNKNOWN
    top = load.parts[0]
    for part in load.parts:
        if part.source is not None:
            continue
        if part.out_of and top.source is not None:
            part.source = top.source
        elif inward:
            part.source = Account(outside)
        elif (drawn := _drawn_from(part)) is not None:
            part.source = drawn  # its draw was resolved when it was first met
        elif is_logistic(part.unit) or not part.first:
            part.source = Account(UNKNOWN)
        else:
            _draw(draft, part, intent.place, reserved)


def _drawn_from(part: Part) -> Account | None:
    """The account of the building from which the next movement of a part that came late was drawn."""
    for row in part.later:
        entry = entry_of(row.movement, part.unit)
        if entry is not None:
            source = accounts(row.movement, entry)[0]
            return None if is_outside(source.place) else source
    return None


def _draw(draft: Draft, part: Part, place: str, reserved: dict[Key, int]) -> None:
    """An unseen serial of a known item is a piece of the loose stock, nearest first; the rest is unexplained (rule 3)."""
    drawn: list[Draw] = []
    rest: dict[Goods, Amount] = {}
    for key, amount in part.goods.items():
        lots = (key.lot,) if key.lot else ()
        found = covered(draft.stock, key.item, amount.quantity, scope_of(draft, place), lots, reserved)
        drawn += found
        left = amount.quantity - sum(one.quantity for one in found)
        if left:
            rest[key] = Amount(left, amount.grams if not found else 0)
    for one in drawn:
        key = Key(one.account.place, one.account.status, *one.goods)
        reserved[key] = reserved.get(key, 0) + one.quantity
    goods: dict[Goods, Amount] = {}
    for one in drawn:
        old = goods.get(one.goods, Amount(0, 0))
        goods[one.goods] = Amount(old.quantity + one.quantity, 0)
    for key, amount in rest.items():
        old = goods.get(key, Amount(0, 0))
        goods[key] = Amount(old.quantity + amount.quantity, amount.grams)
        drawn.append(Draw(Account(UNKNOWN), key, amount.quantity))
    part.goods = goods
    part.drawn = drawn
    part.source = drawn[0].account if drawn else Account(UNKNOWN)


def _kind(direction: Direction, load: Load) -> Kind:
    if direction == "out":
        return "shipping"
    source = load.parts[0].source
    return "returning" if source is not None and source.place == CUSTOMER else "receiving"


def _imply(draft: Draft, intent: Crossed, load: Load) -> None:
    """A crossing against the ledger posts the movement that must have been missed before it (rule 2)."""
    source = load.parts[0].source
    if source is None or load.parts[0].first or source.place == UNKNOWN:
        return
    inside = not is_outside(source.place)
    if inside != (intent.direction == "in"):
        return
    load.contradicted = source
    missed = Account(CUSTOMER) if inside else Account(intent.place)
    flows: list[Flow] = []
    entries: list[Entry] = []
    for part in load.parts:
        if part.source is None or is_outside(part.source.place) == inside:
            continue
        flows += [Flow(key, amount.quantity, part.source, missed, amount.grams) for key, amount in part.goods.items()]
        entries.append(Entry(part.unit, part.source, missed, past=part.past))
        part.source = missed
    kind: Kind = "shipping" if inside else ("returning" if source.place == CUSTOMER else "receiving")
    movement = movement_of(kind, intent, flows, entries, implied=True)
    if movement is not None:
        draft.post(movement)


def _empty(draft: Draft, intent: Crossed, load: Load) -> None:
    """A returnable asset that comes back begins a new cycle: what it held stayed with the customer (rule 6)."""
    top = load.parts[0]
    if (
        load.contradicted is not None
        or not top.unit.startswith(("8003/", "8004/"))
        or top.source is None
        or top.source.place not in (CUSTOMER, SUPPLIER)
        or (not top.goods and len(load.parts) == 1)
    ):
        return
    source = top.source
    flows = [Flow(key, one.quantity, source, source, one.grams, out_of=top.unit) for key, one in top.goods.items()]
    entries = [Entry(part.unit, source, source, None, past=part.past) for part in load.parts if part.container == ""]
    movement = movement_of("disaggregating", intent, flows, entries[1:], implied=True)
    if movement is not None:
        draft.post(movement)
    load.parts = [top]
    top.goods = {}


def _add(draft: Draft, row: _Row, load: Load, place: str, pending: Pending) -> None:
    """Add a load to a movement: a line per goods, account and document line, an entry per unit."""
    for part in load.parts:
        target = target_at(place, part)
        source = part.source or Account(UNKNOWN)
        holds = as_contents(part.goods) if part.first else ()
        row.entries.append(Entry(part.unit, source, target, part.container, holds, part.past))
        parts = part.drawn or [Draw(source, key, amount.quantity) for key, amount in part.goods.items()]
        for one in parts:
            grams = part.goods[one.goods].grams if one.goods in part.goods else 0
            flow = Flow(one.goods, one.quantity, one.account, target, grams, out_of=part.out_of)
            flow.expiry = _new_expiry(draft, part, one.goods)
            assign(draft, row.document, flow, pending)
            row.flows.append(flow)


def _new_expiry(draft: Draft, part: Part, goods: Goods) -> str:
    """The expiry of a lot that the ledger does not know yet."""
    return part.expiries.get(goods, "") if goods.lot and (goods.item, goods.lot) not in draft.stock.lots else ""


def _join(draft: Draft, row: _Row, at: int) -> None:
    """Make the next movement of each unit that came late begin where this one left it (rule 9)."""
    late = {part.unit for load in row.loads for part in load.parts if part.later}
    begin_at(draft, {entry.unit: entry.target for entry in row.entries if entry.unit in late}, at)
    cut = {part.unit for load in row.loads for part in load.parts if part.cut}
    ends = {one.unit: (one.target, draft.base.units[one.unit].account) for one in row.entries if one.unit in cut}
    join_cut(draft, ends, at)
