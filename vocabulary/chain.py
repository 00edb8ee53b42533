"""The hash chain: every row carries the SHA-256 of the row before it and its own canonical bytes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

#: Bits of an epoch: a ledger file's random name.
EPOCH_BITS = 63


def genesis(epoch: int) -> bytes:
    """The hash before the first row of the ledger file `epoch` (0 <= epoch < 2^63)."""
    return sha256(b"evercount ledger 1" + epoch.to_bytes(8, "big")).digest()


def link(previous: bytes, body: bytes) -> bytes:
    """The hash of the row with canonical bytes `body` that follows a row with hash `previous`."""
    return sha256(previous + body).digest()


def head(previous: bytes, bodies: Iterable[bytes]) -> bytes:
    """The hash of the last of `bodies`, chained one after the other behind `previous`."""
    for body in bodies:
        previous = sha256(previous + body).digest()
    return previous
