"""The real runtime: its monotonic time is the loop's, at any pace, and every thread may ask for it."""

from __future__ import annotations

import asyncio

import pytest

from runtime import SystemRuntime, new_event_loop
from runtime.clock import VARIABLE


@pytest.mark.real
@pytest.mark.parametrize("factor", [1, 20])
def test_monotonic_time_is_the_loops_also_in_a_thread(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"2026-01-05T06:00:00+00:00,{factor}")

    async def asked() -> tuple[float, int, float]:
        loop, runtime = asyncio.get_running_loop(), SystemRuntime()
        before = loop.time()
        in_thread = await loop.run_in_executor(runtime.executor("test"), runtime.monotonic)
        return before, in_thread, loop.time()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        before, in_thread, after = runner.run(asked())
    assert before - 1e-5 <= in_thread / 1e6 <= after
