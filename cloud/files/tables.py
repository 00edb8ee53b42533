"""The cells of a CSV, XLSX or Parquet file, row by row in bounded memory."""

from __future__ import annotations

import csv
import importlib
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from math import isnan
from pathlib import Path
from typing import IO, Any, Literal, cast

from cloud.errors import BadInputError, BadRow

#: Told how much of a table was read, and how much there is (bytes or rows; 0 where that is not known).
Progress = Callable[[int, int], None]
Form = Literal["csv", "xlsx", "parquet"]
#: The cells of a row by column, or what is wrong with it; before them the line they stand on.
Cells = tuple[int, dict[str, Any] | BadRow]

#: Bytes that a workbook or Parquet file may hold unpacked: ten million cells; what is brought over the network, less.
MOST_UNPACKED, MOST_UNPACKED_BROUGHT = 2 << 30, 256 << 20
#: Rows of a worksheet, as Excel has them, and cells that are read of one: the file's own word for its size may lie.
MOST_ROWS, MOST_CELLS = 1_048_576, 50_000_000
#: Columns of a table.
MOST_COLUMNS = 1_000
#: Rows that are read at once, and between two words about the progress.
CHUNK = 1_000
#: The part of these bytes that the texts of a workbook may take: they fill the memory, the rest is read as it goes.
_TEXT_SHARE = 4
#: Bytes of the first line that are looked at for the separator.
_HEAD = 65_536


@dataclass(frozen=True, slots=True)
class Source:
    """A table that somebody brought: the file at `path`, or `data` itself. `name` is what sentences call it."""

    name: str
    path: Path | None = None
    data: bytes = b""
    given: Form | None = None

    @property
    def form(self) -> Form:
        """What it is by its name's ending, unless it was `given`."""
        if self.given is not None:
            return self.given
        ending = self.name.lower().rpartition(".")[2]
        return "xlsx" if ending == "xlsx" else "parquet" if ending == "parquet" else "csv"

    @property
    def most_unpacked(self) -> int:
        """Bytes that it may hold unpacked."""
        return MOST_UNPACKED_BROUGHT if self.path is None else MOST_UNPACKED

    def open(self) -> IO[bytes]:
        """Its bytes. Raises OSError."""
        return io.BytesIO(self.data) if self.path is None else self.path.open("rb")


@dataclass(frozen=True, slots=True)
class Table:
    """An opened table: its columns in order, and its rows, which can be read once."""

    columns: tuple[str, ...]
    rows: Iterator[Cells]


def open_table(source: Source, progress: Progress | None = None) -> Table:
    """Read the first line of a table; its rows follow while they are asked for.

    Raises BadInputError naming file, line and remedy; so do the rows, where the file cannot be read on.
    """
    rows = _guarded(source, progress)
    head = next(rows, None)
    names = () if head is None else cast("tuple[str, ...]", head)
    if len(names) > MOST_COLUMNS:
        raise BadInputError(
            f"{source.name}:1: there are more than {MOST_COLUMNS} columns; leave out what is not needed"
        )
    return Table(names, cast("Iterator[Cells]", rows))


def _guarded(source: Source, progress: Progress | None) -> Iterator[tuple[str, ...] | Cells]:
    """The columns, then the rows; whatever a damaged file makes a library raise is one sentence."""
    read = {"csv": _text, "xlsx": _sheet, "parquet": _parquet}[source.form]
    try:
        yield from read(source, progress)
    except BadInputError:
        raise
    except FileNotFoundError:
        raise BadInputError(f"{source.name}: there is no such file") from None
    except (UnicodeError, csv.Error, OSError) as error:
        raise BadInputError(
            f"{source.name}: the file cannot be read ({error}); save it as CSV in UTF-8, XLSX or Parquet"
        ) from None
    except MemoryError:
        raise BadInputError(f"{source.name}: the file is too large; bring it in parts") from None
    except Exception as error:  # openpyxl and pyarrow raise nearly anything for a damaged file
        if source.form == "csv":
            raise
        kind = {"csv": "CSV file", "xlsx": "XLSX workbook", "parquet": "Parquet file"}[source.form]
        raise BadInputError(f"{source.name}: this is no {kind} ({_short(error)}); save it anew") from None


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


# --------------------------------------------------------------------------------------------------- CSV


def _text(source: Source, progress: Progress | None) -> Iterator[tuple[str, ...] | Cells]:
    with source.open() as raw:
        first = raw.readline(_HEAD)
        raw.seek(0, io.SEEK_END)
        size = raw.tell()
        raw.seek(0)
        coding = "utf-16" if first.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        text = io.TextIOWrapper(raw, encoding=coding, newline="")
        yield from _lines(text, _separator(first, coding), raw, size, progress)


def _lines(
    text: IO[str], separator: str, raw: IO[bytes], size: int, progress: Progress | None
) -> Iterator[tuple[str, ...] | Cells]:
    reader = csv.reader(text, delimiter=separator)
    names = tuple(name.strip() for name in next(reader, list[str]()))
    yield names
    for number, row in enumerate(reader):
        if progress is not None and number % CHUNK == 0:
            progress(min(raw.tell(), size), size)
        if not any(cell and not cell.isspace() for cell in row):
            continue
        if len(row) != len(names):
            wrong = f"the row has more or fewer cells than the first line ({len(row)}, not {len(names)}); write as many"
            yield reader.line_num, BadRow(reader.line_num, "", wrong)
        else:
            yield reader.line_num, {name: _cell(cell) for name, cell in zip(names, row, strict=True)}
    if progress is not None:
        progress(size, size)


def _separator(first: bytes, coding: str) -> str:
    """What stands most often between the names of the first line: a comma, a semicolon or a tabulator."""
    line = first.decode(coding, "replace")
    return max((",", ";", "\t"), key=line.count)


def _cell(text: str) -> str:
    """A cell's text; the apostrophe that keeps a spreadsheet from calculating it is taken away again."""
    text = text.strip()
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") and text[1:2] else text


# --------------------------------------------------------------------------------------------------- XLSX


def _sheet(source: Source, progress: Progress | None) -> Iterator[tuple[str, ...] | Cells]:
    from openpyxl import load_workbook  # costs 30 MB: only where somebody brings a workbook

    with source.open() as raw:
        with zipfile.ZipFile(raw) as packed:  # reads no more of a part than its head says
            sizes = {part.filename: part.file_size for part in packed.infolist()}
            texts = sizes.get("xl/sharedStrings.xml", 0)  # alone it is held as a whole
            if sum(sizes.values()) > source.most_unpacked or texts > source.most_unpacked // _TEXT_SHARE:
                raise BadInputError(f"{source.name}: the workbook is too large unpacked; save it as CSV or in parts")
        raw.seek(0)
        with warnings.catch_warnings():  # about styles and checks that do not matter here
            warnings.simplefilter("ignore")
            book = load_workbook(raw, read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        try:
            yield from _sheet_rows(source, _bounded(source, sheet.iter_rows(values_only=True)), progress)
        finally:
            book.close()


def _sheet_rows(
    source: Source, rows: Iterator[tuple[Any, ...]], progress: Progress | None
) -> Iterator[tuple[str, ...] | Cells]:
    header = [str(name if name is not None else "").strip() for name in next(rows, ())]
    yield tuple(name for name in header if name)
    for line, row in enumerate(rows, 2):
        named = {name: plain(value) for name, value in zip(header, row, strict=False) if name}
        if progress is not None and line % CHUNK == 0:
            progress(line, 0)
        if any(value not in ("", None) for value in named.values()):
            yield line, named


def _bounded(source: Source, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows of a sheet, read in parts without warnings, as far as a sheet can go."""
    cells = count = 0
    while True:
        part: list[tuple[Any, ...]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row in islice(rows, CHUNK):
                cells, count = cells + len(row), count + 1
                if count > MOST_ROWS or cells > MOST_CELLS:
                    raise BadInputError(
                        f"{source.name}:{count}: the sheet has more cells than can be read; save it as CSV or in parts"
                    )
                part.append(row)
        if not part:
            return
        yield from part


# --------------------------------------------------------------------------------------------------- Parquet


def _parquet(source: Source, progress: Progress | None) -> Iterator[tuple[str, ...] | Cells]:
    arrow: Any = importlib.import_module("pyarrow")  # costs 50 MB: only where somebody brings such a file
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with source.open() as raw:
        meta: Any = parquet.read_metadata(raw)
        groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
        if sum(max(group.total_byte_size, 0) for group in groups) > source.most_unpacked:
            raise BadInputError(f"{source.name}: the file is too large unpacked; bring it in parts")
        raw.seek(0)
        plain_types = {field.name: field.type for field in meta.schema.to_arrow_schema()}
        texts = [
            name
            for name, kind in plain_types.items()
            if arrow.types.is_string(kind) or arrow.types.is_large_string(kind)
        ]
        raw.seek(0)
        file: Any = parquet.ParquetFile(raw, read_dictionary=texts)  # a text that repeats is kept once
        names = tuple(str(name) for name in file.schema_arrow.names)
        yield names
        line = 0
        for batch in file.iter_batches(batch_size=CHUNK):
            columns = [_column(arrow, column) for column in batch.columns]
            for row in zip(*columns, strict=True) if columns else ():
                line += 1
                yield line, {name: plain(value) for name, value in zip(names, row, strict=True)}
            if progress is not None:
                progress(line, max(meta.num_rows, 0))


def _column(arrow: Any, column: Any) -> Sequence[Any]:
    """A column's values as Python's; repeated texts are one object."""
    if not arrow.types.is_dictionary(column.type):
        return column.to_pylist()
    words = column.dictionary.to_pylist()
    return [None if place is None else words[place] for place in column.indices.to_pylist()]


def plain(value: Any) -> Any:
    """A cell as text, number or truth value: a day without time as ISO, 3.0 as 3, no number as nothing."""
    if isinstance(value, str):
        return _cell(value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta | bytes):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        if isnan(value):  # how a missing number looks in Parquet
            return None
        return int(value) if value.is_integer() else value
    return value
