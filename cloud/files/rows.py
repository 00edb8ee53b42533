"""The rows of a table as structs; a row that is wrong is named with its line, field and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from cloud.errors import BadInputError, BadRow
from cloud.files.fields import Field, fields_of
from cloud.files.tables import Progress, Source, open_table

T = TypeVar("T", bound=msgspec.Struct)

#: Characters of a value that a sentence repeats.
_SHOWN = 60


class Rows(Generic[T]):
    """The rows of `source` as structs of `row_type`, read once while they are asked for.

    The first line names the columns, in any order; `aliases` are other names for them; empty cells are left out. `others`:
    columns that the struct does not have are passed over (`passed_over`) instead of refused.
    """

    def __init__(
        self,
        source: Source,
        row_type: type[T],
        *,
        others: bool = False,
        aliases: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Raises BadInputError naming file, line, column and remedy."""
        self.source = source
        self._type = row_type
        self._fields = {field.name: field for field in fields_of(row_type)}
        table = open_table(source, progress)
        self._rows = table.rows
        known = ", ".join(self._fields)
        if not table.columns:
            raise BadInputError(f"{source.name}: the file holds no rows; the first line names the columns: {known}")
        renamed = {name: name if name in self._fields else (aliases or {}).get(name, name) for name in table.columns}
        self.passed_over = tuple(name for name, field in renamed.items() if field not in self._fields)
        if self.passed_over and not others:
            named = ", ".join(name[:_SHOWN] for name in self.passed_over[:10])
            verb = "column {} is not known" if len(self.passed_over) == 1 else "columns {} are not known"
            raise BadInputError(f"{source.name}:1: {verb.format(named)}; columns are: {known}")
        self._columns = {name: self._fields[field] for name, field in renamed.items() if field in self._fields}
        self.columns = tuple(field.name for field in self._columns.values())
        twice = {name for name in self.columns if self.columns.count(name) > 1}
        twice |= {name for name in table.columns if table.columns.count(name) > 1 and name in self._columns}
        if twice:
            raise BadInputError(f"{source.name}:1: column {min(twice)} stands there twice; keep one of them")
        missing = [field.name for field in self._fields.values() if field.required and field.name not in self.columns]
        if missing:
            raise BadInputError(f"{source.name}:1: column {', '.join(missing)} is missing; columns are: {known}")

    def __iter__(self) -> Iterator[tuple[int, T | BadRow]]:
        """(line, row), or what is wrong with it. Raises BadInputError where the file cannot be read on, or has no rows."""
        empty = True
        for line, named in self._rows:
            empty = False
            yield line, named if isinstance(named, BadRow) else self._row(line, named)
        if empty:
            raise BadInputError(
                f"{self.source.name}: the file holds no rows; the first line names the columns: {', '.join(self._fields)}"
            )

    def _row(self, line: int, named: Mapping[str, Any]) -> T | BadRow:
        filled = {
            field.name: _fitting(field, value)
            for name, field in self._columns.items()
            if (value := named[name]) is not None and value != ""
        }
        try:
            return msgspec.convert(filled, self._type, strict=False)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$.")
            if not where and "required field `" in what:
                return BadRow(line, what.partition("required field `")[2].rstrip("`"), "is empty; fill it in")
            name = where.rstrip("`").partition("[")[0].partition(".")[0]
            return BadRow(line, name, _refusal(self._fields.get(name), filled.get(name), what))
        except (ValueError, OverflowError, RecursionError) as error:
            return BadRow(line, "", f"cannot be used ({error}); correct it")


def read_structs(path: Path, row_type: type[T], *, others: bool = False) -> list[tuple[int, T]]:
    """(line, row) of each row of a file, as structs of `row_type`; the first line names the columns, empty cells are left out.

    `others`: columns that the struct does not have are passed over instead of refused. Raises BadInputError naming file,
    line, field and remedy of the first row that is wrong.
    """
    rows: list[tuple[int, T]] = []
    for line, row in Rows(Source(str(path), path), row_type, others=others):
        if isinstance(row, BadRow):
            raise BadInputError(f"{path}:{line}: {row.sentence()}; correct the file and try again")
        rows.append((line, row))
    return rows


def _fitting(field: Field, value: Any) -> Any:
    """A cell as its field takes it: a number that stands for an id as text, the day of a moment."""
    if field.kind == "text":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if field.unit == "date" and isinstance(value, str) and len(value) > 10 and value[10] in "T ":
            return value[:10]
    elif field.kind == "flag":
        if isinstance(value, str):
            return value.lower()
    elif isinstance(value, bool) and field.kind in ("integer", "number"):
        return int(value)
    return value


def _refusal(field: Field | None, value: Any, what: str) -> str:
    """What is wrong with a value, and what to write instead."""
    text = str(value)
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    if field is None:
        return f"{what[:1].lower()}{what[1:]}"
    if field.choices:
        return f"{shown} is none of {', '.join(field.choices)}"
    if field.form:
        return f"{shown} does not fit; write {field.form}"
    if field.longest is not None and len(text) > field.longest:
        return f"is longer than {field.longest} characters; shorten it"
    if field.kind == "flag":
        return f"{shown} is neither true nor false"
    if field.kind in ("integer", "number"):
        if "got `" in what:
            return f"{shown} is no {'whole number' if field.kind == 'integer' else 'number'}; write one such as 12"
        if field.least is not None and field.most is not None:
            return f"{shown} is out of bounds; write a number from {field.least:g} to {field.most:,.0f}"
    return f"{shown}: {what[:1].lower()}{what[1:]}"
