"""The campaigns' results file and the page made from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.soak.campaigns import CAMPAIGNS, find
from benchmarks.soak.report import page
from benchmarks.soak.results import Line, Results

GOOD = Line("power", 1, "2026-11-23", "abc", "a machine", 60.0, {"power cuts": 50, "in flight at a cut, least": 8}, [])
BAD = msgspec.structs.replace(GOOD, seed=2, faults=["cut 3: row 7 is gone"], counts={"in flight at a cut, least": 3})


def test_a_run_is_played_again_until_it_passes(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    for line in (GOOD, BAD):
        Results(path).append(line)
    path.write_bytes(path.read_bytes() + b'{"campaign":"power","seed":3,"da')  # the machine went down here
    again = Results(path)
    assert [again.passed("power", seed) for seed in (1, 2, 3)] == [True, False, False]
    again.append(msgspec.structs.replace(BAD, faults=[]))
    assert Results(path).passed("power", 2)
    assert len(path.read_bytes().splitlines()) == 3


def test_the_page_adds_up_and_hides_no_fault() -> None:
    shown = page([GOOD, BAD])
    assert "power cuts 50; in flight at a cut, least 3" in shown
    assert "**1 runs with faults**" in shown
    assert "power, seed 2, 2026-11-23, commit abc: cut 3: row 7 is gone (**not passed since**)" in shown
    healed = page([GOOD, BAD, msgspec.structs.replace(GOOD, seed=2, date="2026-11-24")])
    assert "nothing lost or doubled | 2026-11-23 to 2026-11-24 |" in healed
    assert "row 7 is gone (passed since)" in healed
    assert "power cuts 100" in healed


def test_every_campaign_can_be_named() -> None:
    assert [find(campaign.name) for campaign in CAMPAIGNS] == list(CAMPAIGNS)
    with pytest.raises(ValueError) as caught:
        find("earthquake")
    assert str(caught.value).startswith("there is no campaign earthquake; known: kills, power,")
