"""The seeded day: `python -m benchmarks.simulated_day --seed N [--count K] [--seconds S] --json`.

One JSON line for each seed: {"seed", "faults_injected", "records", "crossings", "recorded", "faults", "digest"}, with
--detail also "sites". A failing seed replays identically. Exit status 1 where any seed found a fault.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import click
import msgspec
import structlog

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "scenarios")]

import simulated_day as day  # noqa: E402 - the system under test stands with the tests


@click.command(help=__doc__)
@click.option("--seed", default=1, show_default=True)
@click.option("--count", default=1, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=day.SECONDS, show_default=True, help="Virtual seconds.")
@click.option("--sites", default=0, type=click.IntRange(0, 3), help="Sites; 0: as the seed says.")
@click.option("--lines", type=click.Path(path_type=Path), help="Write what the last seed left behind, line by line.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the files of the last seed in this empty folder.")
@click.option("--detail", is_flag=True, help="Tell the figures of each site.")
@click.option("--log", is_flag=True, help="Show what the programs log.")
@click.option("--json", "_json", is_flag=True, help="Always.")
def main(
    seed: int,
    count: int,
    seconds: float,
    sites: int,
    lines: Path | None,
    keep: Path | None,
    detail: bool,
    log: bool,
    _json: bool,
) -> None:
    if not log:
        logging.disable(logging.CRITICAL)
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda *_: ""])
    found = False
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory(prefix="evercount-day-") as folder:
            result = day.play(number, keep or Path(folder), seconds, sites)
        left_out = {"lines"} if detail else {"lines", "sites"}
        told = {name: value for name, value in vars(result).items() if name not in left_out}
        click.echo(msgspec.json.encode(told))
        sys.stdout.flush()
        found |= bool(result.faults)
        if lines:
            lines.write_text("\n".join([*result.lines, ""]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
