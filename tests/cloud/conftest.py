"""A headquarters in process, on virtual time, with a site and an enrolled gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headquarters import Headquarters, open_headquarters
from virtual import VirtualRuntime


@pytest.fixture
async def headquarters(tmp_path: Path, runtime: VirtualRuntime) -> AsyncIterator[Headquarters]:
    """A migrated, empty headquarters."""
    async with open_headquarters(tmp_path / "cloud.db", runtime) as opened:
        yield opened
