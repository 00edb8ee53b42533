"""Enrolment: a one-time code stands for a site; the gateway that shows it first becomes the site's one gateway."""

from __future__ import annotations

import base64
from hashlib import sha256

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, ConflictError, DeniedError, NotFoundError
from cloud.ingest.batch import epoch_of
from cloud.ingest.opening import page_count
from cloud.store import audit, lanes, schema
from cloud.store.database import lock_sites
from runtime import Runtime
from vocabulary.wire import Command, CorrectMovement, Enrolled, Enrolment

#: 128 bits: not to be guessed within the hour that a code lives.
CODE_BYTES = 16
#: Microseconds a code is good for: one hour, the time of an installation.
CODE_LIFE_US = 3_600 * 1_000_000

_command = msgspec.json.Decoder(Command)


async def make_code(conn: AsyncConnection, runtime: Runtime, site_id: str, *, replaces: bool, actor: str) -> str:
    """A new one-time code for `site_id`, told once and stored hashed. Raises NotFoundError, ConflictError.

    `replaces`: using it revokes the site's present gateway. Without it, a site that has one refuses a code.
    """
    s = schema.site.c
    if (await conn.execute(select(s.id).where(s.id == site_id))).first() is None:
        raise NotFoundError(f"there is no site {site_id}; import or create it first")
    if not replaces and await _present(conn, site_id):
        raise ConflictError(
            f"site {site_id} has an enrolled gateway; one site has one recording gateway: make the code with --replace"
        )
    code = base64.b32encode(runtime.token_bytes(CODE_BYTES)).decode().rstrip("=")
    now = runtime.now()
    await conn.execute(
        schema.enrolment_code.insert().values(
            code_hash=_hash(code),
            site_id=site_id,
            created_at=now,
            expires_at=now + CODE_LIFE_US,
            replaces=replaces,
            created_by=actor,
        )
    )
    await audit.record(conn, now, actor, "enrolment-code.make", site_id, site_id, {"replaces": replaces})
    return "-".join(code[start : start + 5] for start in range(0, len(code), 5))


def _hash(code: str) -> bytes:
    return sha256(code.replace("-", "").replace(" ", "").upper().encode()).digest()


async def _present(conn: AsyncConnection, site_id: str) -> bool:
    g = schema.gateway.c
    return (await conn.execute(select(g.id).where(g.site_id == site_id, g.revoked_at.is_(None)))).first() is not None


async def enrol(conn: AsyncConnection, runtime: Runtime, wanted: Enrolment) -> Enrolled:
    """Enrol the gateway that shows a code. Raises BadInputError, DeniedError (code unknown, used, late), ConflictError."""
    now = runtime.now()
    key = _public_key(wanted.public_key)
    epoch_of(wanted.epoch)
    c = schema.enrolment_code.c
    code_hash = _hash(wanted.code)
    code = (await conn.execute(select(schema.enrolment_code).where(c.code_hash == code_hash).with_for_update())).first()
    if code is None or code.used_at is not None or code.expires_at <= now:
        raise DeniedError(
            "the code is unknown, used or older than an hour; make a new one: evercount-cloud enrolment-code"
        )
    await lock_sites(conn, code.site_id)  # of two codes for a site the second one sees what the first one did
    if not code.replaces and await _present(conn, code.site_id):
        raise ConflictError(
            f"site {code.site_id} has an enrolled gateway; a replacement needs a code made with --replace"
        )
    gateway_id = sha256(key).digest()[:8].hex()
    g = schema.gateway.c
    await conn.execute(
        update(schema.gateway).where(g.site_id == code.site_id, g.revoked_at.is_(None)).values(revoked_at=now)
    )
    other = (await conn.execute(select(g.site_id).where(g.id == gateway_id, g.site_id != code.site_id))).first()
    if other is not None:
        raise ConflictError("this gateway's key is enrolled for another site; start it with an empty data folder")
    row = (code.site_id, gateway_id, wanted.public_key, wanted.epoch, wanted.hardware[:500], now, None, now, 0, "", 0)
    await lanes.put(conn, schema.gateway, [row])
    await conn.execute(update(schema.enrolment_code).where(c.code_hash == code_hash).values(used_at=now))
    await _withdraw_corrections(conn, code.site_id, wanted.epoch, now)
    await audit.record(
        conn, now, f"gateway:{gateway_id}", "gateway.enrol", code.site_id, gateway_id, {"replaces": code.replaces}
    )
    s = schema.site.c
    site = (await conn.execute(select(s.name, s.zone).where(s.id == code.site_id))).one()
    pages = await page_count(conn, code.site_id, wanted.epoch)
    return Enrolled(gateway_id, code.site_id, site.name or code.site_id, site.zone, pages, now)


async def _withdraw_corrections(conn: AsyncConnection, site_id: str, epoch: str, now: int) -> None:
    """Corrections name rows of the ledger that they were sent to: in a new one those numbers stand for other rows."""
    c, e = schema.command.c, schema.epoch.c
    epochs = (await conn.execute(select(e.epoch).where(e.site_id == site_id))).scalars().all()
    if epoch_of(epoch) in epochs:
        return
    waiting = await conn.execute(select(c.id, c.body).where(c.site_id == site_id, c.result == ""))
    for row in waiting.all():
        if isinstance(_command.decode(row.body).order, CorrectMovement):
            await conn.execute(
                update(schema.command)
                .where(c.site_id == site_id, c.id == row.id)
                .values(result="refused", text="The gateway was replaced; decide it anew.", finished_at=now)
            )


def _public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BadInputError("public_key is no Ed25519 public key: 32 bytes in hex")
    return key


async def enrolled_gateway(conn: AsyncConnection, gateway_id: str) -> tuple[str, str, bool] | None:
    """(site, public key, revoked) of a gateway, or None when no such gateway was ever enrolled."""
    g = schema.gateway.c
    row = (
        await conn.execute(
            select(g.site_id, g.public_key, g.revoked_at)
            .where(g.id == gateway_id)
            .order_by(func.coalesce(g.revoked_at, 0))
        )
    ).first()
    return None if row is None else (row.site_id, row.public_key, row.revoked_at is not None)
