"""/api/v1: gateways, enrolment codes, commands; people, keys and the audit log."""

from __future__ import annotations

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import ColumnElement, select, update

from cloud.access import accounts
from cloud.access.principal import Role
from cloud.api.caller import Http, caller_of
from cloud.api.paging import PAGE, Cursor, Filter, Limit, answer, page_of
from cloud.errors import NotFoundError
from cloud.ingest import commands
from cloud.ingest.enrolment import CODE_LIFE_US, make_code
from cloud.ingest.fleet import GatewayState, read_fleet
from cloud.inputs.masters import Id, Text
from cloud.store import audit, schema
from vocabulary.wire import BalanceLine, OpeningStock


class Gateways(msgspec.Struct, frozen=True):
    """All gateways that you may see."""

    items: list[GatewayState]
    next: str


class Code(msgspec.Struct, frozen=True):
    """A one-time enrolment code, told once; good until `expires_at`."""

    code: str
    expires_at: int


class CodeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`replaces`: the gateway that uses the code takes the place of the present one, whose key is revoked."""

    replaces: bool = False


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stock at the start, to be posted by the site's gateway as counts against `opening`; at most 1,000 lines."""

    site: Id
    lines: tuple[BalanceLine, ...]
    occurred_at: int | None = None


class Sent(msgspec.Struct, frozen=True):
    """The id of the command that was sent."""

    command: str


class KeyRow(msgspec.Struct, frozen=True):
    """An API key, known by its prefix."""

    prefix: str
    name: str
    site_id: str
    role: str
    partner: str
    created_by: str
    created_at: int
    revoked_at: int | None


class Keys(msgspec.Struct, frozen=True):
    """A page of API keys."""

    items: list[KeyRow]
    next: str


class KeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key's name and what it may do; `site` "" = every site; `partner` with the role partner."""

    name: Text
    role: Role
    site: Text = ""
    partner: Text = ""


class Key(msgspec.Struct, frozen=True):
    """A new API key, told once."""

    key: str


class UserRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person with one role at a site ("" = every); they sign in with the link that is answered."""

    id: Text
    role: Role
    site: Text = ""


class Link(msgspec.Struct, frozen=True):
    """A path that signs the person in once, within a day."""

    path: str


class AuditRow(msgspec.Struct, frozen=True):
    """Who did what, when (µs UTC)."""

    n: int
    at: int
    actor: str
    action: str
    site_id: str
    subject: str
    detail: str


class Audit(msgspec.Struct, frozen=True):
    """A page of the audit log, the newest first."""

    items: list[AuditRow]
    next: str


@get("/gateways", operation_id="list_gateways")
async def list_gateways(request: Http, site: Filter = "") -> Response[Gateways]:
    """Gateways, how far they are behind, and what they say of themselves."""
    caller = caller_of(request, "read")

    def scope(column: ColumnElement[str]) -> ColumnElement[bool]:
        may = caller.principal.scope(column)
        return may & (column == site) if site else may

    async with caller.reading() as conn:
        return answer(request, Gateways(await read_fleet(conn, scope, caller.now), ""))


@post("/sites/{site:str}/enrolment-codes", operation_id="make_enrolment_code")
async def make_enrolment_code(request: Http, site: FromPath[str], data: JSONBody[CodeRequest]) -> Code:
    """A one-time code with which a gateway enrols for a site, within an hour."""
    caller = caller_of(request, "fleet", site)
    async with caller.writing(site, "gateways") as conn:
        code = await make_code(conn, caller.services.runtime, site, replaces=data.replaces, actor=caller.actor)
    return Code(code, caller.now + CODE_LIFE_US)


@delete("/gateways/{site:str}/{gateway:str}", operation_id="revoke_gateway")
async def revoke_gateway(request: Http, site: FromPath[str], gateway: FromPath[str]) -> None:
    """Revoke a gateway's key: what it sends from now on is refused."""
    caller, g = caller_of(request, "fleet", site), schema.gateway.c
    async with caller.writing(site, "gateways", "downlink") as conn:
        changed = await conn.execute(
            update(schema.gateway)
            .where(g.site_id == site, g.id == gateway, g.revoked_at.is_(None))
            .values(revoked_at=caller.now)
        )
        if changed.rowcount == 0:
            raise NotFoundError(f"site {site} has no gateway {gateway} in use")
        await audit.record(conn, caller.now, caller.actor, "gateway.revoke", site, gateway)


@post("/opening-stock", operation_id="send_opening_stock", status_code=200)
async def send_opening_stock(request: Http, data: JSONBody[Opening]) -> Sent:
    """Tell a site's gateway the stock it starts with; the gateway posts it, headquarters never writes stock."""
    caller = caller_of(request, "plan", data.site)
    order = OpeningStock(data.lines[:1_000], caller.now if data.occurred_at is None else data.occurred_at)
    async with caller.writing(data.site, "downlink") as conn:
        return Sent(await commands.send(conn, caller.services.runtime, data.site, order, caller.actor))


@get("/keys", operation_id="list_keys")
async def list_keys(request: Http, cursor: Cursor = "", limit: Limit = PAGE) -> Response[Keys]:
    """API keys, by prefix; the keys themselves are not stored."""
    caller, k = caller_of(request, "own", ""), schema.api_key
    query = select(*(k.c[name] for name in KeyRow.__struct_fields__))
    async with caller.reading() as conn:
        return answer(request, Keys(*await page_of(conn, query, [k.c.prefix], KeyRow, cursor, limit)))


@post("/keys", operation_id="make_key")
async def make_key(request: Http, data: JSONBody[KeyRequest]) -> Key:
    """A new API key; it is told once."""
    caller = caller_of(request, "own", "")
    async with caller.writing("", "access") as conn:
        key = await accounts.make_key(
            conn, caller.services.runtime, data.name, data.role, data.site, data.partner, caller.actor
        )
    return Key(key)


@delete("/keys/{prefix:str}", operation_id="revoke_key")
async def revoke_key(request: Http, prefix: FromPath[str]) -> None:
    """Revoke an API key."""
    caller = caller_of(request, "own", "")
    async with caller.writing("", "access") as conn:
        await accounts.revoke_key(conn, caller.services.runtime, prefix, caller.actor)


@post("/users", operation_id="create_user")
async def create_user(request: Http, data: JSONBody[UserRequest]) -> Link:
    """Create a person; the answer is their one-time sign-in link."""
    caller = caller_of(request, "own", "")
    async with caller.writing("", "access") as conn:
        runtime = caller.services.runtime
        await accounts.create_user(conn, runtime, data.id, data.role, data.site, "", caller.actor)
        token = await accounts.make_link(conn, runtime, data.id, caller.actor)
    return Link(f"/sign-in/{token}")


@get("/audit", operation_id="list_audit")
async def list_audit(request: Http, actor: Filter = "", cursor: Cursor = "", limit: Limit = PAGE) -> Response[Audit]:
    """The audit log, the newest first; each row is chained to the one before."""
    caller, a = caller_of(request, "own", ""), schema.audit
    query = select(*(a.c[name] for name in AuditRow.__struct_fields__))
    if actor:
        query = query.where(a.c.actor == actor)
    async with caller.reading() as conn:
        page = await page_of(conn, query, [a.c.n], AuditRow, cursor, limit, newest_first=True)
    return answer(request, Audit(*page))


FLEET = [
    list_gateways, make_enrolment_code, revoke_gateway, send_opening_stock, list_keys, make_key, revoke_key, create_user,
    list_audit,
]  # fmt: skip
