"""Ways in which a disk damages a ledger's file: bit flips, garbage pages, cut and damaged write-ahead logs.

    for variant in variants(seed=1, count=40):
        variant.apply(copy / "ledger.db")       # a copy of a folder with a ledger that was not closed

Only bytes of the copy are changed; the same seed gives the same damage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple


class Variant(NamedTuple):
    """One kind of damage at one place."""

    name: str
    apply: Callable[[Path], None]


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _change(path: Path, at: int, new: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)


def _flip(file: Callable[[Path], Path], draw: Random, first: int = 100) -> Callable[[Path], None]:
    share, bit = draw.random(), draw.randrange(8)

    def apply(path: Path) -> None:
        bad = file(path)
        at = first + int(share * (bad.stat().st_size - first))
        with bad.open("rb") as whole:
            whole.seek(at)
            old = whole.read(1)[0]
        _change(bad, at, bytes([old ^ 1 << bit]))

    return apply


def _page(file: Callable[[Path], Path], draw: Random, fill: bytes | None, skip: int) -> Callable[[Path], None]:
    share, garbage = draw.random(), fill or draw.randbytes(1_024)

    def apply(path: Path) -> None:
        bad = file(path)
        pages = bad.stat().st_size // 1_024
        _change(bad, (skip + int(share * (pages - skip))) * 1_024, garbage)

    return apply


def _flip_in_row(draw: Random) -> Callable[[Path], None]:
    share, bit, at = draw.random(), draw.randrange(8), draw.randrange(20, 160)

    def apply(path: Path) -> None:
        whole = path.read_bytes()
        marks = [index for index in range(len(whole)) if whole.startswith(b'{"record":"', index)]
        place = marks[int(share * len(marks))] + at
        _change(path, place, bytes([whole[place] ^ 1 << bit]))

    return apply


def _cut(file: Callable[[Path], Path], draw: Random, least: float) -> Callable[[Path], None]:
    share = least + draw.random() * (1 - least)
    return lambda path: os.truncate(file(path), int(file(path).stat().st_size * share))


def _itself(path: Path) -> Path:
    return path


def variants(seed: int, count: int = 40) -> Iterator[Variant]:
    """`count` ways of damage, every kind in turn."""
    draw = Random(seed)
    kinds: tuple[tuple[str, Callable[[], Callable[[Path], None]]], ...] = (
        ("bit in a row", lambda: _flip_in_row(draw)),
        ("bit anywhere", lambda: _flip(_itself, draw)),
        ("garbage page", lambda: _page(_itself, draw, None, 1)),
        ("log cut short", lambda: _cut(wal, draw, 0.2)),
        ("bit in the log", lambda: _flip(wal, draw, 32)),
        ("page of zeros", lambda: _page(_itself, draw, bytes(1_024), 1)),
        ("garbage in the log", lambda: _page(wal, draw, None, 1)),
        ("first page gone", lambda: _first(draw)),
        ("file cut short", lambda: _cut(_itself, draw, 0.5)),
        ("eight pages of garbage", lambda: _run(draw)),
    )
    for number in range(count):
        name, made = kinds[number % len(kinds)]
        yield Variant(f"{number}: {name}", made())


def _first(draw: Random) -> Callable[[Path], None]:
    garbage = draw.randbytes(1_024)
    return lambda path: _change(path, 0, garbage)


def _run(draw: Random) -> Callable[[Path], None]:
    share, garbage = draw.random(), draw.randbytes(8 * 1_024)
    return lambda path: _change(path, (1 + int(share * (path.stat().st_size // 1_024 - 9))) * 1_024, garbage)
