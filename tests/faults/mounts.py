"""Disks to break: small file systems on loop devices and in memory, mounted in a namespace of the campaign's own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

from outcome import Unavailable


def command(*words: str | Path, allowed: tuple[int, ...] = (0,)) -> None:
    """Run a command to its end. Raises Unavailable where it is missing or refused."""
    name = str(words[0])
    if shutil.which(name) is None:
        raise Unavailable(f"{name} is not installed")
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise Unavailable(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.returncode}")


@contextlib.contextmanager
def mounted(what: str | Path, at: Path, kind: str, options: str = "") -> Generator[None]:
    """Mount a file system at the folder `at`, made where it is missing. Raises Unavailable."""
    at.mkdir(parents=True, exist_ok=True)
    command("mount", "-t", kind, *(["-o", options] if options else []), what, at)
    try:
        yield
    finally:
        command("umount", "--lazy", at)


def make_image(path: Path, mebibytes: int, kind: str) -> None:
    """Make a file that holds an empty file system of this kind and size.

    Blocks are as large as memory pages, as on real disks: below, SQLite's index of the log may meet a page of which only
    a part has a block, and on a full disk the kernel then ends the program (SIGBUS).
    """
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    command(f"mkfs.{kind}", "-q", *(["-m", "reflink=1"] if kind == "xfs" else ["-F", "-b", "4096"]), path)
