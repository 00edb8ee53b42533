"""CPU time to decode distinct SGTIN-96 EPCs, ours beside epcpy. Prints one JSON line.

    python -m benchmarks.epc_decode [count]

Both decoders get the same seeded EPCs, none twice and no cache in between; the figure is the best of three runs
of process CPU time, and the results are compared before anything is timed.
"""

import json
import platform
import sys
import time
from collections.abc import Callable
from random import Random

from epcpy.utils.parsers import hex_to_tag_encodable

from vocabulary.epc import decode_uncached

#: Any number: it makes the run repeatable.
SEED = 96

#: EPCs per run: about 0.1 s of the faster decoder, well above the resolution of the CPU clock.
COUNT = 20_000


def sgtin_96(random: Random) -> str:
    """A valid SGTIN-96 with any partition."""
    partition = random.randrange(7)
    prefix_bits, prefix_digits = ((40, 12), (37, 11), (34, 10), (30, 9), (27, 8), (24, 7), (20, 6))[partition]
    bits = 0x30 << 3 | random.randrange(8)
    bits = bits << 3 | partition
    bits = bits << prefix_bits | random.randrange(10**prefix_digits)
    bits = bits << (44 - prefix_bits) | random.randrange(10 ** (13 - prefix_digits))
    return f"{bits << 38 | random.getrandbits(38):024X}"


def best_of_three(decode: Callable[[str], object], epcs: list[str]) -> float:
    """Best CPU time per EPC in microseconds."""
    times: list[float] = []
    for _ in range(3):
        start = time.process_time()
        for epc in epcs:
            decode(epc)
        times.append(time.process_time() - start)
    return min(times) / len(epcs) * 1e6


def main() -> None:
    random = Random(SEED)
    epcs = [sgtin_96(random) for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)]
    for epc in epcs[:500]:
        assert decode_uncached(epc).uri == hex_to_tag_encodable(epc).epc_uri, epc
    ours = best_of_three(decode_uncached, epcs)
    theirs = best_of_three(hex_to_tag_encodable, epcs)
    result = {
        "figure": "epc_decode",
        "scheme": "sgtin-96",
        "count": len(epcs),
        "seed": SEED,
        "ours_us": round(ours, 3),
        "epcpy_us": round(theirs, 3),
        "ratio": round(theirs / ours, 1),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
