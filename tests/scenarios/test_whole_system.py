"""Ten virtual minutes of headquarters, two gateways, four readers and failing links: correct, and the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[2]


def start(seed: int, hash_seed: int, folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A process of its own that plays `seed`; what Python draws for its hashes differs with `hash_seed`."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONHASHSEED": str(hash_seed)}
    environment.pop("EVERCOUNT_CLOCK", None)
    command = [sys.executable, str(Path(__file__).with_name("whole_system.py")), str(seed), str(folder), str(seconds)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    """The lines it printed."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.splitlines()


def figures(lines: list[str]) -> dict[str, Any]:
    return msgspec.json.decode(lines[-1].partition(" ")[2])


def first_difference(one: list[str], other: list[str]) -> str:
    """The first line that differs, from both; "" where none does."""
    for number, (left, right) in enumerate(zip_longest(one, other, fillvalue="(nothing)"), 1):
        if left != right:
            return f"line {number}:\n  {left}\n  {right}"
    return ""


@pytest.mark.real
@pytest.mark.timeout(300)
def test_one_seed_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    same = [start(11, hash_seed, tmp_path / f"hash-{hash_seed}", 600.0) for hash_seed in (1, 2)]
    other = start(12, 1, tmp_path / "other", 120.0)
    one, two = finish(same[0]), finish(same[1])
    assert first_difference(one, two) == ""
    third = finish(other)
    assert {line.split()[2] for line in one if line.startswith("ledger")}.isdisjoint(
        line.split()[2] for line in third if line.startswith("ledger")
    ), "another seed makes other epochs"
    assert figures(third)["faults"] == []

    found = figures(one)
    assert found.pop("faults") == []
    assert list(found) == ["north", "south"]
    for site in found.values():
        assert site["outages"] >= 2
        assert min(site["lost requests"], site["lost answers"]) >= 1
        assert site["kinds"]["movement"] >= 20
        assert site["recorded"] >= 0.8 * site["crossed"]
        assert site["wrong_way"] + site["stray"] <= 0.02 * site["crossed"]
    kinds = [line for line in one if '"kind":"receiving"' in line or '"kind":"shipping"' in line]
    assert len({line.partition('"kind":"')[2][:8] for line in kinds}) == 2
