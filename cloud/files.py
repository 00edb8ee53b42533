"""Tables that users bring: rows of a CSV, XLSX or Parquet file as typed values, with the lines they stand on."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from cloud.errors import BadInputError

T = TypeVar("T", bound=msgspec.Struct)


class Row(NamedTuple):
    """A row of a file and the line it stands on."""

    line: int
    value: msgspec.Struct


def read_structs(path: Path, row_type: type[T], *, others: bool = False) -> list[tuple[int, T]]:
    """(line, row) of each row of a file, as structs of `row_type`; the first line names the columns, empty cells are left out.

    `others`: columns that the struct does not have are passed over instead of refused. Raises BadInputError naming file,
    line, field and remedy.
    """
    known = {field.encode_name for field in msgspec.structs.fields(row_type)}
    rows: list[tuple[int, T]] = []
    for line, named in cells(path):
        filled: dict[str, Any] = {}
        for name, value in named.items():
            if name in known:
                if value not in ("", None):
                    filled[name] = value
            elif not others:
                raise BadInputError(f"{path}:1: column {name} is not known; columns are: {', '.join(sorted(known))}")
        try:
            rows.append((line, msgspec.convert(filled, row_type, strict=False)))
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$.")
            field = where.rstrip("`") or "the row"
            raise BadInputError(
                f"{path}:{line}: {field}: {what[:1].lower() + what[1:]}; correct the file and try again"
            ) from None
    if not rows:
        raise BadInputError(
            f"{path}: the file holds no rows; the first line names the columns: {', '.join(sorted(known))}"
        )
    return rows


def cells(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, column -> value) of each row of a file, by its ending. Raises BadInputError naming file, line and remedy."""
    try:
        if path.suffix.lower() == ".xlsx":
            yield from _sheet(path)
        elif path.suffix.lower() == ".parquet":
            yield from _parquet(path)
        else:
            text = path.read_text(encoding="utf-8-sig")
            reader = csv.DictReader(io.StringIO(text, newline=""), restkey="\x00")
            for row in reader:
                if "\x00" in row or None in row.values():
                    raise BadInputError(
                        f"{path}:{reader.line_num}: the row has more or fewer cells than the first line"
                    )
                yield reader.line_num, {name.strip(): value.strip() for name, value in row.items()}
    except FileNotFoundError:
        raise BadInputError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(
            f"{path}: the file cannot be read ({error}); save it as CSV in UTF-8, XLSX or Parquet"
        ) from None


def _sheet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    from openpyxl import load_workbook  # costs 30 MB: only where somebody brings a workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise BadInputError(f"{path}: this is no XLSX workbook ({error})") from None
    rows = book.worksheets[0].iter_rows(values_only=True)
    header = [str(name or "").strip() for name in next(rows, ())]
    for line, row in enumerate(rows, 2):
        named = {name: _plain(value) for name, value in zip(header, row, strict=False) if name}
        if any(value not in ("", None) for value in named.values()):
            yield line, named


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    parquet: Any = importlib.import_module("pyarrow.parquet")  # costs 50 MB: only where somebody brings such a file
    try:
        table = parquet.read_table(path)
    except ValueError as error:
        raise BadInputError(f"{path}: this is no Parquet file ({error})") from None
    for number, row in enumerate(cast("list[dict[str, Any]]", table.to_pylist()), 1):
        yield number, {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """A cell as text or number: a day without time as ISO, 3.0 as 3."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
