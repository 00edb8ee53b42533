"""One push as bytes: the header's line, the canonical lines, zstd. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import zstandard

from vocabulary.wire import BatchHeader

#: zstd level. Measured on full batches of dock movements (benchmarks/wire_bytes.py): 9 takes a tenth less on the wire than
#: 3 and 20 to 40 ms of CPU per 1,000 records instead of 5; 12 and above gain nothing more.
LEVEL = 9


def pack(header: BatchHeader, bodies: Iterable[bytes]) -> bytes:
    """The body of a push. The frame states its size, so that the server can bound what it inflates."""
    lines = b"\n".join((msgspec.json.encode(header), *bodies))
    return zstandard.ZstdCompressor(level=LEVEL).compress(lines)


def pack_json(value: object) -> bytes:
    """Any JSON value as a compressed body."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.json.encode(value))
