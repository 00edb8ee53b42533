"""A headquarters for the tests of sync, written from the wire's description: it keeps rows, heads and answers by script."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import msgspec
import zstandard
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from vocabulary.chain import genesis, link
from vocabulary.wire import (
    SIGNATURE_TAG,
    SIGNED_COMPONENTS,
    Advisory,
    BatchHeader,
    Conflict,
    Downlink,
    Enrolled,
    Enrolment,
    Head,
    OpeningPage,
    Pushed,
)


@dataclass
class Told:
    """What is left of an epoch here: the hash before its first row, and its rows."""

    base_seq: int
    base: bytes
    rows: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        return max(self.rows, default=self.base_seq)

    @property
    def hash(self) -> bytes:
        return self.rows[self.seq][1] if self.rows else self.base


class CloudStandIn:
    """ASGI application. `script` holds answers (status, headers, body) that are given first, one per request."""

    def __init__(self, keys: dict[str, Any] | None = None) -> None:
        self.keys = keys or {}
        self.epochs: dict[int, Told] = {}
        self.headers: list[BatchHeader] = []
        self.advisories: list[Advisory] = []
        self.requests: list[tuple[float, str, str, int]] = []
        self.script: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.downlink = Downlink("v0")
        self.raw_downlink: bytes | None = None
        self.refuse_downlink: Conflict | None = None
        self.changed = asyncio.Event()
        self.code = "CODE-1"
        self.opening: list[OpeningPage] = []
        self.clock_offset_us: int | None = None
        self.in_flight = self.most_in_flight = 0
        self.sizes: list[tuple[int, int]] = []

    @property
    def rows(self) -> list[bytes]:
        """Every row here, by epoch in order of arrival."""
        return [told.rows[seq][0] for told in self.epochs.values() for seq in sorted(told.rows)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        path = scope["path"]
        self.requests.append((asyncio.get_running_loop().time(), scope["method"], path, len(body)))
        if self.script and "downlink" not in path:
            status, headers, answer = self.script.popleft()
        else:
            status, headers, answer = self._check(scope, body) or await self._answer(scope, path, query, body)
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer})

    def _check(self, scope: Any, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        if scope["path"] == "/v1/enrolments" or not self.keys:
            return None

        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        signed = SimpleNamespace(
            method=scope["method"], headers=headers, url=f"http://{headers['host']}{scope['path']}{query}"
        )
        verifier = HTTPMessageVerifier(
            signature_algorithm=algorithms.ED25519,
            key_resolver=MappingKeyResolver(public_keys=self.keys, private_keys={}),
        )
        try:
            result = verifier.verify(
                signed,
                body=body if body else None,
                expect_tag=SIGNATURE_TAG,
                max_age=timedelta(days=40_000),
                require_components=SIGNED_COMPONENTS,
            )[0]
        except HTTPMessageSignaturesException as error:
            return _problem(401, str(error))
        if self.clock_offset_us is not None:
            now = 1_767_592_800_000_000 + round(asyncio.get_running_loop().time() * 1e6) + self.clock_offset_us
            if abs(now / 1e6 - int(result.parameters["created"])) > 300:
                status, headers, text = _problem(401, "the signature is too old")
                return status, {**headers, "evercount-time": str(now)}, text
        return None

    async def _answer(
        self, scope: Any, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if path == "/v1/enrolments":
            return self._enrol(msgspec.json.decode(body, type=Enrolment))
        if path.endswith("/head"):
            told = self.epochs.get(int(query["epoch"])) or Told(0, genesis(int(query["epoch"])))
            at = told.rows.get(int(query["seq"]))
            return _json(200, Head(query["epoch"], told.seq, told.hash.hex(), at[1].hex() if at else ""))
        if path.endswith("/ledger"):
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            await asyncio.sleep(0.02)
            self.in_flight -= 1
            return self._push(body)
        if path.endswith("/advisory"):
            text = zstandard.ZstdDecompressor().decompress(body)
            self.advisories.append(msgspec.json.decode(text, type=Advisory))
            return 204, {}, b""
        if path.endswith("/opening"):
            return _json(200, self.opening[int(query["page"])])
        return await self._downlink(dict(scope["headers"]).get(b"if-none-match", b"").decode(), int(query["wait"]))

    def _enrol(self, asked: Enrolment) -> tuple[int, dict[str, str], bytes]:
        if asked.code != self.code:
            return _problem(403, "this code is not known or was used")
        gateway = sha256(bytes.fromhex(asked.public_key)).hexdigest()[:16]
        return _json(201, Enrolled(gateway, "north", "North", "Europe/Berlin", len(self.opening), 0))

    def _push(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        text = zstandard.ZstdDecompressor().decompress(body)
        first, *lines = text.split(b"\n")
        header = msgspec.json.decode(first, type=BatchHeader)
        self.headers.append(header)
        self.sizes.append((len(lines), len(body)))
        epoch = int(header.epoch)
        if epoch not in self.epochs:
            base = Told(0, genesis(epoch))
            if header.parent:
                base = Told(header.parent[1], bytes.fromhex(header.parent[2]))
            self.epochs[epoch] = base
        told = self.epochs[epoch]
        if header.first_seq > told.seq + 1:
            return _json(409, Conflict("gap", "rows are missing", 409, told.seq + 1, told.hash.hex()))
        previous = bytes.fromhex(header.prev_hash)
        before = told.rows[header.first_seq - 1][1] if header.first_seq - 1 in told.rows else told.base
        if previous != before:
            return _json(409, Conflict("fork", "another row stands there", 409, told.seq + 1, told.hash.hex()))
        fresh: dict[int, tuple[bytes, bytes]] = {}
        for seq, line in enumerate(lines, header.first_seq):
            previous = link(previous, line)
            if seq in told.rows and told.rows[seq][1] != previous:
                return _json(409, Conflict("fork", "another row stands there", 409, told.seq + 1, told.hash.hex()))
            fresh[seq] = (line, previous)
        assert previous.hex() == header.head_hash
        told.rows.update(fresh)
        return _json(200, Pushed(header.first_seq + len(lines) - 1, previous.hex(), 0, self.downlink.version))

    async def _downlink(self, known: str, wait_s: int) -> tuple[int, dict[str, str], bytes]:
        if self.refuse_downlink:
            return _json(409, self.refuse_downlink)
        if known == self.downlink.version:
            try:
                async with asyncio.timeout(wait_s):
                    await self.changed.wait()
            except TimeoutError:
                return 304, {}, b""
        self.changed.clear()
        body = self.raw_downlink or msgspec.json.encode(self.downlink)
        return 200, {"etag": self.downlink.version}, body

    def tell(self, downlink: Downlink, raw: bytes | None = None) -> None:
        """Send another downlink."""
        self.downlink, self.raw_downlink = downlink, raw
        self.changed.set()


def _json(status: int, value: object) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, msgspec.json.encode(value)


def _problem(status: int, detail: str) -> tuple[int, dict[str, str], bytes]:
    return _json(status, {"title": "refused", "status": status, "detail": detail})
