"""The gateways as headquarters knows them: contact, lag, clock, disk, ledger, branches, alarms. For pages and the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import schema
from vocabulary.exception import ExceptionKind
from vocabulary.wire import Status

#: Microseconds without a word after which a gateway is silent: four of its heartbeats.
SILENT_US = 120_000_000
#: Microseconds by which a gateway's clock may differ before it is said: more than a request takes.
CLOCK_OFF_US = 2_000_000
#: Gateways told of at most: one for each site, and those that were replaced.
LISTED = 1_000
#: Branches of a gateway's ledger told of, the latest: each but the first is a restored or recovered card.
BRANCHES = 20
#: Exceptions about a gateway itself, not about goods.
ALARMS: tuple[ExceptionKind, ...] = ("gateway-clone", "ledger-damaged", "disk-space", "clock", "device")

State = Literal["current", "catching-up", "silent", "never-seen", "revoked"]
Clock = Literal["trusted", "off", "not trusted", "unknown"]

#: Which sites: a condition on a column of site ids.
Scope = Callable[[ColumnElement[str]], ColumnElement[bool]]

_status = msgspec.json.Decoder(Status)


class Branch(msgspec.Struct, frozen=True):
    """An epoch of a site's ledger: `rows` of it arrived, the last being `seq`; it grew from row `parent_seq` of `parent` ("":
    a ledger of its own). `hash` is the chain's at `seq`, hex; times microseconds UTC of its first and last arrival.
    `salvaged`: rows of a dead card that the gateway found, kept without effect."""

    epoch: str
    ordinal: int
    parent: str
    parent_seq: int
    rows: int
    seq: int
    hash: str
    first_at: int
    last_at: int
    salvaged: bool


class Alarm(msgspec.Struct, frozen=True):
    """An open exception about the gateway."""

    kind: ExceptionKind
    subject: str
    text: str
    since: int


class GatewayState(msgspec.Struct, frozen=True):
    """A gateway. `lag_records` are recorded there and not yet here; `lag_seconds` is how old the oldest of them is, or how
    long it has been silent; 0 while it is current. `clock_offset_us`: its clock less ours at its last push."""

    site_id: str
    id: str
    state: State
    enrolled_at: int
    seen_at: int
    revoked_at: int | None
    lag_records: int
    lag_seconds: int
    epoch: str
    clock: Clock
    clock_offset_us: int
    hardware: str
    status: Status | None
    branches: tuple[Branch, ...]
    alarms: tuple[Alarm, ...]

    @property
    def head(self) -> Branch | None:
        """The branch that it writes."""
        return next((branch for branch in self.branches if branch.epoch == self.epoch), None)


async def read_fleet(conn: AsyncConnection, scope: Scope, now: int) -> list[GatewayState]:
    """The gateways of the sites in `scope`, by site, those in service first; three queries."""
    g = schema.gateway
    rows = await conn.execute(
        select(g).where(scope(g.c.site_id)).order_by(g.c.site_id, g.c.revoked_at.is_not(None), g.c.id).limit(LISTED)
    )
    gateways = rows.all()
    branches = await _branches(conn, scope)
    alarms = await _alarms(conn, scope)
    found: list[GatewayState] = []
    for row in gateways:
        status = _status.decode(row.status) if row.status else None
        state = _state(row.revoked_at, row.seen_at, bool(row.status), row.behind, now)
        about = [
            alarm
            for alarm in alarms.get(row.site_id, [])
            if row.id in alarm.subject or (row.revoked_at is None and "gateway " not in alarm.subject)
        ]
        found.append(
            GatewayState(
                row.site_id,
                row.id,
                state,
                row.enrolled_at,
                row.seen_at,
                row.revoked_at,
                row.behind,
                _lag_s(state, row.seen_at, row.behind, status, now),
                row.epoch,
                _clock(status, row.clock_us),
                row.clock_us,
                row.hardware,
                status,
                tuple(branches.get((row.site_id, row.id), ())),
                tuple(about),
            )
        )
    return found


def _state(revoked_at: int | None, seen_at: int, spoke: bool, behind: int, now: int) -> State:
    if revoked_at is not None:
        return "revoked"
    if now - seen_at > SILENT_US:
        return "silent" if spoke else "never-seen"
    return "catching-up" if behind else "current"


def _lag_s(state: State, seen_at: int, behind: int, status: Status | None, now: int) -> int:
    since = seen_at
    if behind and status is not None and status.oldest_unsent:
        since = min(seen_at, status.oldest_unsent)
    return max(0, now - since) // 1_000_000 if behind or state in ("silent", "never-seen") else 0


def _clock(status: Status | None, off_us: int) -> Clock:
    if status is None:
        return "unknown"
    if not status.clock_trusted:
        return "not trusted"
    return "trusted" if abs(off_us) <= CLOCK_OFF_US else "off"


async def _branches(conn: AsyncConnection, scope: Scope) -> dict[tuple[str, str], list[Branch]]:
    """Of each gateway, the latest first."""
    e = schema.epoch.c
    ranked = select(
        schema.epoch,
        func.row_number().over(partition_by=(e.site_id, e.gateway), order_by=e.ordinal.desc()).label("newest"),
    ).where(scope(e.site_id))
    r = ranked.subquery()
    query = select(r).where(r.c.newest <= BRANCHES).order_by(r.c.site_id, r.c.gateway, r.c.ordinal.desc())
    found: dict[tuple[str, str], list[Branch]] = {}
    for row in await conn.execute(query):
        branch = Branch(
            str(row.epoch),
            row.ordinal,
            row.parent_epoch,
            row.parent_seq,
            row.seq - row.parent_seq,
            row.seq,
            bytes(row.hash).hex(),
            row.first_at,
            row.last_at,
            row.salvaged,
        )
        found.setdefault((row.site_id, row.gateway), []).append(branch)
    return found


async def _alarms(conn: AsyncConnection, scope: Scope) -> dict[str, list[Alarm]]:
    """Of each site, the newest first: what is open about its gateways, and of its devices only what is the gateway's own."""
    e = schema.exception.c
    own = or_(e.kind != "device", and_(e.origin == "cloud", e.subject.like("pushes of gateway %")))
    query = (
        select(e.site_id, e.kind, e.subject, e.text, e.opened_at)
        .where(e.state != "decided", e.kind.in_(ALARMS), own, scope(e.site_id))
        .order_by(e.site_id, e.opened_at.desc(), e.kind, e.subject)
        .limit(LISTED)
    )
    found: dict[str, list[Alarm]] = {}
    for row in await conn.execute(query):
        found.setdefault(row.site_id, []).append(Alarm(row.kind, row.subject, row.text, row.opened_at))
    return found
