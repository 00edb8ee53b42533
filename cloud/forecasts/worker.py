"""The process in which forecasts are made: `python -m cloud.forecasts.worker`, frames on stdin and stdout.

A frame is four bytes of length, little-endian, and msgpack: a Batch in, Forecasts out. It ends when its stdin ends, so
it never outlives the program that started it.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from typing import BinaryIO

import msgspec

from cloud.forecasts.forecast import Batch, Forecasts

#: A frame longer than this is not ours: a million periods of history fit a hundred times, bytes.
FRAME_BYTES = 1 << 30
HEAD = struct.Struct("<I")


def answer(batch: Batch) -> Forecasts:
    """Forecast `batch` in this process; the first call that has enough to learn from imports LightGBM."""
    from cloud.forecasts.predict import forecast
    from cloud.forecasts.teaching import Teaching

    teaching = Teaching(batch.models)
    answered = forecast(batch, teaching.learn)
    return msgspec.structs.replace(answered, models=teaching.packed()) if batch.teaches else answered


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer the frames of `source` until it ends."""
    while len(head := source.read(HEAD.size)) == HEAD.size:
        (length,) = HEAD.unpack(head)
        if length > FRAME_BYTES:
            return
        answered = msgspec.msgpack.encode(answer(msgspec.msgpack.decode(source.read(length), type=Batch)))
        sink.write(HEAD.pack(len(answered)))
        sink.write(answered)
        sink.flush()


if __name__ == "__main__":
    os.nice(10)  # what gateways send and people ask for goes first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends us by our stdin
    serve(sys.stdin.buffer, sys.stdout.buffer)
