"""Minutes of coverage-guided fuzzing for each parser that reads bytes from outside, each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from outcome import Outcome, Unavailable
from processes import ROOT

#: Where atheris is installed when it is first needed: it is no part of the development environment.
ATHERIS = ROOT / ".venv" / "fuzzing"
TARGETS = ("llrp", "codes", "wire")
#: The last line that libFuzzer prints of itself.
DONE = re.compile(r"DONE\s+cov: (\d+).*?rss: (\d+)Mb.*?Done (\d+) runs", re.DOTALL)


def play(folder: Path, seed: int, seconds: int = 600, targets: tuple[str, ...] = TARGETS) -> Outcome:
    """Fuzz each target for so many seconds."""
    if not (ATHERIS / "atheris").exists():
        words = [ROOT / ".venv" / "bin" / "uv", "pip", "install", "-q", "--python", sys.executable, "--target", ATHERIS]
        if subprocess.run([*map(str, words), "atheris>=3,<4"], check=False).returncode:
            raise Unavailable("atheris cannot be installed here")
    outcome = Outcome({})
    for target in targets:
        words = [sys.executable, ROOT / "tests" / "fuzz" / "fuzzing.py", target, seconds, seed, folder / target]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{ATHERIS}"}
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env=environment, check=False)
        if found := DONE.search(done.stderr):
            counted = {
                "edges covered, most": int(found[1]),
                "MiB of memory, most": int(found[2]),
                "inputs": int(found[3]),
            }
            outcome.counts[target] = {"seconds": seconds, **counted}
        if done.returncode or not found:
            outcome.faults.append(f"{target}: {done.stdout[-1_500:]} {done.stderr[-500:]}")
    return outcome
