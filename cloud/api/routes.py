"""READ FIRST: all paths of the API, below /api/v1.

    network.py     sites, places, items, packaging, suppliers, customers, terms, lanes
    inventory.py   stock, availability, units, movements, demand
    corrections.py what did not happen so
    documents.py   documents (order_entry.py: what may be said in them)
    decisions.py   forecasts, recommendations, exceptions, cycle
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

from cloud.api.corrections import CORRECTIONS
from cloud.api.decisions import DECISIONS
from cloud.api.documents import DOCUMENTS
from cloud.api.fleet import FLEET
from cloud.api.inventory import INVENTORY
from cloud.api.network import NETWORK
from cloud.api.problems import Problem
from cloud.api.replay import REPLAY

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
        *NETWORK, *INVENTORY, *CORRECTIONS, *DOCUMENTS, *DECISIONS, *FLEET, *REPLAY,
    ]  # fmt: skip
    for handler in handlers:  # what every path may answer belongs into the OpenAPI document, but a router takes none
        handler.responses = {
            status: ResponseSpec(Problem, False, text, media_type="application/problem+json")
            for status, text in _FAILURES.items()
        }
    return [Router("/api/v1", route_handlers=handlers)]
