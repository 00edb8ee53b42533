"""Tasks are kept running; one that keeps failing ends the program with one sentence; one that is not vital never does."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner
from virtual import VirtualRuntime

from gateway import __main__ as program
from gateway.supervisor import FAILURES, GivenUp, Supervisor


async def test_a_task_that_fails_starts_again_and_later_each_time(runtime: VirtualRuntime) -> None:
    starts: list[float] = []

    async def failing() -> None:
        starts.append(asyncio.get_running_loop().time())
        raise OSError("the disk is gone")

    supervisor = Supervisor(runtime)
    supervisor.add("recording", failing)
    with pytest.raises(GivenUp, match="task recording failed 20 times; last: OSError: the disk is gone"):
        await supervisor.run()
    assert len(starts) == FAILURES
    assert starts[:6] == [0, 1, 3, 7, 15, 30]
    assert starts[-1] - starts[-2] == 30


async def test_the_others_end_with_it(runtime: VirtualRuntime) -> None:
    ended = asyncio.Event()

    async def failing() -> None:
        raise OSError("gone")

    async def recording() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    supervisor = Supervisor(runtime)
    supervisor.add("recording", recording)
    supervisor.add("failing", failing)
    with pytest.raises(GivenUp):
        await supervisor.run()
    assert ended.is_set(), "what it holds is still put away"


async def test_what_is_not_vital_never_ends_the_program(runtime: VirtualRuntime) -> None:
    starts = 0

    async def failing() -> None:
        nonlocal starts
        starts += 1
        raise OSError("port taken")

    supervisor = Supervisor(runtime)
    supervisor.add("station", failing, vital=False)
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(1_200)
    assert not task.done()
    assert starts > FAILURES + 10
    task.cancel()


async def test_a_task_runs_while_it_runs_and_not_in_the_pause_after_a_failure(runtime: VirtualRuntime) -> None:
    async def failing() -> None:
        await asyncio.sleep(10)
        raise OSError("gone")

    supervisor = Supervisor(runtime)
    supervisor.add("recording", failing)
    (state,) = supervisor.states
    assert not state.running
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(5)
    assert state.running
    await asyncio.sleep(5.5)
    assert (state.running, state.last_error) == (False, "OSError: gone")
    await asyncio.sleep(1)
    assert state.running
    task.cancel()


def test_giving_up_is_one_sentence_and_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(_: object) -> None:
        raise GivenUp("task recording failed 20 times; last: OSError: gone")

    monkeypatch.setattr(program, "load_config", give_up)
    result = CliRunner().invoke(program.main, ["check-config", "gateway.toml"])
    assert result.exit_code == 1, "systemd starts it anew"
    assert result.stderr == "evercount-gateway: task recording failed 20 times; last: OSError: gone\n"
