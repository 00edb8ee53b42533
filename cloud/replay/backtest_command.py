"""`evercount-cloud forecast backtest`: how good the forecasts would have been on the demand of a file."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cloud.forecasts.boosted import learn
from cloud.forecasts.statsforecast_adapter import path_forecasts
from cloud.replay.backtest import LEVELS, Backtest, Measures, backtest
from cloud.replay.backtest_files import read_demand

#: Periods ahead where nobody says: an ordinary lead time of goods counted by the day, the week or the month.
HORIZONS = {1: 28, 7: 8, 30: 6}


def run(demand: Path, drivers: Path | None, horizon: int | None, folds: int, country: str, as_json: bool) -> str | None:
    """Measure and print tables, or give the JSON back. Raises BadInputError in one sentence."""
    table = read_demand(demand, drivers, country)
    with Progress(console=Console(stderr=True), disable=as_json, transient=True) as progress:
        task = progress.add_task("forecasting", total=None)

        def told(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total)

        found = backtest(
            table,
            horizon=horizon or HORIZONS[table.period_days],
            folds=folds,
            learn=learn,
            path_forecasts=path_forecasts,
            watch=time.perf_counter,
            progress=told,
        )
    if as_json:
        return msgspec.json.encode(found).decode()
    _show(found)
    return None


def _show(found: Backtest) -> None:
    console = Console()
    unit = {1: "days", 7: "weeks", 30: "months"}[found.period_days]
    left = f"; {found.left_out} series with too few demands left out" if found.left_out else ""
    console.print(f"{found.series} series, {found.horizon} {unit} ahead from {', '.join(found.origins)}{left}")
    console.print(_table("All series", found.models))
    for name, models in found.class_models.items():
        console.print(_table(f"{name.capitalize()} ({models['default'].forecasts} forecasts)", models))
    for one in found.drivers:
        console.print(f"{one.name} {one.reason}", highlight=False)


def _table(title: str, models: dict[str, Measures]) -> Table:
    table = Table(title=title, box=SIMPLE, padding=(0, 1))
    table.add_column("", no_wrap=True, min_width=13)
    for heading in (
        "WAPE\nof sum",
        "WAPE",
        "RMSSE",
        "bias",
        *(f"kept\n{level:.0%}" for level in LEVELS),
        "s per\n1,000",
    ):
        table.add_column(heading, justify="right")
    for name, one in models.items():
        covered = one.coverage or {}
        table.add_row(
            name,
            *(_cell(value, ".3f") for value in (one.lead_time_wape, one.wape, one.rmsse)),
            _cell(one.bias, "+.0%"),
            *(_cell(covered.get(str(level)), ".1%") for level in LEVELS),
            _cell(one.seconds_per_1000, ".1f"),
        )
    return table


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
