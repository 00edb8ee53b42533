"""The network between gateway and headquarters breaks and heals: nothing is lost or doubled, and it goes on."""

from __future__ import annotations

from pathlib import Path

import network
import pytest


@pytest.mark.real
def test_broken_connections_lose_and_double_nothing(tmp_path: Path) -> None:
    faults = ("cut in mid-answer", "answers lost, half-open")
    outcome = network.play(tmp_path, seed=1, factor=8, fault_s=8.0, faults=faults)
    assert outcome.faults == []
    assert outcome.counts["faults of the network"] == 2
    assert outcome.counts["pushes acknowledged"] > 3
