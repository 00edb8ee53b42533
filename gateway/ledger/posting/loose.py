"""Goods without identity: scans of codes without serial (rule 13), loose picks, packing, and changes of status."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from gateway.errors import PostingError
from gateway.ledger.posting.draft import Draft, Entry, Flow, movement_of
from gateway.ledger.posting.fulfilment import assign
from gateway.ledger.posting.loads import PROVISIONAL, add_all, from_contents, is_outside
from gateway.ledger.posting.standing import standing
from gateway.transactions.catalogue import wanted_lines
from gateway.transactions.documents import Direction, Pending, document_of, wanting
from gateway.transactions.intents import Intent, LoosePicked, Packed, Scanned, StatusChanged, Unpacked
from vocabulary.document import Document
from vocabulary.movement import Kind
from vocabulary.place import AVAILABLE, QUARANTINE, Account, ancestors
from vocabulary.stock import Amount, Goods, draw

#: Kinds of movement that come in or go out: a document is looked for when none was said.
_DIRECTIONS: dict[Kind, Direction] = {"receiving": "in", "shipping": "out"}


def post_scanned(draft: Draft, intent: Scanned) -> None:
    """Post pieces whose code has no serial, from the place to the place that the scanner's state says."""
    item, quantity = intent.item, intent.pieces
    if intent.gtin:
        level = draft.catalogue.packaging.get(intent.gtin)
        item, each = (PROVISIONAL + intent.gtin, 1) if level is None else (level.item, level.quantity)
        quantity *= each
    if not item or quantity <= 0:
        raise PostingError("A scan needs a GTIN or an item and at least one piece; it was not posted.")
    provisional = item.startswith(PROVISIONAL)
    document = _document(draft, intent.document, intent.kind, item)
    status = QUARANTINE if provisional and not is_outside(intent.to_place) else AVAILABLE
    flows = _drawn(draft, intent, item, quantity, intent.grams or 0, Account(intent.to_place, status))
    pending: Pending = {}
    for flow in flows:
        assign(draft, document, flow, pending)
    movement = movement_of(intent.kind, intent, flows, (), "" if document is None else document.id)
    if movement is None:
        return
    seq = draft.post(movement)
    if provisional:
        draft.note(
            "unknown-gtin",
            intent.gtin,
            intent.occurred_at,
            f"No item carries the GTIN {intent.gtin}; its stock is on hold as the provisional item {item}.",
            "Say which item it is.",
            seq,
        )
    if document is None and intent.kind in _DIRECTIONS:
        draft.note(
            "no-document",
            f"{item}/{intent.to_place if intent.kind == 'receiving' else intent.from_place}",
            intent.occurred_at,
            f"{quantity} of {item} were scanned as {intent.kind} and no document expects them.",
            "Name the delivery or order they belong to, or correct the movement.",
            seq,
        )


def _document(draft: Draft, name: str, kind: Kind, item: str) -> Document | None:
    if name:
        return document_of(draft.catalogue, draft.stock, name)
    direction = _DIRECTIONS.get(kind)
    if direction is None:
        return None
    return wanting(draft.catalogue, draft.base, wanted_lines(draft.base.documents.values()), (item,), direction, {})


def _drawn(
    draft: Draft, intent: Scanned | LoosePicked, item: str, quantity: int, grams: int, target: Account
) -> list[Flow]:
    """Loose goods of the from-place, first to expire first; of the places above it too for a pick."""
    expiry = intent.expiry if isinstance(intent, Scanned) else ""
    if is_outside(intent.from_place):
        goods = Goods(item, intent.lot, "" if intent.lot else expiry)
        new = bool(intent.lot and expiry and (item, intent.lot) not in draft.stock.lots)
        return [Flow(goods, quantity, Account(intent.from_place), target, grams, expiry if new else "")]
    places = [intent.from_place]
    if intent.kind == "picking":
        places = list(ancestors(intent.from_place, draft.catalogue.places)) or places
    status = QUARANTINE if item.startswith(PROVISIONAL) else AVAILABLE
    scope = [Account(place, status) for place in places]
    drawn = draw(draft.stock, item, quantity, scope, (intent.lot,) if intent.lot else ())
    lots = {
        (key.lot, key.expiry)
        for key in draft.stock.keys_of(item)
        if key.place == intent.from_place and key.status == status
    }
    flows: list[Flow] = []
    for one in drawn:
        flow = Flow(one.goods, one.quantity, one.account, target, grams if len(drawn) == 1 else 0)
        told = intent.lot or not (one.goods.lot or one.goods.expiry)
        flow.inferred = not told and len(lots) > 1
        flows.append(flow)
    return flows


def post_loose_picked(draft: Draft, intent: LoosePicked) -> None:
    """Post a loose quantity taken from a place, first expiry first; what is not there makes the place negative."""
    if intent.quantity <= 0:
        raise PostingError(f"A pick of {intent.quantity} of {intent.item} was not posted; take at least 1.")
    document = _document(draft, intent.document, intent.kind, intent.item)
    flows = _drawn(draft, intent, intent.item, intent.quantity, 0, Account(intent.to_place))
    pending: Pending = {}
    for flow in flows:
        assign(draft, document, flow, pending)
    movement = movement_of(intent.kind, intent, flows, (), "" if document is None else document.id)
    if movement is not None:
        draft.post(movement)


def post_status(draft: Draft, intent: StatusChanged) -> None:
    """Post goods held or set free where they are: units with all they hold, or a loose quantity at a place."""
    inspection = UNSET if intent.inspection is None else draft.record(intent.inspection)
    flows: list[Flow] = []
    entries: list[Entry] = []
    for unit in dict.fromkeys(inside for top in intent.units for inside in draft.stock.inside(top)):
        known = draft.stock.units.get(unit)
        if known is None:
            raise PostingError(f"The unit {unit} is not in the ledger; its status was not changed.")
        target = Account(known.account.place, intent.status)
        entries.append(Entry(unit, known.account, target))
        flows += [Flow(key, one.quantity, known.account, target, one.grams) for key, one in known.holds.items()]
    if intent.item and intent.quantity > 0:
        source = Account(intent.place, intent.from_status)
        target = Account(intent.place, intent.status)
        lots = (intent.lot,) if intent.lot else ()
        for one in draw(draft.stock, intent.item, intent.quantity, (source,), lots):
            flows.append(Flow(one.goods, one.quantity, source, target))
    dated = _not_before(draft, intent, [entry.unit for entry in entries])
    movement = movement_of(intent.kind, dated, flows, entries, intent.document, inspection=inspection)
    if movement is None:
        raise PostingError("A change of status needs a unit, or an item, a place and a quantity; nothing was posted.")
    draft.post(movement)


def post_packed(draft: Draft, intent: Packed) -> None:
    """Post units put into a container, and loose goods loaded into it, where it stands; a hold stays on what is held.

    A unit that was sensed somewhere since is left there: only its past is told.
    """
    known = draft.stock.units.get(intent.container)
    units = [unit for unit in intent.units if unit in draft.stock.units]
    unseen = sorted({*intent.units} - {*units})
    if unseen:
        raise PostingError(f"The unit {unseen[0]} is not in the ledger; sense it at a place before it is packed.")
    if any(intent.container in draft.stock.inside(unit) for unit in units):
        raise PostingError(f"{intent.container} cannot be packed into itself or into what it holds.")
    if known is not None:
        account = known.account
    elif intent.place or units:
        account = Account(intent.place or draft.stock.units[units[0]].account.place)
    else:
        raise PostingError(f"Nobody knows where {intent.container} is; say the place at which it is packed.")
    flows: list[Flow] = []
    entries = [] if known is not None else [Entry(intent.container, account, account)]
    for top in units:
        for unit in draft.stock.inside(top):
            one = draft.stock.units[unit]
            inside = intent.container if unit == top else ""
            if one.at > intent.occurred_at:
                if (stood := standing(draft, unit, intent.occurred_at).account) is not None:
                    entries.append(Entry(unit, stood, stood, inside, past=True))
                continue
            target = account if is_outside(account.place) else Account(account.place, one.account.status)
            flows += [Flow(key, held.quantity, one.account, target, held.grams) for key, held in one.holds.items()]
            entries.append(Entry(unit, one.account, target, inside))
    for goods, amount in from_contents(intent.goods).items():
        lots = (goods.lot,) if goods.lot else ()
        for one in draw(draft.stock, goods.item, amount.quantity, (account,), lots):
            grams = amount.grams if one.quantity == amount.quantity else 0
            flows.append(Flow(one.goods, one.quantity, account, account, grams, into=intent.container))
    movement = movement_of("aggregating", intent, flows, entries)
    if movement is not None:
        draft.post(movement)


def post_unpacked(draft: Draft, intent: Unpacked) -> None:
    """Post units, or goods, taken out of a container where it stands; all of it when nothing is listed."""
    known = draft.stock.units.get(intent.container)
    if known is None:
        raise PostingError(f"The unit {intent.container} is not in the ledger; nothing was unpacked.")
    inside = draft.stock.children.get(intent.container, {})
    goods = from_contents(intent.goods)
    units = [unit for unit in intent.units if unit in inside]
    if not intent.units and not intent.goods:
        units = list(inside)
        add_all(goods, known.holds)
    flows: list[Flow] = []
    for key, amount in goods.items():
        flows += _out_of(known.holds, key, amount, known.account, intent.container)
    entries = [Entry(unit, draft.stock.units[unit].account, draft.stock.units[unit].account, None) for unit in units]
    movement = movement_of("disaggregating", _not_before(draft, intent, units), flows, entries)
    if movement is not None:
        draft.post(movement)


def _not_before(draft: Draft, intent: Intent, units: Sequence[str]) -> Intent:
    """What changes units where they are, told late: it takes effect behind the last movement that is known of them."""
    at = max([intent.occurred_at, *(draft.stock.units[unit].at for unit in units)])
    return msgspec.structs.replace(intent, occurred_at=at)


def _out_of(holds: dict[Goods, Amount], key: Goods, amount: Amount, account: Account, unit: str) -> list[Flow]:
    """Goods out of what a unit holds: of the lot said, else of any; more than it holds is believed all the same."""
    flows: list[Flow] = []
    left = amount.quantity
    for goods, held in sorted(holds.items()):
        if goods.item == key.item and (not key.lot or goods.lot == key.lot) and left > 0 and held.quantity > 0:
            taken = min(left, held.quantity)
            grams = held.grams if taken == held.quantity else min(amount.grams, held.grams)
            flows.append(Flow(goods, taken, account, account, grams, out_of=unit))
            left -= taken
    if left > 0:
        flows.append(Flow(key, left, account, account, out_of=unit))
    return flows
