"""The replay as a command on a user's files: contract JSON, assumptions told, one sentence for what is wrong."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cloud.__main__ import main
from cloud.errors import BadInputError
from cloud.replay.tables import read_history

ITEMS = "sku,unit_cost,lead_time_days,order_cost,holding_rate,moq,min,max\nA,10,14,5,0.2,1,4,20\nB,200,28,5,0.2,1,,\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    drawn = np.random.default_rng(2)
    lines = ["site,sku,date,quantity"]
    for week in range(50):
        day = date(2024, 1, 1) + timedelta(days=7 * week)
        lines += [f"north,{sku},{day},{drawn.poisson(3)}" for sku in "AB" if week == 0 or drawn.random() < 0.6]
    (tmp_path / "demand.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path / "demand.csv", tmp_path / "items.csv"


def test_the_command_prints_the_contract(files: tuple[Path, Path]) -> None:
    told = CliRunner().invoke(
        main,
        ["replay", "--demand", str(files[0]), "--items", str(files[1]), "--policy", "static", "--seeds", "1", "--json"],
    )
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert {"static", "static with review", "rolling", "own min/max"} == set(found["policies"])
    assert {"turnover", "line_stockout", "unit_fill", "value_fill"} <= set(found["oracle"])
    table = CliRunner().invoke(main, ["replay", "--demand", str(files[0]), "--policy", "static", "--seeds", "1"])
    assert table.exit_code == 0, table.output
    assert all(words in table.output for words in ("value fill", "line stock-out", "unit fill"))
    assert "Supposed: the unit cost of 2 items is not known" in " ".join(table.output.split())


def test_periods_are_those_of_the_dates(tmp_path: Path) -> None:
    months = tmp_path / "months.csv"
    months.write_text("sku,date,quantity\nA,2024-01-31,1\nA,2024-02-29,2\nA,2024-04-30,4\n")
    assert read_history(months).history.demand.tolist() == [[1, 2, 0, 4]]
    assert read_history(months).history.period_days == pytest.approx(30.4375)
    days = tmp_path / "days.csv"
    days.write_text("sku,date,quantity\nA,2024-01-01,1\nA,2024-01-02,2\nA,2024-01-13,4\nA,2024-01-14,8\n")
    assert read_history(days).history.demand.tolist() == [[3, 12]]  # weeks that end with the last date


def test_terms_by_sku_or_by_site(tmp_path: Path, files: tuple[Path, Path]) -> None:
    history = read_history(*files).history
    assert history.names == (("north", "A"), ("north", "B"))
    assert history.lead_time.tolist() == [2, 4]
    assert history.minimum[0] == 4
    assert np.isnan(history.minimum[1])
    items = tmp_path / "sites.csv"
    items.write_text("site,sku,unit_cost\nnorth,A,7\nsouth,A,9\n")
    found = read_history(files[0], items)
    assert found.history.unit_cost.tolist() == [7]
    assert found.supposed == ("1 items stand in no row of the item file and were left out",)


def test_what_came_and_what_stood_there_make_own_orders(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("sku,date,quantity,on_hand,received,price\nA,2024-01-01,1,5,,2\nA,2024-01-08,2,4,10,4\n")
    found = read_history(file)
    assert found.history.received is not None
    assert found.history.opening is not None
    assert found.history.received.tolist() == [[0, 10]]
    assert found.history.opening.tolist() == [[5, 4]]
    assert found.history.unit_cost.tolist() == [3]


@pytest.mark.parametrize(
    ("demand", "items", "said"),
    [
        ("sku,date,quantity\nA,2024-13-01,1\n", "", "demand.csv:2: date: '2024-13-01' is no date"),
        ("sku,date,quantity\nA,2024-01-01,-1\n", "", "demand.csv:2: quantity: "),
        ("sku,quantity\nA,1\n", "", "demand.csv:1: column date is missing"),
        ("sku,date,quantity\nA,2024-01-01,1\n", "sku,unit_cost\nZ,1\n", "none of its skus has demand"),
        ("sku,date,quantity\nA,2024-01-01,1\n", "sku,unit_cost\nA,1\nA,2\n", "items.csv:3: sku: A stands there twice"),
        (
            "sku,date,quantity\nA,2024-01-01,1\n",
            "sku,unit_cost,min,max\nA,1,9,2\n",
            "items.csv:2: max: 2 is below min 9",
        ),
        ("sku,date,quantity\nA,2024-01-01,1\n", "sku,unit_cost\nA,0\n", "items.csv:2: unit_cost: "),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, demand: str, items: str, said: str) -> None:
    (tmp_path / "demand.csv").write_text(demand)
    (tmp_path / "items.csv").write_text(items)
    with pytest.raises(BadInputError) as error:
        read_history(tmp_path / "demand.csv", tmp_path / "items.csv" if items else None)
    assert said in str(error.value)


def test_a_file_that_is_not_there_or_too_short(tmp_path: Path) -> None:
    for text, said in (
        (None, "there is no such file"),
        ("sku,date,quantity\nA,2024-01-01,1\n", "a replay needs 30 or more"),
    ):
        if text:
            (tmp_path / "demand.csv").write_text(text)
        told = CliRunner().invoke(main, ["replay", "--demand", str(tmp_path / "demand.csv")])
        assert told.exit_code == 2
        assert said in told.output
        assert "Traceback" not in told.output
