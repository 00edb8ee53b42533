"""Coverage-guided fuzzing of one parser, llrp, codes or wire: `python tests/fuzz/fuzzing.py TARGET SECONDS SEED FOLDER`.

Besides what the target asserts, no input may take longer than 100 ms of processor time, nor memory grow beyond 64 MiB over what
it is after the first inputs. The input that fails is left in FOLDER. Needs atheris.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from pathlib import Path

HERE = Path(__file__).absolute().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE), str(HERE.parents[0] / "gateway" / "devices")]

#: Seconds of processor time that one input may take: a hang.
HANG_S = 0.1
#: Inputs after which the memory in use is what the program needs, and KiB by which it may grow from there: libFuzzer's own
#: corpus included.
WARM, GROWTH_KIB = 2_000, 64 << 10


def main() -> None:
    name, seconds, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    import atheris  # pyright: ignore - only the campaign installs it

    with atheris.instrument_imports(include=["gateway", "cloud", "vocabulary", "sllurp", "biip"]):
        module = importlib.import_module(f"fuzz_{name}")
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(module.SEEDS):
        (corpus / f"seed-{number}").write_bytes(data)
    count = warm_kib = 0

    def one_input(data: bytes) -> None:
        nonlocal count, warm_kib
        count += 1
        began = time.process_time()
        module.one_input(data)
        took = time.process_time() - began
        if took > HANG_S and count > 10:  # the first inputs fill tables
            raise AssertionError(f"an input took {took * 1_000:.0f} ms")
        if count == WARM:
            warm_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if count > WARM and count % 1_000 == 0:
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm_kib
            assert grown <= GROWTH_KIB, f"memory grew by {grown} KiB after {count} inputs"

    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={folder}/", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
