"""What was learnt later: which item it is, its lot, what a unit holds, to which document it belongs (rules 4, 5, 12)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from gateway.errors import PostingError
from gateway.ledger.posting.draft import Draft, Entry, Flow, assemble, entries_of, flows_of, movement_of
from gateway.ledger.posting.fulfilment import assign
from gateway.ledger.posting.history import Row
from gateway.ledger.posting.loads import PROVISIONAL, as_contents, from_contents, is_outside, packaged
from gateway.ledger.posting.relink import rebased, replace, reverse
from gateway.ledger.posting.standing import entry_of, live
from gateway.transactions.documents import Pending, document_of, done, expected, outside_of
from gateway.transactions.intents import (
    ContentLearnt,
    DocumentCame,
    Identified,
    Intent,
    LotLearnt,
    Origin,
    SeenUnit,
    TransferClosed,
)
from vocabulary.document import Document
from vocabulary.place import IDENTITY, UNKNOWN, Account, in_transit
from vocabulary.stock import NOTHING, Amount, Goods, Key


def post_identified(draft: Draft, intent: Identified) -> None:
    """Move all stock of a provisional item to the item it is, account by account, through `identity` (rule 4)."""
    old = intent.provisional
    gtin = old.removeprefix(PROVISIONAL)
    level = draft.catalogue.packaging.get(gtin)
    factor = level.quantity if level is not None and level.item == intent.item else 1
    keys = sorted(key for key in draft.stock.keys_of(old) if key.place != IDENTITY)
    flows: list[Flow] = []
    named: dict[Key, Amount] = {}
    for unit in sorted(draft.stock.units):
        known = draft.stock.units[unit]
        for goods, amount in known.holds.items():
            if goods.item == old and amount.quantity > 0:
                key = Key(known.account.place, known.account.status, *goods)
                before = named.get(key, NOTHING)
                named[key] = Amount(before.quantity + amount.quantity, before.grams + amount.grams)
                flows += _renamed(goods, goods._replace(item=intent.item), amount, known.account, factor, unit)
    for key in keys:
        balance, held = draft.stock.balances[key], named.get(key, NOTHING)
        loose = Amount(balance.quantity - held.quantity, balance.grams - held.grams)
        goods = Goods(old, key.lot, key.expiry)
        if loose.quantity:
            flows += _renamed(goods, goods._replace(item=intent.item), loose, Account(key.place, key.status), factor)
    movement = movement_of("identifying", intent, flows, ())
    if movement is None:
        raise PostingError(f"There is no stock of the provisional item {old}; nothing was identified.")
    draft.post(movement)
    draft.settle("unknown-gtin", gtin, intent.occurred_at, f"It is the item {intent.item}.")


def _renamed(
    old: Goods, new: Goods, amount: Amount, account: Account, factor: int = 1, unit: str = "", expiry: str = ""
) -> list[Flow]:
    """Out under the old goods and in under the new, same account; the other way round for an amount below nothing."""
    identity = Account(IDENTITY)
    less = Flow(old, abs(amount.quantity), account, identity, abs(amount.grams))
    more = Flow(new, abs(amount.quantity) * factor, identity, account, abs(amount.grams), expiry)
    if amount.quantity < 0:
        less.source, less.target, more.source, more.target = identity, account, account, identity
    less.out_of = more.into = unit
    return [less, more]


def post_lot_learnt(draft: Draft, intent: LotLearnt) -> None:
    """Set the lot or expiry of a unit's content, or of a loose quantity at an account (rule 4)."""
    old = Goods(intent.item, intent.old_lot, "" if intent.old_lot else intent.old_expiry)
    new = Goods(intent.item, intent.lot, "" if intent.lot else intent.expiry)
    flows: list[Flow] = []
    if intent.unit:
        for unit in draft.stock.inside(intent.unit):
            known = draft.stock.units.get(unit)
            amount = NOTHING if known is None else known.holds.get(old, NOTHING)
            if known is not None and amount.quantity > 0 and old != new:
                flows += _renamed(old, new, amount, known.account, 1, unit, intent.expiry)
    elif intent.account is not None and intent.quantity > 0 and old != new:
        flows = _renamed(old, new, Amount(intent.quantity), intent.account, expiry=intent.expiry)
    movement = movement_of("identifying", intent, flows, ())
    if movement is None:
        raise PostingError(f"There is no {intent.item} of that lot to be changed; nothing was posted.")
    draft.post(movement)


def post_content_learnt(draft: Draft, intent: ContentLearnt) -> None:
    """Post what a unit of unknown content held from its first from-account to its present account (rule 5)."""
    known = draft.stock.units.get(intent.unit)
    if known is None:
        raise PostingError(f"The unit {intent.unit} is not in the ledger; it gets its content when it is sensed.")
    if known.holds or draft.stock.children.get(intent.unit):
        raise PostingError(f"The content of {intent.unit} is known already; unpack or count it to change it.")
    source, target = known.first_from, known.account
    received = any(row.movement.kind == "receiving" for row in live(draft, intent.unit)[:1])
    document = document_of(draft.catalogue, draft.stock, intent.document) if intent.document and received else None
    if document is not None and source.place == UNKNOWN:
        source = Account(outside_of(document, "in"))
    holds = from_contents(intent.holds)
    flows = [Flow(key, one.quantity, source, target, one.grams) for key, one in holds.items()]
    entries = [Entry(intent.unit, source, target, "", as_contents(holds), past=True)]
    for unit, contents in intent.units:
        if unit in draft.stock.units:
            continue  # it was sensed by itself and is posted
        goods = from_contents(contents) or packaged(draft, SeenUnit(unit))
        flows += [Flow(key, one.quantity, source, target, one.grams) for key, one in goods.items()]
        entries.append(Entry(unit, source, target, intent.unit, as_contents(goods)))
    pending: Pending = {}
    for flow in flows:
        assign(draft, document, flow, pending)
    movement = movement_of(
        "receiving" if is_outside(source.place) else "moving", intent, flows, entries, intent.document
    )
    if movement is None:
        return
    draft.post(msgspec.structs.replace(movement, occurred_at=known.first_at, completes=known.first_seq))
    draft.settle("unknown-content", intent.unit, intent.occurred_at, "Its content was learnt.")


def post_document_came(draft: Draft, intent: DocumentCame) -> None:
    """Correct what came before the document that announces it: from its outside instead of `unknown` (rule 12)."""
    document = document_of(draft.catalogue, draft.stock, intent.document)
    if document is None:
        raise PostingError(f"The document {intent.document} is not known; nothing was corrected.")
    outside = Account(outside_of(document, "in"))
    rows: dict[int, tuple[Row, list[str]]] = {}
    for announced in document.units:
        for row in live(draft, announced.unit):
            entry = entry_of(row.movement, announced.unit)
            if entry is not None:
                if (
                    row.movement.document is UNSET
                    and row.movement.kind == "receiving"
                    and row.movement.completes is UNSET
                ):
                    rows.setdefault(row.seq, (row, []))[1].append(announced.unit)
                break
    for seq in sorted(rows):
        row, units = rows[seq]
        _move_to_document(draft, row, units, document, outside)
    for announced in document.units:
        learn_announced(draft, intent, announced.unit)


def _move_to_document(draft: Draft, row: Row, units: list[str], document: Document, outside: Account) -> None:
    """Split a row: the announced units now come from the document's outside and fulfil it, the others stay as they are."""
    begin = dict.fromkeys(units, outside)
    ours = rebased(draft, row.movement, begin)
    others = rebased(draft, row.movement, begin, drop=True)
    reverse(draft, row)
    replace(draft, row, others)
    if ours is None:
        return
    flows = [flow for flow in flows_of(ours) if flow.source == outside]
    pending: Pending = {}
    for flow in flows:
        assign(draft, document, flow, pending)
    entries = [entry for entry in entries_of(ours) if entry.unit in begin]
    replace(draft, row, assemble(msgspec.structs.replace(ours, document=document.id), flows, entries))


def learn_announced(draft: Draft, intent: Intent, unit: str) -> None:
    """Post what a unit of unknown content holds when a document announces it by now; nothing otherwise."""
    known = draft.stock.units.get(unit)
    if known is None or known.holds or draft.stock.children.get(unit) or not unit.startswith("00/"):
        return
    announced = expected(draft.catalogue, unit, "in")
    if announced is None:
        return
    inside = draft.catalogue.inside.get((announced.document.id, unit), ())
    if announced.unit.holds or inside:
        learnt = ContentLearnt(
            occurred_at=intent.occurred_at,
            origin=Origin(actor=intent.origin.actor),
            unit=unit,
            holds=announced.unit.holds,
            units=tuple((one.unit, one.holds) for one in inside),
            document=announced.document.id,
        )
        post_content_learnt(draft, learnt)


def post_transfer_closed(draft: Draft, intent: TransferClosed) -> None:
    """Post what a transfer did not bring from in transit to `unknown`, or what it brought too much the other way."""
    document = document_of(draft.catalogue, draft.stock, intent.transfer)
    if document is None:
        raise PostingError(f"The transfer {intent.transfer} is not known; nothing was posted.")
    transit, unknown = Account(in_transit(intent.transfer)), Account(UNKNOWN)
    flows: list[Flow] = []
    for line in document.lines:
        rest = line.quantity - done(draft.stock, document.id, line.line)
        goods = Goods(line.item, "" if line.lot is UNSET else line.lot)
        source, target = (transit, unknown) if rest > 0 else (unknown, transit)
        flows.append(Flow(goods, abs(rest), source, target, document_line=0))
    movement = movement_of("counting", intent, flows, (), document.id)
    if movement is not None:
        draft.post(movement)
