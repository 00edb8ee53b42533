"""Prometheus metrics of headquarters at /metrics, for a key with the permission to read; each site's for those who may see it.

What this process did stands in counters of its own: scrape every process. What the database holds is read at the scrape and is
the same from each process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response, get
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cloud.access.principal import Principal
from cloud.api.caller import Http, caller_of
from cloud.store import schema
from cloud.store.database import retries_of
from runtime import Runtime
from vocabulary.wire import Conflict, Status

#: Bounds of the time that a push takes, seconds: a batch of 1,000 takes some 0.05; a gateway waits 30.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: The type of the Prometheus text format.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

_status = msgspec.json.Decoder(Status)
_conflict = msgspec.json.Decoder(Conflict)


class Metrics:
    """The counters of one application."""

    def __init__(self, runtime: Runtime, engine: AsyncEngine) -> None:
        self._runtime, self._engine = runtime, engine
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "evercount_push_seconds", "Time from a push's head to its answer", ["status"],
            buckets=BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self._conflicts = Counter(
            "evercount_push_conflicts", "Pushes that did not fit: gap, fork, revoked", ["type"], registry=self._registry
        )

    def now(self) -> int:
        """Monotonic microseconds."""
        return self._runtime.monotonic()

    def pushed(self, status: int, took_us: int, answer: bytes) -> None:
        """Note the answer to a push."""
        self._seconds.labels(str(status)).observe(took_us / 1e6)
        if status == 409:
            try:
                self._conflicts.labels(_conflict.decode(answer).type).inc()
            except msgspec.DecodeError:
                self._conflicts.labels("other").inc()

    async def text(self, conn: AsyncConnection, person: Principal, now: int) -> bytes:
        """Everything in the Prometheus text format: what `person` may see at `now`, microseconds UTC."""
        registry = CollectorRegistry()
        retries = retries_of(self._engine)
        again = Counter(
            "evercount_transactions_retried", "Transactions tried again after contention", registry=registry
        )
        again.inc(retries.again)
        lost = Counter("evercount_transactions_given_up", "Transactions given up after all tries", registry=registry)
        lost.inc(retries.given_up)
        await _sites(conn, person, registry)
        await _gateways(conn, person, now, registry)
        await _cycle(conn, now, registry)
        return generate_latest(self._registry) + generate_latest(registry)


@dataclass(frozen=True)
class PushMeter(ASGIMiddleware):
    """Times the gateways' pushes and counts their conflicts."""

    metrics: Metrics

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Watch the answer of a push go by."""
        path = scope["path"]
        if not (path.startswith("/v1/gateways/") and path.endswith("/ledger")):
            await next_app(scope, receive, send)
            return
        began, status = self.metrics.now(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                self.metrics.pushed(status, self.metrics.now() - began, message.get("body", b""))
            await send(message)

        await next_app(scope, receive, watch)


async def _sites(conn: AsyncConnection, person: Principal, registry: CollectorRegistry) -> None:
    """Records by site, those without effect, and open exceptions by kind."""
    s, p, e = schema.site.c, schema.parked.c, schema.exception.c
    records = Counter("evercount_records_received", "Records stored of a site, all epochs", ["site"], registry=registry)
    parked = Gauge("evercount_records_parked", "Records kept without effect", ["site"], registry=registry)
    opened = Gauge("evercount_exceptions_open", "Exceptions that wait for people", ["site", "kind"], registry=registry)
    for row in await conn.execute(select(s.id, s.position).where(person.scope(s.id)).order_by(s.id)):
        records.labels(row.id).inc(row.position)
        parked.labels(row.id).set(0)
    counted = select(p.site_id, func.count().label("rows")).where(person.scope(p.site_id)).group_by(p.site_id)
    for row in await conn.execute(counted):
        parked.labels(row.site_id).set(row.rows)
    waiting = (
        select(e.site_id, e.kind, func.count().label("rows"))
        .where(person.scope(e.site_id), e.state != "decided")
        .group_by(e.site_id, e.kind)
    )
    for row in await conn.execute(waiting):
        opened.labels(row.site_id, row.kind).set(row.rows)


async def _gateways(conn: AsyncConnection, person: Principal, now: int, registry: CollectorRegistry) -> None:
    """What each enrolled gateway last said of itself, and when."""

    def gauge(name: str, text: str) -> Gauge:
        return Gauge(f"evercount_gateway_{name}", text, ["site", "gateway"], registry=registry)

    silent = gauge("silent_seconds", "Since its last request")
    behind = gauge("behind_records", "Records it has that are not here")
    lag = gauge("lag_seconds", "Age of the oldest event that is not here; 0 while all are")
    offset = gauge("clock_offset_seconds", "How far its clock was ahead of ours at its last push")
    trusted = gauge("clock_trusted", "1 while it knows its time to be right")
    disk = gauge("disk_days", "Days until its disk is full; -1 while not known")
    chain = gauge("chain_good", "1 while its ledger's last check was good")
    g = schema.gateway.c
    enrolled = select(schema.gateway).where(person.scope(g.site_id), g.revoked_at.is_(None)).order_by(g.site_id, g.id)
    for row in await conn.execute(enrolled):
        names = (row.site_id, row.id)
        silent.labels(*names).set((now - row.seen_at) / 1e6)
        behind.labels(*names).set(row.behind)
        if not row.status:
            continue  # it enrolled and sent nothing yet
        status = _status.decode(row.status)
        lag.labels(*names).set(max(0, now - status.oldest_unsent) / 1e6 if status.oldest_unsent and row.behind else 0)
        offset.labels(*names).set(row.clock_us / 1e6)
        trusted.labels(*names).set(int(status.clock_trusted))
        disk.labels(*names).set(status.disk_days)
        chain.labels(*names).set(int(not status.chain))


async def _cycle(conn: AsyncConnection, now: int, registry: CollectorRegistry) -> None:
    """How old the network's last good decisions are; nothing before the first."""
    c = schema.cycle_run.c
    done = select(func.max(c.finished_at)).where(c.site_id == "", c.state == "done")
    finished: int | None = (await conn.execute(done)).scalar_one()
    if finished is not None:
        age = Gauge("evercount_cycle_age_seconds", "Since the last decision cycle was done", registry=registry)
        age.set((now - finished) / 1e6)


@get("/metrics", include_in_schema=False)
async def metrics_page(request: Http) -> Response[bytes]:
    """The Prometheus text format, for an API key (`authorization: credentials` in Prometheus' configuration)."""
    caller = caller_of(request, "read")
    metrics: Any = request.app.state["metrics"]
    assert isinstance(metrics, Metrics)
    async with caller.reading() as conn:
        return Response(await metrics.text(conn, caller.principal, caller.now), media_type=_TEXT)
