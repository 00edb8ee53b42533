"""The results file: one JSON line per play of a campaign, appended, never changed."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]


class Line(msgspec.Struct):
    """One play. `commit` ends with + where the checkout held changes; `faults` is empty where everything held."""

    campaign: str
    seed: int
    date: str
    commit: str
    machine: str
    seconds: float
    counts: dict[str, Any]
    faults: list[str]


class Results:
    """The file at `path`. What was played there without a fault is not played again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[Line] = []
        if path.exists():
            whole = path.read_bytes()
            kept = whole[: whole.rfind(b"\n") + 1]  # a line that was cut off does not count
            self.lines = [msgspec.json.decode(text, type=Line) for text in kept.splitlines()]
            if len(kept) < len(whole):
                os.truncate(path, len(kept))

    def passed(self, campaign: str, seed: int) -> bool:
        """Whether this play is in the file, and found nothing the last time."""
        found = [line for line in self.lines if (line.campaign, line.seed) == (campaign, seed)]
        return bool(found) and not found[-1].faults

    def append(self, line: Line) -> None:
        """Write a play down."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self.lines.append(line)


def today() -> str:
    """The date, UTC."""
    return datetime.now(UTC).date().isoformat()


def commit() -> str:
    """The commit of this checkout, with + behind it where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--", ":!benchmarks/results", ":!docs/reliability.md")
    return (head or "unknown") + ("+" if changed else "")


def machine() -> str:
    """This machine in a few words."""
    model = platform.machine()
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            model = text.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}, Python {python}"
