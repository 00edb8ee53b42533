"""Fuzz target for what comes over the wire: push bodies at headquarters, records, and downlinks at a gateway.

Whatever comes, it is read or refused by the error that the caller expects; what is read encodes to what it was.
"""

from __future__ import annotations

import contextlib

import msgspec
import zstandard

from cloud.errors import CloudError
from cloud.ingest.batch import read_batch
from gateway.errors import GatewayError
from gateway.sync.batch import pack
from gateway.sync.downlink import fault_in
from vocabulary import records
from vocabulary.movement import Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.records import ClockRecord, CommandResult
from vocabulary.wire import WIRE_VERSION, BatchHeader, Downlink, Pushed, Status

MOVEMENT = Movement(
    kind="receiving",
    from_=Account("supplier"),
    to=Account("dock-1"),
    occurred_at=1_767_592_800_000_000,
    lines=(Line("tea", 6),),
    units=(UnitEntry("01/09506000134352/21/1"),),
    read_point="dock-1",
    interval=700_000,
)
BODIES = [records.encode(one) for one in (MOVEMENT, ClockRecord(1, 1, 2, 3), CommandResult("c", 1, "done"))]
HEADER = BatchHeader(
    wire=WIRE_VERSION,
    site="north",
    gateway="a1",
    epoch="4711",
    first_seq=1,
    prev_hash="00" * 32,
    head_hash="11" * 32,
    status=Status(1, "1", 3),
)
SEEDS = [
    *BODIES,
    msgspec.json.encode(HEADER) + b"\n" + b"\n".join(BODIES),
    pack(HEADER, BODIES),
    b'{"documents":[],"items":[{"id":"tea","name":"tea"}],"packaging":[],"places":[]}',
    b'{"acked_seq":3,"head_hash":"00"}',
]
_DOWNLINK, _PUSHED = msgspec.json.Decoder(Downlink), msgspec.json.Decoder(Pushed)
_COMPRESSOR = zstandard.ZstdCompressor(level=1)


def one_input(data: bytes) -> None:
    """Everything that must hold for any bytes."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        record = records.decode(data)
        assert records.decode(records.encode(record)) == record
    for body in (data, _COMPRESSOR.compress(data)):
        with contextlib.suppress(CloudError):
            read_batch(body)
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, GatewayError):
        fault_in(_DOWNLINK.decode(data))
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        _PUSHED.decode(data)
