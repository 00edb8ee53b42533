"""How much faster our report decoder is than sllurp's own, on the same frames.

CPU time, best of 3. `stream` is how reads arrive under load (chunks of about 2 kB through framing and decoder); `frame`
hands over one message per call; `sightings` also builds the values that the gateway works with. sllurp decodes one
message per call, as its client does. Prints one JSON object.
"""

from __future__ import annotations

import json
import platform
import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sllurp.llrp import LLRPMessage

from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.framing import Framer
from gateway.devices.rfid.report import ReportDecoder
from gateway.devices.rfid.stream import ReaderStream

SEED = 11
#: Tags decoded per measured run: long enough for the resolution of the CPU clock.
TAGS = 40_000
#: Bytes handed over at once in `stream`: what a busy reader's TCP segments amount to.
CHUNK = 2_048


def tag(random_: random.Random, impinj: bool) -> bytes:
    """TagReportData as readers send it: EPC-96, ROSpec, antenna, RSSI, channel, first and last seen, count."""
    seen = 1_790_000_000_000_000 + random_.randrange(10**9)
    body = b"\x8d\x30\x34" + random_.randbytes(10)
    body += struct.pack("!BIBHBbBH", 0x89, 1, 0x81, random_.randint(1, 4), 0x86, -random_.randint(40, 80), 0x87, 7)
    body += struct.pack("!BQBQBH", 0x82, seen, 0x84, seen, 0x88, 1)
    if impinj:
        body += struct.pack("!HHIIH", 1023, 14, 25882, 56, random_.randrange(4096))
        body += struct.pack("!HHIIh", 1023, 14, 25882, 57, -random_.randint(4000, 8000))
        body += struct.pack("!HHIIh", 1023, 14, 25882, 68, random_.randint(-99, 99))
    return struct.pack("!HH", 240, 4 + len(body)) + body


def frames(tags_per_report: int, impinj: bool) -> list[bytes]:
    """Enough messages for `TAGS` tags."""
    random_ = random.Random(f"{SEED}:{tags_per_report}:{impinj}")
    made: list[bytes] = []
    for number in range(TAGS // tags_per_report):
        body = b"".join(tag(random_, impinj) for _ in range(tags_per_report))
        made.append(struct.pack("!HII", 1 << 10 | 61, 10 + len(body), number) + body)
    return made


def best_of_3(job: Callable[[], object]) -> float:
    """Microseconds of CPU per tag."""
    taken: list[float] = []
    for _ in range(3):
        began = time.process_time()
        job()
        taken.append(time.process_time() - began)
    return min(taken) / TAGS * 1e6


def ours(chunks: list[bytes]) -> int:
    decoder = ReportDecoder()

    def handle(frame: object) -> None:
        decoder.decode(frame.body)  # pyright: ignore

    framer = Framer(handle, decoder.shortcut)
    count = 0
    for chunk in chunks:
        framer.feed(chunk)
        count += len(decoder.take())
    assert count == TAGS
    return count


def sightings(chunks: list[bytes]) -> int:
    stream = ReaderStream(ReaderConfig("r", "h", Intent.PORTAL, tuple(AntennaConfig(n, "z") for n in (1, 2, 3, 4))))
    stream.connected()
    count = sum(len(stream.feed(chunk, 2_000_000_000_000_000, number)) for number, chunk in enumerate(chunks))
    assert count == TAGS
    return count


def measure(tags_per_report: int, impinj: bool) -> dict[str, float | int | str]:
    messages = frames(tags_per_report, impinj)
    data = b"".join(messages)
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    sllurp = best_of_3(lambda: [LLRPMessage(msgbytes=message) for message in messages])
    stream = best_of_3(lambda: ours(chunks))
    frame = best_of_3(lambda: ours(messages))
    whole = best_of_3(lambda: sightings(chunks))
    return {
        "layout": "impinj" if impinj else "plain",
        "tags_per_report": tags_per_report,
        "bytes_per_tag": len(data) // TAGS,
        "sllurp_us_per_tag": round(sllurp, 2),
        "stream_us_per_tag": round(stream, 3),
        "frame_us_per_tag": round(frame, 3),
        "sightings_us_per_tag": round(whole, 3),
        "ratio_stream": round(sllurp / stream, 1),
        "ratio_frame": round(sllurp / frame, 1),
        "ratio_sightings": round(sllurp / whole, 1),
    }


def main() -> None:
    figures = [measure(count, impinj) for count in (1, 10) for impinj in (False, True)]
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    print(
        json.dumps(
            {
                "figure": "LLRP report decode against sllurp",
                "command": "python benchmarks/llrp_decode.py",
                "seed": SEED,
                "tags": TAGS,
                "machine": f"{cpu}, Python {platform.python_version()}",
                "budget": "ratio_stream >= 10",
                "met": all(figure["ratio_stream"] >= 10 for figure in figures),  # pyright: ignore
                "results": figures,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
