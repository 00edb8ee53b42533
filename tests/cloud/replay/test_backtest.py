"""Backtests: measures by hand, no look-ahead, the JSON that others rely on, and one sentence for every bad file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from cloud.__main__ import main
from cloud.errors import BadInputError
from cloud.forecasts.boosted import learn
from cloud.replay.backtest import Backtest, Demand, backtest
from cloud.replay.backtest_files import read_demand

WEEKS = 60


def last_value(model: str, histories: Sequence[NDArray[np.float64]], horizon: int, season: int) -> NDArray[np.float64]:
    """Every anchor is the last value: what it comes to is known by hand."""
    return np.asarray([np.full(horizon, one[-1]) for one in histories])


def table(series: int = 30, seed: int = 2) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed)
    return drawn.poisson(drawn.uniform(2, 40, (series, 1)), (series, WEEKS)).astype(float)


def measured(values: NDArray[np.float64], horizon: int = 4, folds: int = 2) -> Backtest:
    names = tuple(("north", f"item-{row}") for row in range(len(values)))
    demand = Demand(names, values, 700_000, 7, np.ones(len(values)))
    clock = iter(range(10_000))
    return backtest(
        demand, horizon=horizon, folds=folds, learn=learn, path_forecasts=last_value, watch=lambda: float(next(clock))
    )


def csv_file(path: Path, rows: Sequence[str], head: str = "site,sku,date,quantity") -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def weekly(values: NDArray[np.float64]) -> list[str]:
    start = date(2024, 1, 1)
    return [
        f"north,item-{row},{start + timedelta(weeks=week)},{int(quantity)}"
        for row, one in enumerate(values)
        for week, quantity in enumerate(one)
        if quantity
    ]


def test_the_measures_are_those_of_the_textbook() -> None:
    values = np.tile(np.asarray([[4.0, 6.0]]), (1, WEEKS // 2))
    found = measured(values, horizon=2, folds=1)
    naive = found.models["SES"]  # forecasts 6, 6; 4, 6 came
    assert naive.wape == pytest.approx(0.2)
    assert naive.lead_time_wape == pytest.approx(0.2)
    assert naive.bias == pytest.approx(0.2)
    assert naive.rmsse == pytest.approx(np.sqrt(2) / 2, abs=1e-4)  # errors 2 and 0; one step is always off by 2
    assert naive.wrmsse == naive.rmsse


def test_a_steady_demand_is_covered_as_promised_and_beats_the_last_value() -> None:
    found = measured(table(60))
    ours = found.default
    assert ours.ratio_to_best is not None
    assert ours.ratio_to_best < 1.0
    assert ours.coverage is not None
    assert ours.coverage["0.95"] == pytest.approx(0.95, abs=0.05)
    assert found.classes["smooth"].forecasts == 120
    assert set(found.models) == {"default", "SES", "IMAPA", "SeasonalNaive", "LightGBM"}


def test_the_same_demand_gives_the_same_figures() -> None:
    assert measured(table()) == measured(table())


def test_what_comes_after_an_origin_changes_no_forecast_before_it() -> None:
    values = table()
    changed = values.copy()
    changed[:, -4:] = changed[::-1, -4:] * 3
    first, other = (measured(one, folds=2) for one in (values, changed))
    assert first != other
    early = [measured(one[:, :-4], folds=1) for one in (values, changed)]
    assert early[0] == early[1]


def test_a_demand_too_short_for_its_folds_is_refused_with_what_would_fit() -> None:
    with pytest.raises(BadInputError, match=r"60 periods: before 9 folds of 6 at least 12 more.*at most 8"):
        measured(table(), horizon=6, folds=9)


def test_the_command_prints_the_keys_that_others_rely_on(tmp_path: Path) -> None:
    values = table(45)
    demand = csv_file(tmp_path / "demand.csv", weekly(values))
    start = date(2024, 1, 1)
    rows = [f"{start + timedelta(weeks=week)},steel,{100 + week % 7}" for week in range(WEEKS)]
    drivers = csv_file(tmp_path / "drivers.csv", rows, "date,name,value")
    arguments = ["forecast", "backtest", "--demand", str(demand), "--drivers", str(drivers)]
    done = CliRunner().invoke(main, [*arguments, "--horizon", "4", "--folds", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["series"], found["folds"], found["horizon"], found["period_days"]) == (45, 2, 4, 7)
    for one in (found["default"], found["models"]["LightGBM"], found["classes"]["smooth"]):
        assert {"wape", "lead_time_wape", "rmsse", "wrmsse", "bias", "seconds_per_1000"} <= set(one)
        assert set(one["coverage"]) == set(one["pinball"]) == {"0.9", "0.95", "0.99"}
    (driver,) = found["drivers"]
    assert driver["name"] == "steel"
    assert driver["accepted"] is False
    assert {"gain", "standard_error", "reason"} <= set(driver)


def test_the_period_of_a_file_is_that_of_its_dates(tmp_path: Path) -> None:
    days = csv_file(tmp_path / "days.csv", ["n,a,2026-01-01,3", "n,a,2026-01-05,2", "n,b,2026-01-06,1"])
    weeks = csv_file(tmp_path / "weeks.csv", ["n,a,2026-01-02,3", "n,a,2026-01-23,2"])
    months = csv_file(tmp_path / "months.csv", ["n,a,2025-11-30,3", "n,a,2026-02-28,2", "n,a,2026-02-28,4"])
    found = [read_demand(path) for path in (days, weeks, months)]
    assert [one.period_days for one in found] == [1, 7, 30]
    assert found[0].table.tolist() == [[3, 0, 0, 0, 2, 0], [0, 0, 0, 0, 0, 1]]
    assert found[1].table.tolist() == [[3, 0, 0, 2]]
    assert found[2].table.tolist() == [[3, 0, 0, 6]]


def test_a_driver_is_planned_only_where_it_was_known_beforehand(tmp_path: Path) -> None:
    demand = csv_file(tmp_path / "demand.csv", ["n,a,2026-01-02,3", "n,a,2026-01-23,2"])
    rows = ["2026-01-09,,a,leaflet,1,2026-01-09", "2026-01-16,,a,leaflet,1,2026-01-10", "2026-01-23,,a,leaflet,1,"]
    drivers = csv_file(tmp_path / "drivers.csv", rows, "date,site,sku,name,value,known_until")
    (driver,) = read_demand(demand, drivers).drivers
    assert driver.planned == (True, False, False)
    assert (driver.name, driver.site, driver.item) == ("leaflet", "", "a")


@pytest.mark.parametrize(
    ("rows", "head", "told"),
    [
        (["n,a,2026-13-01,3"], "site,sku,date,quantity", "bad.csv:2: date: '2026-13-01' is no date"),
        (["n,a,2026-01-01,many"], "site,sku,date,quantity", "bad.csv:2: quantity: "),
        (["n,a,2026-01-01,-3"], "site,sku,date,quantity", "bad.csv:2: quantity: "),
        (["n,a,2026-01-01"], "site,sku,date", "bad.csv:1: column quantity is missing"),
        (["n,a"], "site,sku,date,quantity", "bad.csv:2: the row has more or fewer cells"),
        ([], "site,sku,date,quantity", "bad.csv: the file holds no rows"),
        (
            ["n,a,2026-01-01,3"],
            "site,sku,date,quantity",
            "1 periods: before 3 folds of 8 at least 12 more must be known to learn from; bring a longer history",
        ),
    ],
)
def test_a_bad_file_is_told_in_one_sentence(tmp_path: Path, rows: list[str], head: str, told: str) -> None:
    path = csv_file(tmp_path / "bad.csv", rows, head)
    done = CliRunner().invoke(main, ["forecast", "backtest", "--demand", str(path), "--json"])
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["forecast", "backtest", "--demand", str(tmp_path / "none.csv")])
    assert (done.exit_code, "there is no such file" in done.output) == (2, True)


def test_a_result_survives_its_json() -> None:
    found = measured(table())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Backtest) == found
