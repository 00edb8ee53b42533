"""Pages over a seeded network, as somebody sees them who is signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from headquarters import open_headquarters
from seeded_network import Network, browser, seed_network
from virtual import VirtualRuntime


@pytest.fixture
async def network(database: Path | str, runtime: VirtualRuntime) -> AsyncIterator[Network]:
    """Three sites with twenty days behind them."""
    async with open_headquarters(database, runtime) as opened:
        yield await seed_network(opened)


@pytest.fixture
async def maria(network: Network) -> AsyncIterator[httpx.AsyncClient]:
    """An owner at the keyboard."""
    async with await browser(network.headquarters) as client:
        yield client
