"""The demo's trading partners: suppliers and customers that know headquarters only by its public API.

    python -m demo.partners --settings FILE

A supplier reads the released purchase orders that name it, announces each shipment (ASN) with its pallets and cases, and
some time later a truck stands at one of the site's doors. Customers order; what they order leaves on tagged pallets.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from random import Random

import click
import httpx
import msgspec

from demo.api import Api
from demo.catalogue import CUSTOMERS, SITES, SUPPLIERS, items
from demo.customers import Customers
from demo.dock import Dock
from demo.history import DAYS
from demo.shelves import Printer, Shelves, after_history
from demo.suppliers import Supplier
from demo.world import World
from runtime import Runtime, SystemRuntime, new_event_loop


class SiteSettings(msgspec.Struct, frozen=True):
    """A site as the partners' trucks find it."""

    id: str
    control: str


class Settings(msgspec.Struct, frozen=True):
    """Where headquarters is, the keys of the partners, and the sites. `until`: the first day after the history."""

    url: str
    keys: dict[str, str]
    sites: tuple[SiteSettings, ...]
    seed: int
    until: str
    pace: float


def made(settings: Settings, runtime: Runtime, client: httpx.AsyncClient) -> list[Callable[[], Awaitable[None]]]:
    """The work of all partners."""
    catalogue = items(settings.seed)
    weekday = (date.fromisoformat(settings.until) - timedelta(days=DAYS)).weekday()
    printer = Printer()
    sites = {site.id: site for site in SITES}
    world = World(
        runtime=runtime,
        random=Random(f"{settings.seed}:partners"),
        printer=printer,
        items={item.id: item for item in catalogue},
        docks={one.id: Dock(runtime, one.control, sites[one.id].doors) for one in settings.sites},
        shelves={
            one.id: Shelves(printer, after_history(settings.seed, sites[one.id], catalogue, weekday))
            for one in settings.sites
        },
        pace=settings.pace,
    )
    apis = {name: Api(client, settings.url, key) for name, key in settings.keys.items()}
    suppliers = [Supplier(world, apis[one.id], one.id, number) for number, one in enumerate(SUPPLIERS, 1)]
    return [*(supplier.run for supplier in suppliers), Customers(world, {name: apis[name] for name in CUSTOMERS}).run]


@click.command()
@click.option("--settings", "settings_file", required=True, type=click.Path(path_type=Path))
def main(settings_file: Path) -> None:
    """Trade until stopped."""
    settings = msgspec.json.decode(settings_file.read_bytes(), type=Settings)

    async def work() -> None:
        async with httpx.AsyncClient(timeout=30.0) as client, asyncio.TaskGroup() as partners:
            task = asyncio.current_task()
            assert task is not None
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
            for partner in made(settings, SystemRuntime(), client):
                partners.create_task(_run(partner))

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(work())
    except asyncio.CancelledError:
        sys.exit(0)


async def _run(partner: Callable[[], Awaitable[None]]) -> None:
    await partner()


if __name__ == "__main__":
    main()
