"""Headquarters' public API as the demo's people and programs use it: nothing that others could not do."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import httpx
import msgspec

#: Rows of a page that is asked for, the API's most.
_PAGE = 1_000


class ApiError(Exception):
    """Headquarters did not do what was asked; its own sentence."""


class _BusyError(ApiError):
    """Not now."""


class _ConflictError(ApiError):
    """The present state does not allow it."""


class DocumentRow(msgspec.Struct, frozen=True):
    """What the demo reads of a document in a list."""

    site_id: str
    id: str
    source: str
    announces: str
    due: int | None
    opened_by: str


class _Rows(msgspec.Struct, frozen=True):
    items: list[DocumentRow]
    next: str


class OrderLine(msgspec.Struct, frozen=True):
    """What the demo reads of a document's line."""

    item: str
    quantity: int


class _Document(msgspec.Struct, frozen=True):
    lines: tuple[OrderLine, ...] = ()


class _Detail(msgspec.Struct, frozen=True):
    document: _Document


class _Status(msgspec.Struct, frozen=True):
    recorded: int


class GatewayRow(msgspec.Struct, frozen=True):
    """What the demo reads of a gateway. `status` is what it said last of itself: nothing before its first push."""

    site_id: str
    lag_records: int
    status: _Status | None

    @property
    def arrived(self) -> int:
        """Records of it that headquarters holds."""
        return 0 if self.status is None else self.status.recorded - self.lag_records


class _Gateways(msgspec.Struct, frozen=True):
    items: list[GatewayRow]


class _Code(msgspec.Struct, frozen=True):
    code: str


class Api:
    """Headquarters at `url`, as the holder of `key`."""

    def __init__(self, client: httpx.AsyncClient, url: str, key: str) -> None:
        self._client = client
        self._url = url + "/api/v1"
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def open_documents(self, kind: str) -> list[DocumentRow]:
        """The open documents of a kind that the key may see. Raises ApiError."""
        found: list[DocumentRow] = []
        cursor = ""
        while True:
            query = {"type_": kind, "state": "open", "limit": str(_PAGE), "cursor": cursor}
            page = msgspec.json.decode(await self._ask("GET", "/documents", query=query), type=_Rows)
            found += page.items
            if not page.next:
                return found
            cursor = page.next

    async def lines(self, site: str, document: str) -> tuple[OrderLine, ...]:
        """The lines of a document. Raises ApiError."""
        body = await self._ask("GET", f"/documents/{site}/{document}")
        return msgspec.json.decode(body, type=_Detail).document.lines

    async def open_document(self, entry: Mapping[str, object]) -> None:
        """Open a document. Raises ApiError."""
        await self._ask("POST", "/documents", msgspec.json.encode(entry))

    async def close_document(self, site: str, document: str, reason: str) -> None:
        """Close a document; nothing when it is closed already. Raises ApiError."""
        entry = {"state": "closed", "reason": reason}
        with contextlib.suppress(_ConflictError):
            await self._ask("POST", f"/documents/{site}/{document}/end", msgspec.json.encode(entry))

    async def put(self, kind: str, rows: Sequence[object]) -> None:
        """Store master data. Raises ApiError."""
        await self._ask("PUT", f"/{kind}", msgspec.json.encode(rows))

    async def make_key(self, name: str, role: str, partner: str = "") -> str:
        """A new API key. Raises ApiError."""
        entry = {"name": name, "role": role, "partner": partner}
        body = await self._ask("POST", "/keys", msgspec.json.encode(entry))
        return msgspec.json.decode(body, type=dict[str, str])["key"]

    async def enrolment_code(self, site: str) -> str:
        """A one-time code with which a gateway enrols for a site. Raises ApiError."""
        body = await self._ask("POST", f"/sites/{site}/enrolment-codes", b"{}")
        return msgspec.json.decode(body, type=_Code).code

    async def gateways(self) -> list[GatewayRow]:
        """How far each site's gateway is. Raises ApiError."""
        return msgspec.json.decode(await self._ask("GET", "/gateways"), type=_Gateways).items

    async def cycle(self) -> bool:
        """Forecast and decide now; False while a cycle is in work already. Raises ApiError."""
        try:
            await self._ask("POST", "/cycle", b"{}")
        except _BusyError:
            return False
        return True

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, query: dict[str, str] | None = None
    ) -> bytes:
        try:
            answer = await self._client.request(
                method, self._url + path, content=body, params=query, headers=self._headers
            )
        except httpx.HTTPError as error:
            raise ApiError(f"{self._url} does not answer: {error or type(error).__name__}") from error
        if answer.status_code == 503:
            raise _BusyError(answer.text[:300])
        if answer.status_code == 409:
            raise _ConflictError(answer.text[:300])
        if answer.is_error:
            raise ApiError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.content
