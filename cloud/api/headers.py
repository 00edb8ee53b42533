"""Headers that every answer carries: nothing from elsewhere is loaded, framed or guessed."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import cast

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

#: No inline script and no other host: pages bring their scripts and styles from /static.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


async def security_headers(message: Message, _: Scope) -> None:
    """Add the headers to every answer, refusals included; no cache keeps it, unless its handler says otherwise."""
    if message["type"] == "http.response.start":
        headers = cast("MutableMapping[str, str]", MutableScopeHeaders.from_message(message))
        for name, value in {**HEADERS, "cache-control": "no-store"}.items():
            if name not in headers:
                headers[name] = value
