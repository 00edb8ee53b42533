"""One push as bytes: the header's line, the canonical lines, zstd; and how many lines the next one takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import zstandard

from vocabulary.records import decode
from vocabulary.wire import BATCH_RECORDS, BatchHeader

#: zstd level. Measured on full batches of dock movements (benchmarks/wire_bytes.py): 9 takes a tenth less on the wire than
#: 3 and 20 to 40 ms of CPU per 1,000 records instead of 5; 12 and above gain nothing more.
LEVEL = 9
#: Seconds that a push should take at most: what a link that breaks off has to repeat.
PUSH_S = 8.0
#: Rows that take some 3 kB on the wire.
FEW_ROWS = 50


def pack(header: BatchHeader, bodies: Iterable[bytes]) -> bytes:
    """The body of a push. The frame states its size, so that the server can bound what it inflates."""
    lines = b"\n".join((msgspec.json.encode(header), *bodies))
    return zstandard.ZstdCompressor(level=LEVEL).compress(lines)


def pack_json(value: object) -> bytes:
    """Any JSON value as a compressed body."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.json.encode(value))


def told_at(body: bytes) -> int:
    """When what a row's canonical bytes tell of happened, microseconds UTC; 0 where they do not say."""
    record = decode(body)
    return getattr(record, "occurred_at", None) or getattr(record, "at", None) or 0


class Pace:
    """How many rows the next push takes: fewer on a slow link and after a failure, more again as it goes well."""

    def __init__(self) -> None:
        self.rows = BATCH_RECORDS

    def took(self, rows: int, seconds: float) -> None:
        """A push of `rows` rows was answered after `seconds`."""
        if seconds > PUSH_S:
            self.rows = max(1, int(min(rows, self.rows) * PUSH_S / seconds))
        elif rows >= self.rows:
            self.rows = min(BATCH_RECORDS, self.rows * 2)

    def lost(self) -> None:
        """A push got no answer: half of it may pass. Below two packets' worth, a link is not better with less."""
        self.rows = max(min(self.rows, FEW_ROWS), self.rows // 2)

    def refused(self) -> None:
        """A push was refused as it is: half of it may pass, down to the one row that does not."""
        self.rows = max(1, self.rows // 2)
