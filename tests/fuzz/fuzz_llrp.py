"""Fuzz target for everything that reads a reader's bytes: `python tests/fuzz/fuzz_llrp.py [seconds] [seed]`.

With atheris installed it is coverage-guided; without, a seeded loop mutates sound messages. Either way the same must
hold for any input: nothing raises, each damaged message is at most one error, and a new connection hears again.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway" / "devices"))

from llrp_bytes import KEEPALIVE, custom, impinj, notification, report, tag, tlv

from gateway.devices.rfid import messages
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.describe import describe
from gateway.devices.rfid.errors import DamagedMessageError
from gateway.devices.rfid.framing import Frame
from gateway.devices.rfid.stream import ReaderStream

CONFIG = ReaderConfig("r", "h", Intent.PORTAL, (AntennaConfig(1, "in"),))
SOUND = report(tag())
SEEDS = [
    SOUND,
    report(tag(), tag(antenna=2), tag(epc=bytes(16))),
    report(tag(extra=impinj()), tag(extra=impinj())),
    report(tag(uptime=True), tag(antenna=None, rssi=None)),
    report(tag(extra=tlv(349, b"\0\0\1\0\2abcd") + custom(1, 2, b"x"))),
    notification(tlv(256, b"\0\0"), custom(25882, 1), tlv(252, b"\0\3bad" + b"\x81\0\1")),
    KEEPALIVE,
]


def one_input(data: bytes) -> None:
    """Everything that must hold for any bytes."""
    stream = ReaderStream(CONFIG)
    stream.connected()
    stream.feed(data, 1_800_000_000_000_000, 5_000_000)
    messages_in = sum(1 for _ in describe(data))
    assert stream.errors["damaged_message"] <= messages_in
    intact = stream.fault is None
    stream.disconnected()
    assert stream.errors["framing"] + stream.errors["cut_off"] <= 1
    assert intact == (stream.errors["framing"] == 0)
    stream.connected()
    assert len(stream.feed(SOUND, 1_800_000_000_000_001, 5_000_001)) == 1
    with contextlib.suppress(DamagedMessageError):
        messages.capabilities(Frame(11, 1, 1, data[10:]))


def mutate(generator: random.Random) -> bytes:
    """A few sound messages with a few bytes changed, removed or repeated."""
    data = bytearray(b"".join(generator.choice(SEEDS) for _ in range(generator.randint(1, 5))))
    for _ in range(generator.randint(0, 4)):
        at = generator.randrange(len(data))
        kind = generator.randrange(4)
        if kind == 0:
            data[at] = generator.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << generator.randrange(8)
        elif kind == 2 and len(data) > 20:
            del data[at : at + generator.randint(1, 9)]
        else:
            data[at:at] = data[at : at + generator.randint(1, 9)]
        if not data:
            break
    return bytes(data)


def loop(seconds: float, seed: int, target: Callable[[bytes], None] = one_input) -> int:
    """Run the target on mutated inputs for some seconds; returns how many. The failing input is printed as hex."""
    generator = random.Random(seed)
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        data = mutate(generator)
        try:
            target(data)
        except BaseException:
            print(f"seed {seed}, input {count}: {data.hex()}", file=sys.stderr)
            raise
        count += 1
    return count


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    atheris: ModuleType | None
    try:
        import atheris  # pyright: ignore
    except ImportError:
        atheris = None
    if atheris is not None:
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", f"-seed={seed}"], one_input)
        atheris.Fuzz()
        return
    print(f"{loop(seconds, seed)} inputs in {seconds:g} s with seed {seed}, nothing found")


if __name__ == "__main__":
    main()
