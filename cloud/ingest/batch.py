"""A push as it arrives: inflated within bounds, split into its canonical lines, chained. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import zstandard

from cloud.errors import BadInputError, TooLargeError
from vocabulary import chain
from vocabulary.wire import BATCH_BYTES, BATCH_RECORDS, INFLATED_BYTES, WIRE_VERSION, BatchHeader

#: Largest window a frame may ask for: what the gateways' level uses, and no more memory than that.
WINDOW_BYTES = 8 << 20

_header = msgspec.json.Decoder(BatchHeader)


def inflate(body: bytes, limit: int = INFLATED_BYTES) -> bytes:
    """The one zstd frame in `body`, complete, at most `limit` bytes. Raises TooLargeError, BadInputError.

    The frame must state its size: zstd bounds its output by that, not by what the caller asks for.
    """
    if len(body) > BATCH_BYTES:
        raise TooLargeError(f"the body has {len(body)} bytes; at most {BATCH_BYTES} are taken")
    try:
        size = zstandard.frame_content_size(body)
        if size < 0:
            raise BadInputError("the zstd frame does not state its content size; write it with the size")
        if size > limit:
            raise TooLargeError(f"the body holds {size} bytes; at most {limit} are taken")
        return zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompress(
            body, max_output_size=limit, read_across_frames=False, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise BadInputError(f"the body is not one whole zstd frame ({error})") from None


@dataclass(frozen=True, slots=True)
class Batch:
    """A push whose chain holds: `bodies[i]` is row `first_seq + i` with hash `hashes[i]`."""

    header: BatchHeader
    epoch: int
    prev_hash: bytes
    bodies: list[bytes]
    hashes: list[bytes]

    @property
    def last_seq(self) -> int:
        """The seq of its last row; first_seq - 1 when it is empty."""
        return self.header.first_seq + len(self.bodies) - 1


def read_batch(body: bytes) -> Batch:
    """The push in a request's `body`. Raises BadInputError where header, count or chain do not hold, TooLargeError."""
    lines = inflate(body).split(b"\n")
    try:
        header = _header.decode(lines[0])
    except msgspec.DecodeError as error:
        raise BadInputError(f"the batch header cannot be read: {error}") from None
    if header.wire not in (WIRE_VERSION, WIRE_VERSION - 1):
        raise BadInputError(f"wire version {header.wire} is not spoken here; this server speaks {WIRE_VERSION}")
    bodies = lines[1:]
    if len(bodies) > BATCH_RECORDS:
        raise TooLargeError(f"the batch has {len(bodies)} records; at most {BATCH_RECORDS} are taken")
    if header.first_seq < 1:
        raise BadInputError("first_seq counts from 1")
    previous = hash_of(header.prev_hash, "prev_hash")
    hashes: list[bytes] = []
    last = previous
    for line in bodies:
        last = chain.link(last, line)
        hashes.append(last)
    if last != hash_of(header.head_hash, "head_hash"):
        raise BadInputError(
            "head_hash is not the hash of these rows: the batch was damaged on its way or wrongly built"
        )
    return Batch(header, epoch_of(header.epoch), previous, bodies, hashes)


def hash_of(text: str, name: str) -> bytes:
    """32 bytes from hex. Raises BadInputError."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise BadInputError(f"{name} is not a SHA-256 in hex")
    return value


def epoch_of(text: str) -> int:
    """An epoch from its text. Raises BadInputError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 1 << chain.EPOCH_BITS):
        raise BadInputError(f"{text[:40]!r} is no epoch: a whole number below 2^{chain.EPOCH_BITS}")
    return int(text)
