"""The one door to headquarters: signed requests, bounded answers. Only this module knows the HTTP library."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
from http_message_signatures.algorithms import ED25519  # pyright: ignore[reportPrivateImportUsage]
from http_message_signatures.resolvers import MappingKeyResolver
from http_message_signatures.signatures import HTTPMessageSigner

from gateway.errors import LinkDownError
from gateway.sync.identity import Identity
from runtime import Runtime
from vocabulary.wire import INFLATED_BYTES, SIGNATURE_TAG, SIGNED_COMPONENTS, TIME_HEADER

#: Seconds for connecting, for one silence while sending, and for an answer beyond the wait that a long poll asks for.
CONNECT_S, SEND_S, ANSWER_S = 10.0, 30.0, 30.0
#: Bytes/s below which a request is given up although something still moves: 16 kbit/s, the slowest link worth waiting for.
SLOWEST = 2_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What headquarters said. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """Why it refused, in words: the detail of a problem document (RFC 9457), or its status."""
        try:
            problem = msgspec.json.decode(self.body, type=dict[str, object])
        except msgspec.DecodeError:
            return f"status {self.status}"
        return str(problem.get("detail") or problem.get("title") or f"status {self.status}")


class Cloud:
    """Headquarters as this gateway reaches it."""

    def __init__(
        self,
        url: str,
        identity: Identity,
        runtime: Runtime,
        transport: httpx.AsyncBaseTransport | None = None,
        authority: Path | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.gateway = identity.gateway
        #: what headquarters told last of its time, less our monotonic clock: a step of our own clock changes nothing
        self._told: int | None = None
        #: monotonic microseconds until which headquarters asked to be left in peace; the polls keep to it, too
        self.rest_until = 0
        #: requests made and bytes of their bodies
        self.requests = self.bytes_sent = 0
        self._runtime = runtime
        self._nonces = runtime.random("request nonces")
        self._signer = HTTPMessageSigner(
            signature_algorithm=ED25519,
            key_resolver=MappingKeyResolver(public_keys={}, private_keys={identity.gateway: identity.key}),
        )
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(authority)) if authority else True
        self._client = httpx.AsyncClient(
            transport=transport, verify=verify, trust_env=False, limits=httpx.Limits(max_connections=4)
        )

    @property
    def offset_us(self) -> int:
        """Microseconds by which its clock is ahead of ours, as far as it had to be told; else 0."""
        return 0 if self._told is None else self._told + self._runtime.monotonic() - self._runtime.now()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        signed: bool = True,
    ) -> Answer:
        """Send one request and return the answer, whatever its status. Raises LinkDownError when there was none.

        A 401 that carries the server's time is tried once more with a signature dated by it.
        """
        answer = await self._send(method, path, query, body, headers, wait_s, signed)
        told = answer.headers.get(TIME_HEADER, "")
        if signed and answer.status == 401 and told.isdigit():
            self._told = int(told) - self._runtime.monotonic()
            answer = await self._send(method, path, query, body, headers, wait_s, signed)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        wait_s: float,
        signed: bool,
    ) -> Answer:
        timeout = httpx.Timeout(SEND_S, connect=CONNECT_S, read=wait_s + ANSWER_S)
        limit_s = CONNECT_S + wait_s + ANSWER_S + len(body or b"") / SLOWEST
        request = self._client.build_request(
            method, self.url + path, params=query, content=body, headers=headers, timeout=timeout
        )
        if signed:
            self._sign(request, body)
        self.requests += 1
        self.bytes_sent += len(body or b"")
        try:
            async with asyncio.timeout(limit_s) as limit:
                response = await self._client.send(request, stream=True)
                try:
                    return Answer(response.status_code, dict(response.headers), await _bounded(response, limit))
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise LinkDownError(f"{self.url} answers too slowly to be waited for") from error
        except httpx.HTTPError as error:
            raise LinkDownError(f"{self.url} cannot be reached: {error or type(error).__name__}") from error

    def _sign(self, request: httpx.Request, body: bytes | None) -> None:
        self._signer.sign(  # pyright: ignore[reportUnknownMemberType]
            request,
            key_id=self.gateway,
            tag=SIGNATURE_TAG,
            nonce=self._nonces.randbytes(12).hex(),
            created=datetime.fromtimestamp((self._runtime.now() + self.offset_us) / 1_000_000, UTC),
            covered_component_ids=SIGNED_COMPONENTS,
            body=body,
        )


async def _bounded(response: httpx.Response, limit: asyncio.Timeout) -> bytes:
    """The body, refused when it is larger than anything that headquarters says; time is granted as bytes arrive."""
    parts: list[bytes] = []
    size = 0
    begun = asyncio.get_running_loop().time()
    limit.reschedule(begun + ANSWER_S)
    async for part in response.aiter_bytes():
        size += len(part)
        if size > INFLATED_BYTES:
            raise httpx.DecodingError(f"the answer is larger than {INFLATED_BYTES} bytes", request=response.request)
        limit.reschedule(begun + ANSWER_S + size / SLOWEST)
        parts.append(part)
    return b"".join(parts)
