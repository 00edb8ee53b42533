"""How many rows of each kind of data there are, and what is often forgotten in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import Principal
from cloud.errors import BadInputError
from cloud.inputs.masters import MASTERS, MasterName
from cloud.store import schema


def mine(kind: MasterName, person: Principal) -> list[ColumnElement[bool]]:
    """The condition for rows of a kind that `person` may see: those of their sites and those that hold everywhere."""
    column = MASTERS[kind].site_column
    if not column or person.sites("read") is None:
        return []
    where = MASTERS[kind].table.c[column]
    return [person.scope(where) if kind == "sites" else or_(person.scope(where), where == "")]


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is often forgotten: its name in a URL, what it says of `one` and of `several`, and its rows."""

    name: str
    kind: MasterName
    one: str
    several: str
    condition: ColumnElement[bool]


def _lacks() -> tuple[Lack, ...]:
    s, i, t, p, g, d = (
        schema.site.c, schema.item.c, schema.term.c, schema.place.c, schema.packaging.c, schema.supplier.c,
    )  # fmt: skip
    sold = i.discontinued_on == ""
    return (
        Lack("country", "sites", "site has no country: its holidays are not known",
             "sites have no country: their holidays are not known", s.country == ""),
        Lack("places", "sites", "site has no places", "sites have no places", s.id.not_in(select(p.site_id))),
        Lack("terms", "items", "item has no terms: it is never ordered",
             "items have no terms: they are never ordered", sold & i.id.not_in(select(t.item))),
        Lack("gtin", "items", "item has no GTIN: readers cannot tell it",
             "items have no GTIN: readers cannot tell them", sold & i.id.not_in(select(g.item))),
        Lack("identity", "items", "item waits to be identified", "items wait to be identified", i.provisional),
        Lack("price", "terms", "term has no price: orders on it seem to cost nothing",
             "terms have no price: orders on them seem to cost nothing", t.price_micro == 0),
        Lack("supplier", "terms", "term names a supplier that is not listed",
             "terms name a supplier that is not listed", t.supplier.not_in(select(d.id))),
        Lack("contact", "suppliers", "supplier has neither an e-mail nor an address for orders",
             "suppliers have neither an e-mail nor an address for orders", (d.email == "") & (d.url == "")),
    )  # fmt: skip


LACKS = _lacks()


def lack_of(kind: MasterName, name: str) -> Lack:
    """What a URL calls a lack. Raises BadInputError."""
    for lack in LACKS:
        if (lack.kind, lack.name) == (kind, name):
            return lack
    raise BadInputError(f"lack: {name} is not one of the choices")


@dataclass(frozen=True, slots=True)
class Missing:
    """A lack that there is: how often, and in words."""

    lack: Lack
    count: int

    @property
    def text(self) -> str:
        """What is missing."""
        return self.lack.one if self.count == 1 else self.lack.several


async def read_counts(conn: AsyncConnection, person: Principal) -> tuple[dict[str, int], list[Missing]]:
    """How many rows of each kind `person` may see, and what is missing in them; one query."""
    columns: list[Any] = [_count(kind, person).label(kind) for kind in MASTERS]
    columns += [_count(lack.kind, person, lack.condition).label(f"{lack.kind} {lack.name}") for lack in LACKS]
    row = (await conn.execute(select(*columns))).mappings().one()
    found = [Missing(lack, int(row[f"{lack.kind} {lack.name}"])) for lack in LACKS]
    return {kind: int(row[kind]) for kind in MASTERS}, [one for one in found if one.count]


async def count_lack(conn: AsyncConnection, person: Principal, kind: MasterName, name: str) -> Missing:
    """How often one thing is missing. Raises BadInputError."""
    lack = lack_of(kind, name)
    return Missing(lack, int((await conn.execute(select(_count(kind, person, lack.condition)))).scalar_one()))


def _count(kind: MasterName, person: Principal, *conditions: ColumnElement[bool]) -> Any:
    counted = select(func.count()).select_from(MASTERS[kind].table).where(*mine(kind, person), *conditions)
    return counted.scalar_subquery()
