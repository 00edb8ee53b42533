"""Headquarters' own key, by which suppliers know that an order is from us: Ed25519, RFC 9421."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import httpx
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures.algorithms import ED25519  # pyright: ignore[reportPrivateImportUsage]
from http_message_signatures.resolvers import MappingKeyResolver
from http_message_signatures.signatures import HTTPMessageSigner
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.store import audit, schema
from cloud.store.database import reading, writing
from runtime import Runtime

#: Row of `meta` that holds the private key, hex.
_META = "purchase-signing-key"
_MAKE = text("INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING")
#: Bytes of an Ed25519 private key, and of the public key's SHA-256 that name it.
KEY_BYTES, ID_BYTES = 32, 8
#: What the signature covers beside Content-Digest, which the library adds.
COMPONENTS = ("@method", "@target-uri", "content-type", "idempotency-key")
#: Says what the signature is for (RFC 9421, 7.2.5): one made for another purpose is no order.
TAG = "evercount-purchase"


class PublicKey(msgspec.Struct, frozen=True):
    """The key that verifies orders: `key_id` is the signatures' `keyid`; `x` as in a JWK (RFC 8037), `pem` the same key."""

    key_id: str
    algorithm: str
    x: str
    pem: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key; it never leaves headquarters."""

    secret: Ed25519PrivateKey

    @property
    def key_id(self) -> str:
        """The first 8 bytes of the SHA-256 of the public key, hex."""
        return sha256(self.secret.public_key().public_bytes_raw()).digest()[:ID_BYTES].hex()

    @property
    def public(self) -> PublicKey:
        """What suppliers are told."""
        public = self.secret.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        x = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
        return PublicKey(self.key_id, "ed25519", x, pem.decode())

    def sign(self, request: httpx.Request, now_us: int, nonce: str) -> None:
        """Add Content-Digest (RFC 9530), Signature-Input and Signature to a request whose body is `request.content`."""
        resolver = MappingKeyResolver(public_keys={}, private_keys={self.key_id: self.secret})
        HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=resolver).sign(  # pyright: ignore[reportUnknownMemberType]
            request,
            key_id=self.key_id,
            tag=TAG,
            nonce=nonce,
            created=datetime.fromtimestamp(now_us // 1_000_000, UTC),
            covered_component_ids=COMPONENTS,
            body=request.content,
        )


async def signing_key(engine: AsyncEngine, runtime: Runtime) -> SigningKey:
    """The key in the database, made at first need; all processes get the same."""
    kept = await _read(engine)
    if kept is None:
        async with writing(engine) as conn:
            made = await conn.execute(_MAKE, {"key": _META, "value": runtime.token_bytes(KEY_BYTES).hex()})
            if made.rowcount:
                await audit.record(conn, runtime.now(), "headquarters", "signing-key.make", "", _META)
        kept = await _read(engine)
        assert kept is not None
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(kept)))


async def _read(engine: AsyncEngine) -> str | None:
    m = schema.meta.c
    async with reading(engine) as conn:
        return (await conn.execute(select(m.value).where(m.key == _META))).scalar_one_or_none()
