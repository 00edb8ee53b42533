"""What somebody counted, and against what it was compared."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from vocabulary.place import Account


class CountLine(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What was counted of one item and lot: `counted` and `book` in base units, window in microseconds UTC.

    `book` holds the movements dated up to the cut-off. `again`: the line was touched by a movement inside its window or by
    an open passage; it posts nothing and is counted again.
    """

    item: str
    counted: int
    book: int
    first_scan: int
    cut_off: int
    lot: str | UnsetType = UNSET
    expiry: str | UnsetType = UNSET
    grams: int | UnsetType = UNSET
    unit_cost: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    again: bool | UnsetType = UNSET


class Count(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="count/1"
):
    """A count of an account: the whole of it, or the listed lines. Also recorded when nothing differs.

    Differences are posted beside it as a movement of kind `counting` against `against` (`unknown`, or `opening`).
    """

    account: Account
    scope: Literal["whole", "listed"]
    against: str
    occurred_at: int
    lines: tuple[CountLine, ...] = ()
    document: str | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    confidence: int | UnsetType = UNSET
    evidence: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET
