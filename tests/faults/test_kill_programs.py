"""kill -9 of either program, twenty times inside traffic: what anybody was told is there, once, and both sides agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from kills import play


@pytest.mark.real
@pytest.mark.timeout(400)
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    result = play(tmp_path, seed=1, cloud_kills=4, dense_kills=14, full_kills=2)
    assert result.faults == []
    assert result.kills == {"cloud": 4, "dense gateway": 14, "whole gateway": 2}
    assert all(min(found) > 0 for found in result.in_flight.values()), result.in_flight
    assert result.pushes_open >= 1
    assert result.figures["receipts"] > 500
    assert result.figures["movement lines shown"] > 100
    assert result.figures["whole gateway"]["recorded"] > 0
