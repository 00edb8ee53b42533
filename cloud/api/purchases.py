"""/api/v1/purchases: purchase orders on their way: sent or not, answered, late; as CSV and PDF; taken back, answered.

A supplier's key (role partner) sees its own orders once they can go out, and answers them.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from cloud.access.http import principal_of
from cloud.access.principal import Permission
from cloud.access.services import services_of
from cloud.api.caller import Caller, Http, caller_of
from cloud.api.paging import PAGE, Cursor, Filter, Limit, StateFilter, answer, page_of
from cloud.errors import NotFoundError
from cloud.interchange.order_message import OrderMessage, read_message, to_csv
from cloud.interchange.signing import PublicKey, signing_key
from cloud.recommendations.acknowledge import Acknowledgement, Answer, acknowledge, answers_to
from cloud.recommendations.purchases import (
    PurchaseRow,
    mark_sent,
    overdue,
    purchases,
    send_again,
    sending,
    shown_to_partners,
)
from cloud.recommendations.rows import RecommendationRow
from cloud.recommendations.undo import take_back
from cloud.store import schema
from vocabulary.document import Document

Sent = Annotated[str, QueryParameter(name="sending", max_length=20, description="waiting, by hand, sent, failed, none")]
Why = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]


class Purchases(msgspec.Struct, frozen=True):
    """A page of purchase orders, the newest first."""

    items: list[PurchaseRow]
    next: str


class PurchaseDetail(msgspec.Struct, frozen=True):
    """A purchase order: how far it is, what its supplier is told, and every answer."""

    row: PurchaseRow
    order: OrderMessage
    answers: list[Acknowledgement]


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says about what they did."""

    reason: Why = ""


def _permission(request: Http, otherwise: Permission = "read") -> Permission:
    """A partner trades, everybody else reads (or does `otherwise`)."""
    return "trade" if principal_of(request).partner else otherwise


@get("/purchases", operation_id="list_purchases")
async def list_purchases(
    request: Http,
    site: Filter = "",
    supplier: Filter = "",
    state_: StateFilter = "",
    sending_: Sent = "",
    late: bool = False,
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Purchases]:
    """Purchase orders, the newest first; `late`: those past their due time."""
    caller = caller_of(request, _permission(request))
    d, principal = schema.document.c, caller.principal
    query = purchases(caller.now).where(principal.scope(d.site_id, "trade" if principal.partner else "read"))
    if principal.partner:
        query = query.where(d.partner == principal.partner, shown_to_partners(caller.now))
    for column, value in ((d.site_id, site), (d.partner, supplier), (d.state, state_), (sending(), sending_)):
        if value:
            query = query.where(column == value)
    if late:
        query = query.where(overdue(caller.now))
    async with caller.reading() as conn:
        keys = [d.opened_at, d.site_id, d.id]
        page = await page_of(conn, query, keys, PurchaseRow, cursor, limit, newest_first=True)
    return answer(request, Purchases(*page))


async def _detail(caller: Caller, site: str, order: str) -> PurchaseDetail:
    d, partner = schema.document.c, caller.principal.partner
    query = purchases(caller.now).where(d.site_id == site, d.id == order)
    if partner:
        query = query.where(d.partner == partner, shown_to_partners(caller.now))
    async with caller.reading() as conn:
        row = (await conn.execute(query)).mappings().first()
        message = await read_message(conn, site, order, caller.services.config.server.public_url)
        answers = await answers_to(conn, site, order)
    if row is None or message is None:
        raise NotFoundError(f"site {site} has no purchase order {order} that you may see")
    return PurchaseDetail(
        msgspec.convert({str(name): value for name, value in row.items()}, PurchaseRow), message, answers
    )


@get("/purchases/{site:str}/{order:str}", operation_id="get_purchase")
async def get_purchase(request: Http, site: FromPath[str], order: FromPath[str]) -> PurchaseDetail:
    """One purchase order with what its supplier is told and answered."""
    return await _detail(caller_of(request, _permission(request), site), site, order)


@get("/purchases/{site:str}/{order:str}/csv", operation_id="get_purchase_csv", media_type="text/csv")
async def get_purchase_csv(request: Http, site: FromPath[str], order: FromPath[str]) -> Response[str]:
    """The order as CSV, a row for each line."""
    detail = await _detail(caller_of(request, _permission(request), site), site, order)
    return Response(to_csv(detail.order), media_type="text/csv; charset=utf-8", headers=_file(order, "csv"))


@get("/purchases/{site:str}/{order:str}/pdf", operation_id="get_purchase_pdf", media_type="application/pdf")
async def get_purchase_pdf(request: Http, site: FromPath[str], order: FromPath[str]) -> Response[bytes]:
    """The order on paper, at most 200 lines."""
    caller = caller_of(request, _permission(request), site)
    detail = await _detail(caller, site, order)
    executor = caller.services.runtime.executor("order-pdf")
    font = caller.services.config.purchasing.font
    try:
        paper = await asyncio.get_running_loop().run_in_executor(executor, _paper, detail.order, font)
    finally:
        if executor is not None:
            executor.shutdown(wait=False)
    return Response(paper, media_type="application/pdf", headers=_file(order, "pdf"))


def _paper(order: OrderMessage, font: str) -> bytes:
    """The library for paper is loaded when somebody prints: the server starts without it."""
    from cloud.interchange.order_pdf import to_pdf

    return to_pdf(order, font)


def _file(order: str, ending: str) -> dict[str, str]:
    name = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in order)
    return {"content-disposition": f'attachment; filename="{name}.{ending}"'}


@post("/purchases/{site:str}/{order:str}/acknowledgement", operation_id="acknowledge_purchase", status_code=200)
async def acknowledge_purchase(
    request: Http, site: FromPath[str], order: FromPath[str], data: JSONBody[Answer]
) -> PurchaseDetail:
    """A supplier's answer, or what a buyer heard: accepted, changed (the lines that differ), refused."""
    caller = caller_of(request, _permission(request, "plan"), site)
    partner = caller.principal.partner
    if partner:
        await _detail(caller, site, order)
    async with caller.writing(site, "documents", "downlink", "recommendations", "exceptions") as conn:
        document = await acknowledge(conn, caller.services.runtime, caller.actor, partner, site, order, data)
    return await _after(caller, site, document)


@post("/purchases/{site:str}/{order:str}/sent", operation_id="mark_purchase_sent", status_code=200)
async def mark_purchase_sent(
    request: Http, site: FromPath[str], order: FromPath[str], data: JSONBody[Note]
) -> PurchaseDetail:
    """A person has sent the order by hand."""
    caller = caller_of(request, "plan", site)
    async with caller.writing(site, "documents", "recommendations", "exceptions") as conn:
        document = await mark_sent(conn, caller.services.runtime, caller.actor, site, order, data.reason[:300])
    return await _after(caller, site, document)


@post("/purchases/{site:str}/{order:str}/again", operation_id="send_purchase_again", status_code=200)
async def send_purchase_again(request: Http, site: FromPath[str], order: FromPath[str]) -> PurchaseDetail:
    """Try once more to send an order that did not get through."""
    caller = caller_of(request, "plan", site)
    async with caller.writing(site, "documents") as conn:
        document = await send_again(conn, caller.services.runtime, caller.actor, site, order)
    return await _after(caller, site, document)


async def _after(caller: Caller, site: str, document: Document) -> PurchaseDetail:
    return await _detail(caller, site, document.id)


@post("/recommendations/{site:str}/{recommendation:str}/undo", operation_id="undo_recommendation", status_code=200)
async def undo_recommendation(
    request: Http, site: FromPath[str], recommendation: FromPath[str], data: JSONBody[Note]
) -> RecommendationRow:
    """Take an approved proposal back while its order has not gone out: the order is cancelled, the proposal waits again."""
    caller = caller_of(request, "approve", site)
    async with caller.writing(site, "recommendations", "documents", "downlink") as conn:
        return await take_back(conn, caller.services.runtime, caller.actor, site, recommendation, data.reason)


@get("/signing-key", operation_id="get_signing_key")
async def get_signing_key(request: Http) -> PublicKey:
    """The public key that verifies what headquarters sends (Ed25519, RFC 9421); everybody may read it."""
    services = services_of(request)
    return (await signing_key(services.engine, services.runtime)).public


PURCHASES = [
    list_purchases, get_purchase, get_purchase_csv, get_purchase_pdf, acknowledge_purchase, mark_purchase_sent,
    send_purchase_again, undo_recommendation, get_signing_key,
]  # fmt: skip
