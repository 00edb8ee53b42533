"""How good the forecasts would have been on a site's own demand, beside models that anyone can name."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Meta, Struct

from cloud.errors import BadInputError
from cloud.replay.backtest import Measures
from cloud.replay.site_backtest import begin_backtest, kept_backtest, read_task
from cloud.replay.studies import Study, listing, stop, studies_of
from cloud.store.database import reading, writing
from cloud.web.freshness import SiteFreshness, chosen, sites_of
from cloud.web.page import HtmlRequest, Visit, href, html, page, read_form, render, see_other, sheet, visit

#: Models as the page calls them.
NAMES = {
    "default": "Evercount's forecast",
    "SES": "exponential smoothing",
    "IMAPA": "smoothing over several time scales",
    "SeasonalNaive": "same week of last year",
    "LightGBM": "LightGBM from lags alone",
}
#: Columns of the CSV twin, as `Measures` names them.
_FIGURES = ("forecasts", "lead_time_wape", "wape", "rmsse", "wrmsse", "bias")
LEVELS = ("0.9", "0.95", "0.99")


class ForecastsFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds: the site ("" = the first) and which of its backtests (0 = the latest)."""

    site: Annotated[str, Meta(max_length=200)] = ""
    run: Annotated[int, Meta(ge=0)] = 0
    format: Annotated[str, Meta(pattern="^(html|csv)$")] = "html"


class SiteForm(Struct, frozen=True):
    """What the forms hold: the site."""

    site: Annotated[str, Meta(max_length=200)]


@get("/forecasts", include_in_schema=False)
async def forecasts_page(request: HtmlRequest) -> Response[str]:
    """A backtest of a site, how far one is, those before; or how to start the first."""
    visited = visit(request)
    wanted = visited.filter(ForecastsFilter)
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        if not sites:
            raise BadInputError("there is no site yet; import sites first")
        here = chosen(sites, wanted.site)[0]
        runs = await listing(conn, here.id, "backtest", visited.now)
        if visited.partial:
            return _progress(visited, here, runs)
        found = await kept_backtest(conn, here.id, visited.now, wanted.run or None)
        study, kept = found or (None, None)
        tables = [] if kept is None else [("All items", kept.backtest.models)]
        tables += [] if kept is None else list(kept.backtest.class_models.items())
        if wanted.format == "csv":
            return _sheet(tables)
        return await page(
            visited,
            conn,
            "forecasts.html",
            filter=wanted,
            sites=sites,
            here=here,
            runs=runs,
            running=_running(runs),
            study=study,
            kept=kept,
            tables=tables,
            names=NAMES,
            levels=LEVELS,
            verdict=verdict,
            may_plan=visited.person.may("plan", here.id),
        )


def verdict(models: dict[str, Measures]) -> str:
    """One sentence: how the product's error over the lead time compares with the others'. Pure."""
    own = models["default"].lead_time_wape
    others = {name: one.lead_time_wape for name, one in models.items() if name != "default" and one.lead_time_wape}
    if own is None or not others:
        return "Nothing was wanted in the measured weeks."
    best = min(others, key=lambda name: others[name] or 0.0)
    told = [_against(own, others[best] or 0.0, f"the best single model ({NAMES.get(best, best)})")]
    if "SeasonalNaive" in others and best != "SeasonalNaive":
        told.append(_against(own, others["SeasonalNaive"] or 0.0, "the same week of last year"))
    return f"The error of demand over the lead time is {' and '.join(told)}."


def _against(own: float, other: float, name: str) -> str:
    apart = own / other - 1
    if abs(apart) < 0.005:
        return f"that of {name}"
    return f"{100 * abs(apart):.0f} % {'above' if apart > 0 else 'below'} that of {name}"


def _running(runs: list[Study]) -> Study | None:
    return runs[0] if runs and runs[0].state == "running" else None


def _progress(visited: Visit, here: SiteFreshness, runs: list[Study]) -> Response[str]:
    """How far the backtest in work is; once there is none the whole page is asked for again."""
    running = _running(runs)
    if running is None:
        return html("", headers={"hx-refresh": "true"})
    may = visited.person.may("plan", here.id)
    return html(render("forecasts_progress.html", running=running, here=here, may_plan=may, person=visited.person))


@post("/forecasts", include_in_schema=False)
async def start_backtest(request: HtmlRequest) -> Redirect:
    """Measure a site in the background; the page tells how far it is."""
    visited = visit(request)
    form = await read_form(request, SiteForm)
    visited.person.require("plan", form.site)
    async with reading(visited.services.engine) as conn:
        task, items = await read_task(conn, form.site, visited.now)
    await begin_backtest(studies_of(request), form.site, visited.person.actor, task, items)
    return see_other(href("/forecasts", ForecastsFilter(form.site)))


@post("/forecasts/stop", include_in_schema=False)
async def stop_backtest(request: HtmlRequest) -> Redirect:
    """Ask the backtest in work to stop."""
    visited = visit(request)
    form = await read_form(request, SiteForm)
    visited.person.require("plan", form.site)
    async with writing(visited.services.engine, form.site) as conn:
        await stop(conn, form.site, "backtest", visited.person.actor, visited.now)
    return see_other(href("/forecasts", ForecastsFilter(form.site)))


def _sheet(tables: list[tuple[str, dict[str, Measures]]]) -> Response[str]:
    head = ("class", "model", *_FIGURES, *(f"kept_{level}" for level in LEVELS), *(f"pinball_{one}" for one in LEVELS))
    rows = [
        (
            name,
            model,
            *(getattr(one, figure) for figure in _FIGURES),
            *((one.coverage or {}).get(level) for level in LEVELS),
            *((one.pinball or {}).get(level) for level in LEVELS),
        )
        for name, models in tables
        for model, one in models.items()
    ]
    return sheet("forecasts", head, rows)
