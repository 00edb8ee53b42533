"""Test bench: a headquarters in process, and gateways and people who speak to it over HTTP as the real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import AsgiTransport, VirtualRuntime

from cloud.access import accounts
from cloud.app import build
from cloud.config import Config, Cycle
from cloud.ingest.enrolment import make_code
from cloud.store import schema
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import migrate
from vocabulary import chain, records
from vocabulary.movement import Line, Movement
from vocabulary.place import Account
from vocabulary.wire import SIGNATURE_TAG, SIGNED_COMPONENTS, WIRE_VERSION, BatchHeader, Status

URL = "http://cloud.test"


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.key = key

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self.key

    def resolve_public_key(self, key_id: str) -> None:
        raise NotImplementedError


@dataclass
class Gateway:
    """A gateway that speaks the protocol, with a ledger in memory."""

    client: httpx.AsyncClient
    runtime: VirtualRuntime
    seed: int = 1
    epoch: int = 4_711
    id: str = ""
    site: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(self.seed.to_bytes(32, "big"))
        self.signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=_Keys(self.key))
        self.clock_offset_s = 0

    @property
    def public_key(self) -> str:
        return self.key.public_key().public_bytes_raw().hex()

    async def enrol(self, code: str) -> httpx.Response:
        wanted = {"code": code, "public_key": self.public_key, "epoch": str(self.epoch), "hardware": "test"}
        answer = await self.client.post("/v1/enrolments", content=msgspec.json.encode(wanted))
        if answer.status_code == 200:
            self.id, self.site = answer.json()["gateway"], answer.json()["site"]
        return answer

    async def send(self, method: str, path: str, content: bytes | None = None, **headers: str) -> httpx.Response:
        request = self.client.build_request(method, path, content=content, headers=headers)
        created = datetime.fromtimestamp(self.runtime.now() // 1_000_000 + self.clock_offset_s, UTC)
        self.signer.sign(
            request, key_id=self.id, tag=SIGNATURE_TAG, created=created, nonce=self.runtime.token_bytes(8).hex(),
            body=content, covered_component_ids=SIGNED_COMPONENTS,
        )  # fmt: skip
        return await self.client.send(request)

    def record(self, *written: records.Record | bytes) -> None:
        self.bodies += [one if isinstance(one, bytes) else records.encode(one) for one in written]

    def batch(self, first: int, last: int, **changed: Any) -> bytes:
        """The body of a push of rows first..last."""
        before = chain.head(chain.genesis(self.epoch), self.bodies[: first - 1])
        part = self.bodies[first - 1 : last]
        header = BatchHeader(
            WIRE_VERSION, self.site, self.id, str(self.epoch), first, before.hex(), chain.head(before, part).hex(),
            Status(self.runtime.now(), "test", len(self.bodies)),
        )  # fmt: skip
        header = msgspec.structs.replace(header, **changed)
        return zstandard.ZstdCompressor(level=3).compress(b"\n".join([msgspec.json.encode(header), *part]))

    async def push(self, first: int = 1, last: int | None = None, **changed: Any) -> httpx.Response:
        return await self.push_body(self.batch(first, len(self.bodies) if last is None else last, **changed))

    async def push_body(self, body: bytes) -> httpx.Response:
        return await self.send("POST", f"/v1/gateways/{self.id}/ledger", body)


@dataclass
class Headquarters:
    """The application, its database and its clock."""

    app: Any
    engine: AsyncEngine
    runtime: VirtualRuntime
    client: httpx.AsyncClient

    async def add_site(self, site_id: str = "north", **columns: Any) -> None:
        async with writing(self.engine) as conn:
            values = {"id": site_id, "name": site_id.title(), "zone": "Europe/Berlin"} | columns
            await conn.execute(schema.site.insert().values(**values))

    async def add_gateway(
        self, site_id: str = "north", seed: int = 1, epoch: int = 4_711, replaces: bool = False
    ) -> Gateway:
        async with writing(self.engine) as conn:
            code = await make_code(conn, self.runtime, site_id, replaces=replaces, actor="test")
        gateway = Gateway(self.client, self.runtime, seed, epoch)
        answer = await gateway.enrol(code)
        assert answer.status_code == 200, answer.text
        return gateway

    async def key(self, role: str = "owner", site_id: str = "", partner: str = "") -> dict[str, str]:
        """Headers with a new API key."""
        async with writing(self.engine) as conn:
            key = await accounts.make_key(conn, self.runtime, "test", accounts.role_of(role), site_id, partner, "test")
        return {"authorization": f"Bearer {key}"}

    async def rows(self, table: Table, *columns: str) -> list[tuple[Any, ...]]:
        """A table's rows in the order of its key; `columns` only, if given."""
        wanted = [table.c[name] for name in columns] or [table]
        async with reading(self.engine) as conn:
            return [tuple(row) for row in await conn.execute(select(*wanted).order_by(*table.primary_key))]


@asynccontextmanager
async def open_headquarters(
    database: Path | str, runtime: VirtualRuntime, config: Config | None = None
) -> AsyncIterator[Headquarters]:
    """A migrated headquarters in `database`: a path for SQLite, or a URL."""
    engine = open_engine(f"sqlite:///{database}" if isinstance(database, Path) else database)
    try:
        await migrate(engine)
        app = build(config or Config(cycle=Cycle(every_minutes=0)), runtime, engine)
        async with _served(app), httpx.AsyncClient(transport=AsgiTransport(app), base_url=URL, timeout=60) as client:
            yield Headquarters(app, engine, runtime, client)
    finally:
        await engine.dispose()


@asynccontextmanager
async def _served(app: Any) -> AsyncIterator[None]:
    """The application's lifespan, in a task of its own: a fixture is not always left by the task that entered it."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.ensure_future(serve())
    waiting = asyncio.ensure_future(started.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if not task.done():
            yield
    finally:
        stop.set()
        await task


DOCK, BIN, SUPPLIER, CUSTOMER = Account("dock-1"), Account("bin-1"), Account("supplier"), Account("customer")


def movement(
    kind: str, source: Account, target: Account, at: int, lines: Iterable[tuple[str, int]] = (), **more: Any
) -> Movement:
    """A movement of (item, quantity) lines."""
    return Movement(kind, source, target, at, tuple(Line(item, quantity) for item, quantity in lines), **more)  # type: ignore[arg-type]
