"""Master data and plans in the browser: what there is and what is missing, lists and files. One set of pages for all kinds.

data_words.py    what the kinds are for, and in which order they are filled
data_lacks.py    how many rows there are, and what is often forgotten
data_rows.py     lists, single rows, suggestions
data_fields.py   a field's control, unit and exact value
data_forms.py    a form: what was typed, what it means, what is wrong with it
data_edit.py     the pages of a form and of a deletion
data_files.py    lists as files, templates
data_upload.py   files brought: looked through first, stored by a second click
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from cloud.errors import BadInputError
from cloud.files import Field, fields_of
from cloud.inputs.masters import MASTERS, MasterName
from cloud.store.database import reading
from cloud.web.data_fields import numeric, shown, title_of
from cloud.web.data_files import PARQUET_ROWS, as_csv, as_parquet
from cloud.web.data_forms import currency_of
from cloud.web.data_lacks import count_lack, read_counts
from cloud.web.data_links import add_link, done_key, edit_link, kind_of
from cloud.web.data_rows import DataFilter, all_pages, may_add, names_of, read_page, suggestions
from cloud.web.data_words import COLUMNS, GROUPS, KINDS, UPLOADS
from cloud.web.freshness import sites_of
from cloud.web.page import PAGE_ROWS, HtmlRequest, Visit, href, html, page, render, visit


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a list: its text, what stands small below it, and whether it is a number."""

    text: str
    note: str
    numeric: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a list; `done` where it was just stored."""

    link: str
    cells: Sequence[Cell]
    done: bool


@get("/data", include_in_schema=False)
async def data_page(request: HtmlRequest) -> Response[str]:
    """The kinds of data in the order in which they are filled, with their counts and what is missing."""
    visited = visit(request)
    async with reading(visited.services.engine) as conn:
        counts, missing = await read_counts(conn, visited.person)
        may = {kind: may_add(kind, visited.person) for kind in MASTERS}
        return await page(
            visited,
            conn,
            "data.html",
            groups=GROUPS,
            kinds=KINDS,
            counts=counts,
            missing=missing,
            may=may,
            uploads=UPLOADS if visited.person.may_somewhere("plan") else (),
        )


@get("/data/suggest/{what:str}", include_in_schema=False)
async def suggest(request: HtmlRequest, what: FromPath[str]) -> Response[str]:
    """The options of a list of suggestions for what is being typed: the value of the URL's only parameter."""
    visited = visit(request)
    text = next(iter(request.query_params.values()), "")[:80]
    async with reading(visited.services.engine) as conn:
        found = await suggestions(conn, visited.person, what, text)
    return html(render("data_options.html", options=found))


@get("/data/{name:str}", include_in_schema=False)
async def data_list(request: HtmlRequest, name: FromPath[str]) -> Response[Any]:
    """The rows of a kind: a page of them, or all of them as a file."""
    visited, kind = visit(request), kind_of(name)
    wanted = visited.filter(DataFilter)
    if wanted.format != "html":
        return await _file(visited, kind, wanted)
    path, here = f"/data/{kind}", msgspec.structs.replace(wanted, done="")
    names = MASTERS[kind].table.c.keys()
    async with reading(visited.services.engine) as conn:
        sites = await sites_of(conn, visited.person, visited.now)
        rows, after = await read_page(conn, kind, visited.person, wanted, PAGE_ROWS)
        return await page(
            visited,
            conn,
            "data_list.html",
            words=KINDS[kind],
            filter=here,
            sites=sites,
            path_here=path,
            stored=wanted.done,
            columns=[(title_of(one), numeric(one)) for one in columns_of(kind)],
            rows=_lines(kind, rows, await names_of(conn, kind, rows), href(path, here), wanted.done),
            per_site=len(sites) > 1 and ("site_id" in names or "from_site" in names),
            may_change=may_add(kind, visited.person),
            lack=await count_lack(conn, visited.person, kind, wanted.lack) if wanted.lack else None,
            following=href(path, here, after=after) if after else "",
            add=add_link(kind, wanted.site, href(path, here)),
        )


def columns_of(kind: MasterName) -> list[Field]:
    """The fields that a list shows; the others stand in the form. Amounts carry their currency themselves."""
    fields = {one.name: one for one in fields_of(MASTERS[kind].row)}
    return [fields[name] for name in COLUMNS.get(kind, tuple(fields)) if name != "currency" or kind == "sites"]


def _lines(
    kind: MasterName, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], back: str, done: str
) -> list[Line]:
    key = MASTERS[kind].key
    columns = columns_of(kind)
    lines: list[Line] = []
    for row in rows:
        currency = currency_of(row)
        cells: list[Cell] = []
        for one in columns:
            text = shown(one, row[one.name], currency)
            if not text and one.name in key:
                text = f"every {one.title.lower()}"
            cells.append(Cell(text, names.get(row["item"], "") if one.name == "item" else "", numeric(one)))
        lines.append(Line(edit_link(kind, row, back), cells, done_key(kind, row) == done))
    return lines


async def _file(visited: Visit, kind: MasterName, wanted: DataFilter) -> Response[Any] | Stream:
    """All rows of a list as a file, with the columns that an import of it takes."""
    engine, person, row = visited.services.engine, visited.person, MASTERS[kind].row

    async def pages() -> AsyncGenerator[list[dict[str, Any]], None]:
        async with reading(engine) as conn, aclosing(all_pages(conn, kind, person, wanted)) as found:
            async for rows in found:
                yield rows

    if wanted.format == "csv":
        return as_csv(kind, row.__struct_fields__, pages())
    rows: list[dict[str, Any]] = []
    async with aclosing(pages()) as found:
        async for more in found:
            rows += more
            if len(rows) > PARQUET_ROWS:
                raise BadInputError(f"these are more than {PARQUET_ROWS} rows; choose a site, or take CSV")
    return as_parquet(kind, row, rows)
