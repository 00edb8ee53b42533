"""Who this gateway is: a key pair made on the device at its first start, and the site that it was enrolled for."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import GatewayError, NotEnrolledError
from runtime import Runtime
from vocabulary.wire import Enrolled

#: Bytes of an Ed25519 private key.
KEY_BYTES = 32
#: Bytes of the public key's SHA-256 that name a gateway.
ID_BYTES = 8


class Identity:
    """The gateway's key. `gateway` is its id, the first 8 bytes of the SHA-256 of its public key, in hex."""

    def __init__(self, secret: bytes) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(secret)
        public = self.key.public_key().public_bytes_raw()
        self.public_key = public.hex()
        self.gateway = sha256(public).digest()[:ID_BYTES].hex()


class EnrolmentRecord(msgspec.Struct, frozen=True):
    """Where this gateway belongs: kept as JSON beside its key."""

    cloud: str
    enrolled: Enrolled


def load_or_make_identity(folder: Path, runtime: Runtime) -> Identity:
    """The identity in `folder`, made with a random key at the first start. Raises GatewayError.

    The key file can be read by its owner only; the key never leaves the device.
    """
    path = folder / "identity.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_whole(path, runtime.token_bytes(KEY_BYTES).hex().encode(), mode=0o600)
        if path.stat().st_mode & 0o077:
            raise GatewayError(f"{path} can be read by others: chmod 600 {path}, and enrol anew if somebody did")
        return Identity(bytes.fromhex(path.read_text().strip()))
    except (OSError, ValueError) as error:
        raise GatewayError(f"{path} cannot be used: {error}; restore it, or remove it and enrol anew") from error


def load_enrolment(folder: Path) -> EnrolmentRecord:
    """The enrolment in `folder`. Raises NotEnrolledError where there is none, GatewayError where it cannot be read."""
    path = folder / "enrolment.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=EnrolmentRecord)
    except FileNotFoundError:
        raise NotEnrolledError(
            "this gateway belongs to no site yet: run evercount-gateway enrol --cloud URL --code CODE"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise GatewayError(f"{path} cannot be read: {error}; enrol anew") from error


def store_enrolment(folder: Path, record: EnrolmentRecord) -> None:
    """Keep `record` beside the key. Raises OSError."""
    write_whole(folder / "enrolment.json", msgspec.json.format(msgspec.json.encode(record)))


def write_whole(path: Path, body: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all: a draft, synced, takes its place by a rename. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
