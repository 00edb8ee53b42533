"""What happened, as sensed: the intents that `post` turns into records.

An intent says what was seen, where, which way and, if somebody knows, for which document. It says nothing of accounts,
contents or balances: those are the ledger's to know. Intents are tagged JSON (`msgspec.json`), so that a capture, a
replay or a test can write them down. Times are integer microseconds UTC, confidence per mille.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionKind, ExceptionRecord, ExceptionState
from vocabulary.movement import Content, Kind, Movement
from vocabulary.place import AVAILABLE, UNKNOWN, Account
from vocabulary.records import Inspection, Record
from vocabulary.wire import BalanceLine, DoneLine, UnitLine


class SeenUnit(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A unit that was sensed, by its canonical key. `label` is what its own label says it holds (AI 02/37, lot, expiry).

    `item` and `quantity` stand for a unit under the company's own numbers (`serial/...`).
    """

    unit: str
    label: tuple[Content, ...] = ()
    item: str = ""
    quantity: int = 1
    lot: str = ""
    expiry: str = ""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who or what sensed it: read point, reader-time interval, rule and version, confidence, evidence hash, person."""

    read_point: str = ""
    interval: tuple[int, int] | None = None
    rule: str = ""
    confidence: int | None = None
    evidence: str = ""
    actor: str = ""


NOBODY = Origin()


class Intent(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The time of an event and who sensed it."""

    occurred_at: int
    origin: Origin = NOBODY


class Crossed(Intent, frozen=True, kw_only=True, tag="crossed"):
    """Units went through a door. `place` is the place inside it (the dock), `direction` the way they went.

    `document` and `outside` (`supplier`, `customer`, `in-transit:...`) stand where the door or a person says them; else
    posting finds them.
    """

    place: str
    direction: Literal["in", "out"]
    units: tuple[SeenUnit, ...]
    document: str = ""
    outside: str = ""


class Moved(Intent, frozen=True, kw_only=True, tag="moved"):
    """Units were sensed at a place, where the ledger may or may not hold them; a robot or `scrap` is a place too."""

    place: str
    units: tuple[SeenUnit, ...]
    kind: Kind = "moving"
    document: str = ""


class Unreadable(Intent, frozen=True, kw_only=True, tag="unreadable"):
    """An EPC that names no unit for a `reason` was read; `subject` is its header and company prefix."""

    subject: str
    epc: str
    reason: str


class Scanned(Intent, frozen=True, kw_only=True, tag="scanned"):
    """A code without serial was scanned: `pieces` packages of `gtin` (or base units of `item`) from a place to a place.

    Kind and places come from the scanner's configuration or from the place and document codes scanned before (rule 13).
    """

    kind: Kind
    from_place: str
    to_place: str
    gtin: str = ""
    item: str = ""
    pieces: int = 1
    lot: str = ""
    expiry: str = ""
    grams: int | None = None
    document: str = ""


class CountedLine(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What was counted of an item and lot, base units; its own window where it differs from the count's."""

    item: str
    counted: int
    lot: str = ""
    expiry: str = ""
    grams: int = 0
    first_scan: int | None = None
    cut_off: int | None = None
    unit_cost: int = 0
    currency: str = ""


class Counted(Intent, frozen=True, kw_only=True, tag="counted"):
    """An account was counted, whole or only the listed lines, between `first_scan` and `occurred_at` (the cut-off).

    `units` are the units seen there, for a count by identity; None when units were not looked at. `busy` names the items
    of open passages at that place: their lines are counted again.
    """

    account: Account
    scope: Literal["whole", "listed"]
    first_scan: int
    lines: tuple[CountedLine, ...] = ()
    units: tuple[str, ...] | None = None
    busy: tuple[str, ...] = ()
    against: str = UNKNOWN
    document: str = ""


class OpeningStocked(Intent, frozen=True, kw_only=True, tag="opening-stocked"):
    """A page of the site's opening stock (at most 1,000 lines): posted as counts against `opening`."""

    lines: tuple[BalanceLine, ...]


class SnapshotTold(Intent, frozen=True, kw_only=True, tag="snapshot-told"):
    """What headquarters holds of the site: this ledger is brought there by rows that are no movement for headquarters.

    `beyond` are the rows of this ledger that are not in it yet: they stay in force. `since` is when the site's past
    begins, the date of what changes a balance. `done` is the progress of open documents. `taken_back` are rows of this
    ledger that another branch of it reverses.
    """

    since: int
    balances: tuple[BalanceLine, ...] = ()
    units: tuple[UnitLine, ...] = ()
    counts: tuple[Count, ...] = ()
    documents: tuple[Document, ...] = ()
    done: tuple[DoneLine, ...] = ()
    exceptions: tuple[ExceptionRecord, ...] = ()
    beyond: tuple[Record, ...] = ()
    taken_back: tuple[int, ...] = ()


class Salvaged(Intent, frozen=True, kw_only=True, tag="salvaged"):
    """What a row of another ledger of this site tells, that headquarters never got: row `seq` of `epoch`, a dead card's.

    A movement names no row (those were the other ledger's); a unit entry says what the unit held then, and `past` where
    headquarters holds a later movement of the unit. `fixed`: its lines
    are taken as they are, whatever this ledger believes of the units. `missing` are units that a count did not find, `costs`
    the unit costs (10^-6 major units) of counted goods by (item, lot, expiry). `inspection` is recorded first and named by it.
    """

    epoch: str
    seq: int
    record: Record
    fixed: bool = False
    missing: tuple[str, ...] = ()
    costs: tuple[tuple[str, str, str, int, str], ...] = ()
    inspection: Inspection | None = None

    @property
    def mark(self) -> str:
        """The command result that stands in the same commit: what is marked is never posted again."""
        return f"salvage/{self.epoch}/{self.seq}"


class Corrected(Intent, frozen=True, kw_only=True, tag="corrected"):
    """The event whose first row is `group` did not happen so: it is reversed, and `replacement` posted if something did.

    `original` holds the event's rows that count still, when retention has cut them here, and `rows` their numbers. Group 0:
    they are rows of another ledger of this site, of which this one knows only what they came to.
    """

    group: int
    reason: str
    replacement: Movement | None = None
    original: tuple[Movement, ...] = ()
    rows: tuple[int, ...] = ()


class StatusChanged(Intent, frozen=True, kw_only=True, tag="status-changed"):
    """Goods were held (`hold`), set free (`release`) or found damaged: units, or a loose quantity at a place.

    `inspection` is recorded first and named by the movement.
    """

    kind: Literal["hold", "release"]
    status: str
    units: tuple[str, ...] = ()
    place: str = ""
    from_status: str = AVAILABLE
    item: str = ""
    quantity: int = 0
    lot: str = ""
    expiry: str = ""
    document: str = ""
    inspection: Inspection | None = None


class Identified(Intent, frozen=True, kw_only=True, tag="identified"):
    """A provisional item is really `item`: all of its stock is moved over."""

    provisional: str
    item: str


class LotLearnt(Intent, frozen=True, kw_only=True, tag="lot-learnt"):
    """The lot or expiry of goods became known: of a unit's content, or of a loose quantity at a place."""

    item: str
    lot: str = ""
    expiry: str = ""
    old_lot: str = ""
    old_expiry: str = ""
    unit: str = ""
    account: Account | None = None
    quantity: int = 0


class ContentLearnt(Intent, frozen=True, kw_only=True, tag="content-learnt"):
    """What a unit of unknown content holds became known (rule 5): itself, and the units in it."""

    unit: str
    holds: tuple[Content, ...] = ()
    units: tuple[tuple[str, tuple[Content, ...]], ...] = ()
    document: str = ""


class Packed(Intent, frozen=True, kw_only=True, tag="packed"):
    """Units were put into a container (aggregating), or loose `goods` were loaded into it where it stands.

    `place` says where, for a container that was never seen before.
    """

    container: str
    units: tuple[str, ...] = ()
    goods: tuple[Content, ...] = ()
    place: str = ""


class Unpacked(Intent, frozen=True, kw_only=True, tag="unpacked"):
    """Units, or goods, were taken out of a container where it stands. Nothing listed: all of it."""

    container: str
    units: tuple[str, ...] = ()
    goods: tuple[Content, ...] = ()


class LoosePicked(Intent, frozen=True, kw_only=True, tag="loose-picked"):
    """A quantity (base units) was taken loose, first expiry first, from a place (then its ancestors) to another place."""

    from_place: str
    to_place: str
    item: str
    quantity: int
    lot: str = ""
    kind: Kind = "picking"
    document: str = ""


class DocumentCame(Intent, frozen=True, kw_only=True, tag="document-came"):
    """A document now announces units that came before it: what was posted from `unknown` is corrected (rule 12)."""

    document: str


class TransferClosed(Intent, frozen=True, kw_only=True, tag="transfer-closed"):
    """The receiver closes a transfer: what is still in transit goes to `unknown` (rule 12)."""

    transfer: str


class ExceptionDecided(Intent, frozen=True, kw_only=True, tag="exception-decided"):
    """A person decided about an open exception of this site."""

    kind: ExceptionKind
    subject: str
    state: ExceptionState
    reason: str
    actor: str


class Recorded(Intent, frozen=True, kw_only=True, tag="recorded"):
    """A record that posts as it is: a document opened or changed at the site, an exception, an inspection, a command's
    result, a clock correction, a checkpoint. A movement or count is refused: those are for `post` to make."""

    record: Record


AnyIntent = (
    Crossed
    | Moved
    | Unreadable
    | Scanned
    | Counted
    | OpeningStocked
    | SnapshotTold
    | Salvaged
    | Corrected
    | StatusChanged
    | Identified
    | LotLearnt
    | ContentLearnt
    | Packed
    | Unpacked
    | LoosePicked
    | DocumentCame
    | TransferClosed
    | ExceptionDecided
    | Recorded
)
