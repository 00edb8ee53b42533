"""A row of data in the browser: its form, and its deletion."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadRow, BadRowsError, NotFoundError
from cloud.files import fields_of
from cloud.inputs.masters import MASTERS, MasterName, delete_masters, put_masters
from cloud.projections.changes import Change
from cloud.store.database import reading, writing
from cloud.web.data_fields import shown
from cloud.web.data_forms import Typed, currency_of, entries_of, read, texts_of, with_errors
from cloud.web.data_links import add_link, done_key, edit_link, kind_of, safe_back, with_done
from cloud.web.data_rows import key_in, mark_of, may_add, read_row, site_of, suggestions
from cloud.web.data_words import KINDS
from cloud.web.freshness import sites_of
from cloud.web.page import HtmlRequest, Visit, page, see_other, visit


@get("/data/{name:str}/edit", include_in_schema=False)
async def edit_page(request: HtmlRequest, name: FromPath[str]) -> Response[str]:
    """The form of a row: of the one whose key the URL holds, of its copy, or of a new one. Raises NotFoundError."""
    visited, kind = visit(request), kind_of(name)
    query = dict(request.query_params)
    master = MASTERS[kind]
    async with reading(visited.services.engine) as conn:
        row = None
        if all(one in query for one in master.key):
            row = await read_row(conn, kind, visited.person, key_in(kind, query))
            if row is None and "copy" in query:
                raise NotFoundError(f"this {KINDS[kind][1]} is not there any more")
        copied = "copy" in query
        given = {one.name: query[one.name] for one in fields_of(master.row) if query.get(one.name)}
        texts = texts_of(master.row, row) if row else texts_of(master.row, {}) | given
        if not row and not given:
            texts |= await _usual(conn, visited, kind)
        was = "" if copied else mark_of(row)
        return await _form(visited, conn, kind, Typed(texts), was, query.get("back", ""))


async def _usual(conn: AsyncConnection, visited: Visit, kind: MasterName) -> dict[str, str]:
    """What a new row is most probably about: the only site there is."""
    sites = await sites_of(conn, visited.person, visited.now)
    return {"site_id": sites[0].id} if len(sites) == 1 and "site_id" in MASTERS[kind].row.__struct_fields__ else {}


async def _form(
    visited: Visit, conn: AsyncConnection, kind: MasterName, said: Typed, was: str, back: str, status: int = 200
) -> Response[str]:
    master = MASTERS[kind]
    entries = entries_of(master.row, said, master.key if was else ())
    lists: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        if entry.refers and entry.refers not in lists and not entry.locked:
            lists[entry.refers] = await suggestions(conn, visited.person, entry.refers)
    site = site_of(kind, said.texts)
    may = visited.person.may(master.permission, site) if was else may_add(kind, visited.person)
    key = {name: said.texts[name] for name in master.key}
    answer = await page(
        visited, conn, "data_edit.html", kind=kind, words=KINDS[kind], entries=entries, was=was, lists=lists,
        error=said.errors.get("", ""), wrong=len([one for one in said.errors if one]), may_change=may,
        back=safe_back(kind, back), path_here=f"/data/{kind}/edit", item=key.get("item") or said.texts.get("item", ""),
        delete=edit_link(kind, key, safe_back(kind, back), "delete") if was and master.deletable else "",
        kept=master.kept if was else "", copy=edit_link(kind, key, back) + "&copy=1" if was else "",
    )  # fmt: skip
    answer.status_code = status
    return answer


@post("/data/{name:str}/edit", include_in_schema=False)
async def store_row(request: HtmlRequest, name: FromPath[str]) -> Response[str] | Redirect:
    """Store what a form says, or show it again with what is wrong beside each field."""
    visited, kind = visit(request), kind_of(name)
    master, services = MASTERS[kind], visited.services
    if not may_add(kind, visited.person):
        visited.person.require(master.permission, "")
    texts = {field: str(value) for field, value in (await request.form()).items()}
    was, back = texts.get("was", ""), safe_back(kind, texts.get("back", ""))
    said = read(master.row, texts)
    if not said.errors:
        site = site_of(kind, said.values)
        visited.person.require(master.permission, site)
        try:
            async with writing(services.engine, site) as conn:
                before = await read_row(conn, kind, visited.person, key_in(kind, said.texts))
                _check_before(kind, before, was)
                await put_masters(conn, kind, [master.row(**said.values)], visited.now, visited.person.actor)
        except BadRowsError as error:
            said = with_errors(master.row, said, error.rows)
        else:
            services.changes.publish(Change(site, ("master", "downlink"), 0, services.runtime.now()))
            if texts.get("then") == "another":
                return see_other(add_link(kind, str(said.values.get("site_id", "")), back))
            return see_other(with_done(back, done_key(kind, key_in(kind, said.texts))))
    async with reading(services.engine) as conn:
        if was:
            was = mark_of(await read_row(conn, kind, visited.person, key_in(kind, said.texts)))
        return await _form(visited, conn, kind, said, was, back, 400)


def _check_before(kind: MasterName, before: dict[str, Any] | None, was: str) -> None:
    """Raises BadRowsError where the row is there although it should be new, or is not what the form began with."""
    if not was and before is not None:
        text = f"there is such a {KINDS[kind][1]} already; change that one, or choose another key"
        raise BadRowsError([BadRow(0, MASTERS[kind].key[-1], text)])
    if was and mark_of(before) != was:
        text = "somebody changed this row after you opened it; nothing is stored yet: store again to overwrite that"
        if before is None:
            text = "somebody deleted this row after you opened it; nothing is stored yet: store again to bring it back"
        raise BadRowsError([BadRow(0, "", text)])


# ------------------------------------------------------------------------------------------------------------ deletion


@get("/data/{name:str}/delete", include_in_schema=False)
async def delete_page(request: HtmlRequest, name: FromPath[str]) -> Response[str]:
    """Ask whether a row shall be deleted. Raises NotFoundError."""
    visited, kind = visit(request), kind_of(name)
    query = dict(request.query_params)
    async with reading(visited.services.engine) as conn:
        row = await read_row(conn, kind, visited.person, key_in(kind, query))
        if row is None:
            raise NotFoundError(f"there is no such {KINDS[kind][1]}")
        visited.person.require(MASTERS[kind].permission, site_of(kind, row))
        values = [(one.title, shown(one, row[one.name], currency_of(row))) for one in fields_of(MASTERS[kind].row)]
        return await page(
            visited, conn, "data_delete.html", kind=kind, words=KINDS[kind], values=values, row=row,
            key={one: row[one] for one in MASTERS[kind].key}, back=safe_back(kind, query.get("back", "")),
            path_here=f"/data/{kind}/delete", kept=MASTERS[kind].kept,
        )  # fmt: skip


@post("/data/{name:str}/delete", include_in_schema=False)
async def delete_row(request: HtmlRequest, name: FromPath[str]) -> Redirect:
    """Delete a row. Raises NotFoundError, ConflictError where rows of its kind are kept."""
    visited, kind = visit(request), kind_of(name)
    master, services = MASTERS[kind], visited.services
    texts = {field: str(value) for field, value in (await request.form()).items()}
    key = key_in(kind, texts)
    site = site_of(kind, key) if master.site_column in master.key else ""
    visited.person.require(master.permission, site)
    async with writing(services.engine, site) as conn:
        values = tuple(key[one] for one in master.key)
        await delete_masters(conn, kind, [values], visited.now, visited.person.actor)
    services.changes.publish(Change(site, ("master", "downlink"), 0, services.runtime.now()))
    return see_other(safe_back(kind, texts.get("back", "")))
