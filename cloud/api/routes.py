"""READ FIRST: all paths of the API, below /api/v1.

    network.py     sites, places, items, packaging, suppliers, customers, terms, lanes (masters.py: rows and checks)
    plan_lists.py  campaigns, prices, indicators, stocking, price breaks, autonomy
    uploads.py     all of these, past demand, orders, purchases, notices and stock as files (imports.py)
    inventory.py   stock, availability, units, movements, demand
    corrections.py what did not happen so
    documents.py   documents (order_entry.py: what may be said in them)
    decisions.py   forecasts, recommendations, exceptions, cycle (cycle.py: how far it is)
    purchases.py   purchase orders: sent, answered, late; taking an approval back; the signing key
    foresight.py   what if a campaign were otherwise; orders left out of demand
    backtests.py   how good the forecasts would have been
    replay.py      what the forecast would have saved
    fleet.py       gateways, enrolment codes, keys, people, audit log

Every query carries the caller's scope (`Principal.scope`), every list is paged by a stable cursor (`paging.py`), every
failure is a problem document (`problems.py`), every change is one transaction with its audit entry.
"""

from __future__ import annotations

from litestar import Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ControllerRouterHandler

from cloud.api.backtests import BACKTESTS
from cloud.api.corrections import CORRECTIONS
from cloud.api.cycle import CYCLE
from cloud.api.decisions import DECISIONS
from cloud.api.documents import DOCUMENTS
from cloud.api.fleet import FLEET
from cloud.api.foresight import FORESIGHT
from cloud.api.inventory import INVENTORY
from cloud.api.network import NETWORK
from cloud.api.plan_lists import PLANS
from cloud.api.problems import Problem
from cloud.api.purchases import PURCHASES
from cloud.api.replay import REPLAY
from cloud.api.uploads import UPLOADS

_FAILURES = {
    400: "The request cannot be used as it is",
    401: "The caller is not known",
    403: "This is not allowed",
    404: "There is no such thing here",
    409: "The present state does not allow this",
    413: "The request is too large",
    429: "Too many requests",
    503: "The server is busy",
}


def api_routes() -> list[ControllerRouterHandler]:
    """The handlers of /api/v1."""
    handlers: list[HTTPRouteHandler] = [
        *NETWORK, *PLANS, *UPLOADS, *INVENTORY, *CORRECTIONS, *DOCUMENTS, *DECISIONS, *CYCLE, *PURCHASES, *FLEET, *REPLAY,
        *FORESIGHT, *BACKTESTS,
    ]  # fmt: skip
    for handler in handlers:  # what every path may answer belongs into the OpenAPI document, but a router takes none
        failures = {
            status: ResponseSpec(Problem, False, text, media_type="application/problem+json")
            for status, text in _FAILURES.items()
        }
        handler.responses = failures | dict(handler.responses or {})
    return [Router("/api/v1", route_handlers=handlers)]
