"""What every page shares: who visits, the filters in its URL, its HTML, its CSV twin."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.response import Redirect
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.http import CSRF_FIELD, principal_of
from cloud.access.principal import Permission, Principal
from cloud.access.services import Services, services_of
from cloud.errors import BadInputError
from cloud.store import schema
from cloud.web import words
from cloud.web.static import link

T = TypeVar("T", bound=msgspec.Struct)
HtmlRequest = Request[Any, Any, Any]
Cell = str | int | float | None

#: Rows of a CSV twin at most; its last line is followed by a `Link: rel="next"` header where there are more.
CSV_ROWS = 5_000
#: Lines of a table on a page; the next ones are a link away.
PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person who is signed in. `now` is the same moment for the whole page, microseconds UTC."""

    request: HtmlRequest
    services: Services
    person: Principal
    now: int

    @property
    def partial(self) -> bool:
        """Whether a script asks for a piece of the page."""
        return "hx-request" in self.request.headers

    def filter(self, kind: type[T]) -> T:
        """The filters in the URL. Raises BadInputError naming the one that cannot be used."""
        values = {name: value for name, value in self.request.query_params.items() if value != ""}
        return read_fields(values, kind)


def visit(request: HtmlRequest, permission: Permission = "read") -> Visit:
    """Who visits. Raises UnauthorizedError for nobody, DeniedError where no site may be seen."""
    services, person = services_of(request), principal_of(request)
    if not person.may_somewhere(permission):
        person.require(permission, "")
    return Visit(request, services, person, services.runtime.now())


def read_fields(values: dict[str, str], kind: type[T]) -> T:
    """A struct out of the texts of a query or form. Raises BadInputError naming the field."""
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$.")
        raise BadInputError(f"{where.rstrip('`') or 'the form'}: {_plainly(text)}") from None


def _plainly(text: str) -> str:
    """What is wrong with a field, without the words of types."""
    if bound := re.search(r"([<>]=) (-?\d+)", text):
        length = " characters" if "length" in text else ""
        return f"{'at most' if bound[1] == '<=' else 'at least'} {bound[2]}{length}, please"
    if missing := re.search(r"missing required field `(\w+)`", text):
        return f"{missing[1]} is missing"
    if text.startswith("Expected `int"):
        return "write a whole number"
    if value := re.search(r"enum value (.+)$", text):
        return f"{value[1]} is not one of the choices"
    return text[:1].lower() + text[1:]


async def read_form(request: HtmlRequest, kind: type[T]) -> T:
    """The struct that a form sends; empty fields count as absent. Raises BadInputError naming the field."""
    form = await request.form()
    values = {name: str(value).strip() for name, value in form.items() if name != CSRF_FIELD}
    for name, value in values.items():
        if "\x00" in value:  # PostgreSQL stores every other character
            raise BadInputError(f"{name}: it holds the character U+0000; take it out")
    return read_fields({name: value for name, value in values.items() if value}, kind)


def href(path: str, fields: msgspec.Struct | None = None, **changes: Cell) -> str:
    """`path` with the fields that differ from their defaults as its query: the stable URL of a view."""
    values: dict[str, Cell] = {}
    if fields is not None:
        for field in msgspec.structs.fields(fields):
            value = getattr(fields, field.name)
            if value != field.default:
                values[field.name] = value
    values |= changes
    query = urlencode({name: value for name, value in values.items() if value not in ("", None)})
    return f"{path}?{query}" if query else path


def segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person, for the navigation."""

    recommendations: int
    exceptions: int


async def waiting(conn: AsyncConnection, person: Principal) -> Waiting:
    """How many proposals and exceptions are open, in one query."""
    r, e = schema.recommendation.c, schema.exception.c
    proposals = (
        select(func.count()).where(r.state == "proposed", person.scope(r.site_id)).select_from(schema.recommendation)
    )
    exceptions = select(func.count()).where(e.state == "open", person.scope(e.site_id)).select_from(schema.exception)
    row = (await conn.execute(select(proposals.scalar_subquery(), exceptions.scalar_subquery()))).one()
    return Waiting(*row)


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_filters = cast("dict[str, Callable[..., object]]", _environment.filters)
_filters |= {
    "number": words.number,
    "age": words.age,
    "iso": words.iso,
    "permille": words.permille,
    "segment": segment,
}
_globals = cast("dict[str, object]", _environment.globals)
_globals |= {
    "href": href,
    "static": link,
    "moment": words.moment,
    "units": words.UNITS,
    "money": words.money,
    "csrf_field": CSRF_FIELD,
}


def render(template: str, **context: object) -> str:
    """A template's text with `context` in it."""
    return _environment.get_template(template).render(context)


def html(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response[str]:
    """An answer in HTML: a page or a piece of one."""
    return Response(text, status_code=status, media_type="text/html; charset=utf-8", headers=headers or {})


async def page(visited: Visit, conn: AsyncConnection, template: str, **context: object) -> Response[str]:
    """A whole page, with what its frame shows."""
    frame = {"person": visited.person, "path": visited.request.url.path, "now": visited.now}
    return html(render(template, **frame, waiting=await waiting(conn, visited.person), **context))


def embedded_json(value: object) -> Markup:
    """JSON to stand inside a script element: nothing in it can end the element."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c"))


def see_other(location: str) -> Redirect:
    """The answer to a form that was acted upon: look there."""
    return Redirect(location, status_code=303)


def sheet(name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], following: str = "") -> Response[str]:
    """A CSV file (RFC 4180). A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([[harmless(cell) for cell in row] for row in rows])
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    if following:
        headers["link"] = f'<{following}>; rel="next"'
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def harmless(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
