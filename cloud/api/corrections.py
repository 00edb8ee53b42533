"""/api/v1/sites/{site}/movements/{position}/correction: what did not happen so, and what happened instead."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody

from cloud.api.caller import Http, caller_of
from cloud.ingest.corrections import Correction, correct, find_row, read_case


class EventRow(msgspec.Struct, frozen=True):
    """A row of the event; times in µs UTC. `standing`: it counts still, and a correction reverses it."""

    epoch: str
    seq: int
    position: int
    kind: str
    occurred_at: int
    standing: bool


class EventView(msgspec.Struct, frozen=True):
    """The event that a movement belongs to. `refusal`: why it cannot be corrected, "" where it can."""

    epoch: str
    group: int
    rows: list[EventRow]
    refusal: str


class CorrectionSent(msgspec.Struct, frozen=True):
    """The id of the command that was sent; its effect is there when the site has recorded it."""

    command: str


@get("/sites/{site:str}/movements/{position:int}/correction", operation_id="get_movement_event")
async def get_movement_event(request: Http, site: FromPath[str], position: FromPath[int]) -> EventView:
    """All rows of the event that a movement (by its arrival number) belongs to, and what a correction would reverse."""
    caller = caller_of(request, "read", site)
    async with caller.reading() as conn:
        case = await read_case(conn, site, *await find_row(conn, site, position), caller.now)
    standing = {row.position for row in case.standing}
    rows = [
        EventRow(str(row.epoch), row.seq, row.position, row.movement.kind, row.at, row.position in standing)
        for row in case.event.rows
    ]
    return EventView(str(case.event.epoch), case.event.group, rows, case.refusal)


@post("/sites/{site:str}/movements/{position:int}/correction", operation_id="correct_movement", status_code=202)
async def correct_movement(
    request: Http, site: FromPath[str], position: FromPath[int], data: JSONBody[Correction]
) -> CorrectionSent:
    """Have the site reverse the whole event of a movement and post `replacement`, if something else did happen.

    At most once: 409 where it is taken back already or a correction of it is on its way.
    """
    caller = caller_of(request, "operate", site)
    async with caller.writing(site, "downlink") as conn:
        epoch, seq = await find_row(conn, site, position)
        return CorrectionSent(await correct(conn, caller.services.runtime, site, epoch, seq, data, caller.actor))


CORRECTIONS = [get_movement_event, correct_movement]
