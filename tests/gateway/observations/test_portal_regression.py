"""The dock-door rule on a few streams of the portal benchmark: its budgets, with a margin for the small number."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.portal import evercount, score
from benchmarks.portal_physics import draw


def posted(family: str, seed: int) -> Counter[str]:
    world, reads = draw(family, seed)
    return score(world, evercount(world, reads, [])[0])


@pytest.mark.parametrize(
    ("family", "recall"),
    [("miss 0.35", 0.83), ("60 strays", 0.65), ("turn-backs", 0.85), ("staged inside", 0.8)],
)
def test_the_rule_keeps_its_budgets(family: str, recall: float) -> None:
    got = posted(family, 4)
    assert got["wrong direction"] == 0
    assert got["doubles"] == 0
    assert got["strays posted"] == 0
    assert got["right"] >= 0.96 * got["posted"]  # 0.99 over all; one bent pallet weighs more in a hundred tags
    assert got["right"] >= recall * got["truth"]
