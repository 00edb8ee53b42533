"""Records that this version cannot digest: why not, how they are kept and told, and what happens when a version can.

A parked record stands in the ledger like any other and has no effect. A rebuild applies what can be digested by then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections.reports import store_exception
from cloud.store import lanes, schema
from vocabulary import records
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import Record

#: Times that can be meant, microseconds UTC: 2000-01-01 to 2100-01-01.
EARLIEST_US, LATEST_US = 946_684_800_000_000, 4_102_444_800_000_000
#: Kind of the exceptions that tell of parked records; the subject is their tag.
KIND = "parked-record"
_TAG = re.compile(rb'\{"record":"([a-z-]{1,40}/[0-9]{1,9})"')


class Parked(NamedTuple):
    """A record without effect: where it stands, its bytes, and in words why."""

    epoch: int
    seq: int
    body: bytes
    reason: str


def digest(body: bytes) -> Record | str:
    """The record in canonical bytes, or, in words, why this version cannot digest it (it is parked then)."""
    try:
        record = records.decode(body)
    except msgspec.DecodeError as error:
        return f"it cannot be read: {error}"
    except RecursionError:
        return "it is nested too deeply"
    if fault := records.fault_in(body):
        return f"it {fault}"
    at = occurred_at(record)
    if at is not None and not EARLIEST_US <= at < LATEST_US:
        return f"its time {at} is not between the years 2000 and 2100"
    if isinstance(record, Movement):
        if not record.lines and not record.units:
            return "the movement has neither lines nor units"
        if any(line.quantity <= 0 for line in record.lines):
            return "a line's quantity is not above 0"
    return record


def no_effect(error: Exception) -> str:
    """Why a record is parked that can be read, but whose projection failed with `error`."""
    cause = getattr(error, "orig", None) or error  # a database's refusal without its statement
    return f"its effect cannot be computed: {cause or type(cause).__name__}"


def occurred_at(record: Record) -> int | None:
    """When a record says it happened, microseconds UTC; None for a document, which says when it is due."""
    if isinstance(record, Movement | Count):
        return record.occurred_at
    return getattr(record, "at", None)


def tag_of(body: bytes) -> str:
    """The kind and version that canonical bytes name, such as "movement/1"; "unreadable" when they name none."""
    found = _TAG.match(body)
    return found[1].decode() if found else "unreadable"


async def park(conn: AsyncConnection, site_id: str, found: Sequence[Parked], now: int) -> None:
    """Remember records as parked; one exception for each kind and version: a newer gateway sends many of a kind."""
    await lanes.put(conn, schema.parked, [(site_id, one.epoch, one.seq, one.reason, now) for one in found])
    by_tag: dict[str, list[Parked]] = {}
    for one in found:
        by_tag.setdefault(tag_of(one.body), []).append(one)
    for tag, alike in by_tag.items():
        first, last = alike[0], alike[-1]
        text = f"Record {first.seq} of epoch {first.epoch} ({tag}) arrived and is kept, but has no effect here: {first.reason}."
        record = ExceptionRecord(
            KIND,
            tag,
            "open",
            now,
            text[:500],
            "Update headquarters and let it rebuild, or correct the record at the site.",
            facts={"records": len(alike), "last": last.seq, "epoch": str(last.epoch)},
        )
        await store_exception(conn, site_id, record, "cloud")


async def read_parked(conn: AsyncConnection, site_id: str) -> set[tuple[int, int]]:
    """Epoch and seq of a site's parked records."""
    p = schema.parked.c
    return {(row.epoch, row.seq) for row in await conn.execute(select(p.epoch, p.seq).where(p.site_id == site_id))}


async def unpark(
    conn: AsyncConnection, site_id: str, applied: Sequence[tuple[int, int]], settled: Sequence[str]
) -> None:
    """Forget that the records `applied` (epoch, seq) were parked; the exceptions of the tags `settled` are over."""
    p, e = schema.parked.c, schema.exception.c
    for epoch, seq in applied:
        await conn.execute(delete(schema.parked).where(p.site_id == site_id, p.epoch == epoch, p.seq == seq))
    await conn.execute(
        update(schema.exception)
        .where(e.site_id == site_id, e.kind == KIND, e.subject.in_(settled), e.origin == "cloud", e.state != "decided")
        .values(state="decided", reason="This version of headquarters can read these records; they have been applied.")
    )
