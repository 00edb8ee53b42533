"""Lists: filtered, limited to what the caller may see, in pages whose cursor stays right while rows are added.

A page is ordered by a key; its cursor is the key of its last row. Each list costs one query whatever its size. The
same list as CSV: `?format=csv`, or the header `Accept: text/csv`.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Protocol, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter
from sqlalchemy import Column, ColumnElement, RowMapping, Select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError

#: Rows of a page when nothing is said, and at most.
PAGE, LARGEST_PAGE = 100, 1_000

Limit = Annotated[int, QueryParameter(ge=1, le=LARGEST_PAGE, description="rows of a page")]
Cursor = Annotated[str, QueryParameter(max_length=500, description="`next` of the page before")]
Filter = Annotated[str, QueryParameter(max_length=200)]
#: `state` and `type` are taken by the framework and by Python.
StateFilter = Annotated[str, QueryParameter(name="state", max_length=40)]
TypeFilter = Annotated[str, QueryParameter(name="type", max_length=40)]
Day = Annotated[str, QueryParameter(max_length=10, pattern=r"^\d{4}-\d{2}-\d{2}$")]

T = TypeVar("T", bound=msgspec.Struct)


class _Page(Protocol):
    @property
    def items(self) -> Sequence[msgspec.Struct]: ...


P = TypeVar("P", bound=_Page)


async def page_of(
    conn: AsyncConnection,
    query: Select[*tuple[Any, ...]],
    keys: Sequence[Column[Any]],
    row: type[T],
    cursor: str = "",
    limit: int = PAGE,
    *,
    newest_first: bool = False,
) -> tuple[list[T], str]:
    """The rows of `query` behind `cursor`, as `row`s, and the cursor behind them ("" = none follow).

    Raises BadInputError for a cursor that this list did not give out. `query` selects the `keys` too.
    """
    if cursor:
        query = query.where(_behind(keys, _read(cursor, keys), newest_first))
    ordered = query.order_by(*(key.desc() if newest_first else key.asc() for key in keys)).limit(limit + 1)
    found = (await conn.execute(ordered)).mappings().all()
    more = len(found) > limit
    last = found[limit - 1] if more else None
    after = "" if last is None else _write([last[key.name] for key in keys])
    return msgspec.convert([_plain(one) for one in found[:limit]], list[row]), after


def _plain(one: RowMapping) -> dict[str, Any]:
    """A row with plain text as names: SQLAlchemy's own are a subclass that msgspec does not take for keys."""
    return {str(name): value for name, value in one.items()}


def _behind(keys: Sequence[Column[Any]], values: list[str | int], newest_first: bool) -> ColumnElement[bool]:
    if len(keys) == 1:
        return keys[0] < values[0] if newest_first else keys[0] > values[0]
    left, right = tuple_(*keys), tuple_(*values)
    return left < right if newest_first else left > right


def _write(values: list[object]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def _read(cursor: str, keys: Sequence[Column[Any]]) -> list[str | int]:
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | int])
    except (ValueError, msgspec.DecodeError):
        values = []
    fits = len(values) == len(keys) and all(
        isinstance(value, key.type.python_type) and (isinstance(value, str) or abs(value) < 1 << 63)
        for value, key in zip(values, keys, strict=True)
    )
    if not fits:
        raise BadInputError("cursor: this list did not give it out; begin without one")
    return values


def answer(request: Request[Any, Any, Any], page: P) -> Response[P]:
    """The page as JSON, or as CSV where the caller asks for that."""
    wants = request.query_params.get("format", "")
    if wants not in ("", "json", "csv"):
        raise BadInputError("format: choose json or csv")
    if wants != "csv" and (wants == "json" or not request.headers.get("accept", "").startswith("text/csv")):
        return Response(page)
    text = io.StringIO()
    writer = csv.writer(text)
    rows = [msgspec.to_builtins(item) for item in page.items]
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    headers = {"x-next-cursor": getattr(page, "next", "")}
    return cast(
        "Response[P]", Response(text.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)
    )


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
