"""/api/v1: plans and limits: campaigns, prices, indicators, stocking, price breaks and autonomy.

`site`, `item` and `category` "" in a row are every site, item and category.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, delete, get, put
from litestar.params import JSONBody, QueryParameter

from cloud.api.caller import Http
from cloud.api.network import Rows, Stored, delete_kind, list_kind, put_kind
from cloud.api.paging import PAGE, Cursor, Filter, Limit, answer
from cloud.inputs.masters import Autonomy, Campaign, Indicator, PriceBreak, PricePlan, Stocking

Quantity = Annotated[int, QueryParameter(ge=1, le=10**12)]


class Campaigns(msgspec.Struct, frozen=True):
    """A page of campaigns."""

    items: list[Campaign]
    next: str


class Prices(msgspec.Struct, frozen=True):
    """A page of price plans."""

    items: list[PricePlan]
    next: str


class Indicators(msgspec.Struct, frozen=True):
    """A page of indicators' values."""

    items: list[Indicator]
    next: str


class Stockings(msgspec.Struct, frozen=True):
    """A page of how items are kept."""

    items: list[Stocking]
    next: str


class PriceBreaks(msgspec.Struct, frozen=True):
    """A page of price breaks."""

    items: list[PriceBreak]
    next: str


class Autonomies(msgspec.Struct, frozen=True):
    """A page of what headquarters may do by itself."""

    items: list[Autonomy]
    next: str


@get("/campaigns", operation_id="list_campaigns")
async def list_campaigns(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    campaign: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Campaigns]:
    """What campaigns are planned, and were."""
    return answer(
        request, Campaigns(*await list_kind(request, "campaigns", cursor, limit, site_id=site, item=item, id=campaign))
    )


@put("/campaigns", operation_id="put_campaigns")
async def put_campaigns(request: Http, data: JSONBody[Annotated[list[Campaign], Rows]]) -> Stored:
    """Create or replace campaigns."""
    return await put_kind(request, "campaigns", data)


@delete("/campaigns", operation_id="delete_campaign")
async def delete_campaign(request: Http, campaign: Filter, site: Filter = "", item: Filter = "") -> None:
    """Delete a campaign, at one site (empty: every) for one item (empty: every)."""
    await delete_kind(request, "campaigns", site_id=site, item=item, id=campaign)


@get("/prices", operation_id="list_prices")
async def list_prices(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Prices]:
    """What customers pay, and from when on."""
    return answer(request, Prices(*await list_kind(request, "prices", cursor, limit, site_id=site, item=item)))


@put("/prices", operation_id="put_prices")
async def put_prices(request: Http, data: JSONBody[Annotated[list[PricePlan], Rows]]) -> Stored:
    """Create or replace price plans."""
    return await put_kind(request, "prices", data)


@delete("/prices", operation_id="delete_price")
async def delete_price(request: Http, item: Filter, day: Filter, site: Filter = "") -> None:
    """Delete the price from a day on."""
    await delete_kind(request, "prices", site_id=site, item=item, day=day)


@get("/indicators", operation_id="list_indicators")
async def list_indicators(
    request: Http,
    site: Filter = "",
    name: Filter = "",
    item: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Indicators]:
    """Dated series that may move demand."""
    return answer(
        request, Indicators(*await list_kind(request, "indicators", cursor, limit, site_id=site, name=name, item=item))
    )


@put("/indicators", operation_id="put_indicators")
async def put_indicators(request: Http, data: JSONBody[Annotated[list[Indicator], Rows]]) -> Stored:
    """Create or replace values of indicators."""
    return await put_kind(request, "indicators", data)


@delete("/indicators", operation_id="delete_indicator")
async def delete_indicator(request: Http, name: Filter, day: Filter, site: Filter = "", item: Filter = "") -> None:
    """Delete an indicator's value of a day."""
    await delete_kind(request, "indicators", site_id=site, name=name, item=item, day=day)


@get("/stocking", operation_id="list_stocking")
async def list_stocking(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Stockings]:
    """How items are kept at sites."""
    return answer(request, Stockings(*await list_kind(request, "stocking", cursor, limit, site_id=site, item=item)))


@put("/stocking", operation_id="put_stocking")
async def put_stocking(request: Http, data: JSONBody[Annotated[list[Stocking], Rows]]) -> Stored:
    """Create or replace how items are kept."""
    return await put_kind(request, "stocking", data)


@delete("/stocking", operation_id="delete_stocking")
async def delete_stocking(request: Http, site: Filter = "", item: Filter = "") -> None:
    """Delete how an item is kept at a site."""
    await delete_kind(request, "stocking", site_id=site, item=item)


@get("/breaks", operation_id="list_breaks")
async def list_breaks(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    supplier: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[PriceBreaks]:
    """Prices from a quantity on."""
    return answer(
        request,
        PriceBreaks(*await list_kind(request, "breaks", cursor, limit, site_id=site, item=item, supplier=supplier)),
    )


@put("/breaks", operation_id="put_breaks")
async def put_breaks(request: Http, data: JSONBody[Annotated[list[PriceBreak], Rows]]) -> Stored:
    """Create or replace price breaks; the supplier's terms must be there."""
    return await put_kind(request, "breaks", data)


@delete("/breaks", operation_id="delete_break")
async def delete_break(request: Http, site: Filter, item: Filter, supplier: Filter, quantity: Quantity) -> None:
    """Delete a price break."""
    await delete_kind(request, "breaks", site_id=site, item=item, supplier=supplier, quantity=quantity)


@get("/autonomy", operation_id="list_autonomy")
async def list_autonomy(
    request: Http,
    site: Filter = "",
    category: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Autonomies]:
    """What headquarters may release by itself."""
    return answer(
        request, Autonomies(*await list_kind(request, "autonomy", cursor, limit, site_id=site, category=category))
    )


@put("/autonomy", operation_id="put_autonomy")
async def put_autonomy(request: Http, data: JSONBody[Annotated[list[Autonomy], Rows]]) -> Stored:
    """Create or replace what headquarters may release by itself."""
    return await put_kind(request, "autonomy", data)


@delete("/autonomy", operation_id="delete_autonomy")
async def delete_autonomy(request: Http, site: Filter = "", category: Filter = "") -> None:
    """Delete a rule; what the next wider one says holds then."""
    await delete_kind(request, "autonomy", site_id=site, category=category)


PLANS = [
    list_campaigns, put_campaigns, delete_campaign, list_prices, put_prices, delete_price, list_indicators,
    put_indicators, delete_indicator, list_stocking, put_stocking, delete_stocking, list_breaks, put_breaks,
    delete_break, list_autonomy, put_autonomy, delete_autonomy,
]  # fmt: skip
