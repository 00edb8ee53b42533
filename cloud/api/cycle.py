"""/api/v1: how far the decision cycle is."""

from __future__ import annotations

from litestar import get

from cloud.api.caller import Http, caller_of
from cloud.schedule import CycleState, cycle_state


@get("/cycle", operation_id="get_cycle")
async def get_cycle(request: Http) -> CycleState:
    """The decision cycle in work or the last one: its state, stage, and how many of how many series are done."""
    caller = caller_of(request, "read")
    async with caller.reading() as conn:
        return await cycle_state(conn, caller.now)


CYCLE = [get_cycle]
