"""Data as files: a list as CSV or Parquet that can be changed and brought back, and a template of each kind to fill."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Response
from litestar.response import Stream

from cloud.files import fields_of
from cloud.web.data_words import EXAMPLES
from cloud.web.page import Cell, harmless

#: Rows of a Parquet file: it is made in memory.
PARQUET_ROWS = 500_000


def csv_lines(rows: Sequence[Sequence[Cell]]) -> str:
    """Lines of a CSV file (RFC 4180). A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[harmless(cell) for cell in row] for row in rows])
    return out.getvalue()


def as_csv(name: str, head: Sequence[str], pages: AsyncGenerator[list[dict[str, Any]], None]) -> Stream:
    """All pages as one CSV file, written while they are read: a few thousand rows in memory, whatever their number."""

    async def lines() -> AsyncGenerator[str, None]:
        yield csv_lines([head])
        async for rows in pages:
            yield csv_lines([[_cell(row[column]) for column in head] for row in rows])

    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Stream(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def as_parquet(name: str, row: type[msgspec.Struct], rows: Sequence[Mapping[str, Any]]) -> Response[bytes]:
    """Rows as a Parquet file with typed columns."""
    arrow: Any = importlib.import_module("pyarrow")  # costs 50 MB: only where somebody asks for such a file
    parquet: Any = importlib.import_module("pyarrow.parquet")
    kinds = {"integer": arrow.int64(), "number": arrow.float64(), "flag": arrow.bool_()}
    columns = {
        one.name: arrow.array([each[one.name] for each in rows], type=kinds.get(one.kind, arrow.string()))
        for one in fields_of(row)
    }
    out = io.BytesIO()
    parquet.write_table(arrow.table(columns), out)
    headers = {"content-disposition": f'attachment; filename="{name}.parquet"'}
    return Response(out.getvalue(), media_type="application/vnd.apache.parquet", headers=headers)


def template(kind: str, row: type[msgspec.Struct]) -> Response[str]:
    """A file of one kind to fill: the line that names the columns, and one example."""
    head = [one.name for one in fields_of(row)]
    example: list[Cell] = []
    for one in fields_of(row):
        filled = EXAMPLES.get(f"{kind}.{one.name}", EXAMPLES.get(one.name, one.default))
        example.append(_cell(filled))
    headers = {"content-disposition": f'attachment; filename="{kind}-template.csv"'}
    return Response(csv_lines([head, example]), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: Any) -> Cell:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
