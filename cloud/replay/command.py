"""`evercount-cloud replay`: what the forecast would have saved on the demand of a file."""

from __future__ import annotations

import json
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cloud.errors import BadInputError
from cloud.replay.kpis import Kpis
from cloud.replay.replay import SEEDS, Comparison, Replay, Which, replay
from cloud.replay.tables import read_history
from cloud.replay.warehouse import Unserved
from cloud.replay.words import as_json, sentences

#: Figures of a table: key, heading, how it is written.
_FIGURES = (
    ("turnover", "turnover", "{:.2f}"), ("line_stockout", "line stock-out", "{:.1%}"),
    ("unit_fill", "unit fill", "{:.1%}"), ("value_fill", "value fill", "{:.1%}"),
    ("excess_obsolete", "excess+obsolete", "{:,.0f}"), ("carrying_cost", "carrying/year", "{:,.0f}"),
    ("order_cost", "orders/year", "{:,.0f}"), ("stock_value", "stock value", "{:,.0f}"),
)  # fmt: skip


def run(demand: Path, items: Path | None, which: Which, unserved: Unserved, seeds: int, as_json_: bool) -> str | None:
    """Play and print a table, or give the JSON back. Raises BadInputError in one sentence."""
    table = read_history(demand, items)
    with Progress(console=Console(stderr=True), disable=as_json_, transient=True) as progress:
        task = progress.add_task("playing", total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        numbers = range(SEEDS[0], SEEDS[0] + seeds)
        try:
            found = replay(table.history, which=which, unserved=unserved, seeds=numbers, progress=told)
        except ValueError as error:
            raise BadInputError(f"{demand}: {error}; bring a longer history") from None
    if as_json_:
        return json.dumps(as_json(found, table.supposed))
    _show(found, table.supposed)
    return None


def _show(found: Replay, supposed: tuple[str, ...]) -> None:
    console = Console()
    begin, measured, end = found.calendar
    unit = "months" if found.period_days > 7 else "weeks"
    console.print(
        f"{found.series} items; {unit} 1 to {begin} learnt from, {begin + 1} to {measured} warm-up, {measured + 1} to {end} "
        f"measured; what is not served at once {'waits' if found.unserved == 'waits' else 'is lost'}"
        + (f"; {found.left_out} items with too few demands left out" if found.left_out else "")
    )
    for one in supposed:
        console.print(f"Supposed: {one}.")
    for one in found.comparisons:
        console.print(_comparison(found, one))
        console.print("\n".join(sentences(one)), highlight=False)
        console.print()
    if not found.comparisons and found.policies:
        console.print(_policies(found))
    if found.frontier:
        frontier = Table("stock-out\ncosts", "and of\nvalue", title="The whole slider", box=SIMPLE)
        for _, heading, _ in _FIGURES[:5]:
            frontier.add_column(heading.replace(" ", "\n"), justify="right")
        for point in found.frontier:
            frontier.add_row(f"{point.stockout_value:g}", f"{point.value_share:.0%}", *_written(point.kpis)[:5])
        console.print(frontier)


def _comparison(found: Replay, one: Comparison) -> Table:
    """Figures down, policies across: it fits a terminal of 80 columns."""
    table = Table("", title=f"Against {one.opponent}", box=SIMPLE)
    for heading in (
        one.opponent,
        "dynamic\nchosen before",
        "change over seeds",
        "dynamic best\nin hindsight",
        "oracle",
    ):
        table.add_column(heading, justify="right")
    columns = [_written(k) for k in (one.opponent_kpis, one.chosen.kpis, one.hindsight.kpis, found.oracle)]
    for place, (figure, heading, _) in enumerate(_FIGURES):
        low, _, high = one.band[figure]
        old, new, best, oracle = (column[place] for column in columns)
        table.add_row(heading, old, new, f"{low * 100:+.0f}..{high * 100:+.0f} %", best, oracle)
    return table


def _policies(found: Replay) -> Table:
    table = Table("", box=SIMPLE)
    shown = {**found.policies, "oracle": found.oracle}
    for name in shown:
        table.add_column(name, justify="right")
    columns = [_written(one) for one in shown.values()]
    for place, (_, heading, _) in enumerate(_FIGURES):
        table.add_row(heading, *(column[place] for column in columns))
    return table


def _written(figures: Kpis) -> list[str]:
    return [form.format(getattr(figures, name)) for name, _, form in _FIGURES]
