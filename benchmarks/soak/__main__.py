"""The fault campaigns: `./run soak [CAMPAIGN...] [--runs N] [--seed N]`, then `./run soak report`.

Without a name it plays all of them. Each run appends one JSON line to the results file; a run that passed is not played again:
an interrupted evening goes on where it stopped. A run that finds a fault keeps its folder, and the exit status is 1.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")]

from benchmarks.soak import report, results  # noqa: E402 - the harness stands with the tests
from benchmarks.soak.campaigns import CAMPAIGNS, Campaign, find  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "reliability.jsonl"
REPORT = ROOT / "docs" / "reliability.md"
#: Politeness of the campaigns towards whatever else the machine does.
NICE = 10


def play(campaign: Campaign, seed: int, into: results.Results) -> list[str]:
    """Play once and write it down; what it found, or why it was not played (then nothing is written)."""
    folder = Path(tempfile.mkdtemp(prefix=f"evercount-{campaign.name}-{seed}-", dir="/var/tmp"))
    began = time.monotonic()
    outcome = campaign.play(folder, seed)
    if outcome.skipped:
        shutil.rmtree(folder, ignore_errors=True)
        return [f"not played: {outcome.skipped}"]
    line = results.Line(
        campaign=campaign.name,
        seed=seed,
        date=results.today(),
        commit=results.commit(),
        machine=results.machine(),
        seconds=round(time.monotonic() - began, 1),
        counts=outcome.counts,
        faults=outcome.faults,
    )
    into.append(line)
    if outcome.faults:
        return [*outcome.faults[:20], f"{len(outcome.faults)} faults; the files are in {folder}"]
    shutil.rmtree(folder, ignore_errors=True)
    return []


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[CAMPAIGN...]")
@click.option("--runs", type=click.IntRange(1), help="Runs of each campaign; without it, its own number.")
@click.option("--seed", default=1, show_default=True, help="Seed of the first run; the next ones follow.")
@click.option("--results", "file", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
@click.option("--report", "page", default=REPORT, show_default=True, type=click.Path(path_type=Path))
def main(names: tuple[str, ...], runs: int | None, seed: int, file: Path, page: Path) -> None:
    into = results.Results(file)
    if names == ("report",):
        page.write_text(report.page(into.lines), encoding="utf-8")
        click.echo(f"{page}: {len(into.lines)} runs")
        return
    try:
        chosen = [find(name) for name in names] or list(CAMPAIGNS)
    except ValueError as error:
        click.echo(f"soak: {error}", err=True)
        sys.exit(2)
    os.nice(NICE)
    plan = [(one, number) for one in chosen for number in range(seed, seed + (runs or one.plays))]
    found_something = False
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("runs", total=len(plan))
        for campaign, number in plan:
            progress.update(task, description=f"{campaign.name} {number}")
            if not into.passed(campaign.name, number):
                for text in play(campaign, number, into):
                    found_something |= not text.startswith("not played")
                    progress.console.print(f"{campaign.name} {number}: {text}", markup=False)
            progress.advance(task)
    sys.exit(1 if found_something else 0)


if __name__ == "__main__":
    main()
