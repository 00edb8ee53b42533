"""Who a gateway's request is from: RFC 9421 signatures with the key it enrolled, checked by the runtime's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures.algorithms import ED25519  # pyright: ignore[reportPrivateImportUsage]
from http_message_signatures.exceptions import HTTPMessageSignaturesException, InvalidSignature
from http_message_signatures.resolvers import HTTPSignatureKeyResolver
from http_message_signatures.signatures import HTTPMessageVerifier

from cloud.errors import UnauthorizedError
from vocabulary.wire import SIGNATURE_AGE_S, SIGNATURE_TAG, SIGNED_COMPONENTS


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it was signed: `url` with the public scheme and authority."""

    method: str
    url: str
    headers: Mapping[str, str]


class _OneKey(HTTPSignatureKeyResolver):
    """Knows the key of one gateway."""

    def __init__(self, gateway: str, key: Ed25519PublicKey) -> None:
        self._gateway, self._key = gateway, key

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey | None:
        return self._key if key_id == self._gateway else None

    def resolve_private_key(self, key_id: str) -> None:
        raise NotImplementedError("headquarters holds no gateway's private key")


class _Verifier(HTTPMessageVerifier):
    """The library's verifier with the runtime's clock instead of the machine's."""

    def __init__(self, resolver: HTTPSignatureKeyResolver, now_s: int) -> None:
        super().__init__(signature_algorithm=ED25519, key_resolver=resolver)
        self._now_s = now_s

    def validate_created_and_expires(self, sig_input: Any, max_age: object = None) -> None:
        created: object = sig_input.params.get("created")
        expires: object = sig_input.params.get("expires")
        if not isinstance(created, int) or abs(self._now_s - created) > SIGNATURE_AGE_S:
            raise InvalidSignature("the signature was not created within 5 minutes of the server's time")
        if expires is not None and (not isinstance(expires, int) or expires < self._now_s):
            raise InvalidSignature("the signature has expired")


def verify(request: SignedRequest, body: bytes, gateway: str, public_key: str, now_us: int) -> None:
    """Check that `gateway`, whose `public_key` (hex) is known, signed this request. Raises UnauthorizedError."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    verifier = _Verifier(_OneKey(gateway, key), now_us // 1_000_000)
    try:
        verifier.verify(  # pyright: ignore[reportUnknownMemberType] - the library leaves its message untyped
            request, expect_tag=SIGNATURE_TAG, require_components=SIGNED_COMPONENTS, body=body
        )
    except HTTPMessageSignaturesException as error:
        raise UnauthorizedError(f"the request's signature does not hold: {error}") from None
