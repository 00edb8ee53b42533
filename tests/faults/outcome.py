"""What one play of a campaign counted and found, and plays in namespaces of their own."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent


class Outcome(msgspec.Struct):
    """One play: what was counted, and everything that is wrong; `skipped` says why nothing could be played here."""

    counts: dict[str, Any] = {}
    faults: list[str] = []
    skipped: str = ""


class Unavailable(Exception):
    """This machine does not allow what a campaign needs; the message says what."""


def isolated(module: str, folder: Path, seed: int, network: bool = False, **arguments: Any) -> Outcome:
    """Play `module.play(folder, seed, **arguments)` in a mount (and network) namespace of its own: whatever happens there,
    nothing stays mounted. Without the right to make one, the outcome says so."""
    words = ["unshare", "--mount", *(["--net"] if network else []), *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return Outcome(skipped="namespaces cannot be made here")
    request = msgspec.json.encode([module, str(folder), seed, arguments]).decode()
    done = subprocess.run([*words, sys.executable, __file__, request], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return Outcome(faults=[f"the campaign itself failed with status {done.returncode}"])
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Outcome)


def guarded(play: Any, *arguments: Any, **named: Any) -> Outcome:
    """Play; what this machine does not allow is a reason to skip, and whatever else is raised is a fault."""
    try:
        return play(*arguments, **named)
    except Unavailable as error:
        return Outcome(skipped=str(error))
    except Exception as error:
        return Outcome(faults=["".join(traceback.format_exception(error))[-3_000:]])


if __name__ == "__main__":
    root = HERE.parents[1]
    sys.path[:0] = [str(root), str(root / "tests"), str(HERE)]
    # This file runs as a program and is imported by the campaign: there is one class of outcomes.
    import outcome

    name, where, number, more = msgspec.json.decode(sys.argv[1])
    result = outcome.guarded(importlib.import_module(name).play, Path(where), number, **more)
    print(msgspec.json.encode(result).decode())
