"""Rows of data for the pages: lists in stable pages, one row, how many there are, and what is missing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import ColumnElement, Select, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE, Principal
from cloud.errors import BadInputError, NotFoundError
from cloud.inputs.masters import MASTERS, MasterName
from cloud.store import schema
from cloud.web.data_lacks import lack_of, mine
from cloud.web.data_words import KINDS
from vocabulary.identifier import gtin14

#: Columns in which a search looks; the name of the item that a row is about is searched too.
SEARCHED = ("id", "name", "item", "supplier", "gtin", "category", "email")
#: Rows read at once for a file.
FILE_ROWS = 5_000


class DataFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL of a list holds. `after`: the key of the row before the first one shown, as JSON; `done`: the key of
    the row that was just stored; `lack`: see `data_lacks.LACKS`."""

    search: Annotated[str, Meta(max_length=80)] = ""
    site: Annotated[str, Meta(max_length=200)] = ""
    lack: Annotated[str, Meta(max_length=40)] = ""
    after: Annotated[str, Meta(max_length=1_000)] = ""
    done: Annotated[str, Meta(max_length=1_000)] = ""
    format: Literal["html", "csv", "parquet"] = "html"


def site_of(kind: MasterName, row: Mapping[str, object]) -> str:
    """The site at which that must be allowed; "" where a row concerns the network."""
    column = MASTERS[kind].site_column
    return str(row[column]) if column and kind != "sites" else EVERY_SITE


def may_add(kind: MasterName, person: Principal) -> bool:
    """Whether `person` may add rows of a kind: at a site where each belongs to one, else in the network."""
    master = MASTERS[kind]
    per_site = bool(master.site_column) and kind != "sites"
    return person.may_somewhere(master.permission) if per_site else person.may(master.permission, EVERY_SITE)


def wanted_rows(kind: MasterName, person: Principal, wanted: DataFilter) -> Select[Any]:
    """The rows that a filter lets through, in the order of their key."""
    table = MASTERS[kind].table
    c, keys = table.c, list(table.primary_key)
    query = (
        select(*(c[name] for name in MASTERS[kind].row.__struct_fields__)).where(*mine(kind, person)).order_by(*keys)
    )
    if wanted.site:
        places = [c[name] for name in ("site_id", "from_site", "to_site") if name in c] or [c.id]
        query = query.where(or_(*(place == wanted.site for place in places)))
    if wanted.search:
        text = wanted.search
        found = [c[name].icontains(text, autoescape=True) for name in SEARCHED if name in c]
        if "item" in c:
            i = schema.item.c
            found.append(c.item.in_(select(i.id).where(i.name.icontains(text, autoescape=True))))
        query = query.where(or_(*found))
    if wanted.lack:
        query = query.where(lack_of(kind, wanted.lack).condition)
    if wanted.after:
        query = query.where(_behind(keys, wanted.after))
    return query


def _behind(keys: Sequence[Any], after: str) -> ColumnElement[bool]:
    try:
        values = msgspec.json.decode(after, type=list[str | int])
    except msgspec.DecodeError:
        values = []
    if len(values) != len(keys) or any(
        not isinstance(value, key.type.python_type) or (isinstance(value, int) and abs(value) >= 1 << 63)
        for key, value in zip(keys, values, strict=True)
    ):
        raise BadInputError("after: this list did not give it out; begin without one")
    return keys[0] > values[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*values)


async def read_page(
    conn: AsyncConnection, kind: MasterName, person: Principal, wanted: DataFilter, limit: int
) -> tuple[list[dict[str, Any]], str]:
    """At most `limit` rows, and the `after` of the next page ("" = none follows); one query."""
    found = (await conn.execute(wanted_rows(kind, person, wanted).limit(limit + 1))).mappings().all()
    rows = [{str(name): value for name, value in row.items()} for row in found[:limit]]
    following = (
        msgspec.json.encode([rows[-1][name] for name in MASTERS[kind].key]).decode() if len(found) > limit else ""
    )
    return rows, following


async def all_pages(
    conn: AsyncConnection, kind: MasterName, person: Principal, wanted: DataFilter
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """All rows that a filter lets through, FILE_ROWS at a time."""
    while True:
        rows, after = await read_page(conn, kind, person, wanted, FILE_ROWS)
        yield rows
        if not after:
            return
        wanted = msgspec.structs.replace(wanted, after=after)


async def read_row(
    conn: AsyncConnection, kind: MasterName, person: Principal, key: Mapping[str, object]
) -> dict[str, Any] | None:
    """The row with a key, where `person` may see it."""
    table = MASTERS[kind].table
    query = select(*(table.c[name] for name in MASTERS[kind].row.__struct_fields__))
    query = query.where(*(table.c[name] == value for name, value in key.items()), *mine(kind, person))
    row = (await conn.execute(query)).mappings().first()
    return None if row is None else {str(name): value for name, value in row.items()}


def key_in(kind: MasterName, texts: Mapping[str, str]) -> dict[str, str | int]:
    """The key of a row out of the texts of a URL or form. Raises NotFoundError where no row can have it."""
    master = MASTERS[kind]
    key: dict[str, str | int] = {}
    for one in master.key:
        text = texts.get(one, "")
        if master.table.c[one].type.python_type is not int:
            key[one] = (gtin14(text) or text) if one == "gtin" else text
        elif text.isascii() and text.isdigit() and len(text) < 18:
            key[one] = int(text)
        else:
            raise NotFoundError(f"there is no such {KINDS[kind][1]}")
    return key


def mark_of(row: Mapping[str, object] | None) -> str:
    """Stands for a row as it was read; another one when somebody changed it meanwhile, "" for none."""
    return "" if row is None else sha256(msgspec.json.encode(row, order="sorted")).hexdigest()[:16]


async def names_of(conn: AsyncConnection, kind: MasterName, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names of the items that rows are about."""
    wanted = sorted({str(row["item"]) for row in rows if row.get("item")}) if "item" in MASTERS[kind].table.c else []
    if not wanted:
        return {}
    i = schema.item.c
    return {row.id: row.name for row in await conn.execute(select(i.id, i.name).where(i.id.in_(wanted)))}


# -------------------------------------------------------------------------------------------------------- suggestions

#: Lines of a list of suggestions.
SUGGESTED = 100
_NAMED = {"sites": schema.site, "items": schema.item, "suppliers": schema.supplier, "places": schema.place}


async def suggestions(conn: AsyncConnection, person: Principal, what: str, text: str = "") -> list[tuple[str, str]]:
    """(id, name) of at most SUGGESTED sites, items, suppliers, places or categories that `text` is part of.

    Raises NotFoundError for another kind.
    """
    if what == "categories":
        c = schema.item.c
        query = select(c.category, c.category).where(c.category != "").order_by(c.category)
        if text:
            query = query.where(c.category.icontains(text, autoescape=True))
    elif what in _NAMED:
        c = _NAMED[what].c
        query = select(c.id, c.name).order_by(c.id)
        if what in ("sites", "places"):
            query = query.where(person.scope(c.id if what == "sites" else c.site_id))
        if text:
            query = query.where(or_(c.id.icontains(text, autoescape=True), c.name.icontains(text, autoescape=True)))
    else:
        raise NotFoundError(f"there are no suggestions for {what}")
    rows = (await conn.execute(query.distinct().limit(SUGGESTED))).all()
    return [(row[0], row[1] if row[1] != row[0] else "") for row in rows]
