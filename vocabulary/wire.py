"""What travels between a gateway and headquarters: ledger push, enrolment, downlink, advisory snapshot.

Version 1. A server accepts WIRE_VERSION and the one before it. Epochs are strings in JSON (63 bits), hashes hex.
Paths (all below the cloud's URL; every request but enrolment carries an RFC 9421 Ed25519 signature, tag "evercount"):

    POST /v1/enrolments                          Enrolment -> Enrolled
    POST /v1/gateways/{gateway}/ledger           body: zstd(BatchHeader LF canonical lines joined by LF) -> Pushed
    POST /v1/gateways/{gateway}/salvaged         the same body -> Pushed: rows of a dead card, kept without effect
    GET  /v1/gateways/{gateway}/head?epoch=&seq= Head (the server's head of that epoch, and its hash at `seq`)
    POST /v1/gateways/{gateway}/advisory         zstd(Advisory) -> 204: balances before a long catch-up
    GET  /v1/gateways/{gateway}/opening?page=&epoch= OpeningPage: what headquarters holds of the site
    GET  /v1/gateways/{gateway}/downlink?wait=   Downlink, with ETag; If-None-Match answers 304 after at most `wait` s

Errors are RFC 9457 problem documents. 409 carries a Conflict; 429 and 503 carry Retry-After; 401 carries the server's
time in the header `evercount-time` (microseconds UTC), from which the gateway signs by an offset.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionKind, ExceptionRecord, ExceptionState
from vocabulary.item import Item, PackagingLevel
from vocabulary.movement import Content, Movement
from vocabulary.place import CUSTOMER, IDENTITY, OPENING, SCRAP, SUPPLIER, UNKNOWN, Account, Place

WIRE_VERSION = 1

#: Records in one push at most, and bytes of its body before and after decompression: bounds the server's work.
BATCH_RECORDS = 1_000
BATCH_BYTES = 1 << 20
INFLATED_BYTES = 16 << 20

#: The rule named by rows that open a replacement gateway's ledger with the site's present stock: they tell the gateway
#: what headquarters knows, so they are no movement for headquarters.
OPENING_SNAPSHOT = "opening-snapshot/1"
#: Places whose balances no snapshot tells: they grow for ever and only say where stock came from or went.
UNTOLD = frozenset({SUPPLIER, CUSTOMER, SCRAP, OPENING, IDENTITY, UNKNOWN})

#: RFC 9421: every request covers these components; content-digest is added where there is a body.
SIGNED_COMPONENTS = ("@method", "@authority", "@path", "@query")
SIGNATURE_TAG = "evercount"
#: A signature is refused when its `created` is further than this from the server's clock, seconds.
SIGNATURE_AGE_S = 300
TIME_HEADER = "evercount-time"


#: How much room the ledger's disk has: 15 % free or less is low, 5 % scarce (no more evidence), 2 % full (no more sightings).
DiskLevel = Literal["good", "low", "scarce", "full"]


def in_snapshot(place: str) -> bool:
    """Whether a snapshot tells what is at `place`: real places, robots, and what is in transit."""
    return place not in UNTOLD


class DeviceStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one device does: its named state, reads per second, and what went wrong so far."""

    name: str
    state: str
    reads_per_second: float = 0.0
    reads: int = 0
    errors: int = 0
    reason: str = ""


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """A gateway's health, riding on each request. Times in microseconds UTC; `recorded` is its last row.

    `instance` names the running process: two of them in turn under one identity are two gateways. `oldest_unsent` is
    when that happened of which the first row tells that headquarters does not hold (0: it holds all). `disk` is the disk
    guard's level and `disk_days` the days until the disk is full at the present rate (-1: not known). `chain` is empty
    while the ledger's last check was good, else what is wrong, in one sentence; `checked_at` is when the whole ledger was
    last checked.
    """

    now: int
    version: str
    recorded: int
    clock_trusted: bool = True
    disk_free: int = 0
    devices: tuple[DeviceStatus, ...] = ()
    open_exceptions: int = 0
    instance: str = ""
    oldest_unsent: int = 0
    disk: DiskLevel = "good"
    disk_days: int = -1
    chain: str = ""
    checked_at: int = 0


class BatchHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of a push. `prev_hash` is the hash before its first row, `head_hash` that of its last.

    `parent` stands on the first push of an epoch that branched off another one: (epoch, seq, hash).
    """

    wire: int
    site: str
    gateway: str
    epoch: str
    first_seq: int
    prev_hash: str
    head_hash: str
    status: Status
    parent: tuple[str, int, str] | None = None


class Pushed(msgspec.Struct, frozen=True):
    """What the server now holds of this epoch, its time, and the version of the downlink it would send."""

    acked_seq: int
    head_hash: str
    server_time: int
    downlink: str


class Conflict(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a push does not fit: `gap` (rows before it are missing) or `fork` (a row differs), and what is expected."""

    type: Literal["gap", "fork", "revoked"]
    title: str
    status: int
    expected_seq: int = 0
    expected_hash: str = ""


class Head(msgspec.Struct, frozen=True):
    """The server's last row of an epoch (seq 0 and the genesis hash when it has none), and its hash at the asked seq."""

    epoch: str
    seq: int
    hash: str
    hash_at: str = ""


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new gateway's one-time code, its Ed25519 public key (hex) and the epoch of its ledger file."""

    code: str
    public_key: str
    epoch: str
    hardware: str = ""


class Enrolled(msgspec.Struct, frozen=True):
    """The site that the code stood for. `opening_pages` > 0: apply the opening stock before any reader is connected."""

    gateway: str
    site: str
    name: str
    zone: str
    opening_pages: int
    server_time: int


class BalanceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A balance as it travels: account, goods, amount; unit cost in 10^-6 major units of `currency` per base unit."""

    account: Account
    item: str
    quantity: int
    lot: str = ""
    expiry: str = ""
    grams: int = 0
    unit_cost: int = 0
    currency: str = ""


class UnitLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unit as it travels: `at` is when it last moved (microseconds UTC), `first` the account from which it first came."""

    unit: str
    account: Account
    container: str = ""
    holds: tuple[Content, ...] = ()
    at: int = 0
    first: Account | None = None


class DoneLine(msgspec.Struct, frozen=True):
    """How much of an open document's line is done, base units."""

    document: str
    line: int
    item: str
    quantity: int


class OpeningPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of what headquarters holds of a site: at most 1,000 lines.

    All pages of one snapshot carry one `position` (the site's arrival number); they are read again when it changed. Of
    the asked epoch the rows up to `seq` are in it. `since` is when the site's past begins (microseconds UTC).
    `documents` are the open ones that the site opened, `counts` the last one of each account, `done` the progress of open
    documents, `exceptions` those of the site that are not decided. `taken_back`, on the first page, are the rows along the
    asked epoch that rows of other branches reverse.
    """

    page: int
    pages: int
    balances: tuple[BalanceLine, ...] = ()
    units: tuple[UnitLine, ...] = ()
    position: int = 0
    seq: int = 0
    since: int = 0
    counts: tuple[Count, ...] = ()
    documents: tuple[Document, ...] = ()
    done: tuple[DoneLine, ...] = ()
    exceptions: tuple[ExceptionRecord, ...] = ()
    taken_back: tuple[int, ...] = ()


class Advisory(msgspec.Struct, frozen=True, omit_defaults=True):
    """The present stock of a gateway with a long backlog: shown as it is until the history has arrived.

    It comes in `parts` parts, counted from 0, all with one `epoch`, `seq` and `at`; shown when all of them are there.
    """

    epoch: str
    seq: int
    at: int
    balances: tuple[BalanceLine, ...]
    part: int = 0
    parts: int = 1


class OpeningStock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="opening-stock"):
    """Post these balances (at most 1,000) as counts against `opening`."""

    lines: tuple[BalanceLine, ...]
    occurred_at: int


class CorrectMovement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="correct-movement"):
    """Reverse the event that began with row `group` of `epoch` and, where something did happen, post `replacement` instead.

    `original` and their numbers, `rows`, are those of the event that count still: they stand where the gateway may not
    have the rows, cut by retention or written by another ledger of the site. `epoch` "" is the gateway's own.
    """

    group: int
    reason: str
    replacement: Movement | None = None
    original: tuple[Movement, ...] = ()
    epoch: str = ""
    rows: tuple[int, ...] = ()
    actor: str = ""


class DecideException(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="decide-exception"):
    """A person's decision about an exception that this gateway owns."""

    exception: ExceptionKind
    subject: str
    state: ExceptionState
    reason: str
    actor: str


class IdentifyItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="identify-item"):
    """A provisional item is really `item`: all of its stock is moved over by movements of kind `identifying`."""

    provisional: str
    item: str


Order = OpeningStock | CorrectMovement | DecideException | IdentifyItem


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order from headquarters with an expiry (microseconds UTC); its result comes back as a record."""

    id: str
    expires_at: int
    order: Order


class Thresholds(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What headquarters sets for a site."""

    #: a counted difference above this many base units becomes an exception
    count_difference: int = 0
    #: the same identity in two places within this time is a possible clone, seconds
    travel_time_s: int = 60


class Downlink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that headquarters tells a gateway, whole; `version` is its ETag. Commands stay until their result arrives.

    Headquarters owns every key in it; devices and network belong to the gateway's own configuration.
    """

    version: str
    items: tuple[Item, ...] = ()
    packaging: tuple[PackagingLevel, ...] = ()
    places: tuple[Place, ...] = ()
    documents: tuple[Document, ...] = ()
    commands: tuple[Command, ...] = ()
    thresholds: Thresholds = msgspec.field(default_factory=Thresholds)
    revoked: bool | UnsetType = UNSET
