"""READ FIRST: what headquarters derives from records, in the transaction that stores them.

`project` takes records in order of arrival and brings every projection from before them to after them. Stock itself is
`vocabulary.stock.apply`, the function the gateways use: it runs on a `Stock` that holds only what the batch touches, with
empty balances, so that what it leaves there are the changes to add. Splitting a batch anywhere gives the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.projections import arrivals, clock, documents, reports, transfers, units
from cloud.projections.calendar import BusinessDays
from cloud.projections.daily import DAILY_FLOWS, DailyChanges
from cloud.projections.exceptions import late_returns, report_late_return
from cloud.projections.flows import flow_of, stock_change
from cloud.projections.items import StockChange, change_items
from cloud.store import lanes, schema
from vocabulary.count import Count
from vocabulary.document import Document
from vocabulary.movement import Movement, accounts
from vocabulary.records import ClockRecord, Record
from vocabulary.stock import Stock, apply, goods_of
from vocabulary.wire import OPENING_SNAPSHOT


class Arrived(NamedTuple):
    """A decoded record and where it stands: epoch and seq, the site's arrival number, time of receipt (µs UTC)."""

    epoch: int
    seq: int
    position: int
    received_at: int
    record: Record


@dataclass(slots=True)
class Site:
    """What projecting needs to know of a site. `live`: side effects (documents, commands) happen too; off in a rebuild."""

    id: str
    days: BusinessDays
    live: bool = True
    #: set when documents changed in a way that the gateway must be told
    downlink_changed: bool = False
    #: other sites whose gateways must be told: what this one sent to them
    others_changed: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Changes:
    """What a run of records changes, before it is written."""

    stock: Stock = field(default_factory=Stock)
    lines: list[lanes.Row] = field(default_factory=list[lanes.Row])
    daily: DailyChanges = field(default_factory=DailyChanges)
    items: list[StockChange] = field(default_factory=list[StockChange])


async def project(conn: AsyncConnection, site: Site, rows: Sequence[Arrived]) -> None:
    """Bring all projections of `site` from before `rows` to after them, inside the caller's transaction."""
    rows = [row for row in rows if not _repeats(row.record)]
    start = 0
    for end, row in enumerate(rows):
        if isinstance(row.record, ClockRecord):  # it re-dates rows that must be stored before it
            await _run(conn, site, rows[start:end])
            await clock.redate(conn, site.id, site.days, row.epoch, row.record)
            start = end + 1
    await _run(conn, site, rows[start:])


def _repeats(record: Record) -> bool:
    """Whether a record only repeats what headquarters told a replacement gateway: no movement, no count."""
    return isinstance(record, Movement | Count) and record.rule == OPENING_SNAPSHOT


async def _run(conn: AsyncConnection, site: Site, rows: Sequence[Arrived]) -> None:
    if not rows:
        return
    changes = Changes()
    epochs = await units.load(conn, site.id, changes.stock, touched_units(row.record for row in rows))
    returned: list[tuple[Arrived, list[str]]] = []
    for row in rows:
        if isinstance(row.record, Movement):
            if came_back := late_returns(changes.stock, row.record):
                returned.append((row, came_back))
            _movement(changes, site, row, row.record)
            apply(changes.stock, row.seq, units.placed(changes.stock, epochs, row.epoch, row.record))
        else:
            apply(changes.stock, row.seq, row.record)
    await lanes.append(conn, schema.movement_line, changes.lines)
    await lanes.add(conn, schema.balance, units.balance_changes(site.id, changes.stock))
    await units.store(conn, site.id, changes.stock, epochs)
    await change_items(conn, site.id, site.days, changes.items, changes.daily)
    if site.live:
        for at, document in _latest_revisions(rows):
            await documents.store_document(
                conn, site.id, document, opened_by="site", at=at, days=site.days, daily=changes.daily
            )
    for row in rows:
        if not isinstance(row.record, Movement | Document):
            await reports.store(conn, site.id, row.position, row.record, live=site.live)
    if site.live:
        for row, came_back in returned:
            await report_late_return(conn, site.id, came_back, row.received_at, row.seq)
    await lanes.add(conn, schema.daily, list(changes.daily.rows(site.id)))
    await arrivals.follow(conn, site.id, changes.lines)
    if changes.stock.done:
        told = await documents.advance(conn, site.id, changes.stock.done, rows[-1].received_at, live=site.live)
        site.downlink_changed = site.downlink_changed or told
    if site.live and (moved := transfers.transfers_in(changes.stock)):
        site.others_changed += await transfers.forward(conn, site.id, moved, rows[-1].received_at)
    site.downlink_changed = site.downlink_changed or any(reports.ends_command(row.record) for row in rows)


def _latest_revisions(rows: Sequence[Arrived]) -> list[tuple[int, Document]]:
    """Each document's highest revision among `rows`, first come, with its time of receipt: the others leave no trace."""
    latest: dict[str, tuple[int, Document]] = {}
    for row in rows:
        document = row.record
        if isinstance(document, Document):
            known = latest.get(document.id)
            if known is None or known[1].revision < document.revision:
                latest.pop(document.id, None)  # it takes the place of its own arrival
                latest[document.id] = (row.received_at, document)
    return list(latest.values())


def _movement(changes: Changes, site: Site, row: Arrived, movement: Movement) -> None:
    """The rows of a movement's lines, their daily flows and what they change of an item's stock."""
    moved_at = movement.occurred_at
    document = "" if movement.document is UNSET else movement.document
    for number, line in enumerate(movement.lines):
        source, target = accounts(movement, line)
        item, lot, expiry = goods_of(line)
        flow, signed = flow_of(movement, source, target, line.quantity)
        if flow in DAILY_FLOWS:
            changes.daily.add(item, site.days.day(moved_at), flow, signed)
        on_hand, available = stock_change(source, target, line.quantity)
        if on_hand or available:
            changes.items.append(StockChange(item, moved_at, on_hand, available))
        changes.lines.append(
            (
                site.id,
                row.position,
                number,
                movement.kind,
                moved_at,
                row.received_at,
                item,
                lot,
                expiry,
                line.quantity,
                0 if line.grams is UNSET else line.grams,
                source.place,
                source.status,
                target.place,
                target.status,
                document,
                flow,
                signed,
                0 if line.unit_cost is UNSET else line.unit_cost,
                "" if line.currency is UNSET else line.currency,
            )
        )


def touched_units(records: Iterable[Record]) -> list[str]:
    """The units whose place or content `records` change, each once, in order."""
    found: dict[str, None] = {}
    for record in records:
        if isinstance(record, Movement):
            for entry in record.units:
                found[entry.unit] = None
            for line in record.lines:
                if line.out_of is not UNSET:
                    found[line.out_of] = None
                if line.into is not UNSET:
                    found[line.into] = None
    return list(found)
