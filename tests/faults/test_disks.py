"""A disk that is full or turns read-only under the whole gateway program: nobody was told of a movement that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcome import isolated


@pytest.mark.real
def test_a_full_disk_loses_nothing_and_is_left_behind(tmp_path: Path) -> None:
    outcome = isolated("disk", tmp_path, seed=1, fault="full", commits=2, device="tmpfs")
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.faults == []
    assert outcome.counts["times full"] == outcome.counts["said so"] == 2


@pytest.mark.real
def test_a_card_that_turns_read_only_loses_nothing_and_is_visible(tmp_path: Path) -> None:
    outcome = isolated("disk", tmp_path, seed=1, fault="readonly", times=1)
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.faults == []
    assert outcome.counts["aborts"] == outcome.counts["said so"] == 1


@pytest.mark.real
def test_a_cut_of_power_leaves_every_movement_that_was_told(tmp_path: Path) -> None:
    outcome = isolated("power", tmp_path, seed=1, cuts=5)
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.faults == []
    assert outcome.counts["power cuts"] == 5
    assert outcome.counts["in flight at a cut, least"] > 0
