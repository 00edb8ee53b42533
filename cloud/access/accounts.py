"""People, their roles, their sessions and one-time sign-in links, and the API keys of programs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE, ROLES, Principal, Role
from cloud.config import Sessions
from cloud.errors import BadInputError, ConflictError, NotFoundError, UnauthorizedError
from cloud.store import audit, lanes, schema
from runtime import Runtime

#: 256 bits: session ids, links and keys are not to be guessed.
TOKEN_BYTES = 32
#: Microseconds a sign-in link is good for: a day, so that it can be sent.
LINK_LIFE_US = 86_400 * 1_000_000
#: Microseconds between two notes that a session is in use: spares a write on each request.
SEEN_EVERY_US = 300 * 1_000_000
KEY_PREFIX = "evk_"
_HOUR_US = 3_600 * 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


def _token(runtime: Runtime) -> str:
    return runtime.token_bytes(TOKEN_BYTES).hex()


def hash_token(token: str) -> bytes:
    """How a token is stored."""
    return sha256(token.encode()).digest()


def csrf_token(session: str) -> str:
    """The token that forms of a session carry: another site's page cannot read it."""
    return sha256(b"csrf " + session.encode()).hexdigest()


def role_of(text: str) -> Role:
    """A role from its name. Raises BadInputError."""
    try:
        return msgspec.convert(text, Role)
    except msgspec.ValidationError:
        raise BadInputError(f"{text!r} is no role; choose one of: {', '.join(ROLES)}") from None


async def create_user(
    conn: AsyncConnection, runtime: Runtime, user_id: str, role: Role, site_id: str, password_hash: str, actor: str
) -> None:
    """Create a person with one role at a site ("" = every). Raises BadInputError, ConflictError where the name exists."""
    if _NAME.fullmatch(user_id) is None:
        raise BadInputError(f"{user_id[:50]!r} is no user name: letters, digits and . _ @ + - (at most 100)")
    now = runtime.now()
    u = schema.user.c
    if (await conn.execute(select(u.id).where(u.id == user_id))).first() is not None:
        raise ConflictError(f"there is a user {user_id} already")
    await conn.execute(
        schema.user.insert().values(id=user_id, name=user_id, password_hash=password_hash, created_at=now)
    )
    await conn.execute(schema.user_role.insert().values(user_id=user_id, site_id=site_id, role=role))
    await audit.record(conn, now, actor, "user.create", site_id, user_id, {"role": role})


async def make_link(conn: AsyncConnection, runtime: Runtime, user_id: str, actor: str) -> str:
    """A one-time token that signs `user_id` in, told once. Raises NotFoundError."""
    u = schema.user.c
    known = await conn.execute(select(u.id).where(u.id == user_id, u.disabled_at.is_(None)))
    if known.first() is None:
        raise NotFoundError(f"there is no user {user_id}")
    token, now = _token(runtime), runtime.now()
    await conn.execute(
        schema.sign_in_link.insert().values(
            token_hash=hash_token(token), user_id=user_id, expires_at=now + LINK_LIFE_US
        )
    )
    await audit.record(conn, now, actor, "sign-in-link.make", "", user_id)
    return token


async def use_link(conn: AsyncConnection, runtime: Runtime, token: str, life: Sessions) -> str:
    """Sign in with a one-time link; returns the session's token. Raises UnauthorizedError (unknown, used or late)."""
    link, now = schema.sign_in_link.c, runtime.now()
    used = await conn.execute(
        update(schema.sign_in_link)
        .where(link.token_hash == hash_token(token), link.used_at.is_(None), link.expires_at > now)
        .values(used_at=now)
        .returning(link.user_id)
    )
    user_id = used.scalar_one_or_none()
    if user_id is None:
        raise UnauthorizedError("this sign-in link is unknown, used or older than a day; ask for a new one")
    return await start_session(conn, runtime, user_id, life, "sign-in.link")


async def password_of(conn: AsyncConnection, user_id: str) -> str:
    """The stored hash of a person's password; "" where there is none, or no such person."""
    u = schema.user.c
    found = await conn.execute(select(u.password_hash).where(u.id == user_id, u.disabled_at.is_(None)))
    return found.scalar_one_or_none() or ""


async def start_session(
    conn: AsyncConnection, runtime: Runtime, user_id: str, life: Sessions, how: str = "sign-in.password"
) -> str:
    """Start a session of a person whose identity was proven; returns its token."""
    token, now = _token(runtime), runtime.now()
    await conn.execute(delete(schema.session).where(schema.session.c.expires_at < now))
    await conn.execute(
        schema.session.insert().values(
            token_hash=hash_token(token),
            user_id=user_id,
            created_at=now,
            seen_at=now,
            expires_at=now + life.longest_hours * _HOUR_US,
        )
    )
    await audit.record(conn, now, user_id, how, "", user_id)
    return token


async def end_session(conn: AsyncConnection, token: str) -> None:
    """Sign out."""
    await conn.execute(delete(schema.session).where(schema.session.c.token_hash == hash_token(token)))


@dataclass(frozen=True, slots=True)
class Found:
    """A principal, and whether its last use should be noted now."""

    principal: Principal
    note: bool


async def by_session(conn: AsyncConnection, token: str, now: int, life: Sessions) -> Found | None:
    """Who a session's token stands for; None when it has ended."""
    s, u, r = schema.session.c, schema.user.c, schema.user_role.c
    rows = (
        await conn.execute(
            select(s.user_id, u.name, s.seen_at, r.site_id, r.role)
            .join_from(schema.session, schema.user, s.user_id == u.id)
            .outerjoin(schema.user_role, r.user_id == u.id)
            .where(
                s.token_hash == hash_token(token),
                s.expires_at > now,
                s.seen_at > now - life.idle_hours * _HOUR_US,
                u.disabled_at.is_(None),
            )
            .order_by(r.site_id)
        )
    ).all()
    if not rows:
        return None
    roles: dict[str, tuple[Role, ...]] = {}
    for row in rows:
        if row.role is not None:
            roles[row.site_id] = (*roles.get(row.site_id, ()), role_of(row.role))
    principal = Principal(rows[0].user_id, rows[0].name, roles, csrf=csrf_token(token))
    return Found(principal, rows[0].seen_at < now - SEEN_EVERY_US)


async def note_session(conn: AsyncConnection, token: str, now: int) -> None:
    """Note that a session is in use."""
    s = schema.session.c
    await conn.execute(update(schema.session).where(s.token_hash == hash_token(token)).values(seen_at=now))


async def make_key(
    conn: AsyncConnection, runtime: Runtime, name: str, role: Role, site_id: str, partner: str, actor: str
) -> str:
    """A new API key, told once. `partner` is the supplier or customer of a `partner` key. Raises BadInputError."""
    if (role == "partner") != bool(partner):
        raise BadInputError("partner: name the supplier or customer with the role partner, and with no other")
    if not name or len(name) > 100:
        raise BadInputError("name: give the key a name of at most 100 characters")
    key, now = KEY_PREFIX + _token(runtime), runtime.now()
    row = (hash_token(key), key[:12], name, site_id, role, partner, actor, now, 0, None)
    await lanes.append(conn, schema.api_key, [row])
    detail = {"name": name, "role": role, "partner": partner}
    await audit.record(conn, now, actor, "api-key.make", site_id, key[:12], detail)
    return key


async def revoke_key(conn: AsyncConnection, runtime: Runtime, prefix: str, actor: str) -> None:
    """Revoke the API key that begins with `prefix`. Raises NotFoundError."""
    k, now = schema.api_key.c, runtime.now()
    changed = await conn.execute(
        update(schema.api_key).where(k.prefix == prefix, k.revoked_at.is_(None)).values(revoked_at=now)
    )
    if changed.rowcount == 0:
        raise NotFoundError(f"there is no API key {prefix} in use")
    await audit.record(conn, now, actor, "api-key.revoke", "", prefix)


async def by_key(conn: AsyncConnection, key: str) -> Principal | None:
    """Who an API key stands for; None when it is unknown or revoked."""
    k = schema.api_key.c
    row = (
        await conn.execute(
            select(k.prefix, k.name, k.site_id, k.role, k.partner).where(
                k.key_hash == hash_token(key), k.revoked_at.is_(None)
            )
        )
    ).first()
    if row is None:
        return None
    return Principal(f"key:{row.name}", row.name, {row.site_id or EVERY_SITE: (role_of(row.role),)}, row.partner)
