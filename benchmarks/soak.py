"""The long fault campaigns: kill -9 of real programs under traffic, again and again, one JSON line per campaign.

    python -m benchmarks.soak [--kills N] [--seed N] [--results FILE]

A campaign that finds a fault keeps its folder and ends the run with status 1. A run that was interrupted goes on where the
results file ends: campaigns already in it are not played again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")]

from campaign import Result, play  # noqa: E402 - the harness stands with the tests

#: Kills of headquarters, of the densely used gateway and of the whole gateway program in one campaign.
KILLS = (8, 24, 8)
DEFAULT_RESULTS = ROOT / "var" / "soak.jsonl"


class Line(msgspec.Struct, frozen=True):
    """One campaign in the results file."""

    seed: int
    kills: dict[str, int]
    faults: list[str]


def played(results: Path) -> dict[int, Line]:
    """The campaigns in a results file by seed; a line that was cut off does not count."""
    found: dict[int, Line] = {}
    if results.exists():
        for text in results.read_bytes().splitlines(keepends=True):
            if text.endswith(b"\n"):
                line = msgspec.json.decode(text, type=Line)
                found[line.seed] = line
    return found


def campaign(seed: int, results: Path) -> Result:
    """Play one campaign and append its line; its folder stays where it found a fault."""
    folder = Path(tempfile.mkdtemp(prefix=f"evercount-soak-{seed}-"))
    result = play(folder, seed, *KILLS)
    if result.faults:
        result.figures["folder"] = str(folder)
    else:
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()
    whole = results.read_bytes() if results.exists() else b""
    cut_off = len(whole) - (whole.rfind(b"\n") + 1)
    with results.open("ab") as file:
        file.truncate(len(whole) - cut_off)
        file.write(msgspec.json.encode(result) + b"\n")
    return result


@click.command(help=__doc__)
@click.option("--kills", default=500, show_default=True, help="Kills in all.")
@click.option("--seed", default=1, show_default=True, help="Seed of the first campaign; the next ones follow.")
@click.option("--results", default=DEFAULT_RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(kills: int, seed: int, results: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    before = played(results)
    seeds = range(seed, seed + -(-kills // sum(KILLS)))
    done = faulty = 0
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("kills", total=len(seeds) * sum(KILLS))
        for number in seeds:
            found = before[number] if number in before else campaign(number, results)
            done += sum(found.kills.values())
            faulty += bool(found.faults)
            progress.update(task, completed=done)
            for fault in found.faults[:20]:
                progress.console.print(f"seed {number}: {fault}")
    click.echo(msgspec.json.encode({"kills": done, "campaigns": len(seeds), "with faults": faulty}).decode())
    sys.exit(1 if faulty else 0)


if __name__ == "__main__":
    main()
