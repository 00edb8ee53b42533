"""Which line of its document goods fulfil, and what they cost."""

from __future__ import annotations

from gateway.ledger.posting.draft import Draft, Flow
from gateway.transactions.documents import Pending, cost_of, line_for
from vocabulary.document import Document


def assign(draft: Draft, document: Document | None, flow: Flow, pending: Pending) -> None:
    """Name the document line that a flow fulfils, and its cost; line 0 where the document has none for it."""
    if document is None:
        return
    line = line_for(document, draft.stock, flow.goods.item, flow.goods.lot, pending)
    if line is None:
        flow.document_line = 0
        return
    flow.document_line = line.line
    key = (document.id, line.line)
    pending[key] = pending.get(key, 0) + flow.quantity
    if document.type == "expected-receipt":
        flow.unit_cost, flow.currency = cost_of(draft.catalogue, draft.stock, document, line)
