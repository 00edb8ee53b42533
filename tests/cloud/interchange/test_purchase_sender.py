"""Orders on their way to suppliers: signed, once, tried again, given up, and told to people."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cycle_store import empty_engine
from purchase_bench import Later, all_of, ordered, rows, seed, undo
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US

from cloud.errors import BadInputError, ConflictError
from cloud.interchange.addresses import check_url, is_public, resolve
from cloud.interchange.sender import CLAIM_S, GIVE_UP_AFTER, LEASE_S, TELL_AFTER, Sender
from cloud.interchange.signing import signing_key
from cloud.interchange.webhook import Webhooks
from cloud.projections.changes import Changes
from cloud.recommendations.purchases import mark_sent, send_again
from cloud.store import plans, schema
from cloud.store.database import writing

URL = "https://orders.acme.test/evercount?shop=1"
MINUTE_US = 60_000_000
DUE = START_US + 15 * MINUTE_US


class Supplier(httpx.AsyncBaseTransport):
    """Answers as `says`; notes every request, and which orders are new by their key."""

    def __init__(self, says: Callable[[httpx.Request], httpx.Response] | None = None) -> None:
        self.says = says or (lambda _: httpx.Response(202))
        self.seen: list[httpx.Request] = []
        #: what happens while a request is on the wire
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.says(request)

    @property
    def orders(self) -> set[str]:
        return {request.headers["idempotency-key"] for request in self.seen}


@pytest.fixture
async def engine(database: Path | str) -> AsyncIterator[AsyncEngine]:
    engine = await empty_engine(database)
    async with writing(engine) as conn:
        await seed(conn, url=URL)
    yield engine
    await engine.dispose()


def sender(engine: AsyncEngine, runtime: Later, supplier: httpx.AsyncBaseTransport) -> Sender:
    return Sender(engine, runtime, Changes(), Webhooks(runtime, transport=supplier), "https://hq.test")


async def message(engine: AsyncEngine) -> tuple[str, int, str]:
    (one,) = await all_of(engine, plans.purchase_message)
    return one.state, one.attempts, one.error


async def exceptions(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    return [(one.kind, one.subject, one.state) for one in await all_of(engine, schema.exception)]


def verify(request: httpx.Request, x: str, key_id: str) -> None:
    """A supplier's own check of RFC 9421 and RFC 9530, written from the standards."""
    body = request.content
    assert request.headers["content-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    label, _, parameters = request.headers["signature-input"].partition("=")
    covered = re.findall(r'"([^"]+)"', parameters[: parameters.index(")")])
    assert set(covered) >= {"@method", "@target-uri", "content-digest", "idempotency-key"}
    assert f'keyid="{key_id}"' in parameters
    assert 'tag="evercount-purchase"' in parameters
    scheme = request.url.scheme
    target = f"{scheme}://{request.headers['host']}{request.url.raw_path.decode()}"
    values = {"@method": request.method, "@target-uri": target}
    lines = [f'"{name}": {values.get(name) or request.headers[name]}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    signature = re.fullmatch(rf"{label}=:(.+):", request.headers["signature"])
    assert signature is not None
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
    public.verify(base64.b64decode(signature[1]), base.encode())


async def test_an_order_goes_out_when_it_can_no_longer_be_taken_back(engine: AsyncEngine) -> None:
    runtime, supplier = Later(), Supplier()
    order = await ordered(engine)
    out = sender(engine, runtime, supplier)
    runtime.at = DUE - 1
    assert await out.round() == 0
    runtime.at = DUE
    assert await out.round() == 1
    (request,) = supplier.seen
    key = (await signing_key(engine, runtime)).public
    verify(request, key.x, key.key_id)
    assert request.headers["idempotency-key"] == f'"north/{order}/1"'
    body = msgspec.json.decode(request.content)
    assert (body["message"], body["order"], body["state"], body["due_day"]) == (
        "purchase-order/1", order, "open", "2026-01-10",
    )  # fmt: skip
    assert body["lines"] == [
        {"line": 1, "item": "screw", "name": "screw", "gtin": "", "quantity": 100, "unit": "H87", "unit_price": "2.00",
         "amount": "200.00", "currency": "EUR"}
    ]  # fmt: skip
    assert (body["total"], body["currency"]) == ("200.00", "EUR")
    assert body["answer_to"] == f"https://hq.test/api/v1/purchases/north/{order}/acknowledgement"
    assert await message(engine) == ("sent", 1, "")
    assert await out.round() == 0
    assert len(supplier.seen) == 1
    with pytest.raises(ConflictError, match="has gone out to acme"):
        await undo(engine, (await rows(engine, "accepted"))[0].id, at=DUE)


async def test_what_was_taken_back_never_goes_out(engine: AsyncEngine) -> None:
    runtime, supplier = Later(DUE), Supplier()
    await ordered(engine)
    await undo(engine, (await rows(engine, "accepted"))[0].id)
    assert await sender(engine, runtime, supplier).round() == 0
    assert supplier.seen == []


class Killed(BaseException):
    """The process ends here."""


async def test_a_process_that_dies_between_post_and_commit_loses_and_doubles_nothing(engine: AsyncEngine) -> None:
    def die(_: httpx.Request) -> httpx.Response:
        raise Killed

    runtime, supplier = Later(DUE), Supplier(die)
    order = await ordered(engine)
    with pytest.raises(Killed):
        await sender(engine, runtime, supplier).round()
    assert await message(engine) == ("waiting", 1, "")
    with pytest.raises(ConflictError, match="is on its way to acme"):
        await undo(engine, (await rows(engine, "accepted"))[0].id, at=DUE)
    supplier.says = lambda _: httpx.Response(200)
    again = sender(engine, runtime, supplier)
    assert await again.round() == 0  # another process may still be at it
    runtime.at += max(CLAIM_S, LEASE_S) * 1_000_000 + 1
    assert await again.round() == 1
    assert len(supplier.seen) == 2
    assert supplier.orders == {f'"north/{order}/1"'}
    assert supplier.seen[0].content == supplier.seen[1].content
    assert await message(engine) == ("sent", 2, "")


async def test_of_two_processes_one_sends(engine: AsyncEngine) -> None:
    runtime, supplier = Later(DUE), Supplier()
    await ordered(engine)
    other = sender(engine, runtime, supplier)
    tried: list[int] = []

    async def meanwhile() -> None:
        tried.append(await other.round())

    supplier.meanwhile = meanwhile
    assert await sender(engine, runtime, supplier).round() == 1
    assert tried == [0]
    assert len(supplier.seen) == 1


async def test_a_supplier_in_trouble_is_tried_again_later_each_time_and_people_are_told(engine: AsyncEngine) -> None:
    runtime, supplier = Later(DUE), Supplier(lambda _: httpx.Response(503))
    order = await ordered(engine)
    out = sender(engine, runtime, supplier)
    pauses: list[int] = []
    for number in range(1, GIVE_UP_AFTER + 1):
        assert await out.round() == 1
        assert (await exceptions(engine) != []) == (number >= TELL_AFTER)
        (one,) = await all_of(engine, plans.purchase_message)
        pauses.append((one.not_before - runtime.at) // 1_000_000)
        runtime.at = one.not_before
    assert await message(engine) == ("failed", GIVE_UP_AFTER, "it answers with status 503")
    assert await out.round() == 0
    assert 15 <= pauses[0] <= 30
    assert all(pause <= 3_600 for pause in pauses)
    assert pauses[5] > pauses[0] * 8
    async with writing(engine) as conn:
        await send_again(conn, runtime, "ada", "north", order)
    supplier.says = lambda _: httpx.Response(200)
    assert await out.round() == 1
    assert (await message(engine))[0] == "sent"
    assert await exceptions(engine) == [("order-not-sent", order, "decided")]


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        (httpx.Response(404), "it answers with status 404"),
        (httpx.Response(307, headers={"location": "https://elsewhere.test"}), "a redirect (307)"),
    ],
)
async def test_an_answer_that_no_second_try_can_mend_is_given_up_at_once(
    engine: AsyncEngine, answered: httpx.Response, told: str
) -> None:
    runtime, supplier = Later(DUE), Supplier(lambda _: answered)
    order = await ordered(engine)
    await sender(engine, runtime, supplier).round()
    state, tries, error = await message(engine)
    assert (state, tries) == ("failed", 1)
    assert told in error
    assert await exceptions(engine) == [("order-not-sent", order, "open")]
    async with writing(engine) as conn:
        await mark_sent(conn, runtime, "ada", "north", order, "by fax")
    assert (await message(engine))[0] == "sent"
    assert await exceptions(engine) == [("order-not-sent", order, "decided")]


async def test_retry_after_is_heeded(engine: AsyncEngine) -> None:
    runtime, supplier = Later(DUE), Supplier(lambda _: httpx.Response(429, headers={"retry-after": "600"}))
    await ordered(engine)
    await sender(engine, runtime, supplier).round()
    (one,) = await all_of(engine, plans.purchase_message)
    assert one.not_before == DUE + 600 * 1_000_000


async def test_a_supplier_without_address_is_left_to_a_person(engine: AsyncEngine) -> None:
    async with writing(engine) as conn:
        await conn.execute(schema.supplier.update().values(url=""))
    runtime, supplier = Later(DUE), Supplier()
    await ordered(engine)
    assert await sender(engine, runtime, supplier).round() == 0
    (one,) = await all_of(engine, plans.purchase_message)
    assert (one.channel, one.state) == ("file", "waiting")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://orders.acme.test/", "must be reached by https"),
        ("https://user:pass@acme.test/", "no user, password"),
        ("ftp://acme.test/", "is no address"),
        ("https://acme.test/#top", "fragment"),
        ("https://a b.test/", "is no address"),
        ("https://acme.test:99999/", "is no web address"),
        ("http://localhost/", "must be reached by https"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(url: str, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.9",
        "169.254.169.254",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "0.0.0.0",
    ],
)
@pytest.mark.real
async def test_an_address_behind_the_firewall_is_refused(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(BadInputError, match="not on the public internet"):
        await resolve(f"https://{host}/orders", allow_private=False)


def test_a_public_address_is_public() -> None:
    assert is_public(ipaddress.ip_address("93.184.216.34"))
    assert is_public(ipaddress.ip_address("2606:2800:220:1:248:1893:25c8:1946"))


@pytest.mark.real
async def test_a_real_server_gets_the_order_and_verifies_it(tmp_path: Path) -> None:
    """Headquarters' own client over a real socket; the supplier checks the signature with its own code."""
    got: list[httpx.Request] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        lower = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(lower["content-length"]))
        method, path, _ = head[0].split(" ")
        got.append(httpx.Request(method, f"http://{lower['host']}{path}", headers=lower, content=body))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = await empty_engine(tmp_path / "unused")
    async with writing(engine) as conn:
        await seed(conn, url=f"http://localhost:{port}/orders?shop=1", undo_minutes=0)
    runtime = Later()
    order = await ordered(engine)
    refused = Sender(engine, runtime, Changes(), Webhooks(runtime))
    await refused.round()
    assert (await message(engine))[:2] == ("failed", 1)
    assert got == []
    async with writing(engine) as conn:
        await send_again(conn, runtime, "ada", "north", order)
    await Sender(engine, runtime, Changes(), Webhooks(runtime, allow_private=True)).round()
    server.close()
    assert await message(engine) == ("sent", 2, "")
    (request,) = got
    key = (await signing_key(engine, runtime)).public
    verify(request, key.x, key.key_id)
    assert request.headers["host"] == f"localhost:{port}"
    assert msgspec.json.decode(request.content)["order"] == order
    await engine.dispose()
