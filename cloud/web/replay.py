"""What the forecast would have saved on a site's own history, in words, tables and a frontier; and its setting put to use."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError
from cloud.projections.changes import Change
from cloud.replay.games import DYNAMIC
from cloud.replay.kept import (
    MOST_SEEDS,
    Kept,
    Setting,
    begin_replay,
    kept_replay,
    setting_now,
    setting_of,
    unusable,
    use_setting,
)
from cloud.replay.kpis import Kpis
from cloud.replay.ledger import read_ledger
from cloud.replay.replay import SEEDS, Comparison, Replay
from cloud.replay.studies import Study, listing, stop, studies_of
from cloud.replay.words import OPPONENTS, sentences
from cloud.store.database import reading, writing
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.page import (
    HtmlRequest,
    Visit,
    embedded_json,
    href,
    html,
    page,
    read_form,
    render,
    see_other,
    sheet,
    visit,
)

_FIGURES = ("turnover", "line_stockout", "unit_fill", "value_fill", "excess_obsolete", "carrying_cost", "order_cost",
            "stock_value")  # fmt: skip


class ReplayFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds: the site ("" = the first), which of its replays (0 = the latest), and whether a setting was used."""

    site: Annotated[str, Meta(max_length=200)] = ""
    run: Annotated[int, Meta(ge=0)] = 0
    used: Annotated[str, Meta(max_length=100)] = ""
    format: Annotated[str, Meta(pattern="^(html|csv)$")] = "html"


class ReplayStart(Struct, frozen=True):
    """What the form to start one holds."""

    site: Annotated[str, Meta(max_length=200)]
    unserved: Literal["waits", "lost"] = "waits"
    seeds: Annotated[int, Meta(ge=1, le=MOST_SEEDS)] = len(SEEDS)


class ReplayUse(Struct, frozen=True):
    """What the form to order by a setting holds."""

    site: Annotated[str, Meta(max_length=200)]
    run: int
    opponent: Annotated[str, Meta(max_length=100)]


class ReplayStop(Struct, frozen=True):
    """What the form to stop one holds."""

    site: Annotated[str, Meta(max_length=200)]


class Told(Struct, frozen=True):
    """A comparison as the page tells it: with whom, in sentences, and the setting that it would make of the site, and why
    that cannot be put to use ("" where it can).
    """

    comparison: Comparison
    who: str
    sentences: tuple[str, ...]
    setting: Setting
    unusable: str


@get("/replay", include_in_schema=False)
async def replay_page(request: HtmlRequest) -> Response[str]:
    """A replay of a site, how far one is, those before; or how to start the first."""
    visited = visit(request)
    wanted = visited.filter(ReplayFilter)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        here = _here(sites, wanted.site)
        runs = await listing(conn, here.id, "replay", visited.now)
        if visited.partial:
            return _progress(visited, here, runs)
        found = await kept_replay(conn, here.id, visited.now, wanted.run or None)
        if wanted.format == "csv" and found is not None:
            return _sheet(found[1].replay)
        return await _page(visited, conn, wanted, sites, here, runs, found)


async def _page(
    visited: Visit,
    conn: AsyncConnection,
    wanted: ReplayFilter,
    sites: list[SiteFreshness],
    here: SiteFreshness,
    runs: list[Study],
    found: tuple[Study, Kept] | None,
) -> Response[str]:
    study, kept = found or (None, None)
    return await page(
        visited,
        conn,
        "replay.html",
        filter=wanted,
        sites=sites,
        here=here,
        runs=runs,
        running=_running(runs),
        study=study,
        kept=kept,
        setting=await setting_now(conn, here.id),
        may_plan=visited.person.may("plan", here.id),
        comparisons=_told(kept),
        seeds=len(SEEDS),
        most_seeds=MOST_SEEDS,
        used=OPPONENTS.get(wanted.used, ""),
        chart=embedded_json(chart(kept.replay)) if kept else "",
    )


def _running(runs: list[Study]) -> Study | None:
    return runs[0] if runs and runs[0].state == "running" else None


def _progress(visited: Visit, here: SiteFreshness, runs: list[Study]) -> Response[str]:
    """How far the replay in work is; once there is none the whole page is asked for again."""
    running = _running(runs)
    if running is None:
        return html("", headers={"hx-refresh": "true"})
    may = visited.person.may("plan", here.id)
    return html(render("replay_progress.html", running=running, here=here, may_plan=may, person=visited.person))


@post("/replay", include_in_schema=False)
async def start_replay(request: HtmlRequest) -> Redirect:
    """Play a site in the background; the page tells how far it is."""
    visited = visit(request)
    form = await read_form(request, ReplayStart)
    visited.person.require("plan", form.site)
    async with reading(visited.services.engine) as conn:
        table = await read_ledger(conn, form.site, visited.now)
    actor = visited.person.actor
    await begin_replay(studies_of(request), form.site, actor, table, form.unserved, form.seeds)
    return see_other(href("/replay", ReplayFilter(form.site)))


@post("/replay/stop", include_in_schema=False)
async def stop_replay(request: HtmlRequest) -> Redirect:
    """Ask the replay in work to stop."""
    visited = visit(request)
    form = await read_form(request, ReplayStop)
    visited.person.require("plan", form.site)
    async with writing(visited.services.engine, form.site) as conn:
        await stop(conn, form.site, "replay", visited.person.actor, visited.now)
    return see_other(href("/replay", ReplayFilter(form.site)))


@post("/replay/use", include_in_schema=False)
async def use_replay(request: HtmlRequest) -> Redirect:
    """Have the site order by the setting that a replay chose."""
    visited = visit(request)
    form = await read_form(request, ReplayUse)
    visited.person.require("plan", form.site)
    async with writing(visited.services.engine, form.site) as conn:
        await use_setting(conn, form.site, form.run, form.opponent, visited.person.actor, visited.now)
    visited.services.changes.publish(Change(form.site, ("sites",), 0, visited.services.runtime.now()))
    return see_other(href("/replay", ReplayFilter(form.site, form.run, form.opponent)))


def _here(sites: list[SiteFreshness], site: str) -> SiteFreshness:
    if not sites:
        raise BadInputError("there is no site yet; import sites first")
    return chosen(sites, site)[0]


def _told(kept: Kept | None) -> list[Told]:
    if kept is None:
        return []
    return [
        Told(
            one,
            OPPONENTS.get(one.opponent, one.opponent),
            sentences(one),
            setting_of(one.chosen),
            unusable(kept.replay, one.opponent),
        )
        for one in kept.replay.comparisons
    ]


def chart(found: Replay) -> dict[str, object]:
    """The frontier for the chart: by share of value, (stock value, value fill) from the least stock on; and each opponent,
    what was chosen and the oracle as single points. Pure.
    """
    shares: dict[str, list[tuple[float, float]]] = {}
    for point in found.frontier:
        shares.setdefault(f"{point.value_share:.0%}", []).append((point.kpis.stock_value, point.kpis.value_fill * 100))
    points = {name: (one.stock_value, one.value_fill * 100) for name, one in found.policies.items() if name != DYNAMIC}
    points |= {
        f"forecast against {one.opponent}": (one.chosen.kpis.stock_value, one.chosen.kpis.value_fill * 100)
        for one in found.comparisons
    }
    points["oracle"] = found.oracle.stock_value, found.oracle.value_fill * 100
    return {"frontier": {name: sorted(line) for name, line in shares.items()}, "points": points}


def _sheet(found: Replay) -> Response[str]:
    def row(name: str, value: float | None, share: float | None, figures: Kpis) -> tuple[str | float | None, ...]:
        return (name, value, share, *(getattr(figures, figure) for figure in _FIGURES))

    rows = [row(name, None, None, one) for name, one in found.policies.items() if name != DYNAMIC]
    for one in found.comparisons:
        for name, at in (("chosen before", one.chosen), ("best in hindsight", one.hindsight)):
            rows.append(row(f"dynamic against {one.opponent}: {name}", at.stockout_value, at.value_share, at.kpis))
    rows += [row("frontier", at.stockout_value, at.value_share, at.kpis) for at in found.frontier]
    rows.append(row("oracle", None, None, found.oracle))
    return sheet("replay", ("policy", "stockout_value", "value_share", *_FIGURES), rows)
