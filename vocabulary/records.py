"""What a ledger may hold, and its canonical bytes: the UTF-8 JSON exactly as stored, hashed and sent."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement

#: Integers beyond this are not exact in every JSON reader.
LARGEST_INTEGER = 2**53


class Inspection(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="inspection/1"
):
    """What somebody found when they looked at goods: hold and release movements name it."""

    at: int
    item: str
    result: Literal["passed", "failed"]
    text: str
    lot: str | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    quantity: int | UnsetType = UNSET
    rejected: int | UnsetType = UNSET
    partner: str | UnsetType = UNSET
    document: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET


class CommandResult(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="record",
    tag="command-result/1",
):
    """What became of a command from headquarters: done, refused (and why) or expired."""

    command: str
    at: int
    result: Literal["done", "refused", "expired"]
    text: str | UnsetType = UNSET


class ClockRecord(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="clock/1"
):
    """Times of the rows first_seq..last_seq were wrong by `shift` microseconds: derived times add it."""

    at: int
    first_seq: int
    last_seq: int
    shift: int


class Checkpoint(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="record", tag="checkpoint/1"
):
    """What the ledger amounted to at this row: counts, and the SHA-256 (hex) of the snapshot file beside the ledger."""

    at: int
    balances: int
    units: int
    documents: int
    snapshot: str


Record = Movement | Count | Document | ExceptionRecord | Inspection | CommandResult | ClockRecord | Checkpoint

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


#: 17 digits or more: 2^53 has 16.
_LARGE = re.compile(rb"[:\[,]-?[0-9]{17,}")


def fault_in(body: bytes) -> str | None:
    """What canonical JSON bytes may not hold, as the end of a sentence; None when there is nothing of it."""
    if b"\\u0000" in body:
        return "holds the character U+0000"
    if _LARGE.search(body):
        return "holds a number beyond 2^53"
    return None


def encode(record: Record) -> bytes:
    """The canonical bytes of a record: declared field order, its kind and version first, absent fields left out."""
    return _encoder.encode(record)


def decode(body: bytes) -> Record:
    """The record in canonical bytes. Raises msgspec.DecodeError (ValidationError for an unknown kind or field)."""
    return _decoder.decode(body)


def kind_of(body: bytes) -> str:
    """The kind of the record in canonical bytes, such as "movement", without decoding it; "" when it has none."""
    head = body[:64]
    prefix = b'{"record":"'
    if not head.startswith(prefix):
        return ""
    return head[len(prefix) : head.find(b'"', len(prefix))].partition(b"/")[0].decode("ascii", "replace")
