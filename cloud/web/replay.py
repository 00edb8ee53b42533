"""What the forecast would have saved on a site's own history: in words, as a table, as a frontier."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Meta, Struct

from cloud.errors import BadInputError
from cloud.replay.kpis import Kpis
from cloud.replay.ledger import Kept, read_ledger, replays_of
from cloud.replay.replay import Comparison, Replay
from cloud.replay.words import OPPONENTS, sentences
from cloud.store.database import reading
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.page import HtmlRequest, embedded_json, href, page, read_form, see_other, sheet, visit

_FIGURES = ("turnover", "line_stockout", "unit_fill", "value_fill", "excess_obsolete", "carrying_cost", "order_cost",
            "stock_value")  # fmt: skip


class ReplayFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds: the site ("" = the first)."""

    site: Annotated[str, Meta(max_length=200)] = ""
    format: Annotated[str, Meta(pattern="^(html|csv)$")] = "html"


class ReplayStart(Struct, frozen=True):
    """What the form holds."""

    site: Annotated[str, Meta(max_length=200)]


@get("/replay", include_in_schema=False)
async def replay_page(request: HtmlRequest) -> Response[str]:
    """The last replay of a site, or how to start one."""
    visited = visit(request)
    wanted = visited.filter(ReplayFilter)
    replays = replays_of(request)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        here = _here(sites, wanted.site)
        kept = replays.of(here.id)
        if wanted.format == "csv" and kept is not None:
            return _sheet(kept.replay)
        return await page(
            visited,
            conn,
            "replay.html",
            filter=wanted,
            sites=sites,
            here=here,
            kept=kept,
            running=replays.progress,
            may_plan=visited.person.may("plan", here.id),
            comparisons=_told(kept),
            chart=embedded_json(chart(kept.replay)) if kept else "",
        )


@post("/replay", include_in_schema=False)
async def start_replay(request: HtmlRequest) -> Redirect:
    """Play a site now; the answer comes when it is done."""
    visited = visit(request)
    form = await read_form(request, ReplayStart)
    visited.person.require("plan", form.site)
    async with reading(visited.services.engine) as conn:
        table = await read_ledger(conn, form.site, visited.now)
    await replays_of(request).run(form.site, table)
    return see_other(href("/replay", ReplayFilter(form.site)))


def _here(sites: list[SiteFreshness], site: str) -> SiteFreshness:
    if not sites:
        raise BadInputError("there is no site yet; import sites first")
    return chosen(sites, site)[0]


def _told(kept: Kept | None) -> list[tuple[Comparison, str, tuple[str, ...]]]:
    found = kept.replay.comparisons if kept else ()
    return [(one, OPPONENTS.get(one.opponent, one.opponent), sentences(one)) for one in found]


def chart(found: Replay) -> dict[str, object]:
    """The frontier for the chart: by share of value, (stock value, value fill) from the least stock on; and each opponent,
    what was chosen and the oracle as single points. Pure.
    """
    shares: dict[str, list[tuple[float, float]]] = {}
    for point in found.frontier:
        shares.setdefault(f"{point.value_share:.0%}", []).append((point.kpis.stock_value, point.kpis.value_fill * 100))
    points = {
        name: (one.stock_value, one.value_fill * 100) for name, one in found.policies.items() if name != "dynamic"
    }
    points |= {
        f"dynamic against {one.opponent}": (one.chosen.kpis.stock_value, one.chosen.kpis.value_fill * 100)
        for one in found.comparisons
    }
    points["oracle"] = found.oracle.stock_value, found.oracle.value_fill * 100
    return {"frontier": {name: sorted(line) for name, line in shares.items()}, "points": points}


def _sheet(found: Replay) -> Response[str]:
    def row(name: str, value: float | None, share: float | None, figures: Kpis) -> tuple[str | float | None, ...]:
        return (name, value, share, *(getattr(figures, figure) for figure in _FIGURES))

    rows = [row(name, None, None, one) for name, one in found.policies.items() if name != "dynamic"]
    for one in found.comparisons:
        for name, at in (("chosen before", one.chosen), ("best in hindsight", one.hindsight)):
            rows.append(row(f"dynamic against {one.opponent}: {name}", at.stockout_value, at.value_share, at.kpis))
    rows += [row("frontier", at.stockout_value, at.value_share, at.kpis) for at in found.frontier]
    rows.append(row("oracle", None, None, found.oracle))
    return sheet("replay", ("policy", "stockout_value", "value_share", *_FIGURES), rows)
