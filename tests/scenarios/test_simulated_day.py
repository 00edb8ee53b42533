"""Short simulated days with every kind of fault: nothing lost, doubled or invented; the same seed, the same day."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import observer
import pytest
import virtual
from day_disk import Disks
from day_judge import judge, moving_units
from simulated_day import Day, Plan

from vocabulary.movement import Movement, UnitEntry
from vocabulary.place import Account

ROOT = Path(__file__).parents[2]
#: Seeds of the short days: together they kill everything, restore an image, take over and cut.
SEEDS = (9, 8, 12)
SECONDS = 300.0


def start(seed: int, hash_seed: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    environment.pop("EVERCOUNT_CLOCK", None)
    words = ("--seed", str(seed), "--seconds", str(SECONDS), "--sites", "2", "--json")
    command = [sys.executable, "-m", "benchmarks.simulated_day", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert out, err
    return msgspec.json.decode(out)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_short_days_with_all_faults_lose_double_and_invent_nothing() -> None:
    one, two = start(SEEDS[0], 1), start(SEEDS[0], 2)
    first, again = finish(one), finish(two)
    assert first == again, "the same seed in another process gave another day"
    found = [first, *(finish(process) for process in [start(seed, 3) for seed in SEEDS[1:]])]
    assert [day["faults"] for day in found] == [[] for _ in found]
    assert len({day["digest"] for day in found}) == len(found)
    injected = Counter[str]()
    for day in found:
        injected.update(day["faults_injected"])
        assert day["records"] >= 60
        assert day["recorded"] >= 0.3 * day["crossings"]
    happened = " ".join(injected)
    for what in (
        "gateway killed", "headquarters killed", "disk refusals", "network", "clock", "spare takes over", "card salvaged",
        "old image restored", "rows cut by retention", "corrections ordered",
    ):  # fmt: skip
        assert what in happened, f"no {what} in these seeds: {sorted(injected)}"


class Damaged(Day):
    """A calm hour of one site whose files are then changed behind everybody's back, one after the other."""

    found: dict[str, list[str]]

    async def _judge(self, faults: list[str]) -> None:
        (site,) = self.sites
        self.found = {"settled": faults, "untouched": (await judge(site, self.headquarters))[0]}
        changes = {
            "balance": ("UPDATE balance SET quantity = quantity {} 1 WHERE quantity > 0", "+", "-"),
            "row": ("UPDATE ledger SET body = CAST(replace(body, {}) AS BLOB)", "'soap', 'soup'", "'soup', 'soap'"),
        }
        for name, (sql, there, back) in changes.items():
            self._change(sql.format(there))
            self.found[name] = (await judge(site, self.headquarters))[0]
            self._change(sql.format(back))
        site.told.add((1_000_000, b"a row that somebody was told of"))
        self.found["told"] = (await judge(site, self.headquarters))[0]

    def _change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.headquarters.database)) as connection, connection:
            connection.execute(sql)


def test_the_observer_of_the_day_finds_what_was_changed(tmp_path: Path) -> None:
    plan = Plan({"north": 1}, {"north": frozenset()}, retention=False)
    day = Damaged(3, tmp_path, 110.0, plan, Disks())
    virtual.run(day.run)
    found = {name: " ".join(texts) for name, texts in day.found.items()}
    assert found["settled"] == found["untouched"] == ""
    assert "not the sum of the movements" in found["balance"]
    assert "lacks or changed" in found["row"]
    assert "told are nowhere" in found["told"]


def test_a_passage_recorded_twice_is_found_and_a_unit_that_is_carried_along_is_none() -> None:
    inside, outside = Account("dock-1"), Account("customer")
    case, pallet = UnitEntry("01/09506000134352/21/1"), UnitEntry("00/395060000000000012")
    first = Movement("shipping", inside, outside, 9, units=(case,), read_point="dock-1", interval=5)
    again = Movement("shipping", outside, outside, 10, units=(case,), read_point="dock-1", interval=5)
    carried = Movement("shipping", outside, outside, 10, (), (case, UnitEntry(pallet.unit, inside)), interval=5)
    assert moving_units(again) == again
    assert len(observer.doubled({1: moving_units(first), 2: moving_units(again)})) == 1
    assert [entry.unit for entry in moving_units(carried).units] == [pallet.unit]
