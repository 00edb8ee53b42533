"""READ FIRST: all pages. One file per page holds what its URL may say, its queries and its handler.

    stock.py            /                       items by sites, freshness
    movements.py        /live, /movements/...   the live feed; why a number is what it is; corrections
    item.py, history.py /items/{item}           where, demand, stock, forecast, documents
    recommendations.py  /recommendations        the inbox
    cycle.py            /cycle                  how far the decision cycle is
    forecasts.py        /forecasts              how good the forecasts are
    replay.py           /replay                 what the forecast would have saved
    documents.py        /documents              expected and done
    purchases.py        /purchases              orders to suppliers: sent, promised, late
    exceptions.py       /exceptions             what needs judgement
    gateways.py         /gateways               who speaks, how far behind
    data.py             /data                   master data and plans: lists, forms, files
    plans.py            /plans                  campaigns and price changes on a time axis
    sign_in.py          /sign-in, /sign-out

Every query is limited by `Principal.scope` or by the sites that `freshness.sites_of` found for the person. A page
whose address ends in `format=csv` is a file. Live parts ask again with what they have seen and get 204 for "nothing new".
"""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

from litestar import Response, Router
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from cloud.access.principal import Principal
from cloud.errors import (
    BadInputError,
    BusyError,
    CloudError,
    ConflictError,
    DeniedError,
    NotFoundError,
    TooLargeError,
    UnauthorizedError,
)
from cloud.web.cycle import cycle_page, start_cycle
from cloud.web.data import data_list, data_page, suggest
from cloud.web.data_edit import delete_page, delete_row, edit_page, store_row
from cloud.web.data_upload import template_file, upload, upload_page
from cloud.web.documents import document_page, documents_page
from cloud.web.exceptions import answer_exception, exceptions_page
from cloud.web.forecasts import forecasts_page, start_backtest, stop_backtest
from cloud.web.gateways import gateways_page
from cloud.web.item import answer_bulk, item_page
from cloud.web.movements import correct_movement, live_page, movement_page
from cloud.web.page import HtmlRequest, html, render
from cloud.web.plan_new import add_campaign, new_campaign_page
from cloud.web.plans import call_off_page, change_campaign, plans_page
from cloud.web.purchases import act_on_purchase, purchase_page, purchases_page
from cloud.web.recommendations import answer_recommendation, inbox_page, recommendation_page
from cloud.web.replay import replay_page, start_replay, stop_replay, use_replay
from cloud.web.sign_in import link_page, sign_in, sign_in_page, sign_out, use_link
from cloud.web.static import static_file
from cloud.web.stock import freshness_strip, stock_page

_STATUS: tuple[tuple[type[CloudError], int], ...] = (
    (BadInputError, 400),
    (DeniedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (TooLargeError, 413),
    (BusyError, 503),
)


def page_routes() -> list[ControllerRouterHandler]:
    """The handlers of all pages and their files; they need `services` in the application's state."""
    pages: list[ControllerRouterHandler] = [
        stock_page, freshness_strip, live_page, movement_page, correct_movement, item_page, inbox_page, recommendation_page,
        answer_recommendation, documents_page, document_page, purchases_page, purchase_page, act_on_purchase,
        exceptions_page, answer_exception, gateways_page,
        cycle_page, start_cycle, replay_page, start_replay, stop_replay, use_replay,
        sign_in_page, sign_in, link_page, use_link, sign_out, answer_bulk,
        forecasts_page, start_backtest, stop_backtest,
        data_page, data_list, suggest, edit_page, store_row, delete_page, delete_row,
        upload_page, upload, template_file,
        plans_page, new_campaign_page, add_campaign, call_off_page, change_campaign,
    ]  # fmt: skip
    handlers: Any = {UnauthorizedError: _sign_in_first, CloudError: _known, HTTPException: _framework}
    return [Router("/", route_handlers=pages, exception_handlers=handlers), static_file]


def _sign_in_first(request: HtmlRequest, _: UnauthorizedError) -> Response[str] | Redirect:
    """Nobody is signed in: go and do that, then come back to a page that can be asked for again."""
    query = request.scope["query_string"].decode("ascii", "replace")
    wanted = request.url.path + (f"?{query}" if query else "") if request.method == "GET" else "/"
    target = "/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted, safe='')}"
    if "hx-request" in request.headers:
        return Response("", status_code=200, headers={"hx-redirect": "/sign-in"})
    return Redirect(target, status_code=303)


def wants_page(request: HtmlRequest) -> bool:
    """Whether a person looks at the answer: paths of programs are told what is wrong in their own way."""
    if request.url.path.startswith(("/api/", "/v1/")):
        return False
    return "hx-request" in request.headers or "text/html" in request.headers.get("accept", "")


def _known(request: HtmlRequest, error: CloudError) -> Response[str]:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return error_page(request, status, str(error))


def _framework(request: HtmlRequest, error: HTTPException) -> Response[str]:
    return error_page(request, error.status_code, error.detail)


def error_page(request: HtmlRequest, status: int, text: str) -> Response[str]:
    """One sentence: as a page, or into the message line of the page whose script asked."""
    if "hx-request" in request.headers:
        headers = {"hx-retarget": "#messages", "hx-reswap": "innerHTML"}
        return html(render("message.html", text=text), status, headers)
    signed_in = isinstance(cast("dict[str, object]", request.scope).get("user"), Principal)
    return html(render("error.html", code=status, text=text, signed_in=signed_in), status)
