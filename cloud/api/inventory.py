"""/api/v1: stock, availability, units, movements, demand."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath, QueryParameter
from sqlalchemy import Select, Table, and_, case, func, or_, select

from cloud.api.caller import Http, caller_of
from cloud.api.paging import PAGE, Cursor, Day, Filter, Limit, answer, page_of
from cloud.errors import NotFoundError
from cloud.projections.units import read_holds
from cloud.store import schema
from vocabulary.place import CUSTOMER, IDENTITY, IN_TRANSIT, OPENING, SCRAP, SUPPLIER, UNKNOWN

#: A list of days has no bound where these stand.
FIRST_DAY, LAST_DAY = "0001-01-01", "9999-12-31"
_VIRTUAL = (CUSTOMER, IDENTITY, OPENING, SCRAP, SUPPLIER, UNKNOWN)


class Balance(msgspec.Struct, frozen=True):
    """Base units (and net grams) of goods at an account; `held`: the part that units there hold."""

    site_id: str
    place: str
    status: str
    item: str
    lot: str
    expiry: str
    quantity: int
    grams: int
    held: int


class Stock(msgspec.Struct, frozen=True):
    """A page of balances."""

    items: list[Balance]
    next: str


class Availability(msgspec.Struct, frozen=True):
    """An item at a site, base units: `promised` to open orders, `on_order` from suppliers, `to_promise` never below 0."""

    site_id: str
    item: str
    on_hand: int
    available: int
    promised: int
    on_order: int
    to_promise: int
    empty_since: int | None
    changed_at: int


class Availabilities(msgspec.Struct, frozen=True):
    """A page of availability."""

    items: list[Availability]
    next: str


class UnitRow(msgspec.Struct, frozen=True):
    """A unit, where it is since `at` (µs UTC), the unit that contains it, and its only item if it holds one."""

    site_id: str
    unit: str
    place: str
    status: str
    container: str
    item: str
    first_at: int
    at: int


class Units(msgspec.Struct, frozen=True):
    """A page of units."""

    items: list[UnitRow]
    next: str


class Held(msgspec.Struct, frozen=True):
    """What a unit holds itself."""

    item: str
    lot: str
    expiry: str
    quantity: int
    grams: int


class UnitDetail(msgspec.Struct, frozen=True):
    """A unit with its content and the units in it."""

    unit: UnitRow
    holds: list[Held]
    contains: list[UnitRow]


class MovementLine(msgspec.Struct, frozen=True):
    """One line of a movement. `flow`, `flow_quantity`: how it crossed the building's edge, signed; "" inside."""

    site_id: str
    position: int
    line: int
    kind: str
    occurred_at: int
    received_at: int
    item: str
    lot: str
    expiry: str
    quantity: int
    grams: int
    from_place: str
    from_status: str
    to_place: str
    to_status: str
    document: str
    flow: str
    flow_quantity: int
    price_micro: int
    currency: str


class Movements(msgspec.Struct, frozen=True):
    """A page of movement lines, newest first."""

    items: list[MovementLine]
    next: str


class DemandDay(msgspec.Struct, frozen=True):
    """A business day of an item at a site. `demand` is what was ordered from the first order on, before it what was issued."""

    site_id: str
    item: str
    day: str
    demand: int
    ordered: int
    issued: int
    received: int
    returned: int
    transferred: int
    empty_minutes: int


class Demand(msgspec.Struct, frozen=True):
    """A page of demand."""

    items: list[DemandDay]
    next: str


def _where(query: Select[*tuple[Any, ...]], table: Table, **filters: str) -> Select[*tuple[Any, ...]]:
    for name, value in filters.items():
        if value:
            query = query.where(table.c[name] == value)
    if filters.get("item") and not filters.get("site_id"):  # keys begin with the site: named, each can be looked up
        query = query.where(table.c.site_id.in_(select(schema.site.c.id)))
    return query


@get("/stock", operation_id="list_stock")
async def list_stock(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    place: Filter = "",
    status: Filter = "",
    lot: Filter = "",
    virtual: Annotated[bool, QueryParameter(description="places outside the building too")] = False,
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Stock]:
    """What is where: balances by site, place, status, item, lot or expiry."""
    caller, b = caller_of(request, "read"), schema.balance
    query = select(*(b.c[name] for name in Balance.__struct_fields__)).where(
        caller.principal.scope(b.c.site_id), or_(b.c.quantity != 0, b.c.grams != 0)
    )
    if not virtual:
        query = query.where(b.c.place.not_in(_VIRTUAL), ~b.c.place.startswith(IN_TRANSIT))
    query = _where(query, b, site_id=site, item=item, place=place, status=status, lot=lot)
    async with caller.reading() as conn:
        return answer(request, Stock(*await page_of(conn, query, list(b.primary_key), Balance, cursor, limit)))


@get("/availability", operation_id="list_availability")
async def list_availability(
    request: Http, site: Filter = "", item: Filter = "", cursor: Cursor = "", limit: Limit = PAGE
) -> Response[Availabilities]:
    """What can be promised: available stock less what open orders still wait for."""
    caller, s, line, done, d = (
        caller_of(request, "read"), schema.item_stock, schema.document_line.c, schema.document_done.c, schema.document.c,
    )  # fmt: skip
    rest = line.quantity - func.coalesce(done.quantity, 0)
    open_lines = (
        select(
            func.coalesce(func.sum(case((and_(line.type == "outbound-order", rest > 0), rest), else_=0)), 0).label(
                "promised"
            ),
            func.coalesce(
                func.sum(case((and_(line.type == "expected-receipt", d.announces == "", rest > 0), rest), else_=0)), 0
            ).label("on_order"),
            line.site_id,
            line.item,
        )
        .join_from(schema.document_line, schema.document, (d.site_id == line.site_id) & (d.id == line.document))
        .outerjoin(
            schema.document_done,
            (done.site_id == line.site_id) & (done.document == line.document) & (done.line == line.line),
        )
        .where(line.state == "open")
        .group_by(line.site_id, line.item)
        .subquery()
    )
    promised, on_order = func.coalesce(open_lines.c.promised, 0), func.coalesce(open_lines.c.on_order, 0)
    left = s.c.available - promised
    query = (
        select(
            s.c.site_id, s.c.item, s.c.on_hand, s.c.available, s.c.empty_since, s.c.changed_at,
            promised.label("promised"), on_order.label("on_order"), case((left > 0, left), else_=0).label("to_promise"),
        )
        .join_from(s, open_lines, (open_lines.c.site_id == s.c.site_id) & (open_lines.c.item == s.c.item), isouter=True)
        .where(caller.principal.scope(s.c.site_id))
    )  # fmt: skip
    query = _where(query, s, site_id=site, item=item)
    async with caller.reading() as conn:
        page = await page_of(conn, query, list(s.primary_key), Availability, cursor, limit)
    return answer(request, Availabilities(*page))


@get("/units", operation_id="list_units")
async def list_units(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    place: Filter = "",
    container: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Units]:
    """Units with an identity of their own, and where they are."""
    caller, u = caller_of(request, "read"), schema.unit
    query = select(*(u.c[name] for name in UnitRow.__struct_fields__)).where(caller.principal.scope(u.c.site_id))
    query = _where(query, u, site_id=site, item=item, place=place, container=container)
    async with caller.reading() as conn:
        return answer(request, Units(*await page_of(conn, query, list(u.primary_key), UnitRow, cursor, limit)))


@get("/units/{site:str}/{unit:path}", operation_id="get_unit")
async def get_unit(request: Http, site: FromPath[str], unit: FromPath[str]) -> UnitDetail:
    """One unit by its key, such as 00/106141412345678908: what it holds and the units in it (1,000 at most)."""
    caller, u = caller_of(request, "read", site), schema.unit
    key = str(unit).lstrip("/")
    columns = [u.c[name] for name in UnitRow.__struct_fields__]
    async with caller.reading() as conn:
        found = (await conn.execute(select(*columns, u.c.holds).where(u.c.site_id == site, u.c.unit == key))).first()
        inside = await conn.execute(
            select(*columns).where(u.c.site_id == site, u.c.container == key).order_by(u.c.unit).limit(1_000)
        )
        rows = [UnitRow(*tuple(row)) for row in inside]
    if found is None:
        raise NotFoundError(f"site {site} has no unit {key}")
    return UnitDetail(UnitRow(*tuple(found)[:-1]), [Held(*one) for one in read_holds(found[-1])], rows)


@get("/movements", operation_id="list_movements")
async def list_movements(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    kind: Filter = "",
    document: Filter = "",
    flow: Filter = "",
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Movements]:
    """Movement lines, the last received first. With `site` they are ordered by its arrival number."""
    caller, m = caller_of(request, "read"), schema.movement_line
    query = select(*(m.c[name] for name in MovementLine.__struct_fields__)).where(caller.principal.scope(m.c.site_id))
    query = _where(query, m, site_id=site, item=item, kind=kind, document=document, flow=flow)
    keys = [m.c.position, m.c.line] if site else [m.c.received_at, m.c.site_id, m.c.position, m.c.line]
    async with caller.reading() as conn:
        page = await page_of(conn, query, keys, MovementLine, cursor, limit, newest_first=True)
    return answer(request, Movements(*page))


@get("/demand", operation_id="list_demand")
async def list_demand(
    request: Http,
    site: Filter = "",
    item: Filter = "",
    since: Day = FIRST_DAY,
    until: Day = LAST_DAY,
    cursor: Cursor = "",
    limit: Limit = PAGE,
) -> Response[Demand]:
    """Demand and flows by business day. Days on which nothing happened are left out."""
    caller, d, f = caller_of(request, "read"), schema.daily, schema.daily.alias("first_order")
    first = (
        select(func.min(f.c.day))
        .where(f.c.site_id == d.c.site_id, f.c.item == d.c.item, f.c.ordered > 0)
        .correlate(d)
        .scalar_subquery()
    )
    demand = case((first <= d.c.day, d.c.ordered), else_=d.c.issued)
    query = select(d, demand.label("demand")).where(caller.principal.scope(d.c.site_id))
    if (since, until) != (FIRST_DAY, LAST_DAY):  # a bound on days would not let a page be read in the order of the key
        query = query.where(d.c.day.between(since, until))
    query = _where(query, d, site_id=site, item=item)
    async with caller.reading() as conn:
        return answer(request, Demand(*await page_of(conn, query, list(d.primary_key), DemandDay, cursor, limit)))


INVENTORY = [list_stock, list_availability, list_units, get_unit, list_movements, list_demand]
