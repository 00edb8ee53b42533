"""Figures of other benchmarks, written down beside the campaigns: what a movement costs on disk and wire, ingest, exposure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from outcome import Outcome
from processes import ROOT

#: What is run, by the name of its figures.
COMMANDS: dict[str, tuple[str, ...]] = {
    "bytes written": (
        sys.executable,
        "-m",
        "benchmarks.ledger_write",
        "--seconds",
        "40",
        "--rate",
        "1",
        "--rate",
        "60",
    ),
    "bytes on the wire": (sys.executable, "-m", "benchmarks.wire_bytes"),
    "ingest": (sys.executable, "-m", "benchmarks.ingest"),
    "exposure": ("sh", "systemd/check.sh"),
}


def play(folder: Path, seed: int) -> Outcome:
    """Run each, and keep what it prints."""
    outcome = Outcome({})
    for name, words in COMMANDS.items():
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            outcome.faults.append(f"{name}: {done.stderr[-500:]}")
        outcome.counts[f"{name} figure"] = _read(done.stdout)
    return outcome


def day(folder: Path, seed: int) -> Outcome:
    """One seed of the simulated day; what it prints has `faults`."""
    words = (sys.executable, "-m", "benchmarks.simulated_day", "--seed", str(seed), "--json")
    if not (ROOT / "benchmarks" / "simulated_day.py").exists():
        return Outcome(skipped="there is no simulated day yet")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return Outcome(faults=[f"seed {seed}: status {done.returncode}: {done.stderr[-1_000:]}"])
    faults = [f"seed {seed}: {fault}" for fault in found.pop("faults", [])]
    if done.returncode and not faults:
        faults.append(f"seed {seed}: status {done.returncode}: {done.stderr[-1_000:]}")
    return Outcome({"days": 1, **found}, faults)


def _read(text: str) -> Any:
    """JSON as a whole, JSON by lines, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    found: list[Any] = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append(line)
    return found
