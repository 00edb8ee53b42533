"""Which signs of life the gateway owes to its service manager."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.ledger.writer import LedgerWriter
from gateway.supervisor import Supervisor, TaskState
from runtime.notify import Notify, Watchdog


def gateway_watchdog(
    notify: Notify,
    supervisor: Supervisor,
    writer: LedgerWriter,
    waiting: Callable[[], object | None],
    text: Callable[[], str],
) -> Watchdog:
    """A watchdog over the ledger's thread, recording, and every vital task that `supervisor` has by now.

    `waiting` tells what is to be recorded next, None where nothing is or the disk takes nothing; `text` is the status line.
    A task that waits to be started again after a failure shows no life for that time. A full disk, an unreachable reader
    and a headquarters that is away are states, and no reason to be restarted.
    """
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("watchdog")
    watchdog = Watchdog(notify, text, lambda reason: log.error("no sign of life is given any more", reason=reason))
    before: object | None = None

    async def ledger() -> str:
        await writer.perform(lambda file: None)
        return ""

    async def recording() -> str:
        nonlocal before
        now = waiting()
        same = now is not None and now is before
        before = now
        return "the same movement is still not recorded" if same else ""

    watchdog.watch("the ledger's thread", ledger)
    watchdog.watch("recording", recording)
    for state in supervisor.states:
        if state.vital:
            watchdog.watch(f"task {state.name}", lambda state=state: _task(state))
    return watchdog


async def _task(state: TaskState) -> str:
    return "" if state.running else state.last_error or "it was never started"
