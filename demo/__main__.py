"""`./run demo`: one headquarters and three warehouses with emulated readers, on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import webbrowser
from pathlib import Path

import click

from demo.compose import Demo, Options, running
from demo.processes import DemoError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", default=1, show_default=True, help="Another seed, another year of trade.")
@click.option("--speed", default=2.0, show_default=True, type=click.FloatRange(0.5, 4.0), help="Pace of its clock.")
@click.option("--keep", is_flag=True, help="Leave the ledgers, the database and the logs where they are.")
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def main(seed: int, speed: float, keep: bool, no_open: bool) -> None:
    """Watch pallets pass dock doors, and headquarters order again."""
    folder = Path(tempfile.mkdtemp(prefix="evercount-demo-"))
    try:
        with asyncio.Runner() as runner:
            runner.run(_run(folder, Options(seed, speed), not no_open))
    except DemoError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)
    finally:
        if keep:
            click.echo(f"everything is kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _run(folder: Path, options: Options, opens: bool) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    began = loop.time()

    def say(text: str) -> None:
        click.echo(f"{loop.time() - began:5.1f} s  {text}")

    try:
        async with running(folder, options, say) as demo:
            say("ready")
            click.echo(_welcome(demo, options))
            if opens and _has_screen():
                webbrowser.open(demo.link)
            await demo.watch()
    except asyncio.CancelledError:
        click.echo("stopped; nothing is left behind")


def _has_screen() -> bool:
    """Whether a browser would open in a window, not in this terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _welcome(demo: Demo, options: Options) -> str:
    width = max(len(address.name) for address in demo.addresses)
    lines = [f"  {address.name:{width}}  {address.url}" for address in demo.addresses]
    return "\n".join(
        [
            "",
            *lines,
            "",
            f"  Sign in once with      {demo.link}",
            "",
            f"  {demo.rows} records of a year are here; its clock runs {options.speed:g} times as fast as yours.",
            "  A pallet passes a door every quarter of a minute. Accept a proposal under Recommendations: its supplier",
            "  announces the delivery, and within a minute the pallet comes through the door. Ctrl-C stops everything.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
