"""/cycle: how far the decision cycle is, and starting one; a script asks again while it runs."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.response import Redirect

from cloud.access.principal import EVERY_SITE
from cloud.errors import BusyError
from cloud.schedule import cycle_state
from cloud.store.database import reading
from cloud.web.page import HtmlRequest, html, page, render, see_other, visit


@get("/cycle", include_in_schema=False)
async def cycle_page(request: HtmlRequest) -> Response[str]:
    """What the cycle in work does, or what the last one did."""
    visited = visit(request)
    async with reading(visited.services.engine) as conn:
        state = await cycle_state(conn, visited.now)
        if visited.partial:
            return html(render("cycle_state.html", cycle=state, now=visited.now))
        may_plan = visited.person.may("plan", EVERY_SITE)
        return await page(visited, conn, "cycle.html", cycle=state, may_plan=may_plan)


@post("/cycle", include_in_schema=False)
async def start_cycle(request: HtmlRequest) -> Redirect:
    """Forecast and decide now: to the inbox when that is done at once, else to where it can be watched."""
    visited = visit(request)
    visited.person.require("plan", EVERY_SITE)
    try:
        done = await visited.services.begin_cycle("request")
    except BusyError:
        done = False
    return see_other("/recommendations" if done else "/cycle")
