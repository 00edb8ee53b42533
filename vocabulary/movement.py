"""One physical event that changed where stock is: lines between accounts, units between places."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from vocabulary.place import Account

Kind = Literal[
    "receiving", "storing", "moving", "picking", "shipping", "hold", "release", "returning", "counting", "aggregating",
    "disaggregating", "consuming", "producing", "commissioning", "destroying", "identifying",
]  # fmt: skip


class Content(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A quantity of an item that a unit holds. `expiry` is an ISO date; `quantity` in base units; `grams` net."""

    item: str
    quantity: int
    lot: str | UnsetType = UNSET
    expiry: str | UnsetType = UNSET
    grams: int | UnsetType = UNSET


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A quantity (> 0, base units) of an item that changed account or container.

    `from_` and `to` stand only where they differ from the movement's. `out_of` and `into` name the units whose content
    changes. `unit_cost` is in 10^-6 major units of `currency` per base unit. `inferred`: the lot was not read but
    drawn by FEFO. `document_line` stands where it differs from the movement's.
    """

    item: str
    quantity: int
    lot: str | UnsetType = UNSET
    expiry: str | UnsetType = UNSET
    grams: int | UnsetType = UNSET
    from_: Account | UnsetType = msgspec.field(default=UNSET, name="from")
    to: Account | UnsetType = UNSET
    out_of: str | UnsetType = UNSET
    into: str | UnsetType = UNSET
    document_line: int | UnsetType = UNSET
    unit_cost: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    inferred: bool | UnsetType = UNSET


class UnitEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A unit that took part. `container` is where it is afterwards: a unit, None for none, absent for unchanged.

    `holds` stands when the unit is first met: what it is believed to hold itself, without the units in it. `past`: the
    movement is dated before a later one of this unit, so it says where the unit was and does not move it now.
    """

    unit: str
    from_: Account | UnsetType = msgspec.field(default=UNSET, name="from")
    to: Account | UnsetType = UNSET
    container: str | UnsetType | None = UNSET
    holds: tuple[Content, ...] = ()
    past: bool | UnsetType = UNSET


class Movement(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="movement/1"
):
    """One physical event. At least one line or unit entry. Times are integer microseconds UTC.

    `from_` and `to` are the default accounts of its lines and units. `document` and `document_line` name what it
    fulfils; line 0: none of its lines. `interval` is how long the reader saw it, microseconds up to `occurred_at`, its
    last time. `rule` is the rule and its version, `confidence` per mille, `evidence` the first 12 bytes of the evidence's
    SHA-256 in base64url. `group` is the seq of the first row posted for the same event, absent on that row itself;
    `reverses` the seq of the row that this one takes back; `replaces` the seq of the row that first stood in its place
    (0 in either: a row of another ledger of the site, before a takeover);
    `completes` the seq of the first movement of a unit whose content was learnt later; `compensates` the seq of the
    count before which this row's cause is dated; `implied` marks a movement nobody sensed that must have happened;
    `count` and `inspection` name the record that caused it.
    """

    kind: Kind
    from_: Account = msgspec.field(name="from")
    to: Account
    occurred_at: int
    lines: tuple[Line, ...] = ()
    units: tuple[UnitEntry, ...] = ()
    document: str | UnsetType = UNSET
    document_line: int | UnsetType = UNSET
    read_point: str | UnsetType = UNSET
    interval: int | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    confidence: int | UnsetType = UNSET
    evidence: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET
    group: int | UnsetType = UNSET
    reverses: int | UnsetType = UNSET
    replaces: int | UnsetType = UNSET
    completes: int | UnsetType = UNSET
    compensates: int | UnsetType = UNSET
    count: int | UnsetType = UNSET
    inspection: int | UnsetType = UNSET
    implied: bool | UnsetType = UNSET


def accounts(movement: Movement, part: Line | UnitEntry) -> tuple[Account, Account]:
    """The from and to account of a line or unit entry, its own or the movement's."""
    return (
        movement.from_ if part.from_ is UNSET else part.from_,
        movement.to if part.to is UNSET else part.to,
    )
