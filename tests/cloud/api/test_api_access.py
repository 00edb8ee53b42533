"""People and keys: passwords, links, sessions, CSRF, rate limits, the audit chain."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher
from headquarters import Headquarters
from sqlalchemy import update
from virtual import VirtualRuntime

from cloud.access import accounts
from cloud.access.http import COOKIE
from cloud.access.limits import RateLimit
from cloud.access.passwords import WAITING, Passwords
from cloud.access.principal import PERMISSIONS, Principal
from cloud.config import Sessions
from cloud.errors import BadInputError, BusyError, ConflictError, RateLimitedError, UnauthorizedError
from cloud.store import audit, schema
from cloud.store.database import reading, writing

LIFE = Sessions(idle_hours=1, longest_hours=3)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def session(headquarters: Headquarters, role: str = "owner") -> str:
    async with writing(headquarters.engine) as conn:
        await accounts.create_user(conn, headquarters.runtime, "ann", accounts.role_of(role), "", "", "test")
        token = await accounts.make_link(conn, headquarters.runtime, "ann", "test")
        return await accounts.use_link(conn, headquarters.runtime, token, LIFE)


async def test_a_session_reads_with_its_cookie_and_writes_with_its_token(headquarters: Headquarters) -> None:
    token = await session(headquarters)
    headers = {"cookie": f"{COOKIE}={token}"}
    client = headquarters.client
    assert (await client.get("/api/v1/sites", headers=headers)).status_code == 200
    row = [{"id": "north"}]
    refused = await client.put("/api/v1/sites", json=row, headers=headers)
    assert refused.status_code == 403
    wrong = await client.put("/api/v1/sites", json=row, headers=headers | {"x-csrf-token": "0" * 64})
    assert wrong.status_code == 403
    right = headers | {"x-csrf-token": accounts.csrf_token(token)}
    assert (await client.put("/api/v1/sites", json=row, headers=right)).status_code == 200
    text = await client.put("/api/v1/sites", content=b'[{"id":"x"}]', headers=right | {"content-type": "text/plain"})
    assert text.status_code == 400


async def test_a_session_ends(headquarters: Headquarters) -> None:
    token = await session(headquarters)
    runtime = headquarters.runtime
    async with reading(headquarters.engine) as conn:
        assert await accounts.by_session(conn, token, runtime.now(), LIFE) is not None
        assert await accounts.by_session(conn, token, runtime.now() + 3_600_000_001, LIFE) is None
        assert await accounts.by_session(conn, "x", runtime.now(), LIFE) is None
    async with writing(headquarters.engine) as conn:
        await accounts.end_session(conn, token)
        assert await accounts.by_session(conn, token, runtime.now(), LIFE) is None
    assert token.encode() not in str(await headquarters.rows(schema.session)).encode()


@pytest.mark.sqlite
async def test_a_link_works_once_and_for_a_day(headquarters: Headquarters) -> None:
    runtime = headquarters.runtime
    async with writing(headquarters.engine) as conn:
        await accounts.create_user(conn, runtime, "ann", "viewer", "", "", "test")
        with pytest.raises(ConflictError):
            await accounts.create_user(conn, runtime, "ann", "viewer", "", "", "test")
        with pytest.raises(BadInputError):
            await accounts.create_user(conn, runtime, "no blanks", "viewer", "", "", "test")
        first, late = [await accounts.make_link(conn, runtime, "ann", "test") for _ in range(2)]
        await accounts.use_link(conn, runtime, first, LIFE)
        with pytest.raises(UnauthorizedError):
            await accounts.use_link(conn, runtime, first, LIFE)
        await asyncio.sleep(86_401)
        with pytest.raises(UnauthorizedError):
            await accounts.use_link(conn, runtime, late, LIFE)


async def test_passwords(runtime: VirtualRuntime) -> None:
    passwords = Passwords(runtime, CHEAP)
    stored = await passwords.hash("correct horse battery")
    assert "argon2id" in stored
    assert await passwords.check(stored, "correct horse battery")
    assert not await passwords.check(stored, "correct horse batterz")
    assert not await passwords.check("", "anything at all")
    assert not await passwords.check("garbage", "anything at all")
    for bad in ("short", "x" * 201):
        with pytest.raises(BadInputError):
            await passwords.hash(bad)


async def test_only_so_many_wait_for_a_password(runtime: VirtualRuntime) -> None:
    passwords = Passwords(runtime, CHEAP)
    checks = [asyncio.ensure_future(passwords.check("garbage", "x")) for _ in range(WAITING + 5)]
    answers = await asyncio.gather(*checks, return_exceptions=True)
    assert sum(isinstance(one, BusyError) for one in answers) == 5
    assert passwords.refused == 5


async def test_a_rate_limit_refills(runtime: VirtualRuntime) -> None:
    limit = RateLimit(runtime, per_minute=60, burst=2)
    limit.take("a")
    limit.take("a")
    limit.take("b")
    with pytest.raises(RateLimitedError) as caught:
        limit.take("a")
    assert caught.value.retry_after == 2
    await asyncio.sleep(1)
    limit.take("a")
    assert limit.refused == 1


async def test_a_revoked_key_is_refused(headquarters: Headquarters) -> None:
    owner = await headquarters.key("owner")
    made = await headquarters.client.post("/api/v1/keys", json={"name": "erp", "role": "viewer"}, headers=owner)
    key = {"authorization": f"Bearer {made.json()['key']}"}
    assert (await headquarters.client.get("/api/v1/sites", headers=key)).status_code == 200
    prefix = made.json()["key"][:12]
    assert (await headquarters.client.delete(f"/api/v1/keys/{prefix}", headers=owner)).status_code == 204
    assert (await headquarters.client.get("/api/v1/sites", headers=key)).status_code == 401


async def test_a_changed_audit_row_shows(headquarters: Headquarters) -> None:
    await session(headquarters)
    async with writing(headquarters.engine) as conn:
        assert await audit.broken_at(conn) is None
        await conn.execute(update(schema.audit).where(schema.audit.c.n == 2).values(actor="eve"))
        assert await audit.broken_at(conn) == 2


def test_every_permission_is_somebodys_and_a_partner_has_none_of_the_others() -> None:
    given = {permission for role, permissions in PERMISSIONS.items() if role != "partner" for permission in permissions}
    assert given == {"read", "plan", "approve", "operate", "fleet", "own"}
    assert PERMISSIONS["partner"] == {"trade"}
    at_north = Principal("a", "a", {"north": ("planner",)})
    assert at_north.may("plan", "north")
    assert not at_north.may("plan", "")
    assert not at_north.may("read", "south")
    assert at_north.sites("read") == ("north",)
    assert Principal("a", "a", {"": ("viewer",)}).sites("read") is None
