"""Keeps the named tasks of a program running: restarts one that failed, and gives up loudly when it keeps failing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from gateway.errors import GatewayError
from runtime import Runtime

#: Seconds before a failed task starts again: doubles with each failure up to the last, so that a broken disk or
#: device is not hammered, and shrinks back after an hour without one.
PAUSES_S = (1, 2, 4, 8, 15, 30)
CALM_US = 3_600_000_000
#: Failures without a calm hour between them after which the program stops, so that systemd and people see it.
FAILURES = 20


class GivenUp(GatewayError):
    """A task failed too often; the message names it and its last error. The program ends, and its manager starts it anew."""


@dataclass(slots=True)
class TaskState:
    """What became of a task so far. One that is not `vital` is started again for ever."""

    name: str
    vital: bool = True
    running: bool = False
    failures: int = 0
    last_error: str = ""
    last_failed_at: int = 0


class Supervisor:
    """Runs tasks until cancelled. Each is a function that should not return."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("supervisor")
        self._tasks: list[tuple[TaskState, Callable[[], Awaitable[None]]]] = []

    def add(self, name: str, run: Callable[[], Awaitable[None]], vital: bool = True) -> None:
        """Have `run` kept running under `name`; only a `vital` task may end the program."""
        self._tasks.append((TaskState(name, vital), run))

    @property
    def states(self) -> list[TaskState]:
        """The state of each task, in the order in which they were added."""
        return [state for state, _ in self._tasks]

    async def run(self) -> None:
        """Run all tasks until cancelled; raises GivenUp when a vital one keeps failing."""
        try:
            async with asyncio.TaskGroup() as group:
                for state, run in self._tasks:
                    group.create_task(self._keep(state, run), name=state.name)
        except BaseExceptionGroup as failed:
            raise next((one for one in failed.exceptions if isinstance(one, GivenUp)), failed) from None

    async def _keep(self, state: TaskState, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                state.running = True
                await run()
                state.last_error = "it ended"
            except Exception as error:
                state.last_error = f"{type(error).__name__}: {error}"
                self._log.exception("task failed", task=state.name)
            finally:
                state.running = False
            now = self._runtime.monotonic()
            if now - state.last_failed_at > CALM_US:
                state.failures = 0
            state.failures += 1
            state.last_failed_at = now
            if state.failures >= FAILURES and state.vital:
                raise GivenUp(f"task {state.name} failed {state.failures} times; last: {state.last_error}")
            await asyncio.sleep(PAUSES_S[min(state.failures, len(PAUSES_S)) - 1])
