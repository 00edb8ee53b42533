"""Every asynchronous test runs on virtual time without threads, but those marked `real`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
from virtual import VirtualLoop, VirtualRuntime, no_threads


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of a test: real where it is marked so, else virtual."""
    if item.get_closest_marker("real"):
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}


@pytest.fixture(autouse=True)
def _virtual(request: pytest.FixtureRequest) -> Iterator[None]:
    called = getattr(request.node, "callspec", None)
    if called is None or called.params.get("_asyncio_loop_factory") is not VirtualLoop:
        yield
    else:
        with no_threads():
            yield


@pytest.fixture
def runtime() -> VirtualRuntime:
    """A runtime on virtual time, seed 0."""
    return VirtualRuntime()
