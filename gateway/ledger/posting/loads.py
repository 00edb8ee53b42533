"""What goes together: the units that were read, with the containers they are in and all that those hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from gateway.ledger.posting.draft import Draft
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.standing import contents_at, standing
from gateway.transactions.documents import Direction, expected
from gateway.transactions.intents import SeenUnit
from vocabulary.document import Document
from vocabulary.identifier import gtin_of
from vocabulary.movement import Content
from vocabulary.place import AVAILABLE, CUSTOMER, IN_TRANSIT, QUARANTINE, SCRAP, SUPPLIER, UNKNOWN, Account
from vocabulary.stock import Amount, Draw, Goods, goods_of

#: Ids of items that were made up from an unknown GTIN begin so (rule 4).
PROVISIONAL = "gtin:"

_OUTSIDE = frozenset({SUPPLIER, CUSTOMER, SCRAP, UNKNOWN})


def is_outside(place: str) -> bool:
    """Whether a unit at `place` is not in the building; robots are in it."""
    return place in _OUTSIDE or place.startswith(IN_TRANSIT)


def is_logistic(unit: str) -> bool:
    """Whether a unit is an SSCC or a returnable or individual asset: something whose content its code does not say."""
    return unit.startswith(("00/", "8003/", "8004/"))


@dataclass(slots=True)
class Part:
    """One unit of a load: where it comes from, what it holds itself, and in what it is afterwards ("": unchanged)."""

    unit: str
    goods: dict[Goods, Amount]
    source: Account | None = None
    first: bool = False
    container: str | None = ""
    later: tuple[Row, ...] = ()
    #: loose stock that a unit never seen before turned out to be
    drawn: list[Draw] = field(default_factory=list[Draw])
    provisional: bool = False
    #: dates of lots, where they were told
    expiries: dict[Goods, str] = field(default_factory=dict[Goods, str])
    #: the known unit out of whose unnamed goods this one was recognised
    out_of: str = ""
    #: it moved later too, in rows that retention has cut
    cut: bool = False

    @property
    def past(self) -> bool:
        """Whether the unit has moved since."""
        return self.cut or bool(self.later)


@dataclass(slots=True)
class Load:
    """A unit and all that moves with it, the unit first; `read` of `declared` units inside were sensed."""

    top: str
    parts: list[Part] = field(default_factory=list[Part])
    document: Document | None = None
    declared: int = 0
    read: int = 0
    undeclared: list[str] = field(default_factory=list[str])
    #: units whose goods the load's top was said to hold without naming them
    named: list[str] = field(default_factory=list[str])
    conflict: bool = False
    #: where the ledger held it, when that contradicts the crossing
    contradicted: Account | None = None

    @property
    def goods(self) -> dict[Goods, Amount]:
        """All that the load holds."""
        total: dict[Goods, Amount] = {}
        for part in self.parts:
            add_all(total, part.goods)
        return total


def add_all(total: dict[Goods, Amount], goods: dict[Goods, Amount], sign: int = 1) -> None:
    """Add amounts, or with `sign` -1 take them away."""
    for key, amount in goods.items():
        old = total.get(key)
        total[key] = Amount(
            sign * amount.quantity + (old.quantity if old else 0), sign * amount.grams + (old.grams if old else 0)
        )


def as_contents(goods: dict[Goods, Amount]) -> tuple[Content, ...]:
    """Amounts as they stand in a unit entry; nothing and less than nothing left out."""
    return tuple(
        Content(
            item=key.item,
            quantity=amount.quantity,
            lot=key.lot or UNSET,
            expiry=key.expiry or UNSET,
            grams=amount.grams or UNSET,
        )
        for key, amount in goods.items()
        if amount.quantity > 0
    )


def from_contents(contents: Iterable[Content]) -> dict[Goods, Amount]:
    """The amounts in contents."""
    goods: dict[Goods, Amount] = {}
    for content in contents:
        add_all(goods, {goods_of(content): Amount(content.quantity, 0 if content.grams is UNSET else content.grams)})
    return goods


def loads_of(draft: Draft, seen: Sequence[SeenUnit], at: int, direction: Direction | None) -> list[Load]:
    """The loads among the units that were read at `at`, in the order in which they were read."""
    read = {unit.unit: unit for unit in seen}
    containers = _containers(draft, read, direction)
    loads: dict[str, Load] = {}
    for unit in read:
        top = unit
        climbed = {unit}
        while (above := containers.get(top)) is not None and above in read and above not in climbed:
            top = above
            climbed.add(top)
        load = loads.get(top)
        if load is None:
            load = loads[top] = Load(top)
    for load in loads.values():
        _fill(draft, load, read, containers, at, direction)
    return list(loads.values())


def _containers(draft: Draft, read: dict[str, SeenUnit], direction: Direction | None) -> dict[str, str]:
    """Read unit -> the unit it is believed to be in: recorded, announced, or the one new logistic unit read with it."""
    units = draft.stock.units
    found: dict[str, str] = {}
    orphans: list[str] = []
    for unit in read:
        known = units.get(unit)
        if known is not None and known.container is not None:
            found[unit] = known.container
            continue
        if known is None and direction is not None:
            announced = expected(draft.catalogue, unit, direction)
            if announced is not None and announced.unit.container is not UNSET:
                found[unit] = announced.unit.container
                continue
        orphans.append(unit)
    shipped = [unit for unit in orphans if unit.startswith("00/")]
    if len(shipped) != 1:
        return found
    container = shipped[0]
    blank = container not in units and (direction is None or expected(draft.catalogue, container, direction) is None)
    for unit in orphans:
        if not is_logistic(unit) and (unit not in units or blank):
            found[unit] = container
    return found


def _fill(
    draft: Draft,
    load: Load,
    read: dict[str, SeenUnit],
    containers: dict[str, str],
    at: int,
    direction: Direction | None,
) -> None:
    """Add the parts of a load: the unit itself, what it is known or announced to hold, and what was read in it."""
    announced = None if direction is None else expected(draft.catalogue, load.top, direction)
    load.document = None if announced is None else announced.document
    document = "" if load.document is None else load.document.id
    above: dict[str, str | None] = {load.top: None}
    queue = [load.top]
    extra: list[str] = []
    for unit in queue:
        if unit in draft.stock.units:
            _known_part(draft, load, unit, above[unit], at)
        else:
            _new_part(draft, load, read.get(unit, SeenUnit(unit)), above[unit], direction)
        inside = _inside(draft, unit, document, direction)
        also = [child for child, container in containers.items() if container == unit]
        for child in (*inside, *also):
            if child not in above:
                above[child] = unit
                queue.append(child)
                if child not in inside:
                    extra.append(child)
    load.declared = len(queue) - 1 - len(extra)
    load.read = sum(unit in read for unit in queue) - (load.top in read) - len(extra)
    declares = load.declared > 0 or bool(load.parts[0].goods)
    _identify(draft, load, extra, document)
    load.undeclared = [unit for unit in extra if declares and unit not in load.named]


def _inside(draft: Draft, unit: str, document: str, direction: Direction | None) -> list[str]:
    """Units recorded or announced inside `unit` that move when it does: not those that went elsewhere before it."""
    known = draft.stock.units.get(unit)
    children = draft.stock.children.get(unit, {})
    if known is not None:
        return [child for child in children if draft.stock.units[child].account.place == known.account.place]
    if direction is None:
        return []
    announced = [expected_unit.unit for expected_unit in draft.catalogue.inside.get((document, unit), ())]
    found: list[str] = []
    for child in announced:
        there = draft.stock.units.get(child)
        if there is None or is_outside(there.account.place):
            found.append(child)
    return found


def _known_part(draft: Draft, load: Load, unit: str, container: str | None, at: int) -> None:
    known = draft.stock.units[unit]
    stood = standing(draft, unit, at)
    goods = contents_at(draft, unit, at) if stood.past else dict(known.holds)
    afterwards: str | None = "" if known.container == container else container
    load.parts.append(Part(unit, goods, stood.account, False, afterwards, stood.later, cut=stood.cut))


def _new_part(draft: Draft, load: Load, seen: SeenUnit, container: str | None, direction: Direction | None) -> None:
    announced = None if direction is None else expected(draft.catalogue, seen.unit, direction)
    if load.document is None and announced is not None:
        load.document = announced.document
    declared = from_contents(announced.unit.holds) if announced is not None else {}
    label = from_contents(seen.label)
    level = packaged(draft, seen)
    if declared and label and declared != label:
        load.conflict = True
    goods = declared or label or level
    provisional = any(key.item.startswith(PROVISIONAL) for key in goods)
    contents = announced.unit.holds if declared and announced is not None else seen.label
    expiries = {goods_of(one): one.expiry for one in contents if one.lot is not UNSET and one.expiry is not UNSET}
    if seen.lot and seen.expiry:
        expiries.update({key: seen.expiry for key in goods if key.lot == seen.lot})
    afterwards: str | None = "" if container is None else container
    if container is None and announced is not None and announced.unit.container is not UNSET:
        # the container was not read; when it comes, what came before it is subtracted (rule 5)
        afterwards = announced.unit.container
    load.parts.append(Part(seen.unit, goods, None, True, afterwards, provisional=provisional, expiries=expiries))


def packaged(draft: Draft, seen: SeenUnit) -> dict[Goods, Amount]:
    """What the packaging level of a unit's GTIN says it holds; one of a provisional item when nobody knows the GTIN."""
    if seen.item:
        return {Goods(seen.item, seen.lot, "" if seen.lot else seen.expiry): Amount(seen.quantity)}
    gtin = gtin_of(seen.unit)
    if gtin is None:
        return {}
    level = draft.catalogue.packaging.get(gtin)
    item, quantity = (PROVISIONAL + gtin, 1) if level is None else (level.item, level.quantity)
    return {Goods(item, seen.lot, "" if seen.lot else seen.expiry): Amount(quantity)}


def _identify(draft: Draft, load: Load, extra: list[str], document: str) -> None:
    """Take out of what the top holds itself, unnamed, the cases in it that were read: `extra` now, others before it."""
    top = load.parts[0]
    if not top.goods:
        return
    announced = {unit.unit for unit in draft.catalogue.inside.get((document, load.top), ())}
    if top.first:
        for unit in draft.stock.inside(load.top)[1:]:
            if unit not in announced and unit in draft.stock.units:
                _take(top.goods, draft.stock.units[unit].holds)
    for part in load.parts[1:]:
        if part.unit not in extra or not part.first:
            continue
        taken = _take(top.goods, part.goods)
        if taken:
            part.goods = taken
            part.out_of = "" if top.first else load.top
            load.named.append(part.unit)


def _take(own: dict[Goods, Amount], goods: dict[Goods, Amount]) -> dict[Goods, Amount]:
    """Take `goods` out of `own`, of the same lot or, where they say none, of any: what they are by `own`'s word.

    Empty when nothing fits; what `own` does not cover stays as `goods` say.
    """
    fitted: dict[Goods, Amount] = {}
    covered = False
    for key, amount in goods.items():
        left = amount.quantity
        for other in [other for other in own if other.item == key.item and (not key.lot or other.lot == key.lot)]:
            taken = min(left, own[other].quantity)
            if taken > 0:
                own[other] = Amount(own[other].quantity - taken, max(0, own[other].grams - amount.grams))
                add_all(fitted, {other: Amount(taken, amount.grams if taken == left else 0)})
                left -= taken
                covered = True
        if left:
            add_all(fitted, {key: Amount(left, 0)})
    for key in [key for key, amount in own.items() if amount.quantity <= 0]:
        del own[key]
    return fitted if covered else {}


def scope_of(draft: Draft, place: str) -> list[Account]:
    """Where a piece never seen before may come from: its place, the places above it, then the rest of the site."""
    places = draft.catalogue.places
    order: dict[str, None] = {place: None}
    above = place
    while (known := places.get(above)) is not None and known.parent and known.parent not in order:
        above = known.parent
        order[above] = None
    for other in sorted(places):
        order.setdefault(other, None)
    return [Account(name, AVAILABLE) for name in order]


def target_at(place: str, part: Part) -> Account:
    """The account of a part at `place`: its status goes with it in the building; what nobody knows is on hold."""
    if is_outside(place):
        return Account(place)
    if part.provisional:
        return Account(place, QUARANTINE)
    if part.source is not None and not is_outside(part.source.place):
        return Account(place, part.source.status)
    return Account(place)
