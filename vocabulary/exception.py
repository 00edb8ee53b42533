"""What needs a person's judgement, and what they decided. (Python has taken the word exception.)"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from vocabulary.quantity import Money

ExceptionKind = Literal[
    "negative-balance",         # a place holds less than nothing: a movement was missed
    "against-ledger",           # a confident crossing contradicts where the ledger held the unit
    "unknown-gtin",             # no item carries this GTIN: a provisional item was made
    "unexplained-unit",         # a unit that loose stock does not cover came from nowhere
    "unknown-content",          # a logistic unit crossed and nobody knows what it holds
    "content-doubtful",         # fewer than half of the declared units were read
    "content-undeclared",       # a case was read that its shipper did not declare
    "content-conflict",         # two sources disagree about what a unit holds
    "undecodable",              # an EPC that decodes to no key, per header and company prefix
    "possible-clone",           # one identity in two places within travel time
    "no-document",              # goods crossed and no document expects them
    "document-cancelled",       # goods moved against a cancelled document
    "over-receipt",             # more came than the document expects
    "recount",                  # a count line was touched while it was counted
    "count-difference",         # a count differed by more than its threshold
    "in-transit-rest",          # a transfer did not arrive whole in time
    "parked-record",            # a record that this version cannot digest
    "device",                   # a device is silent or misconfigured
    "ledger-damaged",           # rows of the ledger's file were not what was written: it was moved aside and recovered
    "disk-space",               # the ledger's disk runs full
    "clock",                    # the gateway's clock is not synchronised, or was stepped
    "gateway-clone",            # a restored image, or two gateways with one identity
    "late-return",              # goods came back whose shipment the gateway has forgotten
    "order-not-sent",           # a purchase order did not reach its supplier
    "order-answer",             # a supplier refused an order, or promised it later or less
]  # fmt: skip

ExceptionState = Literal["open", "assigned", "snoozed", "decided"]


class ExceptionRecord(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="exception/1"
):
    """The present state of one exception, keyed by (kind, subject); each change is a new record, whole.

    `text` says what happened in one sentence, `action` what to do, `facts` the numbers behind it, `cause` the seq of the
    record that raised it, `value` how much money is at stake.
    """

    kind: ExceptionKind
    subject: str
    state: ExceptionState
    at: int
    text: str
    action: str | UnsetType = UNSET
    facts: dict[str, str | int] | UnsetType = UNSET
    cause: int | UnsetType = UNSET
    value: Money | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    due: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET
