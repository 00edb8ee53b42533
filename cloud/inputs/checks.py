"""What rows of master data and plans must satisfy beside their fields' own bounds: every row that does not is named."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadRow
from cloud.store import lanes, schema
from vocabulary.identifier import gtin14
from vocabulary.place import is_virtual

Named = dict[str, Any]

#: Which columns hold the ids of which master data, and what that is called; "" passes where the column allows it.
_REFERS: dict[str, dict[str, tuple[Table, str]]] = {
    "places": {"site_id": (schema.site, "sites")},
    "packaging": {"item": (schema.item, "items")},
    "terms": {
        "site_id": (schema.site, "sites"),
        "item": (schema.item, "items"),
        "supplier": (schema.supplier, "suppliers"),
    },
    "lanes": {"from_site": (schema.site, "sites"), "to_site": (schema.site, "sites")},
    "items": {"successor": (schema.item, "items"), "like_item": (schema.item, "items")},
    "campaigns": {"site_id": (schema.site, "sites"), "item": (schema.item, "items")},
    "prices": {"site_id": (schema.site, "sites"), "item": (schema.item, "items")},
    "indicators": {"site_id": (schema.site, "sites"), "item": (schema.item, "items")},
    "stocking": {
        "site_id": (schema.site, "sites"),
        "item": (schema.item, "items"),
        "fed_by": (schema.site, "sites"),
    },
    "breaks": {
        "site_id": (schema.site, "sites"),
        "item": (schema.item, "items"),
        "supplier": (schema.supplier, "suppliers"),
    },
    "autonomy": {"site_id": (schema.site, "sites")},
    "demand": {"site_id": (schema.site, "sites"), "item": (schema.item, "items")},
    "stock": {"site": (schema.site, "sites"), "item": (schema.item, "items")},
    "orders": {"site": (schema.site, "sites"), "item": (schema.item, "items")},
    "purchases": {
        "site": (schema.site, "sites"),
        "item": (schema.item, "items"),
        "supplier": (schema.supplier, "suppliers"),
    },
    "asn": {
        "site": (schema.site, "sites"),
        "item": (schema.item, "items"),
        "supplier": (schema.supplier, "suppliers"),
    },
}
#: Columns that hold a day, "" for none.
_DAYS = ("day", "first_day", "last_day", "known_until", "discontinued_on", "due", "expiry", "ordered")
#: Items are followed to their successors so far: a longer chain is a circle, or as good as one.
_LONGEST_CHAIN = 1_000


async def check_rows(conn: AsyncConnection, kind: str, rows: Sequence[Named]) -> list[BadRow]:
    """All that is wrong with `rows` of a kind; their lines are counted from 1."""
    bad: list[BadRow] = []
    for number, row in enumerate(rows, 1):
        bad += [BadRow(number, field, text) for field, text in _alone(kind, row)]
    for field, (table, kinds) in _REFERS.get(kind, {}).items():
        own = {row["id"] for row in rows} if kind == kinds else set[str]()
        bad += await _unknown(conn, table, kinds, field, rows, own)
    if kind == "items":
        bad += await _circles(conn, rows)
    if kind == "breaks" and not bad:
        bad += await _without_term(conn, rows)
    return sorted(bad, key=lambda one: one.line)


def _alone(kind: str, row: Named) -> Iterable[tuple[str, str]]:
    """(field, text) of what is wrong with a row by itself."""
    for name, value in row.items():
        if isinstance(value, str) and not value.isprintable():
            yield name, "holds a character that cannot be printed; leave it out"
        if isinstance(value, float) and not math.isfinite(value):
            yield name, "is no finite number; write one such as 3.5"
    for name in _DAYS:
        if row.get(name) and not _is_day(row[name]):
            yield name, f"there is no {row[name]}; write a day such as 2026-03-29"
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check(row)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _site(row: Named) -> Iterable[tuple[str, str]]:
    try:
        ZoneInfo(row["zone"])
    except (LookupError, OSError, ValueError):  # a name of a folder, or none at all, is an OSError or ValueError
        yield "zone", f"{row['zone']!r} is no IANA time zone; write one such as Europe/Berlin"
    if row["country"] and not knows_country(row["country"]):
        yield "country", f"no holidays are known for {row['country']}; write an ISO 3166 code such as DE or DE-BY"


def _place(row: Named) -> Iterable[tuple[str, str]]:
    if is_virtual(row["id"]):
        yield "id", f"{row['id']} is the name of a virtual place; choose another"
    if row["parent"] == row["id"]:
        yield "parent", "a place cannot be within itself; name the place that holds it, or leave it empty"


def _item(row: Named) -> Iterable[tuple[str, str]]:
    if row["successor"] == row["id"]:
        yield "successor", "an item cannot follow itself; name another one, or leave it empty"
    if row["like_item"] == row["id"]:
        yield "like_item", "an item is always like itself; name another one, or leave it empty"


def _packaging(row: Named) -> Iterable[tuple[str, str]]:
    if gtin14(row["gtin"]) is None:
        yield "gtin", f"{row['gtin']} has a wrong length or check digit; read it again"


def _lane(row: Named) -> Iterable[tuple[str, str]]:
    if row["from_site"] == row["to_site"]:
        yield "to_site", "a lane leads to another site; correct one of the two"


def _campaign(row: Named) -> Iterable[tuple[str, str]]:
    if row["first_day"] > row["last_day"]:
        yield "last_day", f"{row['last_day']} is before first_day {row['first_day']}; exchange or correct them"


def _stocking(row: Named) -> Iterable[tuple[str, str]]:
    if row["fed_by"] and row["fed_by"] == row["site_id"]:
        yield "fed_by", "a site cannot be fed by itself; name another one, or leave it empty for a supplier"
    if row["most"] is not None and row["most"] < row["display"]:
        yield "most", f"{row['most']} is below the {row['display']} that always stand on show; correct one of the two"


_CHECKS = {
    "sites": _site,
    "places": _place,
    "items": _item,
    "packaging": _packaging,
    "lanes": _lane,
    "campaigns": _campaign,
    "stocking": _stocking,
}


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, frozenset[str]]:
    """Countries whose public holidays are known, with their parts."""
    library: Any = importlib.import_module("holidays")  # a quarter of a second: only where somebody names a country
    found: dict[str, list[str]] = library.list_supported_countries(include_aliases=True)
    return {country: frozenset(parts) for country, parts in found.items()}


def knows_country(code: str) -> bool:
    """Whether the public holidays of an ISO 3166 code (DE, or DE-BY for a part) are known."""
    country, _, part = code.partition("-")
    parts = _countries().get(country)
    return parts is not None and (not part or part in parts)


async def _unknown(
    conn: AsyncConnection, table: Table, kinds: str, field: str, rows: Sequence[Named], own: set[str]
) -> list[BadRow]:
    """The rows whose `field` names what neither the database nor `own`, the rows' own ids, know."""
    wanted = list(dict.fromkeys(row[field] for row in rows if row[field] and row[field] not in own))
    known = own | await known_ids(conn, table, wanted)
    return [
        BadRow(number, field, f"{row[field]} is not known; add it to {kinds} first")
        for number, row in enumerate(rows, 1)
        if row[field] and row[field] not in known
    ]


async def known_ids(conn: AsyncConnection, table: Table, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that `table` has."""
    known: set[str] = set()
    for start in range(0, len(ids), lanes.IN_LIST):
        part = ids[start : start + lanes.IN_LIST]
        known |= set((await conn.execute(select(table.c.id).where(table.c.id.in_(part)))).scalars())
    return known


async def _circles(conn: AsyncConnection, rows: Sequence[Named]) -> list[BadRow]:
    """The items that would follow each other in a circle: their demand would belong to none of them."""
    i = schema.item.c
    after = {row["id"]: row["successor"] for row in rows}
    if not any(after.values()):
        return []
    stored = await conn.execute(select(i.id, i.successor).where(i.successor != ""))
    after = {row.id: row.successor for row in stored} | after
    bad: list[BadRow] = []
    for number, row in enumerate(rows, 1):
        chain, one = [row["id"]], row["successor"]
        while one and one not in chain and len(chain) < _LONGEST_CHAIN:
            chain.append(one)
            one = after.get(one, "")
        if one == row["id"] and len(chain) > 1:
            text = f"{' > '.join([*chain, one])} is a circle; one of them must have no successor"
            bad.append(BadRow(number, "successor", text))
    return bad


async def _without_term(conn: AsyncConnection, rows: Sequence[Named]) -> list[BadRow]:
    """Price breaks of terms that are not there."""
    t = schema.term.c
    by_site: dict[str, dict[str, None]] = {}
    for row in rows:
        by_site.setdefault(row["site_id"], {})[row["item"]] = None
    known: set[tuple[Any, ...]] = set()
    for site_id, items in by_site.items():
        known |= set(await lanes.select_in(conn, (t.site_id, t.item, t.supplier), site_id, t.item, list(items)))
    return [
        BadRow(number, "supplier", f"{row['supplier']} has no terms for item {row['item']} at site {row['site_id']}; "
               "add them to terms first")
        for number, row in enumerate(rows, 1)
        if (row["site_id"], row["item"], row["supplier"]) not in known
    ]  # fmt: skip
