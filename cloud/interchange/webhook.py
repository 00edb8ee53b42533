"""One signed POST to a supplier: no redirects, no proxies, nothing read but the status, in a bounded time.

Only this module sends.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from cloud.errors import BadInputError
from cloud.interchange.addresses import Target, resolve
from cloud.interchange.signing import SigningKey
from runtime import Runtime

#: Seconds for one order, from the name's lookup to the answer's last byte.
LONGEST_S = 20.0
#: Statuses after which another try may help: the server is busy, or in trouble.
AGAIN = frozenset({408, 409, 425, 429})
#: Seconds that a supplier may ask to be left in peace, at most.
ASKED_LONGEST_S = 3_600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a POST: taken, or why not; `final` where another try brings nothing; `wait_s` as they asked for."""

    taken: bool
    text: str = ""
    final: bool = False
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Post:
    """An order on its way."""

    url: str
    body: bytes
    idempotency_key: str


class Webhooks:
    """Sends orders with headquarters' key."""

    def __init__(
        self, runtime: Runtime, *, allow_private: bool = False, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._runtime, self._allow_private, self._transport = runtime, allow_private, transport
        self._tls: ssl.SSLContext | None = None

    async def send(self, key: SigningKey, post: Post) -> Outcome:
        """Try once. Never raises for what the supplier or the network does."""
        try:
            async with asyncio.timeout(LONGEST_S):
                return await self._send(key, post)
        except BadInputError as error:
            return Outcome(False, str(error), final=True)
        except TimeoutError:
            return Outcome(False, f"no answer within {LONGEST_S:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Outcome(False, f"it cannot be reached: {error or type(error).__name__}")

    async def _send(self, key: SigningKey, post: Post) -> Outcome:
        headers = {
            "content-type": "application/json",
            "idempotency-key": f'"{post.idempotency_key}"',
            "user-agent": "evercount",
        }
        signed = httpx.Request("POST", post.url, headers=headers, content=post.body)
        key.sign(signed, self._runtime.now(), self._runtime.token_bytes(12).hex())
        target = await self._target(post.url)
        # Connect to the address that was checked; the name stays in Host, in the signature and in the certificate's check.
        url = httpx.URL(post.url) if target is None else httpx.URL(target.connect_url)
        extensions = {} if target is None else {"sni_hostname": target.host}
        request = httpx.Request("POST", url, headers=signed.headers, content=post.body, extensions=extensions)
        async with self._client() as client:
            response = await client.send(request, stream=True)
            await response.aclose()  # all that matters is its status: no byte of its body is read
            return _outcome(response, self._runtime.now())

    async def _target(self, url: str) -> Target | None:
        return None if self._transport is not None else await resolve(url, allow_private=self._allow_private)

    def _client(self) -> httpx.AsyncClient:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return httpx.AsyncClient(
            transport=self._transport, verify=self._tls, trust_env=False, follow_redirects=False, timeout=LONGEST_S
        )


def _outcome(response: httpx.Response, now: int) -> Outcome:
    status = response.status_code
    if 200 <= status < 300:
        return Outcome(True)
    if 300 <= status < 400:
        return Outcome(False, f"it answers with a redirect ({status}); write the address that it leads to", final=True)
    wait_s = _asked_s(response.headers.get("retry-after", ""), now)
    return Outcome(False, f"it answers with status {status}", final=status < 500 and status not in AGAIN, wait_s=wait_s)


def _asked_s(text: str, now: int) -> int:
    """Retry-After (RFC 9110) in seconds, a number or a date; 0 where it says nothing."""
    if text.strip().isascii() and text.strip().isdigit():
        return min(int(text), ASKED_LONGEST_S)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return 0
    return min(max(0, round(until - now / 1_000_000)), ASKED_LONGEST_S)
