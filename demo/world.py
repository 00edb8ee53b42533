"""What all trading partners of the demo share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from demo.catalogue import DemoItem
from demo.dock import Dock
from demo.shelves import Printer, Shelves
from runtime import Runtime


@dataclass(frozen=True, slots=True)
class World:
    """What the partners share. `pace`: clock seconds in a watcher's second."""

    runtime: Runtime
    random: Random
    printer: Printer
    items: dict[str, DemoItem]
    docks: dict[str, Dock]
    shelves: dict[str, Shelves]
    pace: float

    async def wait(self, seconds: tuple[float, float]) -> None:
        """Wait a time drawn between two, by a watcher's clock."""
        await asyncio.sleep(self.random.uniform(*seconds) * self.pace)


def say(text: str) -> None:
    """One line of the partners' log."""
    print(text, flush=True)
